//! Templates: text in which names stand for values. Knows no page and no file.
//!
//! A template may hold `%(name)s` for the names of [`Values`], and `%%` for `%`; any other `%` stands for itself, so that a
//! page can say `width: 100%`. Values come from the network and are escaped for HTML.

/// Most bytes of a filled template. A client chooses how long a value is, and a template how often it stands there.
const MAX_FILLED: usize = 4 << 20;

/// Most bytes that a character of a value becomes: `&quot;`.
const MAX_ESCAPE: usize = 6;

/// What a template may show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    /// `host[:port]/path` of the request.
    pub url: &'a str,
    /// The host of the request.
    pub host: &'a str,
    /// The client's address.
    pub client_ip: &'a str,
    /// The name by which the client is known; empty without one.
    pub user: &'a str,
    /// The scheme of the request.
    pub protocol: &'a str,
    /// What there is to say besides.
    pub comment: &'a str,
    /// `FILE:LINE` of the entry of a list that refuses the request; empty without one, and where clients may not know.
    pub list: &'a str,
}

impl Values<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            "url" => Some(self.url),
            "host" => Some(self.host),
            "client_ip" => Some(self.client_ip),
            "user" => Some(self.user),
            "list" => Some(self.list),
            "protocol" => Some(self.protocol),
            "comment" => Some(self.comment),
            _ => None,
        }
    }
}

/// The template with the values put in. A value that would make it longer than 4 MiB is left out.
pub(super) fn fill(template: &[u8], values: &Values<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(template.len() + 128);
    let mut rest = template;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let [b'%', after @ ..] = rest {
            out.push(b'%');
            rest = after;
        } else if let Some((value, after)) = variable(rest, values) {
            if out.len().saturating_add(value.len().saturating_mul(MAX_ESCAPE)) <= MAX_FILLED {
                push_escaped(&mut out, value);
            }
            rest = after;
        } else {
            out.push(b'%');
        }
    }
    out.extend_from_slice(rest);
    out
}

/// The value of `(name)s`, if the text starts so with a known name, and what follows.
fn variable<'t, 'v>(text: &'t [u8], values: &'v Values<'_>) -> Option<(&'v str, &'t [u8])> {
    /// Longest name, in bytes; bounds the search for the bracket.
    const MAX_VARIABLE: usize = 16;
    let text = text.strip_prefix(b"(")?;
    let end = text.iter().take(MAX_VARIABLE).position(|byte| *byte == b')')?;
    let after = text.get(end + 1..)?.strip_prefix(b"s")?;
    Some((values.get(std::str::from_utf8(&text[..end]).ok()?)?, after))
}

/// Appends text so that it is text in an element and in a quoted attribute, and so that it stays printable.
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\'' => out.extend_from_slice(b"&#39;"),
            control if control.is_control() => out.push(b' '),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values {
        url: "a.b/<script>",
        host: "a.b",
        client_ip: "192.0.2.1",
        user: "",
        list: "/f:7",
        protocol: "http",
        comment: "\"it's\" & more\u{7}",
    };

    fn filled(template: &str) -> String {
        String::from_utf8(fill(template.as_bytes(), &VALUES)).unwrap()
    }

    #[test]
    fn known_names_are_replaced_and_escaped() {
        let table = [
            ("%(host)s!", "a.b!"),
            ("%(url)s", "a.b/&lt;script&gt;"),
            ("%(comment)s", "&quot;it&#39;s&quot; &amp; more "),
            ("%(protocol)s://%(client_ip)s", "http://192.0.2.1"),
            ("%(list)s by %(user)s.", "/f:7 by ."),
            ("100%", "100%"),
            ("width: 100%;", "width: 100%;"),
            ("%%(host)s", "%(host)s"),
            ("%%%%", "%%"),
            ("%(unknown)s %(host)d %(host s", "%(unknown)s %(host)d %(host s"),
            ("%(host)", "%(host)"),
            ("%(%(host)s", "%(a.b"),
            ("", ""),
        ];
        for (template, want) in table {
            assert_eq!(filled(template), want, "{template}");
        }
    }

    #[test]
    fn a_long_value_shown_often_stays_bounded() {
        let url = "<".repeat(60_000);
        let page = fill("%(url)s".repeat(1000).as_bytes(), &Values { url: &url, ..Values::default() });
        assert!(page.len() > MAX_FILLED / 2 && page.len() <= MAX_FILLED, "{}", page.len());
    }
}
