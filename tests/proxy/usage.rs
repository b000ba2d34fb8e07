//! The usage log: a line for each decision, to where it belongs.

use nix::sys::signal::Signal;

use super::support::{eventually, Client, Helpers, Origin, Proxy};

/// Lines of the usage log in this text, each without what comes before its own fields.
fn lines(text: &str) -> Vec<String> {
    let of_log = |line: &str| line.split_once(" usage         ").map(|(_, line)| line.to_owned());
    text.lines().filter_map(of_log).collect()
}

/// The method, the URL and the decision of a line, once the other fields were looked at.
fn decided(line: &str, port: u16) -> String {
    let fields: Vec<&str> = line.splitn(9, ' ').collect();
    let [date, time, seconds, connection, own, client, rest @ ..] = &fields[..] else { panic!("{line}") };
    assert!(date.len() == 10 && date.split('-').count() == 3, "{line}");
    assert!(time.len() == 8 && time.split(':').count() == 3, "{line}");
    let (whole, part) = seconds.split_once('.').expect("a fraction of a second");
    assert!(whole.parse::<u64>().is_ok_and(|seconds| seconds > 1_700_000_000) && part.len() == 2, "{line}");
    assert!(connection.parse::<u32>().is_ok_and(|number| number > 0), "{line}");
    assert_eq!((own.parse(), *client), (Ok(port), "127.0.0.1"), "{line}");
    rest.join(" ")
}

#[test]
fn every_decision_has_a_line() {
    let origin = Origin::site();
    let at = origin.address();
    let helpers = Helpers::answering(move |line| {
        let said = [
            ("/rewrite", format!("http://{at}/other")),
            ("/redirect", "redirect://http://elsewhere.test/".into()),
            ("/file", "file://deny.html".into()),
            ("/intercept", format!("intercept://{at}")),
            ("/broken", "nonsense".into()),
        ];
        said.iter().find(|(path, _)| line.contains(path)).map_or(String::new(), |(_, reply)| reply.clone())
    });
    let proxy =
        helpers.proxy(&[("usage.enable", "true"), ("usage.destination", "stdout"), ("security.connect", "443")]);
    let mut client = proxy.client();
    for path in ["/plain?q=<1>", "/rewrite", "/redirect", "/file", "/intercept", "/broken"] {
        client.get(&origin.url(path));
    }
    client.send(format!("OPTIONS http://{at}/ HTTP/1.1\r\nHost: {at}\r\nMax-Forwards: 0\r\n\r\n"));
    client.reply();
    client.send(format!("OPTIONS http://{at}/ HTTP/1.1\r\nHost: {at}\r\nMax-Forwards: x\r\n\r\n"));
    client.reply();
    let mut other: Client = proxy.client();
    other.send(format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    other.reply();
    let wanted = [
        format!("GET {at}/plain?q=<1> PERMIT/127.0.0.1"),
        format!("GET {at}/rewrite REWRITE/127.0.0.1"),
        format!("GET {at}/redirect REDIRECT/127.0.0.1"),
        format!("GET {at}/file FILE/127.0.0.1"),
        format!("GET {at}/intercept INTERCEPT/127.0.0.1"),
        format!("GET {at}/broken ERROR/THE REDIRECTOR GAVE NO USABLE ANSWER"),
        format!("OPTIONS {at}/ PERMIT/OPTIONS"),
        format!("OPTIONS {at}/ ERROR/INVALID MAX FORWARDS"),
        format!("CONNECT {at}/ DENY/CONNECT NOT ALLOWED"),
    ];
    let found = eventually("a line for each decision", || {
        let found = lines(&proxy.log());
        (found.len() >= wanted.len()).then_some(found)
    });
    let found: Vec<String> = found.iter().map(|line| decided(line, proxy.port())).collect();
    assert_eq!(found, wanted);
}

#[test]
fn it_goes_to_a_file_of_its_own_and_is_found_again_after_hup() {
    let origin = Origin::site();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("usage");
    let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let destination = path.to_str().expect("a path in UTF-8");
    let proxy = Proxy::start(&[("usage.enable", "true"), ("usage.destination", destination)]);
    proxy.client().get(&origin.url("/one"));
    eventually("the first line", || (lines(&text(&path)).len() == 1).then_some(()));
    let moved = folder.path().join("usage.old");
    std::fs::rename(&path, &moved).expect("the log is moved");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    proxy.client().get(&origin.url("/two"));
    eventually("a line in the new file", || (lines(&text(&path)).len() == 1).then_some(()));
    assert!(lines(&text(&moved))[0].contains("/one PERMIT/") && lines(&text(&path))[0].contains("/two PERMIT/"));
    assert!(lines(&proxy.log()).is_empty(), "the message log has lines of the usage log");
}

#[test]
fn without_it_there_are_no_lines() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[]);
    proxy.client().get(&origin.url("/"));
    assert!(lines(&proxy.log()).is_empty());
}
