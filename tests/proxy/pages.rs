//! Local pages that a helper names: as the folder has them now, of any size, to each client in its own way.

use std::fs::File;
use std::path::PathBuf;

use nix::sys::stat::Mode;

use crate::support::client::get;
use crate::support::{eventually, pattern, Client, Proxy};

/// Answers each request with the page that is called like its host.
const HELPER: &str = "while read -r url rest; do host=${url%%/*}; echo \"file://${host%%:*}\"; done\n";

/// Bytes of a file that no socket buffer holds.
const LARGE: usize = 24 << 20;

/// A proxy that serves a folder of pages, and that folder.
struct Site {
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Site {
    fn start(options: &[(&str, &str)]) -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("helper"), HELPER).expect("a helper");
        let program = format!("/bin/sh {}", folder.path().join("helper").display());
        let html = folder.path().display().to_string();
        let mut all = vec![
            ("redirector.enable", "true"),
            ("redirector.program", program.as_str()),
            ("redirector.minimum", "1"),
            ("web.html", html.as_str()),
        ];
        all.extend_from_slice(options);
        Site { proxy: Proxy::start(&all), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("a file in our own folder");
    }
}

fn head(url: &str) -> String {
    get(url).replacen("GET", "HEAD", 1)
}

/// Reads a response's head; its body is left for later.
fn start_of(client: &mut Client) -> String {
    let head = client.wire().until(b"\r\n\r\n").expect("a response head");
    String::from_utf8(head).expect("a head in ASCII")
}

#[test]
fn a_page_is_what_the_folder_has_now() {
    let site = Site::start(&[]);
    let mut client = site.proxy.client();
    let built_in = client.get("http://deny.html/");
    assert!(built_in.status() == 200 && built_in.text().contains("<b>deny.html</b>"), "{built_in:?}");
    let mut shows = |url: &str, text: &str| {
        eventually(&format!("{text:?} at {url}"), || (client.get(url).text() == text).then_some(()));
    };
    site.write("deny.html", "%(client_ip)s may not see %(url)s");
    shows("http://deny.html/?a=<b>", "127.0.0.1 may not see deny.html/?a=&lt;b&gt;");
    site.write("deny.html", "edited");
    shows("http://deny.html/", "edited");
    std::fs::remove_file(site.path("deny.html")).expect("the page is there");
    shows("http://deny.html/", &built_in.text());
    site.write("site.css", "a { width: 100% }");
    shows("http://site.css/", "a { width: 100% }");
    let styles = client.get("http://site.css/");
    assert_eq!(styles.value("Content-Type").as_deref(), Some("text/css; charset=utf-8"));
    assert_eq!(styles.text(), "a { width: 100% }");
}

#[test]
fn a_page_in_answer_to_connect_is_no_tunnel() {
    let site = Site::start(&[]);
    for (name, status) in [("deny.html", 403), ("missing.html", 501)] {
        let mut client = site.proxy.client();
        client.send(format!("CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n"));
        let reply = client.reply();
        assert_eq!(reply.status(), status);
        assert!(reply.text().contains(name) && reply.lists("Connection", "close"), "{reply:?}");
    }
}

#[test]
fn a_missing_page_is_a_501_that_names_it() {
    let site = Site::start(&[]);
    let mut client = site.proxy.client();
    let reply = client.get("http://missing.html/");
    assert!(reply.status() == 501 && reply.text().contains("the local page missing.html is missing"), "{reply:?}");
    site.proxy.wait_log("could not serve the local page \"missing.html\"");
    let compatible = Site::start(&[("http.compatible-status", "true")]);
    let reply = compatible.proxy.client().get("http://missing.html/");
    assert_eq!((reply.status(), reply.text().as_str()), (501, "could not serve missing file  missing.html"));
}

#[test]
fn what_is_no_file_is_missing_and_nobody_waits_for_it() {
    let site = Site::start(&[]);
    nix::unistd::mkfifo(&site.path("fifo.html"), Mode::S_IRWXU).expect("a FIFO");
    std::fs::create_dir(site.path("folder.html")).expect("a folder");
    std::os::unix::fs::symlink("/dev/zero", site.path("zero.html")).expect("a link");
    let mut client = site.proxy.client();
    for name in ["fifo.html", "folder.html", "zero.html"] {
        assert_eq!(client.get(&format!("http://{name}/")).status(), 501, "{name}");
    }
}

#[test]
fn values_of_a_client_stay_text() {
    let site = Site::start(&[]);
    let request = "GET http://classify.html/<script>'\"> HTTP/1.1\r\nHost: classify.html\r\n\r\n";
    let mut client = site.proxy.client();
    client.send(request);
    let page = client.reply().text();
    assert!(page.contains("url=http://classify.html/&lt;script&gt;&#39;&quot;&gt;\""), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

#[test]
fn a_large_file_is_streamed_and_the_connection_kept() {
    let site = Site::start(&[]);
    let bytes = pattern(LARGE, 1);
    site.write("large.pdf", &bytes);
    let mut client = site.proxy.client();
    assert_eq!(client.get("http://success.html/").status(), 200);
    let (files, memory) = (site.proxy.descriptors(), site.proxy.rss());
    for _ in 0..2 {
        client.send(head("http://large.pdf/"));
        let reply = client.reply_to("HEAD");
        assert_eq!(reply.value("Content-Length"), Some(LARGE.to_string()));
        assert_eq!(reply.value("Content-Type").as_deref(), Some("application/pdf"));
        let reply = client.get("http://large.pdf/");
        assert!(reply.status() == 200 && reply.body == bytes, "{} bytes came", reply.body.len());
    }
    assert_eq!(client.get("http://success.html/").status(), 200);
    eventually("the files to be closed", || (site.proxy.descriptors() == files).then_some(()));
    let grown = site.proxy.rss().saturating_sub(memory);
    assert!(grown < LARGE as u64 / 4, "grown by {grown} bytes");
}

#[test]
fn slow_clients_hold_no_file_in_memory_and_hold_up_nobody() {
    let site = Site::start(&[]);
    let bytes = pattern(LARGE, 2);
    site.write("large.bin", &bytes);
    let mut other = site.proxy.client();
    assert_eq!(other.get("http://success.html/").status(), 200);
    let memory = site.proxy.rss();
    let mut slow: Vec<Client> = (0..8).map(|_| Client::connect_small(site.proxy.address())).collect();
    for client in &mut slow {
        client.send(get("http://large.bin/"));
        start_of(client);
        assert_eq!(client.read(10_000), bytes[..10_000]);
    }
    assert_eq!(other.get("http://success.html/").status(), 200);
    let grown = site.proxy.rss().saturating_sub(memory);
    assert!(grown < LARGE as u64 / 4, "grown by {grown} bytes");
    let files = site.proxy.descriptors();
    drop(slow);
    eventually("files and sockets to be closed", || (site.proxy.descriptors() + 16 <= files).then_some(()));
}

#[test]
fn a_file_that_shrinks_ends_in_a_cut_and_not_in_padding() {
    let site = Site::start(&[]);
    let bytes = pattern(LARGE, 3);
    site.write("large.bin", &bytes);
    let mut client = Client::connect_small(site.proxy.address());
    client.send(get("http://large.bin/"));
    assert!(start_of(&mut client).contains(&format!("\r\nContent-Length: {LARGE}\r\n")));
    let short = LARGE - 1;
    File::options()
        .write(true)
        .open(site.path("large.bin"))
        .and_then(|file| file.set_len(short as u64))
        .expect("a cut");
    let rest = client.rest();
    assert!(rest == bytes[..short], "{} bytes came", rest.len());
    drop(client);
    site.proxy.wait_counter("ended.content-cut", 1);
}

#[test]
fn a_file_that_grows_is_sent_as_it_was_announced() {
    use std::io::Write;
    let site = Site::start(&[]);
    let bytes = pattern(LARGE, 4);
    site.write("large.bin", &bytes);
    let mut client = Client::connect_small(site.proxy.address());
    client.send(get("http://large.bin/"));
    start_of(&mut client);
    let mut file = File::options().append(true).open(site.path("large.bin")).expect("the file");
    file.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("more bytes");
    assert!(client.read(LARGE) == bytes);
    assert_eq!(client.get("http://success.html/").status(), 200);
}
