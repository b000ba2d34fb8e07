//! Faults that were found by trying the real binary: each test carries the number of its fault.

mod ops;
mod kept;
mod names;
