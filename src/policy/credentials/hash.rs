//! What stands behind the colon of a line of a users file: a password, or one of its hashes. Knows how costly each may be.

use std::fmt;

use argon2::{Algorithm, Argon2, Version};
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::Engine;
use sha_crypt::Params;

use super::crypt::{self, APR1_LEN, SHA256_LEN, SHA512_LEN};
use super::{same, MAX_PASSWORD};

/// Most rounds of `$5$` and `$6$`: some half a second.
pub const MAX_ROUNDS: u32 = 1_000_000;

/// Costs of bcrypt that are accepted; the highest takes about a second.
pub const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=14;

/// Most memory of Argon2, in KiB.
pub const MAX_ARGON2_MEMORY: u32 = 256 << 10;

/// Most memory that Argon2 may go through, in KiB: memory times passes.
pub const MAX_ARGON2_WORK: u32 = 1 << 20;

/// Most lanes of Argon2, which are computed one after the other here.
const MAX_LANES: u32 = 16;

/// Longest salts, in bytes.
const APR1_SALT: usize = 8;
const SHA_SALT: usize = 16;
const ARGON2_SALT: usize = 64;

/// Lengths of the result of Argon2 that are accepted, in bytes.
const ARGON2_OUTPUT: std::ops::RangeInclusive<usize> = 16..=64;

/// A kind of value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum HashKind {
    /// The password as it is.
    Plain,
    /// `$apr1$`: MD5, as Apache has it.
    Apr1,
    /// `$5$`: SHA-256.
    Sha256,
    /// `$6$`: SHA-512.
    Sha512,
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt,
    /// `$argon2id$`
    Argon2id,
}

impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HashKind::Plain => "plain",
            HashKind::Apr1 => "apr1",
            HashKind::Sha256 => "sha256",
            HashKind::Sha512 => "sha512",
            HashKind::Bcrypt => "bcrypt",
            HashKind::Argon2id => "argon2id",
        })
    }
}

/// Why a value is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashFault {
    /// It begins like a hash that is not known here.
    Unknown,
    /// It is not of its kind's form.
    Malformed(HashKind),
    /// It would cost more than it may.
    Costly(HashKind),
    /// There is no password.
    Empty,
    /// The password is too long, or has a control character.
    Password,
}

impl fmt::Display for HashFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashFault::Unknown => f.write_str(
                "a hash of a kind that is not supported; those that are begin with $apr1$, $5$, $6$, $2a$, $2b$, $2y$ or $argon2id$, \
                 and no password begins with $ or {",
            ),
            HashFault::Malformed(kind) => write!(f, "not a well-formed {kind} hash"),
            HashFault::Costly(HashKind::Bcrypt) => {
                write!(f, "the cost of bcrypt has to be from {} to {}", BCRYPT_COSTS.start(), BCRYPT_COSTS.end())
            }
            HashFault::Costly(HashKind::Argon2id) => write!(
                f,
                "argon2id may use {MAX_ARGON2_MEMORY} KiB, memory times passes may be {MAX_ARGON2_WORK} KiB, and lanes {MAX_LANES}"
            ),
            HashFault::Costly(_) => {
                write!(f, "rounds have to be from {} to {MAX_ROUNDS}", Params::ROUNDS_MIN)
            }
            HashFault::Empty => f.write_str("no password"),
            HashFault::Password => write!(f, "a password of more than {MAX_PASSWORD} bytes, or with control characters"),
        }
    }
}

/// A password or its hash, found to be sound.
#[derive(Clone)]
pub struct PasswordHash<'a>(HashForm<'a>);

#[derive(Clone)]
enum HashForm<'a> {
    Plain(&'a [u8]),
    Apr1 { salt: &'a [u8], hash: &'a [u8] },
    Sha256 { rounds: u32, salt: &'a [u8], hash: &'a [u8] },
    Sha512 { rounds: u32, salt: &'a [u8], hash: &'a [u8] },
    Bcrypt { cost: u32, text: &'a str },
    Argon2id { version: Version, params: argon2::Params, salt: Vec<u8>, hash: Vec<u8> },
}

impl fmt::Debug for PasswordHash<'_> {
    /// Shows nothing of a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({}, {})", self.kind(), self.cost())
    }
}

impl<'a> PasswordHash<'a> {
    /// Reads a value.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(value: &'a str) -> Result<PasswordHash<'a>, HashFault> {
        let form = if let Some(rest) = value.strip_prefix("$apr1$") {
            salted(rest, APR1_SALT, APR1_LEN).map(|(salt, hash)| HashForm::Apr1 { salt, hash }).ok_or(HashKind::Apr1)
        } else if let Some(rest) = value.strip_prefix("$5$") {
            let (rounds, rest) = rounds(rest, HashKind::Sha256)?;
            salted(rest, SHA_SALT, SHA256_LEN)
                .map(|(salt, hash)| HashForm::Sha256 { rounds, salt, hash })
                .ok_or(HashKind::Sha256)
        } else if let Some(rest) = value.strip_prefix("$6$") {
            let (rounds, rest) = rounds(rest, HashKind::Sha512)?;
            salted(rest, SHA_SALT, SHA512_LEN)
                .map(|(salt, hash)| HashForm::Sha512 { rounds, salt, hash })
                .ok_or(HashKind::Sha512)
        } else if ["$2a$", "$2b$", "$2y$"].iter().any(|start| value.starts_with(start)) {
            bcrypted(value)?.ok_or(HashKind::Bcrypt)
        } else if let Some(rest) = value.strip_prefix("$argon2id$") {
            argon2id(rest)?.ok_or(HashKind::Argon2id)
        } else if value.starts_with(['$', '{']) {
            return Err(HashFault::Unknown);
        } else if value.is_empty() {
            return Err(HashFault::Empty);
        } else if value.len() > MAX_PASSWORD || value.chars().any(char::is_control) {
            return Err(HashFault::Password);
        } else {
            Ok(HashForm::Plain(value.as_bytes()))
        };
        form.map(PasswordHash).map_err(HashFault::Malformed)
    }

    /// Of which kind it is.
    pub fn kind(&self) -> HashKind {
        match self.0 {
            HashForm::Plain(_) => HashKind::Plain,
            HashForm::Apr1 { .. } => HashKind::Apr1,
            HashForm::Sha256 { .. } => HashKind::Sha256,
            HashForm::Sha512 { .. } => HashKind::Sha512,
            HashForm::Bcrypt { .. } => HashKind::Bcrypt,
            HashForm::Argon2id { .. } => HashKind::Argon2id,
        }
    }

    /// What tells how long a check of its kind takes: rounds, bcrypt's cost, memory in KiB times passes of Argon2.
    pub fn cost(&self) -> u32 {
        match &self.0 {
            HashForm::Plain(_) => 0,
            HashForm::Apr1 { .. } => 1000,
            HashForm::Sha256 { rounds, .. } | HashForm::Sha512 { rounds, .. } => *rounds,
            HashForm::Bcrypt { cost, .. } => *cost,
            HashForm::Argon2id { params, .. } => params.m_cost() * params.t_cost(),
        }
    }

    /// Whether this is the password, of at most [`MAX_PASSWORD`] bytes. Takes up to a second, and as much memory as the hash
    /// says.
    pub fn matches(&self, password: &[u8]) -> bool {
        let sha = |rounds: u32| Params::new(rounds).unwrap_or_default();
        match &self.0 {
            HashForm::Plain(own) => same(own, password),
            HashForm::Apr1 { salt, hash } => same(&crypt::apr1(password, salt), hash),
            HashForm::Sha256 { rounds, salt, hash } => same(&crypt::sha256(password, salt, sha(*rounds)), hash),
            HashForm::Sha512 { rounds, salt, hash } => same(&crypt::sha512(password, salt, sha(*rounds)), hash),
            HashForm::Bcrypt { text, .. } => bcrypt::verify(password, text).unwrap_or(false),
            HashForm::Argon2id { version, params, salt, hash } => {
                let mut out = vec![0; hash.len()];
                let argon2 = Argon2::new(Algorithm::Argon2id, *version, params.clone());
                argon2.hash_password_into(password, salt, &mut out).is_ok() && same(&out, hash)
            }
        }
    }
}

/// A salt and a hash of so many characters.
fn salted(rest: &str, longest: usize, length: usize) -> Option<(&[u8], &[u8])> {
    let (salt, hash) = rest.split_once('$')?;
    let sound = salt.len() <= longest && salt.bytes().all(|byte| byte.is_ascii_graphic());
    (sound && crypt::is_text(hash.as_bytes(), length)).then_some((salt.as_bytes(), hash.as_bytes()))
}

/// The number of rounds, and what follows it.
fn rounds(rest: &str, kind: HashKind) -> Result<(u32, &str), HashFault> {
    let Some(rest) = rest.strip_prefix("rounds=") else { return Ok((Params::RECOMMENDED_ROUNDS, rest)) };
    let (number, rest) = rest.split_once('$').ok_or(HashFault::Malformed(kind))?;
    let number = decimal(number).ok_or(HashFault::Malformed(kind))?;
    match number {
        Params::ROUNDS_MIN..=MAX_ROUNDS => Ok((number, rest)),
        _ => Err(HashFault::Costly(kind)),
    }
}

fn bcrypted(text: &str) -> Result<Option<HashForm<'_>>, HashFault> {
    let Ok(parts) = text.parse::<bcrypt::HashParts>() else { return Ok(None) };
    let cost = parts.get_cost();
    match BCRYPT_COSTS.contains(&cost) {
        true => Ok(Some(HashForm::Bcrypt { cost, text })),
        false => Err(HashFault::Costly(HashKind::Bcrypt)),
    }
}

/// `[v=19$]m=65536,t=3,p=4$SALT$HASH` (the PHC string format).
fn argon2id(rest: &str) -> Result<Option<HashForm<'_>>, HashFault> {
    let mut parts = rest.split('$').peekable();
    let version = match parts.next_if(|part| part.starts_with("v=")) {
        Some("v=19") => Version::V0x13,
        None | Some("v=16") => Version::V0x10,
        Some(_) => return Ok(None),
    };
    let (Some(costs), Some(salt), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Ok(None);
    };
    let mut costs = costs.split(',');
    let mut cost = |name| costs.next()?.strip_prefix(name).and_then(decimal);
    let (Some(memory), Some(passes), Some(lanes)) = (cost("m="), cost("t="), cost("p=")) else { return Ok(None) };
    let (Ok(salt), Ok(hash)) = (STANDARD_NO_PAD.decode(salt), STANDARD_NO_PAD.decode(hash)) else { return Ok(None) };
    if costs.next().is_some() || salt.len() > ARGON2_SALT || !ARGON2_OUTPUT.contains(&hash.len()) {
        return Ok(None);
    }
    let work = memory.checked_mul(passes).is_some_and(|work| work <= MAX_ARGON2_WORK);
    if memory > MAX_ARGON2_MEMORY || !work || lanes > MAX_LANES {
        return Err(HashFault::Costly(HashKind::Argon2id));
    }
    let Ok(params) = argon2::Params::new(memory, passes, lanes, Some(hash.len())) else { return Ok(None) };
    let sound = salt.len() >= argon2::MIN_SALT_LEN;
    Ok(sound.then_some(HashForm::Argon2id { version, params, salt, hash }))
}

fn decimal(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The hash of a password that `exaproxy --hash-password` prints: bcrypt, which htpasswd, Apache and nginx read too.
///
/// # Errors
/// Why there is none: bcrypt would pass over what stands behind its 72nd byte.
pub fn hashed(password: &str, salt: [u8; 16]) -> Result<String, &'static str> {
    match password {
        "" => return Err("an empty password"),
        _ if password.len() > BCRYPT_BYTES => return Err("a password of more than 72 bytes"),
        _ if password.chars().any(char::is_control) => return Err("a password with control characters"),
        _ => {}
    }
    let parts = bcrypt::hash_with_salt(password, BCRYPT_COST, salt).map_err(|_| "the hash could not be made")?;
    Ok(parts.format_for_version(bcrypt::Version::TwoY))
}

/// The cost of hashes that are made here, and bytes of a password that bcrypt looks at.
const BCRYPT_COST: u32 = 10;
const BCRYPT_BYTES: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by htpasswd 2.4, openssl 3.0, crypt(3) and argon2 of Debian 12.
    const KNOWN: &[(&str, &str, HashKind)] = &[
        ("plain p:w", "plain p:w", HashKind::Plain),
        ("$apr1$abcdefgh$Unf1zc.jsgCbBQDCL104q.", "Hello world!", HashKind::Apr1),
        ("$apr1$ab$TU7oxqqMDUkwcsN2Prj6Y1", "p:w ü a much longer password with some words", HashKind::Apr1),
        ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!", HashKind::Sha256),
        ("$5$rounds=1000$roundssalt$zCpFTZPZVoxFwBezkv/RIg9F2qt0Nj5WmRZLuRD5NpA", "p:w ü", HashKind::Sha256),
        (
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            "Hello world!",
            HashKind::Sha512,
        ),
        (
            "$6$rounds=1000$abc$Bm8VZJAsj6LOfoZeImGfgZ0Hc0KcGuc4KT.2CVltY0pFcUVwagNMruEeEIUqgYBpDQkIk2fZ.ukJ0.aHMBWcO1",
            "p:w ü",
            HashKind::Sha512,
        ),
        ("$2b$04$abcdefghijklmnopqrstuu8VGtUx.c4Re394wLRrz6IU0O9BZg/ta", "p:w ü", HashKind::Bcrypt),
        ("$2y$05$sCgsnXdUldzhW49VScaaA.eUn4wrKlJ4EaoX3BAOk8YE3PeL1qJrC", "p:w ü", HashKind::Bcrypt),
        (
            "$argon2id$v=19$m=1024,t=2,p=2$c29tZXNhbHQxMjM0$BV46bo0U559j10kU0Nb6nm7Ns38nj2K7pSCgo0pssnw",
            "p:w ü",
            HashKind::Argon2id,
        ),
        (
            "$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$LN7dqKhtOEmNC2tBi9j14ZJKR0ymvZgd3Lx7qQfBiVs",
            "Hello world!",
            HashKind::Argon2id,
        ),
    ];

    #[test]
    fn hashes_of_other_programs_are_understood() {
        for (text, password, kind) in KNOWN {
            let hash = PasswordHash::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(hash.kind(), *kind, "{text}");
            assert!(hash.matches(password.as_bytes()), "{text}");
            for wrong in [&b""[..], b"x", &password.as_bytes()[1..], &[password.as_bytes(), b"x"].concat()] {
                assert!(!hash.matches(wrong), "{text} {wrong:?}");
            }
            assert!(!format!("{hash:?}").contains(password));
        }
    }

    #[test]
    fn a_hash_made_here_is_understood_here() {
        let text = hashed("p:w ü", [7; 16]).unwrap();
        assert!(text.starts_with("$2y$10$") && PasswordHash::parse(&text).unwrap().matches("p:w ü".as_bytes()));
        for wrong in ["", "a\nb", &"x".repeat(73)] {
            assert!(hashed(wrong, [7; 16]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_hash_is_never_taken_for_a_password() {
        use HashKind::*;
        let digest = "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
        let sha = |start: &str| format!("{start}{digest}");
        let bcrypt = |start: &str| format!("{start}abcdefghijklmnopqrstuu8VGtUx.c4Re394wLRrz6IU0O9BZg/ta");
        let argon2 =
            |costs: &str| format!("$argon2id${costs}$c29tZXNhbHQxMjM0$BV46bo0U559j10kU0Nb6nm7Ns38nj2K7pSCgo0pssnw");
        let (malformed, costly) = (HashFault::Malformed, HashFault::Costly);
        for (text, fault) in [
            ("".to_owned(), HashFault::Empty),
            ("$".to_owned(), HashFault::Unknown),
            ("$1$abc$def".to_owned(), HashFault::Unknown),
            ("$y$j9T$abc".to_owned(), HashFault::Unknown),
            ("{SHA}abc".to_owned(), HashFault::Unknown),
            (bcrypt("$2x$10$"), HashFault::Unknown),
            ("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA".to_owned(), HashFault::Unknown),
            ("a\tb".to_owned(), HashFault::Password),
            ("x".repeat(MAX_PASSWORD + 1), HashFault::Password),
            ("$apr1$abcdefghi$Unf1zc.jsgCbBQDCL104q.".to_owned(), malformed(Apr1)),
            ("$apr1$abc".to_owned(), malformed(Apr1)),
            ("$apr1$abc$Unf1zc.jsgCbBQDCL104q. ".to_owned(), malformed(Apr1)),
            (sha("$5$rounds=$abc$"), HashFault::Malformed(Sha256)),
            (sha("$5$rounds=999$abc$"), costly(Sha256)),
            (sha("$5$rounds=1000001$abc$"), costly(Sha256)),
            (sha("$5$rounds=99999999999$abc$"), malformed(Sha256)),
            (sha("$6$abc$"), malformed(Sha512)),
            (sha("$5$12345678901234567$"), malformed(Sha256)),
            (bcrypt("$2b$15$"), costly(Bcrypt)),
            (bcrypt("$2b$03$"), costly(Bcrypt)),
            (bcrypt("$2b$1$"), malformed(Bcrypt)),
            (argon2("v=19$m=262145,t=1,p=1"), costly(Argon2id)),
            (argon2("v=19$m=262144,t=5,p=1"), costly(Argon2id)),
            (argon2("v=19$m=4294967295,t=4294967295,p=1"), costly(Argon2id)),
            (argon2("v=19$m=1024,t=1,p=17"), costly(Argon2id)),
            (argon2("v=19$m=1024,t=0,p=1"), malformed(Argon2id)),
            (argon2("v=18$m=1024,t=1,p=1"), malformed(Argon2id)),
            (argon2("v=19$m=1024,t=1,p=1,x=1"), malformed(Argon2id)),
            (argon2("v=19$m=1024,p=1,t=1"), malformed(Argon2id)),
        ] {
            let found = PasswordHash::parse(&text).map(|hash| hash.kind());
            assert_eq!(found, Err(fault), "{text}");
            assert!(!fault.to_string().is_empty());
        }
    }
}
