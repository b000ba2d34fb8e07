//! `key=value` pairs of Squid's helper protocol. A value stands in double quotes with backslash escapes, or is bare, and then
//! its percent-escapes are taken out once, URL or not, as Squid 5.7 does it.

/// The value of the first pair of that name, in any letter case; `Err` when the pairs cannot be told apart.
pub(super) fn find(text: &[u8], name: &str) -> Result<Option<Vec<u8>>, &'static str> {
    Ok(first(text, name)?.map(|value| match value {
        PairValue::Quoted(value) => value,
        PairValue::Bare(value) => unescaped(value, |_| true),
    }))
}

/// The same for a value that is a URL: escapes stay that stand for blanks and control characters, which none may hold.
pub(super) fn find_url(text: &[u8], name: &str) -> Result<Option<Vec<u8>>, &'static str> {
    Ok(first(text, name)?.map(|value| match value {
        PairValue::Quoted(value) => value,
        PairValue::Bare(value) => unescaped(value, |byte| !matches!(byte, 0..=b' ' | 0x7f)),
    }))
}

enum PairValue<'t> {
    Quoted(Vec<u8>),
    Bare(&'t [u8]),
}

fn first<'t>(text: &'t [u8], name: &str) -> Result<Option<PairValue<'t>>, &'static str> {
    let mut found = None;
    each(text, |key, value| {
        if found.is_none() && key.eq_ignore_ascii_case(name.as_bytes()) {
            found = value;
        }
    })?;
    Ok(found)
}

/// Does the text hold nothing but pairs whose names could be names?
pub(super) fn are_all(text: &[u8]) -> bool {
    let name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let mut all = true;
    let apart = each(text, |key, value| all &= value.is_some() && !key.is_empty() && key.iter().all(name_byte));
    apart.is_ok() && all
}

/// Shows each pair, and each word without a value.
fn each<'t>(text: &'t [u8], mut show: impl FnMut(&[u8], Option<PairValue<'t>>)) -> Result<(), &'static str> {
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'=' | b' ' | b'\t')).unwrap_or(rest.len());
        let key = &rest[..end];
        rest = &rest[end..];
        match rest {
            [b'=', after @ ..] => {
                let (value, after) = value(after)?;
                rest = after;
                show(key, Some(value));
            }
            _ => show(key, None),
        }
        rest = rest.trim_ascii_start();
    }
    Ok(())
}

fn value(text: &[u8]) -> Result<(PairValue<'_>, &[u8]), &'static str> {
    match text {
        [b'"', quoted @ ..] => unquote(quoted).map(|(value, rest)| (PairValue::Quoted(value), rest)),
        _ => {
            let end = text.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
            Ok((PairValue::Bare(&text[..end]), &text[end..]))
        }
    }
}

/// The text up to the closing quote, and what follows.
fn unquote(text: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Ok((value, after)),
            [b'\\', b'r', after @ ..] => {
                value.push(b'\r');
                after
            }
            [b'\\', b'n', after @ ..] => {
                value.push(b'\n');
                after
            }
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                value.push(*byte);
                after
            }
            [] => return Err("a quote is not closed"),
        };
    }
}

/// A bare value without the percent-escapes of bytes that may stand in it. `%%` is a percent sign, and one that begins no
/// escape stays.
fn unescaped(text: &[u8], may_stand: impl Fn(u8) -> bool) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return value,
            [b'%', b'%', after @ ..] => {
                value.push(b'%');
                after
            }
            [b'%', high, low, after @ ..] if digit(*high).is_some() && digit(*low).is_some() => {
                let number = (digit(*high).unwrap_or(0) * 16 + digit(*low).unwrap_or(0)) as u8;
                match number > 0 && may_stand(number) {
                    true => value.push(number),
                    false => value.extend_from_slice(&[b'%', *high, *low]),
                }
                after
            }
            [byte, after @ ..] => {
                value.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_odd_names_are_no_pairs() {
        for (text, all) in [
            ("", true),
            ("a=1 clt_conn_tag=\"x y\" n_=", true),
            ("a=1 word", false),
            ("=1", false),
            ("http://a/?b=c", false),
            ("a=\"1", false),
        ] {
            assert_eq!(are_all(text.as_bytes()), all, "{text}");
        }
    }

    #[test]
    fn values_are_found_among_others() {
        let text =
            r#"status=302 clt_conn_tag=x url="http://a/?\"b\\c\" d" note_="" plain=a%20b%zz bare=http://a/%20 word"#;
        for (name, value) in [
            ("status", Some("302")),
            ("url", Some("http://a/?\"b\\c\" d")),
            ("note_", Some("")),
            ("plain", Some("a b%zz")),
            ("bare", Some("http://a/ ")),
            ("word", None),
            ("none", None),
        ] {
            assert_eq!(find(text.as_bytes(), name), Ok(value.map(|value| value.as_bytes().to_vec())), "{name}");
        }
        assert_eq!(find(b"a=1 a=2", "a"), Ok(Some(b"1".to_vec())));
        assert_eq!(find(br#"message="two\r\nlines""#, "message"), Ok(Some(b"two\r\nlines".to_vec())));
        assert!(find(br#"url="http://a/"#, "url").is_err());
        assert!(find(br#"x="\"#, "url").is_err());
        assert_eq!(find(b"", "url"), Ok(None));
        for (text, wanted) in [
            ("url=http://a/a%2520b", "http://a/a%20b"),
            ("url=\"http://a/a%2520b\"", "http://a/a%2520b"),
            ("url=http://a/a%20b%%c%zz%00d%7f%0d%0A%", "http://a/a%20b%c%zz%00d%7f%0d%0A%"),
            ("url=http%3a%2F%2fa%2f%e9%22", "http://a/\u{fffd}\""),
            ("url=\"a b\"", "a b"),
        ] {
            let found = find_url(text.as_bytes(), "url").unwrap().unwrap();
            assert_eq!(String::from_utf8_lossy(&found), wanted, "{text}");
        }
    }
}
