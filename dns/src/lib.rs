//! A sans-I/O stub resolver.
