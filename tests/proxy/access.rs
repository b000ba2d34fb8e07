//! The access log: a line for each request when it is over, in the configured form, hostile requests included.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::signal::Signal;

use super::support::{eventually, file_lines, Helpers, Origin, Proxy};

/// Starts with an access log in a file of its own, with these options beside.
fn logging(format: &str, options: &[(&str, &str)]) -> (Proxy, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access");
    let destination = path.to_str().expect("a path in UTF-8");
    let mut all = vec![("access.enable", "true"), ("access.destination", destination), ("access.format", format)];
    all.extend(options);
    (Proxy::start(&all), folder)
}

/// The lines of the log, once there are as many.
fn lines(folder: &tempfile::TempDir, count: usize) -> Vec<String> {
    file_lines(&folder.path().join("access"), count)
}

#[test]
fn every_request_of_a_connection_has_a_line() {
    let origin = Origin::site();
    let (proxy, folder) = logging("%m %U %>s %{decision}x %{origin}x %{failure}x %{c}a", &[]);
    let mut client = proxy.client();
    let at = origin.address();
    let pipeline = ["/one", "/two"].map(|path| format!("GET http://{at}{path} HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    client.send(pipeline.concat());
    client.reply();
    client.reply();
    client.send(format!("HEAD http://{at}/three HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    client.reply_to("HEAD");
    client.send("GET http://unknown.invalid/ HTTP/1.1\r\nHost: unknown.invalid\r\n\r\n");
    let failed = client.reply().status();
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.reply().status(), 400);
    let found = lines(&folder, 5);
    let wanted = [
        format!("GET http://{at}/one 200 PERMIT {at} - 127.0.0.1"),
        format!("GET http://{at}/two 200 PERMIT {at} - 127.0.0.1"),
        format!("HEAD http://{at}/three 200 PERMIT {at} - 127.0.0.1"),
    ];
    assert_eq!(found[..3], wanted);
    assert!(found[3].starts_with(&format!("GET http://unknown.invalid/ {failed} PERMIT - dns_")), "{}", found[3]);
    assert_eq!(found[4], "- - 400 - - http_request_error 127.0.0.1");
    assert_eq!(found.len(), 5);
}

#[test]
fn a_tunnel_has_its_line_at_its_end_with_its_bytes() {
    let origin = Origin::echo();
    let at = origin.address();
    let (mut proxy, folder) = logging("%r %s %I %O %{failure}x", &[("security.connect", "1-65535")]);
    let mut client = proxy.client();
    client.tunnel(&at.to_string());
    client.send("12345");
    client.read(5);
    client.shut();
    client.expect_close();
    let greeting = "HTTP/1.1 200 Connection Established\r\n\r\n".len();
    let down = greeting + 5;
    assert_eq!(lines(&folder, 1), [format!("CONNECT {at} HTTP/1.1 200 5 {down} -")]);
    let mut open = proxy.client();
    open.tunnel(&at.to_string());
    proxy.signal(Signal::SIGTERM);
    proxy.wait_exit();
    assert_eq!(lines(&folder, 2)[1], format!("CONNECT {at} HTTP/1.1 200 0 {greeting} stopping"));
}

#[test]
fn the_trace_of_a_request_is_told_and_its_field_goes_on() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for format in ["%{trace-id}x", "json", "ecs", "%m"] {
        let origin = Origin::site();
        let (proxy, folder) = logging(format, &[]);
        let at = origin.address();
        let field = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\ntracestate: a=b\r\n");
        let mut client = proxy.client();
        client.send(format!("GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n{field}\r\n"));
        client.reply();
        let received = String::from_utf8(origin.received(0)).expect("text");
        assert!(received.contains(&field), "{received}");
        let line = &lines(&folder, 1)[0];
        assert_eq!(line.contains(trace), format != "%m", "{line}");
    }
}

#[test]
fn what_helpers_decided_can_be_seen() {
    let helpers = Helpers::answering(|line| match () {
        () if line.contains("/file") => "file://deny.html".into(),
        () if line.contains("/redirect") => "redirect://http://elsewhere.test/".into(),
        () => String::new(),
    });
    let origin = Origin::site();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access");
    let proxy = helpers.proxy(&[
        ("access.enable", "true"),
        ("access.destination", path.to_str().expect("a path in UTF-8")),
        ("access.format", "squid"),
    ]);
    let mut client = proxy.client();
    for path in ["/plain", "/file", "/redirect"] {
        client.get(&origin.url(path));
    }
    let found = lines(&folder, 3);
    let ways: Vec<Vec<&str>> = found.iter().map(|line| line.split_whitespace().collect()).collect();
    let seen: Vec<(&str, &str)> = ways.iter().map(|fields| (fields[3], fields[8])).collect();
    let wanted = [
        ("TCP_MISS/200", "HIER_DIRECT/127.0.0.1"),
        ("NONE_NONE/200", "HIER_NONE/-"),
        ("TCP_REDIRECT/302", "HIER_NONE/-"),
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn a_client_cannot_write_lines_of_its_own() {
    let origin = Origin::site();
    let at = origin.address();
    // Quotes that are no text: around three fields; the target's, which ends nothing; around 25 keys and 10 values.
    for (format, quotes) in [("combined", 6), ("squid", 1), ("json", 70)] {
        let (proxy, folder) = logging(format, &[]);
        let mut client = proxy.client();
        let mut head = format!("GET http://{at}/\"\\ HTTP/1.1\r\nHost: {at}\r\n").into_bytes();
        head.extend_from_slice(b"User-Agent: \" 200 1 \\\t\xff\xc2\x85\r\nReferer: \"\r\n\r\n");
        client.send(head);
        client.reply();
        let found = lines(&folder, 1);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found[0].contains(char::is_control), "{found:?}");
        let plain = found[0].replace("\\\\", "").replace("\\\"", "");
        assert_eq!(plain.matches('"').count(), quotes, "{found:?}");
    }
}

#[test]
fn it_is_rotated_by_size_and_opened_again_on_hup() {
    let origin = Origin::site();
    let (mut proxy, folder) = logging("%U", &[("access.rotate", "100"), ("access.keep", "2")]);
    let mut client = proxy.client();
    for number in 0..20 {
        client.get(&origin.url(&format!("/{number:02}")));
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let last = |name: &str| read(name).lines().last().map(|line| line[line.len() - 2..].to_owned());
    eventually("the last line", || (last("access").as_deref() == Some("19")).then_some(()));
    assert!(read("access.1").len() <= 100 && !read("access.2").is_empty() && read("access.3").is_empty());
    let moved = folder.path().join("moved");
    std::fs::rename(folder.path().join("access"), &moved).expect("the log is moved");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    client.get(&origin.url("/99"));
    eventually("a line in a new file", || (last("access").as_deref() == Some("99")).then_some(()));
    client.get(&origin.url("/98"));
    proxy.signal(Signal::SIGTERM);
    proxy.wait_exit();
    assert_eq!(last("access").as_deref(), Some("98"), "the last lines are written before the end");
}

#[test]
fn a_reload_switches_it_on_and_off() {
    let origin = Origin::site();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access");
    let proxy = Proxy::start(&[]);
    let mut client = proxy.client();
    client.get(&origin.url("/before"));
    let text = format!("[access]\nenable = true\nformat = %U\ndestination = {}\n", path.display());
    for (ini, reloads) in [(text.as_str(), 1), ("", 2)] {
        std::fs::write(proxy.file(), ini).expect("the ini file");
        proxy.signal(Signal::SIGHUP);
        proxy.wait_log_times("configuration reloaded", reloads);
        client.get(&origin.url("/after"));
    }
    assert_eq!(lines(&folder, 1), [origin.url("/after")]);
}

#[test]
fn a_full_disk_holds_nobody_up_and_is_told() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[("access.enable", "true"), ("access.destination", "/dev/full")]);
    let mut client = proxy.client();
    for _ in 0..50 {
        assert_eq!(client.get(&origin.url("/")).status(), 200);
    }
    proxy.wait_log(" log lines were lost: No space left on device");
    proxy.wait_counter("logs.lost.access", 50);
    assert_eq!(proxy.counter("logs.lost.messages"), 0);
}

/// What a reader that has stopped leaves is more than its pipe (64 KiB), the batch that is being written and the queue (1
/// MiB each) can hold.
#[test]
fn a_stalled_pipe_holds_nobody_up_and_each_lost_line_is_counted() {
    const REQUESTS: i64 = 300;
    let origin = Origin::site();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let mut pipe = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).expect("its end");
    let destination = path.to_str().expect("a path in UTF-8");
    let options = [("access.enable", "true"), ("access.destination", destination), ("access.format", "%U")];
    let proxy = Proxy::start(&options);
    let mut client = proxy.client();
    let url = origin.url(&format!("/{}", "x".repeat(8000)));
    for _ in 0..REQUESTS {
        assert_eq!(client.get(&url).status(), 200);
    }
    assert!(proxy.counter("logs.lost.access") > 0);
    let mut read = Vec::new();
    eventually("every line read or counted", || {
        // It ends with an error, as there is no more now.
        let _ = pipe.read_to_end(&mut read);
        let whole = read.split(|byte| *byte == b'\n').filter(|line| *line == url.as_bytes()).count() as i64;
        (whole > 0 && whole + proxy.counter("logs.lost.access") == REQUESTS).then_some(())
    });
    proxy.wait_log(" log lines were lost: ");
}

/// Each reload began a new count, so that what logrotate came upon was gone.
#[test]
fn lost_lines_are_counted_across_reloads() {
    let origin = Origin::site();
    let proxy = Proxy::start(&[
        ("access.enable", "true"),
        ("access.destination", "/dev/full"),
        ("usage.enable", "true"),
        ("usage.destination", "/dev/full"),
    ]);
    let mut client = proxy.client();
    for round in 1..4 {
        client.get(&origin.url("/"));
        // They share a writer, which counts the lines of both.
        proxy.wait_counter("logs.lost.access", 2 * round);
        proxy.wait_counter("logs.lost.usage", 2 * round);
        proxy.signal(Signal::SIGHUP);
        proxy.wait_log_times("configuration reloaded", usize::try_from(round).expect("a small number"));
    }
}

#[test]
fn a_format_that_is_none_is_refused_with_its_place() {
    let finished = Proxy::run(&["--check"], &[("access.format", "%h %z")]);
    let said = finished.stdout + &finished.stderr;
    assert!(finished.code != Some(0) && said.contains("%z at character 4"), "{said}");
}
