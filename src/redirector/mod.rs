//! Redirectors: helper programs that decide about requests. Knows how they are asked, understood, kept and replaced, and
//! nothing of sessions: a request comes in by reference, a [`crate::decision::Verdict`] goes out.

pub mod dialect;
pub mod icap;
pub mod pool;
pub mod url;
pub mod worker;
