//! Takes the marks of advertisers (utm_source and the like) out of URLs and sends the request on with the rest. It is
//! compiled by itself, and shows that a helper can be any program:
//!
//!   rustc -O -o url-clean helpers/url-clean.rs
//!   exaproxy_redirector_enable=true exaproxy_redirector_line=squid exaproxy_redirector_program=./url-clean exaproxy
//!
//! With redirector.line = squid the URL has its port, so that pages on other ports than 80 stay where they are.

use std::io::{self, BufRead, Write};

/// Parameters without a use for the page itself; those that begin with `utm_` are taken out besides.
const MARKS: [&str; 5] = ["fbclid", "gclid", "msclkid", "mc_eid", "igshid"];

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let mut words = text.split_ascii_whitespace();
        let (url, method) = (words.next().unwrap_or_default(), words.nth(2).unwrap_or_default());
        match clean(url) {
            Some(cleaned) if method == "GET" || method == "HEAD" => writeln!(output, "http://{}", bare(&cleaned))?,
            _ => writeln!(output)?,
        }
        output.flush()?;
        line.clear();
    }
    Ok(())
}

/// The URL without marks, or nothing where it has none.
fn clean(url: &str) -> Option<String> {
    let (page, query) = url.split_once('?')?;
    let kept: Vec<&str> = query.split('&').filter(|part| !is_mark(part)).collect();
    let cleaned = match kept.is_empty() {
        true => page.to_owned(),
        false => format!("{page}?{}", kept.join("&")),
    };
    (cleaned != url).then_some(cleaned)
}

fn is_mark(part: &str) -> bool {
    let name = part.split('=').next().unwrap_or(part);
    name.starts_with("utm_") || MARKS.contains(&name)
}

/// The URL without its scheme: Squid's line has one, the original's has none.
fn bare(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or(url)
}
