//! What a request says of its sender: the field Authorization or Proxy-Authorization with the scheme Basic (RFC 7617). Knows
//! no users.

use std::fmt;

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;
use zeroize::Zeroizing;

use super::{MAX_NAME, MAX_PASSWORD};
use crate::http::syntax::trim;

/// Clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Longest token that can hold a name and a password.
const MAX_TOKEN: usize = (MAX_NAME + 1 + MAX_PASSWORD).div_ceil(3) * 4;

/// What the fields say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GivenCredentials<'a> {
    /// Nothing, or nothing in the scheme Basic.
    Nothing,
    /// This token, which [`Credentials::decode`] reads.
    Token(&'a [u8]),
    /// Nothing that can be read.
    Unreadable,
}

impl<'a> GivenCredentials<'a> {
    /// Looks at the values of all fields of that name.
    pub fn of(mut values: impl Iterator<Item = &'a [u8]>) -> GivenCredentials<'a> {
        let Some(value) = values.next() else { return GivenCredentials::Nothing };
        let value = trim(value);
        let (scheme, rest) = value.split_at(value.iter().position(|byte| *byte == b' ').unwrap_or(value.len()));
        let token = trim(rest);
        match () {
            // Two readers may take different ones.
            () if values.next().is_some() => GivenCredentials::Unreadable,
            () if !scheme.eq_ignore_ascii_case(b"basic") => GivenCredentials::Nothing,
            () if token.is_empty() || token.len() > MAX_TOKEN => GivenCredentials::Unreadable,
            () => GivenCredentials::Token(token),
        }
    }
}

/// A name and a password.
pub struct Credentials {
    /// The name: 1 to 255 bytes, without control characters.
    pub user: String,
    /// The password.
    pub password: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    /// Shows nothing of them: a name may be a password in the wrong place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Reads a token. None if it holds no name and password in UTF-8.
    pub fn decode(token: &[u8]) -> Option<Credentials> {
        let bytes = Zeroizing::new(BASE64.decode(token).ok()?);
        let text = std::str::from_utf8(&bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        let sound = !user.is_empty() && user.len() <= MAX_NAME && password.len() <= MAX_PASSWORD;
        let sound = sound && !text.chars().any(char::is_control);
        let password = || Zeroizing::new(password.as_bytes().to_vec());
        sound.then(|| Credentials { user: user.to_owned(), password: password() })
    }
}

/// The value of a field that asks for credentials (RFC 7617 section 2.1), for a realm without control characters. What is
/// not ASCII is left out of the realm, since clients disagree about it.
pub fn challenge(realm: &str) -> String {
    let mut text = String::from("Basic realm=\"");
    for character in realm.chars().filter(|character| matches!(character, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text + "\", charset=\"UTF-8\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<(String, String)> {
        let GivenCredentials::Token(token) = GivenCredentials::of(values.iter().map(|value| value.as_bytes())) else {
            return None;
        };
        let Credentials { user, password } = Credentials::decode(token)?;
        Some((user, String::from_utf8(password.to_vec()).unwrap()))
    }

    #[test]
    fn credentials_are_read_with_and_without_padding() {
        let ann = Some(("ann".to_owned(), "a:b".to_owned()));
        for value in ["Basic YW5uOmE6Yg==", "bAsIc   YW5uOmE6Yg", " Basic YW5uOmE6Yg= "] {
            assert_eq!(read(&[value]), ann, "{value}");
        }
        assert_eq!(read(&["Basic w7w6"]), Some(("ü".to_owned(), String::new())));
    }

    #[test]
    fn what_cannot_be_read_is_told_from_what_is_not_there() {
        let given = |values: &[&'static str]| GivenCredentials::of(values.iter().map(|value| value.as_bytes()));
        for nothing in [&[][..], &["Bearer YW5uOmE6Yg=="], &["Negotiate x"], &[""], &["BasicYW5uOmE6Yg=="]] {
            assert_eq!(given(nothing), GivenCredentials::Nothing, "{nothing:?}");
        }
        for unreadable in [&["Basic"][..], &["Basic   "], &["Basic YQ==", "Basic YQ=="]] {
            assert_eq!(given(unreadable), GivenCredentials::Unreadable, "{unreadable:?}");
        }
        let long = format!("Basic {}", "a".repeat(MAX_TOKEN + 1));
        assert_eq!(GivenCredentials::of([long.as_bytes()].into_iter()), GivenCredentials::Unreadable);
        // No base64, no colon, no name, not UTF-8, control characters.
        for token in ["!!!!", "YW5u", "OmI=", "/zp4", "YQpiOmM=", "YTpiCmM=", "YTpi YTpi"] {
            assert!(Credentials::decode(token.as_bytes()).is_none(), "{token}");
        }
    }

    #[test]
    fn a_challenge_cannot_be_broken_by_its_realm() {
        assert_eq!(challenge("exaproxy"), "Basic realm=\"exaproxy\", charset=\"UTF-8\"");
        assert_eq!(challenge("a\"b\\c é\r\nd"), "Basic realm=\"a\\\"b\\\\c d\", charset=\"UTF-8\"");
    }
}
