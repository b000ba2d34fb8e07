//! The files that are made from the table of switches. The tests hold them to it; `EXAPROXY_WRITE_DOCUMENTS=1 cargo test --lib
//! document` writes them anew, with those of the table of options.

mod manual;
mod shells;
