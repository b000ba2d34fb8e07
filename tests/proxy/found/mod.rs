//! Faults that were found by trying the real binary: each test carries the number of its fault.

mod crowds;
mod ends;
mod http;
mod kept;
mod machine;
mod names;
mod ops;
mod ports;
mod stopped;
