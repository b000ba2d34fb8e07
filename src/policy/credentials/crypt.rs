//! The hashes of crypt(5) that stand in files as text: Apache's MD5, and SHA-256 and SHA-512 as Drepper has them ("Unix crypt
//! using SHA-256 and SHA-512"), each as the characters that follow the salt.

use md5::{Digest, Md5};
use sha_crypt::Params;

/// The alphabet of crypt(3).
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of each hash.
pub(super) const APR1_LEN: usize = 22;
pub(super) const SHA256_LEN: usize = 43;
pub(super) const SHA512_LEN: usize = 86;

/// Rounds of Apache's MD5, which are fixed.
const APR1_ROUNDS: usize = 1000;

/// In which order the bytes of each hash are written.
const APR1_ORDER: [u8; 16] = [12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11];
const SHA256_ORDER: [u8; 32] = [
    20, 10, 0, 11, 1, 21, 2, 22, 12, 23, 13, 3, 14, 4, 24, 5, 25, 15, 26, 16, 6, 17, 7, 27, 8, 28, 18, 29, 19, 9, 30,
    31,
];
const SHA512_ORDER: [u8; 64] = [
    42, 21, 0, 1, 43, 22, 23, 2, 44, 45, 24, 3, 4, 46, 25, 26, 5, 47, 48, 27, 6, 7, 49, 28, 29, 8, 50, 51, 30, 9, 10,
    52, 31, 32, 11, 53, 54, 33, 12, 13, 55, 34, 35, 14, 56, 57, 36, 15, 16, 58, 37, 38, 17, 59, 60, 39, 18, 19, 61, 40,
    41, 20, 62, 63,
];

/// Whether this could be a hash of so many characters.
pub(super) fn is_text(text: &[u8], length: usize) -> bool {
    text.len() == length && text.iter().all(|byte| ALPHABET.contains(byte))
}

/// `$apr1$`, of a salt of up to 8 bytes.
pub(super) fn apr1(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let digest = |parts: &[&[u8]]| -> [u8; 16] {
        let mut hash = Md5::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().into()
    };
    let inner = digest(&[password, salt, password]);
    let mut hash = Md5::new();
    [password, b"$apr1$", salt].iter().for_each(|part| hash.update(part));
    let mut left = password.len();
    while left > 0 {
        hash.update(&inner[..left.min(16)]);
        left = left.saturating_sub(16);
    }
    let mut bits = password.len();
    while bits > 0 {
        hash.update(if bits & 1 == 1 { b"\0" } else { &password[..1] });
        bits >>= 1;
    }
    let mut sum: [u8; 16] = hash.finalize().into();
    for round in 0..APR1_ROUNDS {
        let (first, last): (&[u8], &[u8]) = if round & 1 == 1 { (password, &sum) } else { (&sum, password) };
        let salt = if round % 3 > 0 { salt } else { b"" };
        let again = if round % 7 > 0 { password } else { b"" };
        sum = digest(&[first, salt, again, last]);
    }
    written(&sum, &APR1_ORDER)
}

/// `$5$`, of a salt of up to 16 bytes.
pub(super) fn sha256(password: &[u8], salt: &[u8], rounds: Params) -> Vec<u8> {
    written(&sha_crypt::sha256_crypt(password, salt, rounds), &SHA256_ORDER)
}

/// `$6$`, of a salt of up to 16 bytes.
pub(super) fn sha512(password: &[u8], salt: &[u8], rounds: Params) -> Vec<u8> {
    written(&sha_crypt::sha512_crypt(password, salt, rounds), &SHA512_ORDER)
}

/// Bytes in this order as text: three at a time as four characters, the lowest six bits first.
fn written(bytes: &[u8], order: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(SHA512_LEN);
    for group in order.chunks(3) {
        let places = group.iter().enumerate();
        let value = places.fold(0, |sum, (place, from)| sum | u32::from(bytes[usize::from(*from)]) << (8 * place));
        text.extend((0..=group.len()).map(|six| ALPHABET[(value >> (6 * six)) as usize & 63]));
    }
    text
}
