//! Files of users and fields with credentials: nothing stops the reader, and what is read is what stands there.

use super::{outcome, rough};
use exaproxy::policy::credentials::field::{challenge, Credentials, GivenCredentials};
use exaproxy::policy::credentials::hash::HashKind;
use exaproxy::policy::credentials::users::UserTable;

pub(super) const FILES: &[&[u8]] = &[
    b"# users\nadmin:secret123\r\nann: a:b \n\n",
    b"a:$apr1$ab$TU7oxqqMDUkwcsN2Prj6Y1\nb:$5$rounds=1000$roundssalt$zCpFTZPZVoxFwBezkv/RIg9F2qt0Nj5WmRZLuRD5NpA\n",
    b"c:$2b$04$abcdefghijklmnopqrstuu8VGtUx.c4Re394wLRrz6IU0O9BZg/ta\nd:$argon2id$v=19$m=1024,t=2,p=2$c29tZXNhbHQxMjM0$BV46bo0U559j10kU0Nb6nm7Ns38nj2K7pSCgo0pssnw\n",
    b"e:{SHA}x\nf:$6$rounds=999999999$x$y\n",
];

pub(super) const FIELDS: &[&[u8]] =
    &[b"Basic YW5uOmE6Yg==", b"bAsIc  w7w6", b"Bearer x", b"Basic YW5uOmE6Yg==\nBasic YQ==", b"Basic", b""];

/// Every line apart reads as in its file, and each plain password is found behind its name.
pub(super) fn file(bytes: &[u8]) -> u64 {
    let read = UserTable::parse(bytes.to_vec());
    let users = match read {
        Ok(users) => users,
        Err(fault) => {
            assert!(fault.line as usize <= bytes.split(|byte| *byte == b'\n').count());
            return outcome(fault.why.to_string());
        }
    };
    let mut count = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        let alone = UserTable::parse(line.to_vec()).expect("a line of a file that was read");
        count += alone.len();
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).unwrap_or_default();
        let Some((name, password)) = line.split_once(':').filter(|_| !alone.is_empty()) else { continue };
        assert!(users.has(name) && alone.has(name));
        if !users.is_slow(name) {
            assert!(
                users.check(name, password.as_bytes()) && !users.check(name, &[password.as_bytes(), b"x"].concat())
            );
        }
    }
    assert_eq!(count, users.len());
    let kinds: Vec<(HashKind, u32)> = users.kinds().map(|(kind, _, count, _)| (kind, rough(count))).collect();
    outcome(kinds)
}

/// One value a line, of fields of one name.
pub(super) fn fields(bytes: &[u8]) -> u64 {
    let given = GivenCredentials::of(bytes.split(|byte| *byte == b'\n'));
    let GivenCredentials::Token(token) = given else { return outcome(given == GivenCredentials::Nothing) };
    let Some(Credentials { user, password }) = Credentials::decode(token) else { return outcome(2) };
    assert!(!user.is_empty() && user.len() <= 255 && password.len() <= 512 && !user.contains(':'));
    assert!(!user.chars().any(char::is_control) && !challenge(&user).contains(['\r', '\n']));
    outcome((3, rough(user.len()), rough(password.len())))
}
