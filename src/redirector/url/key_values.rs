//! `key=value` pairs of Squid's helper protocol. A value is bare, or stands in double quotes with backslash escapes.

/// The value of the first pair of that name, in any letter case; `Err` when the pairs cannot be told apart.
pub(super) fn find(text: &[u8], name: &str) -> Result<Option<Vec<u8>>, &'static str> {
    let mut found = None;
    each(text, |key, value| {
        if let (None, Some(value)) = (&found, value) {
            if key.eq_ignore_ascii_case(name.as_bytes()) {
                found = Some(value);
            }
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
fn each(text: &[u8], mut show: impl FnMut(&[u8], Option<Vec<u8>>)) -> Result<(), &'static str> {
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

fn value(text: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    match text {
        [b'"', quoted @ ..] => unquote(quoted),
        _ => {
            let end = text.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
            Ok((plain(&text[..end]), &text[end..]))
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

/// A bare value without its percent-escapes. One that is a URL as it stands keeps them: they are the URL's own.
fn plain(text: &[u8]) -> Vec<u8> {
    if memchr::memmem::find(text, b"://").is_some() {
        return text.to_vec();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return value,
            [b'%', high, low, after @ ..] if digit(*high).is_some() && digit(*low).is_some() => {
                let number = digit(*high).unwrap_or(0) * 16 + digit(*low).unwrap_or(0);
                value.push(number as u8);
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
            ("bare", Some("http://a/%20")),
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
    }
}
