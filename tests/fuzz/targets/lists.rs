//! Files of lists: no line stops the reader, read at once or line by line they say the same, and what is a name of its own is
//! found again.

use super::{outcome, rough};
use exaproxy::policy::lists::line::ListFormat;
use exaproxy::policy::lists::list::{List, ListReading};
use exaproxy::policy::lists::names::ListKey;

pub(super) const FILES: &[&[u8]] = &[
    b"example.com\n*.example.com:443\n.example.com # all\n!a.example.com\n10.0.0.0/8:80\n[2001:db8::/32]:443\n::1\n",
    b"127.0.0.1 localhost\n0.0.0.0 ads.example other.example\n! comment\n||ads.example^\n@@||good.example^$x\n",
    b"address=/a.example/b.example/#\nserver=/c.example/\nserver=192.0.2.1\n$TTL 60\n*.x.example 60 IN CNAME .\n",
    b"example.com/a/b\nwww.example.com/A%2fb?x\nhttp://192.0.2.1:80/~x\nexample.com\n",
    "b\u{fc}cher.example\n\u{feff}x.example\r\n2024010101 ; serial\n".as_bytes(),
];

fn read(pieces: &mut dyn Iterator<Item = &[u8]>, format: ListFormat) -> Result<List, String> {
    let mut reading = ListReading::new(ListKey(1, 2));
    reading.begin("f");
    pieces.for_each(|piece| reading.read(piece, format));
    reading.finish().map_err(|fault| fault.to_string())
}

pub(super) fn file(bytes: &[u8]) -> u64 {
    for format in [ListFormat::Domains, ListFormat::Urls, ListFormat::Lines] {
        let whole = read(&mut std::iter::once(bytes), format);
        let apart = read(&mut bytes.split_inclusive(|byte| *byte == b'\n'), format);
        let (whole, apart) = match (whole, apart) {
            (Ok(whole), Ok(apart)) => (whole, apart),
            (whole, apart) => {
                assert_eq!(whole.as_ref().err(), apart.as_ref().err(), "one line more or less");
                continue;
            }
        };
        assert_eq!(whole.size(), apart.size());
        let text = String::from_utf8_lossy(bytes);
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"-_.".contains(letter)).take(64) {
            let name = word.to_ascii_lowercase();
            for port in [80, 443] {
                let found = whole.find_name(&name, port);
                assert_eq!(found, apart.find_name(&name, port), "{name}");
                assert!(found.is_none_or(|line| whole.place(line).starts_with("f:")));
            }
            for path in text.split_whitespace().take(8) {
                let path = &path.as_bytes()[path.find('/').unwrap_or(0)..];
                let found = whole.find_url(&name, path);
                assert_eq!(found, apart.find_url(&name, path), "{name}");
                // A path is compared in one form, and what goes on behind an entry still matches.
                if let Some(place) = found.filter(|_| !path.contains(&b'%') && !path.contains(&b'.')) {
                    let longer = [path, b"x"].concat();
                    assert!(whole.find_url(&name, &longer).is_some(), "{name}: line {place}");
                }
            }
            if let Ok(address) = word.parse() {
                assert_eq!(whole.find_address(address, 80), apart.find_address(address, 80));
            }
        }
    }
    let lines = read(&mut std::iter::once(bytes), ListFormat::Lines);
    outcome(
        lines
            .map(|list| (rough(list.size().names), rough(list.size().ranges)))
            .map_err(|fault| fault.split(": ").nth(1).map(str::to_owned)),
    )
}
