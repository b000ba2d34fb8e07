//! Lists as tables of lines and of what they mean, and the packed tables against a slow twin on random lists.

use super::entry::{LineKind, ListEntry, Named};
use super::line::{read, LineFault, ListFormat};
use super::list::{List, ListFaultKind, ListReading};
use super::names::{ListKey, NameScope};
use super::*;

fn sizes(list: &List) -> (usize, usize) {
    (list.size().names, list.size().ranges)
}

fn list(text: &str) -> List {
    let mut reading = ListReading::new(ListKey(1, 2));
    reading.begin("f");
    reading.read(text.as_bytes(), ListFormat::Lines);
    reading.finish().unwrap()
}

/// An entry in words: `!name+below:port`.
fn shown(entry: ListEntry<'_>) -> String {
    let what = match entry.what {
        Named::Name(name, NameScope::Exact) => name.to_owned(),
        Named::Name(name, NameScope::Below) => format!("*.{name}"),
        Named::Name(name, NameScope::Both) => format!(".{name}"),
        Named::Range(range) => range.to_string(),
        Named::Url(host, path) => format!("{host}{path}"),
    };
    let port = entry.port.map(|port| format!(" {port}")).unwrap_or_default();
    format!("{}{what}{port}", if entry.exception { "!" } else { "" })
}

fn line(text: &str, format: ListFormat) -> Result<(LineKind, String), LineFault> {
    let mut entries = Vec::new();
    let kind = read(text.as_bytes(), format, &mut String::new(), &mut |entry| entries.push(shown(entry)))?;
    assert_eq!(kind == LineKind::Entries, !entries.is_empty(), "{text}");
    Ok((kind, entries.join(", ")))
}

#[test]
fn our_own_lines_are_read_or_said_to_be_wrong() {
    use LineFault::{Name, Path, Port, Range, Star};
    let table: &[(&str, Result<&str, LineFault>)] = &[
        ("example.com", Ok("example.com")),
        (" Example.COM.\r", Ok("example.com")),
        ("\u{feff}example.com", Ok("example.com")),
        ("*.example.com", Ok("*.example.com")),
        (".example.com", Ok(".example.com")),
        ("!a.example.com", Ok("!a.example.com")),
        ("!*.example.com:8443", Ok("!*.example.com 8443")),
        ("example.com:443 # why", Ok("example.com 443")),
        ("example.com\t; why", Ok("example.com")),
        ("localhost", Ok("localhost")),
        ("Bücher.example", Ok("xn--bcher-kva.example")),
        ("10.1.2.3/8", Ok("10.0.0.0/8")),
        ("10.0.0.0/8:80", Ok("10.0.0.0/8 80")),
        ("192.0.2.1", Ok("192.0.2.1/32")),
        ("!192.0.2.1:443", Ok("!192.0.2.1/32 443")),
        ("2001:db8::1", Ok("2001:db8::1/128")),
        ("2001:db8::/32", Ok("2001:db8::/32")),
        ("[2001:db8::/32]:443", Ok("2001:db8::/32 443")),
        ("[::1]", Ok("::1/128")),
        ("::ffff:192.0.2.0/120", Ok("192.0.2.0/24")),
        ("10.0.0.0/33", Err(Range)),
        ("10.0.0", Err(Range)),
        ("10.0.0.256", Err(Range)),
        ("2001:db8::/129", Err(Range)),
        ("[10.0.0.1]:80", Err(Range)),
        ("[::1", Err(Range)),
        ("[::1]80", Err(Port)),
        ("example.com:0", Err(Port)),
        ("example.com:", Err(Port)),
        ("example.com:x80", Err(Port)),
        ("example.com:65536", Err(Port)),
        ("http://example.com", Err(Port)),
        ("example.com/path", Err(Path)),
        ("a.*.example.com", Err(Star)),
        ("*", Err(Star)),
        ("*.*.com", Err(Star)),
        ("a..b", Err(Name)),
        (".", Err(Range)),
        ("!", Ok("")),
        ("!!a.b", Err(Name)),
        ("bu\u{308}cher.example", Err(Name)),
        ("example.0x7f", Err(Name)),
        ("a.1", Err(Name)),
    ];
    for (text, wanted) in table {
        let found = line(text, ListFormat::Lines).map(|(_, entries)| entries);
        assert_eq!(found.as_deref(), wanted.as_ref().map(|text| *text), "{text}");
    }
    let long = format!("{}.example", "x".repeat(64));
    assert_eq!(line(&long, ListFormat::Lines), Err(Name));
    assert_eq!(line(&"a.".repeat(127), ListFormat::Lines).map(|(kind, _)| kind), Ok(LineKind::Entries));
    assert_eq!(line(&"a.".repeat(128), ListFormat::Lines), Err(Name));
}

#[test]
fn lines_of_others_are_read_where_they_mean_to_block_or_to_allow() {
    use LineKind::{Blank, Entries, Other};
    let table: &[(&str, LineKind, &str)] = &[
        ("", Blank, ""),
        ("# example.com", Blank, ""),
        ("; example.com", Blank, ""),
        ("! Title: some list", Blank, ""),
        ("0.0.0.0 Ads.example.com", Entries, "ads.example.com"),
        ("127.0.0.1\ta.example b.example # both", Entries, "a.example, b.example"),
        ("::1 a.example", Entries, "a.example"),
        (":: a.example", Entries, "a.example"),
        ("127.0.0.1 localhost localhost.localdomain", Blank, ""),
        ("::1 ip6-localhost ip6-loopback", Blank, ""),
        ("fe80::1%lo0 localhost", Blank, ""),
        ("255.255.255.255 broadcasthost", Blank, ""),
        ("192.0.2.1 intranet.example", Other, ""),
        ("0.0.0.0 0.0.0.0", Other, ""),
        ("address=/ads.example/", Entries, ".ads.example"),
        ("address=/ads.example/#", Entries, ".ads.example"),
        ("address=/a.example/b.example/0.0.0.0", Entries, ".a.example, .b.example"),
        ("address=/ads.example/::", Entries, ".ads.example"),
        ("address=/intranet.example/192.0.2.1", Other, ""),
        ("server=/ads.example/", Entries, ".ads.example"),
        ("server=/intranet.example/192.0.2.53", Other, ""),
        ("server=192.0.2.53", Other, ""),
        ("||ads.example^", Entries, ".ads.example"),
        ("@@||good.example^", Entries, "!.good.example"),
        ("||ads.example^$third-party", Other, ""),
        ("||ads.example/banner^", Other, ""),
        ("example.com##.banner", Other, ""),
        ("/banner[0-9]+/", Other, ""),
        ("[Adblock Plus 2.0]", Other, ""),
        ("ads.example CNAME .", Entries, "ads.example"),
        ("*.ads.example 300 IN CNAME *.", Entries, "*.ads.example"),
        ("good.example IN CNAME rpz-passthru.", Entries, "!good.example"),
        ("safe.example CNAME forcesafesearch.google.com.", Other, ""),
        ("32.1.2.0.192.rpz-ip CNAME .", Other, ""),
        ("ads.example.rpz.test. CNAME .", Other, ""),
        ("@ SOA localhost. root.localhost. 1 2 3 4 5", Other, ""),
        ("$TTL 300", Other, ""),
        ("2024010101 ; serial", Other, ""),
        ("two words", Other, ""),
    ];
    for (text, kind, entries) in table {
        assert_eq!(line(text, ListFormat::Lines), Ok((*kind, (*entries).to_owned())), "{text}");
    }
    assert_eq!(read(b"\xff.example", ListFormat::Lines, &mut String::new(), &mut |_| panic!()), Ok(Other));
}

#[test]
fn a_line_of_domains_is_a_name_and_all_below() {
    for (text, wanted) in
        [("example.com", ".example.com"), (".example.com", ".example.com"), ("192.0.2.1", "192.0.2.1/32")]
    {
        assert_eq!(line(text, ListFormat::Domains), Ok((LineKind::Entries, wanted.to_owned())));
    }
    assert_eq!(line("*.example.com", ListFormat::Domains), Ok((LineKind::Other, String::new())));
    assert_eq!(line("a..b", ListFormat::Domains), Err(LineFault::Name));
}

#[test]
fn a_fault_names_file_and_line_and_a_match_too() {
    let mut reading = ListReading::new(ListKey(1, 2));
    reading.begin("/a");
    reading.read(b"# one\nx.test\nx.test\n0.0.0.0 y.test\ntwo words\n", ListFormat::Lines);
    reading.begin("/b");
    reading.read(b"z.test\n192.0.2.0/24\n", ListFormat::Lines);
    reading.read(b"last.test:25", ListFormat::Lines);
    let list = reading.finish().unwrap();
    let place = |name: &str, port| list.find_name(name, port).map(|line| list.place(line));
    assert_eq!(place("x.test", 80).as_deref(), Some("/a:2"));
    assert_eq!(place("y.test", 80).as_deref(), Some("/a:4"));
    assert_eq!(place("z.test", 80).as_deref(), Some("/b:1"));
    assert_eq!(place("last.test", 25).as_deref(), Some("/b:3"));
    assert_eq!((place("last.test", 80), place("a.z.test", 80)), (None, None));
    let line = list.find_address("192.0.2.9".parse().unwrap(), 80).map(|line| list.place(line));
    assert_eq!(line.as_deref(), Some("/b:2"));
    assert_eq!(sizes(&list), (4, 1), "what stands there twice is one");
    let file = &list.files()[0];
    assert_eq!((file.lines, file.entries, file.others, file.first_other), (5, 3, 1, 5));
    let mut reading = ListReading::new(ListKey(1, 2));
    reading.begin("/a");
    reading.read(b"x.test\n\na..b\nc..d\n", ListFormat::Lines);
    let fault = reading.finish().unwrap_err();
    assert_eq!(fault.to_string(), "/a:3: neither a name nor an address");
    assert_eq!(fault.what, ListFaultKind::Line(LineFault::Name));
}

fn lists(block: &str, allow: &str, closed: bool) -> Lists {
    Lists { block: list(block), allow: list(allow), closed, enforced: true }
}

/// What the lists say of a name with one address: the place that refuses, or why it passes.
fn verdict(lists: &Lists, host: &str, address: &str, port: u16) -> String {
    let named = lists.judge(&Host::parse(host.as_bytes()).unwrap(), port, None);
    let end = match named {
        ListVerdict::Blocked(_) => return format!("before DNS by {}", lists.place(named)),
        named => lists.judge_address(named, address.parse().unwrap(), None, port),
    };
    match end {
        ListVerdict::Blocked(_) => format!("by {}", lists.place(end)),
        ListVerdict::Allowed(_) => format!("allowed by {}", lists.place(end)),
        other => format!("{other:?}"),
    }
}

#[test]
fn names_are_judged_before_addresses_and_in_their_order() {
    let open =
        lists(".bad.test\n!good.bad.test\n10.0.0.0/8\n192.0.2.0/24\n!192.0.2.7", "ok.bad.test\n10.1.0.0/16", false);
    let closed = lists("b.ok.test", ".ok.test\nhttps.test:443", true);
    let networks = lists("10.2.0.0/16", "10.0.0.0/8\nok.test", true);
    for (lists, host, address, port, wanted) in [
        (&open, "bad.test", "198.51.100.1", 80, "before DNS by f:1"),
        (&open, "a.bad.test", "198.51.100.1", 80, "before DNS by f:1"),
        (&open, "notbad.test", "198.51.100.1", 80, "Unlisted"),
        (&open, "good.bad.test", "198.51.100.1", 80, "Unlisted"),
        (&open, "ok.bad.test", "198.51.100.1", 80, "allowed by f:1"),
        (&open, "ok.bad.test", "10.0.0.1", 80, "by f:3"),
        (&open, "x.test", "10.0.0.1", 80, "by f:3"),
        (&open, "x.test", "10.1.0.1", 80, "allowed by f:2"),
        (&open, "x.test", "::ffff:10.0.0.1", 80, "by f:3"),
        (&open, "x.test", "64:ff9b::10.0.0.1", 80, "by f:3"),
        (&open, "x.test", "2002:a00:1::", 80, "by f:3"),
        (&open, "x.test", "192.0.2.7", 80, "Unlisted"),
        (&open, "192.0.2.8", "192.0.2.8", 80, "before DNS by f:4"),
        (&closed, "a.ok.test", "198.51.100.1", 80, "allowed by f:1"),
        (&closed, "b.ok.test", "198.51.100.1", 80, "allowed by f:1"),
        (&closed, "https.test", "198.51.100.1", 443, "allowed by f:2"),
        (&closed, "https.test", "198.51.100.1", 80, "before DNS by acl.default"),
        (&closed, "other.test", "198.51.100.1", 80, "before DNS by acl.default"),
        (&closed, "198.51.100.1", "198.51.100.1", 80, "before DNS by acl.default"),
        (&networks, "x.test", "10.0.0.1", 80, "allowed by f:1"),
        (&networks, "x.test", "198.51.100.1", 80, "by acl.default"),
        (&networks, "ok.test", "198.51.100.1", 80, "allowed by f:2"),
        (&networks, "x.test", "64:ff9b::10.0.0.1", 80, "by acl.default"),
        (&networks, "x.test", "10.2.0.1", 80, "allowed by f:1"),
    ] {
        assert_eq!(verdict(lists, host, address, port), wanted, "{host} {address} {port}");
    }
    assert!(open.have_ranges() && !closed.have_ranges());
}

/// A sequence of numbers that a seed gives.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// A name of few letters, so that names meet.
    fn name(&mut self) -> String {
        let labels = (0..=self.below(4)).map(|_| ["a", "b", "cc", "d-1"][self.below(4) as usize]);
        labels.collect::<Vec<_>>().join(".")
    }

    fn address(&mut self) -> String {
        match self.below(2) {
            0 => format!("10.{}.{}.{}", self.below(3), self.below(3), self.below(3)),
            _ => format!("2001:db8::{}:{}", self.below(3), self.below(3)),
        }
    }
}

/// The list as it is said: each line looked at for each question.
struct Twin(Vec<(u32, String)>);

impl Twin {
    /// The lines that match, with the labels or bits that they name; nothing where an exception does.
    fn find(&self, matches: impl Fn(&str) -> Option<usize>) -> Option<u32> {
        let mut best: Option<(usize, u32)> = None;
        for (number, text) in &self.0 {
            let (exception, text) = text.strip_prefix('!').map_or((false, &text[..]), |rest| (true, rest));
            match matches(text) {
                Some(_) if exception => return None,
                Some(size) if best.is_none_or(|(most, _)| size > most) => best = Some((size, *number)),
                _ => {}
            }
        }
        best.map(|(_, number)| number)
    }

    fn name(&self, name: &str, port: u16) -> Option<u32> {
        self.find(|text| {
            let (own, wanted) = text.split_once(':').map_or((text, None), |(own, port)| (own, port.parse().ok()));
            let below = |own: &str| name.ends_with(&format!(".{own}"));
            let (own, hit) = match (own.strip_prefix("*."), own.strip_prefix('.')) {
                (Some(own), _) => (own, below(own)),
                (_, Some(own)) => (own, below(own) || name == own),
                _ => (own, name == own),
            };
            (hit && wanted.is_none_or(|wanted: u16| wanted == port)).then(|| own.split('.').count())
        })
    }

    fn address(&self, address: IpAddr, port: u16) -> Option<u32> {
        self.find(|text| {
            let (range, wanted) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
                Some((range, port)) => (range, port.parse().ok()),
                None => (text, None),
            };
            let range: ipnet::IpNet = range.parse().ok()?;
            let hit = range.contains(&address) && wanted.is_none_or(|wanted: u16| wanted == port);
            hit.then_some(range.prefix_len() as usize)
        })
    }
}

#[test]
fn the_packed_tables_say_what_their_slow_twin_says() {
    for seed in 1..400_u64 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut lines = Vec::new();
        for number in 0..random.below(60) as u32 {
            let exception = if random.below(6) == 0 { "!" } else { "" };
            let port = ["", ":80", ":443"][random.below(5).saturating_sub(2) as usize];
            let text = match random.below(3) {
                0 => {
                    let address = random.address();
                    let (most, v6) = if address.contains(':') { (129, true) } else { (33, false) };
                    let range: ipnet::IpNet = format!("{address}/{}", random.below(most)).parse().unwrap();
                    let range = range.trunc();
                    if v6 && !port.is_empty() {
                        format!("[{range}]{port}")
                    } else {
                        range.to_string()
                    }
                }
                _ => format!("{}{}{port}", ["", ".", "*."][random.below(3) as usize], random.name()),
            };
            lines.push((number, format!("{exception}{text}")));
        }
        let text: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        let (list, twin) = (list(&text), Twin(lines));
        for _ in 0..60 {
            let port = [80, 443, 25][random.below(3) as usize];
            let (name, address) = (random.name(), random.address().parse().unwrap());
            assert_eq!(list.find_name(&name, port), twin.name(&name, port), "{name}:{port} seed {seed} in\n{text}");
            let found = list.find_address(address, port);
            assert_eq!(found, twin.address(address, port), "{address} {port} seed {seed} in\n{text}");
        }
    }
}

#[test]
fn a_long_list_holds_all_its_names_in_little_memory() {
    let text: String = (0..100_000).map(|number| format!(".n{number}.example{}.test\n", number % 7)).collect();
    let list = list(&text);
    assert_eq!(sizes(&list), (100_000, 0));
    for number in (0..100_000).step_by(37) {
        let name = format!("www.n{number}.example{}.test", number % 7);
        assert_eq!(list.find_name(&name, 80), Some(number), "{name}");
        assert_eq!(list.find_name(&format!("x{name}y"), 80), None);
    }
    assert!(list.name_bytes() < 100_000 * 14, "{} bytes", list.name_bytes());
    assert_eq!(List::default().find_name("a.test", 80), None);
}

/// Who names an allowed host has not gone there: it may be refused by what it says, and is allowed nothing.
#[test]
fn what_is_only_said_blocks_and_allows_nothing() {
    let lists = |closed| Lists {
        block: list("bad.test\n*.mixed.test\n192.0.2.0/24"),
        allow: list("good.test\nfine.mixed.test\n198.51.100.0/24"),
        closed,
        enforced: true,
    };
    let request = |said: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: {said}\r\n\r\n");
        Request::parse(head.as_bytes(), &crate::http::rules::Rules::default()).unwrap()
    };
    for (said, open, closed) in [
        ("bad.test", "blocked", "blocked"),
        ("good.test", "unlisted", "open"),
        // The exception from a blocked suffix is an allowance, too.
        ("fine.mixed.test", "blocked", "blocked"),
        ("other.test", "unlisted", "open"),
        ("192.0.2.1", "blocked", "blocked"),
        ("198.51.100.1", "unlisted", "open"),
    ] {
        let word = |closed| match lists(closed).judge_said(&request(said)) {
            ListVerdict::Allowed(_) => "allowed",
            ListVerdict::Unlisted => "unlisted",
            ListVerdict::Open => "open",
            ListVerdict::Blocked(_) => "blocked",
        };
        assert_eq!((word(false), word(true)), (open, closed), "{said}");
    }
}

#[test]
fn an_exception_takes_a_name_out_of_paths_too() {
    let mut reading = ListReading::new(ListKey(1, 2));
    reading.begin("urls");
    reading.read(b"good.test/x\nbad.test/x\n", ListFormat::Urls);
    reading.begin("own");
    reading.read(b"!good.test\n", ListFormat::Lines);
    let lists = Lists { block: reading.finish().unwrap(), enforced: true, ..Lists::default() };
    let judge = |name: &str| lists.judge(&Host::Name(name.into()), 80, Some(b"/x/y")).is_blocked();
    assert_eq!((judge("good.test"), judge("bad.test")), (false, true));
}

/// An origin may read such a path otherwise than it is compared.
#[test]
fn a_path_is_allowed_only_as_it_is_sent() {
    let mut reading = ListReading::new(ListKey(1, 2));
    reading.begin("urls");
    reading.read(b"api.test/public\n192.0.2.1/public\n", ListFormat::Urls);
    let lists = Lists { allow: reading.finish().unwrap(), closed: true, enforced: true, ..Lists::default() };
    for host in [Host::Name("api.test".into()), Host::V4([192, 0, 2, 1].into())] {
        let judge = |path: &str| lists.judge(&host, 80, Some(path.as_bytes())).is_blocked();
        assert!(
            !judge("/public/a") && judge("/admin/x/..%2f..%2fpublic") && judge("//public") && judge("/x/../public")
        );
    }
}
