//! Who users are: what a request says of its sender, what a file of users says of a password, what is remembered of checks.
//! Knows no connection, no file and no thread.

mod crypt;
pub mod failures;
pub mod field;
pub mod hash;
pub mod kept;
pub mod users;

/// Longest name of a user, in bytes.
pub const MAX_NAME: usize = 255;

/// Longest password, in bytes. Some hashes take time by the square of it.
pub const MAX_PASSWORD: usize = 512;

/// Whether two passwords, or hashes of passwords, are the same, in a time that does not tell where they differ. Their
/// lengths it may tell.
fn same(one: &[u8], other: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    one.ct_eq(other).into()
}
