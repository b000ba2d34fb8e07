//! Proxy auto-configuration: the script that tells browsers which hosts to reach through which proxy, made from the listeners and
//! from the hosts that are reached without (`pac.direct`), and who asks for it. Knows no socket and no file.
//!
//! The script speaks the language of 1999, which every browser and system understands, and asks no name server: networks mean
//! addresses in URLs.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::http::answer::{Answer, AnswerBody};
use crate::http::request::Request;
use crate::http::target::{Host, TargetForm};
use crate::http::Method;

/// The media type that browsers ask of such scripts.
const KIND: &str = "application/x-ns-proxy-autoconfig";

/// Most proxies that a script names.
const MOST_PROXIES: usize = 8;

/// Where the script is, for those who are told and for those who look for it themselves.
const PATHS: [&[u8]; 2] = [b"/proxy.pac", b"/wpad.dat"];

/// The label under which browsers look for it.
const WPAD: &str = "wpad";

/// Hosts that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacHosts {
    /// As they were written, in their normal form.
    entries: Vec<PacEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PacEntry {
    /// This name.
    Exact(String),
    /// All names below this one.
    Below(String),
    /// Both.
    Both(String),
    /// Addresses of this network.
    Network(IpNet),
}

/// What the script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacScript {
    /// What is made here.
    Made(PacHosts),
    /// What is in a file (`pac.file`).
    Given(AnswerBody),
}

impl Default for PacScript {
    fn default() -> PacScript {
        PacScript::Made(PacHosts::default())
    }
}

impl PacHosts {
    /// Reads names, `*.name` for all below it, `.name` for both, addresses and networks.
    pub fn parse(text: &str) -> Option<PacHosts> {
        let entries = text.split_whitespace().map(PacEntry::parse).collect::<Option<_>>()?;
        Some(PacHosts { entries })
    }

    /// A text that reads as the same.
    pub fn print(&self) -> String {
        let print = |entry: &PacEntry| match entry {
            PacEntry::Exact(name) => name.clone(),
            PacEntry::Below(name) => format!("*.{name}"),
            PacEntry::Both(name) => format!(".{name}"),
            PacEntry::Network(range) => range.to_string(),
        };
        self.entries.iter().map(print).collect::<Vec<_>>().join(" ")
    }
}

impl PacEntry {
    fn parse(word: &str) -> Option<PacEntry> {
        let range = word.parse::<IpNet>().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
        if let Some(range) = range {
            return Some(PacEntry::Network(range.trunc()));
        }
        let name = |text: &str| match Host::parse(text.as_bytes()) {
            Ok(Host::Name(name)) => Some(name.into_string()),
            _ => None,
        };
        match (word.strip_prefix("*."), word.strip_prefix('.')) {
            (Some(rest), _) => name(rest).map(PacEntry::Below),
            (_, Some(rest)) => name(rest).map(PacEntry::Both),
            _ => name(word).map(PacEntry::Exact),
        }
    }
}

/// Whether a request to the proxy asks for the script of this proxy: by one of its names or addresses, or by one under which
/// browsers look for it. Not so one for the script of somewhere else, which names that with its target.
pub fn is_asked_of_proxy(request: &Request, names: &[String], is_own: impl Fn(IpAddr) -> bool) -> bool {
    is_asked(request)
        && request.target().form == TargetForm::Origin
        && match &request.target().host {
            Host::Name(name) => {
                let first = name.split('.').next().unwrap_or_default();
                first == WPAD || &**name == "localhost" || names.iter().any(|own| **own == **name)
            }
            Host::V4(address) => is_own(IpAddr::V4(*address)),
            Host::V6(address, _) => is_own(IpAddr::V6(*address)),
        }
}

/// Whether a request asks for such a script.
pub fn is_asked(request: &Request) -> bool {
    let path = request.path().split(|byte| *byte == b'?').next().unwrap_or_default();
    matches!(request.method(), Method::Get | Method::Head) && PATHS.contains(&path)
}

/// The answer with the script, for a client that has connected to `local`. `listeners` are those whose connections begin with HTTP,
/// in their order.
pub fn answer(script: &PacScript, listeners: &[SocketAddr], local: SocketAddr) -> Answer {
    let body = match script {
        PacScript::Given(body) => body.clone(),
        PacScript::Made(hosts) => match &proxies(listeners, local)[..] {
            [] => {
                let text = "no listener of the proxy can be named to a client that has come in by this address\n";
                return Answer::new(404, text.as_bytes());
            }
            proxies => made(hosts, proxies).into_bytes().into(),
        },
    };
    Answer { kind: KIND, ..Answer::new(200, body) }
}

/// The listeners as a client can reach them that has connected to `local`, that one first. One on all addresses is named by the
/// address that the client has reached, where it is of its family; one on loopback to clients there alone.
fn proxies(listeners: &[SocketAddr], local: SocketAddr) -> Vec<SocketAddr> {
    let ip = local.ip().to_canonical();
    let reached = |listener: &SocketAddr| {
        let own = listener.ip().to_canonical();
        let address = match own.is_unspecified() {
            // A socket for all addresses of IPv6 has those of IPv6 alone.
            true => (own.is_ipv4() == ip.is_ipv4()).then_some(ip)?,
            false => own,
        };
        (!address.is_unspecified() && (!address.is_loopback() || ip.is_loopback()))
            .then(|| SocketAddr::new(address, listener.port()))
    };
    let mut found: Vec<SocketAddr> = Vec::new();
    for proxy in listeners.iter().filter_map(reached) {
        if !found.contains(&proxy) {
            found.push(proxy);
        }
    }
    // Behind the one that the client has found, those at its address: that there is a way to the others is not known.
    found.sort_by_key(|proxy| (proxy.ip() != ip, proxy.port() != local.port()));
    found.truncate(MOST_PROXIES);
    found
}

/// The script.
fn made(hosts: &PacHosts, proxies: &[SocketAddr]) -> String {
    let (mut exact, mut below, mut v4, mut v6) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in &hosts.entries {
        match entry {
            PacEntry::Exact(name) => exact.push(name),
            PacEntry::Below(name) => below.push(name),
            PacEntry::Both(name) => {
                exact.push(name);
                below.push(name);
            }
            PacEntry::Network(IpNet::V4(range)) => v4.push((range.network(), range.prefix_len())),
            PacEntry::Network(IpNet::V6(range)) => v6.push((range.network(), range.prefix_len())),
        }
    }
    let mut out = String::from("// Made by exaproxy from its listeners and pac.direct.\n");
    push_names(&mut out, "exact", &exact);
    push_names(&mut out, "below", &below);
    push_ranges(&mut out, "v4", v4.iter().map(|(network, bits)| (words_of_v4(*network).to_vec(), *bits)));
    push_ranges(&mut out, "v6", v6.iter().map(|(network, bits)| (network.segments().to_vec(), *bits)));
    let proxies: Vec<String> = proxies.iter().map(|proxy| format!("PROXY {proxy}")).collect();
    // Writing into a String cannot fail.
    let _ = writeln!(out, "var proxies = \"{}\";", proxies.join("; "));
    out.push_str(include_str!("proxy.pac"));
    out
}

/// A set of names; they hold letters, digits, dots, `-` and `_` alone.
fn push_names(out: &mut String, set: &str, names: &[&String]) {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\": 1")).collect();
    let _ = writeln!(out, "var {set} = {{{}}};", names.join(", "));
}

/// Networks as numbers of 16 bits, with the length of their prefix.
fn push_ranges(out: &mut String, set: &str, ranges: impl Iterator<Item = (Vec<u16>, u8)>) {
    let range = |(words, bits): (Vec<u16>, u8)| {
        let words: Vec<String> = words.iter().map(u16::to_string).collect();
        format!("[[{}], {bits}]", words.join(", "))
    };
    let ranges: Vec<String> = ranges.map(range).collect();
    let _ = writeln!(out, "var {set} = [{}];", ranges.join(", "));
}

fn words_of_v4(address: Ipv4Addr) -> [u16; 2] {
    let [a, b, c, d] = address.octets();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rules::Rules;

    fn script(direct: &str, listeners: &[&str], local: &str) -> String {
        let listeners: Vec<SocketAddr> = listeners.iter().map(|text| text.parse().unwrap()).collect();
        let script = PacScript::Made(PacHosts::parse(direct).unwrap());
        let answer = answer(&script, &listeners, local.parse().unwrap());
        assert_eq!((answer.status, answer.kind), (200, KIND));
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    fn named(listeners: &[&str], local: &str) -> String {
        let script = script("", listeners, local);
        let line = script.lines().find_map(|line| line.strip_prefix("var proxies = \"")).unwrap();
        line.strip_suffix("\";").unwrap().to_owned()
    }

    #[test]
    fn listeners_are_named_as_the_client_can_reach_them() {
        for (listeners, local, wanted) in [
            (&["192.0.2.1:3128"][..], "192.0.2.1:3128", "PROXY 192.0.2.1:3128"),
            (&["0.0.0.0:3128"], "192.0.2.7:8080", "PROXY 192.0.2.7:3128"),
            (&["0.0.0.0:3128", "[::]:3128"], "192.0.2.7:3128", "PROXY 192.0.2.7:3128"),
            (&["0.0.0.0:3128", "[::]:3128"], "[2001:db8::7]:3128", "PROXY [2001:db8::7]:3128"),
            (&["0.0.0.0:3128", "[::]:3128"], "[::ffff:192.0.2.7]:3128", "PROXY 192.0.2.7:3128"),
            (&["127.0.0.1:3128", "192.0.2.1:8080"], "192.0.2.1:8080", "PROXY 192.0.2.1:8080"),
            (
                &["192.0.2.1:1", "192.0.2.7:2", "192.0.2.7:3"],
                "192.0.2.7:3",
                "PROXY 192.0.2.7:3; PROXY 192.0.2.7:2; PROXY 192.0.2.1:1",
            ),
            (&["127.0.0.1:3128", "0.0.0.0:3128"], "127.0.0.1:3128", "PROXY 127.0.0.1:3128"),
        ] {
            assert_eq!(named(listeners, local), wanted, "{listeners:?} at {local}");
        }
        let many: Vec<String> = (1..=20).map(|port| format!("192.0.2.1:{port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(named(&many, "192.0.2.1:20").matches("PROXY").count(), MOST_PROXIES);
        for (listeners, local) in [(&[][..], "192.0.2.1:8080"), (&["127.0.0.1:3128"], "192.0.2.1:8080")] {
            let listeners: Vec<SocketAddr> = listeners.iter().map(|text: &&str| text.parse().unwrap()).collect();
            assert_eq!(answer(&PacScript::default(), &listeners, local.parse().unwrap()).status, 404);
        }
    }

    #[test]
    fn hosts_stand_in_the_script_as_they_are_understood() {
        let direct = "A.example *.b.example .c.example 10.0.0.5/8 192.0.2.1 2001:db8::/32";
        let hosts = PacHosts::parse(direct).unwrap();
        let printed = "a.example *.b.example .c.example 10.0.0.0/8 192.0.2.1/32 2001:db8::/32";
        assert_eq!((hosts.print().as_str(), PacHosts::parse(printed)), (printed, Some(hosts)));
        let script = script(direct, &["192.0.2.1:3128"], "192.0.2.1:3128");
        for line in [
            "var exact = {\"a.example\": 1, \"c.example\": 1};",
            "var below = {\"b.example\": 1, \"c.example\": 1};",
            "var v4 = [[[2560, 0], 8], [[49152, 513], 32]];",
            "var v6 = [[[8193, 3512, 0, 0, 0, 0, 0, 0], 32]];",
        ] {
            assert!(script.lines().any(|own| own == line), "{line}\n{script}");
        }
        for text in
            ["a..b", "a.example:80", "!a.example", "10.0.0.0/33", "*", "*.*.a", "\"", "a\"b", "b\u{fc}cher.example"]
        {
            assert_eq!(PacHosts::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_is_told_as_it_is() {
        let script = PacScript::Given((&b"function FindProxyForURL() { return \"DIRECT\"; }"[..]).into());
        let answer = answer(&script, &[], "192.0.2.1:80".parse().unwrap());
        assert_eq!((answer.status, answer.kind, answer.body.len()), (200, KIND, 47));
    }

    #[test]
    fn it_is_asked_of_this_proxy_and_not_through_it() {
        let names = ["gate.example".to_owned()];
        let own: IpAddr = "192.0.2.1".parse().unwrap();
        let asked = |line: &str, host: &str| {
            let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let request = Request::parse(head.as_bytes(), &Rules::default()).unwrap();
            is_asked_of_proxy(&request, &names, |address| address == own)
        };
        for (line, host, wanted) in [
            ("GET /proxy.pac", "192.0.2.1:3128", true),
            ("HEAD /wpad.dat", "192.0.2.1", true),
            ("GET /proxy.pac?x=/wpad.dat", "Gate.Example.", true),
            ("GET /wpad.dat", "wpad", true),
            ("GET /wpad.dat", "WPAD.corp.example", true),
            ("GET /wpad.dat", "localhost:3128", true),
            ("GET /wpad.dat", "wpadx.example", false),
            ("GET /wpad.dat", "x.wpad", false),
            ("GET /proxy.pac", "192.0.2.2", false),
            ("GET /proxy.pac", "[2001:db8::1]", false),
            ("GET /proxy.pac", "other.example", false),
            ("GET http://192.0.2.1:3128/proxy.pac", "192.0.2.1:3128", false),
            ("GET http://wpad/wpad.dat", "wpad", false),
            ("POST /proxy.pac", "192.0.2.1", false),
            ("GET /proxy.pac/x", "192.0.2.1", false),
            ("GET //proxy.pac", "192.0.2.1", false),
        ] {
            assert_eq!(asked(line, host), wanted, "{line} of {host}");
        }
    }
}
