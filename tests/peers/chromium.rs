//! A headless Chromium in front, nginx and a websocket server behind: a page with 50 resources of several kinds, one of
//! them over https, and a websocket. The page itself counts what it got and reports it to the origin.

use crate::programs::{command, have};
use crate::servers::nginx::Nginx;
use crate::support::{eventually, Proxy};
use crate::websocket;
use std::process::{Child, Stdio};

/// Resources of the page, itself not counted.
const RESOURCES: usize = 50;

/// Without these Chromium looks for updates, profiles and other hosts of its maker.
pub(crate) const QUIET: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--ignore-certificate-errors",
    "--remote-debugging-port=0",
];

const SCRIPT: &str = r#"
addEventListener("load", async () => {
  const texts = await Promise.all([...Array(10).keys()].map(n => fetch(`r/fetch${n}.txt`).then(r => r.text())));
  const fetched = texts.filter((text, n) => text == `fetched ${n}`).length;
  const images = [...document.images].filter(image => image.complete && image.naturalWidth).length;
  const styled = [...Array(10).keys()].filter(n => getComputedStyle(document.body).getPropertyValue(`--s${n}`).trim() == "yes");
  const echoed = await new Promise(done => {
    const socket = new WebSocket("ws://127.0.0.1:WEBSOCKET/");
    socket.onopen = () => socket.send("hello");
    socket.onmessage = event => done(event.data);
    socket.onerror = () => done("error");
  });
  fetch(`/report?images=${images}&styles=${styled.length}&scripts=${window.ran}&fetched=${fetched}&echoed=${echoed}`);
});
"#;

/// Writes the page: 20 images (the last one over https), 10 styles, 10 scripts, 10 fetched texts.
fn write_page(nginx: &Nginx, websocket: u16) {
    let folder = nginx.file("page/r");
    std::fs::create_dir_all(&folder).expect("a folder for the page");
    let write = |name: String, text: String| std::fs::write(folder.join(name), text).expect("a resource of the page");
    let mut page =
        String::from("<!doctype html><html><head><meta charset=utf-8><title>peers</title>\n<script>ran = 0</script>\n");
    for n in 0..10 {
        write(format!("style{n}.css"), format!("body {{ --s{n}: yes }}"));
        write(format!("script{n}.js"), "ran++;".into());
        write(format!("fetch{n}.txt"), format!("fetched {n}"));
        page += &format!("<link rel=stylesheet href=r/style{n}.css><script src=r/script{n}.js></script>\n");
    }
    page += &format!("<script>{}</script></head><body>\n", SCRIPT.replace("WEBSOCKET", &websocket.to_string()));
    for n in 0..20 {
        let fill = "x".repeat(n * 3000);
        write(
            format!("image{n}.svg"),
            format!("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><!--{fill}--></svg>"),
        );
        let base = if n == 19 { nginx.tls_url("/page/") } else { String::new() };
        page += &format!("<img src={base}r/image{n}.svg>\n");
    }
    std::fs::write(nginx.file("page/index.html"), page + "</body></html>\n").expect("the page");
}

/// Ends the browser, which has processes of its own, with the test.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_page_with_fifty_resources() {
    if !have(&["chromium", "nginx", "openssl", "timeout"]) || !websocket::possible() {
        return;
    }
    let (proxy, nginx) = (Proxy::start(&[]), Nginx::start());
    let (_echo, port) = websocket::echo(&proxy);
    write_page(&nginx, port);
    let profile = tempfile::tempdir().expect("a temporary folder");
    let said = std::fs::File::create(profile.path().join("said")).expect("a file for its output");
    let browser = command("chromium")
        .args(QUIET)
        .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
        .arg(format!("--proxy-server=http://{}", proxy.address()))
        .arg("--proxy-bypass-list=<-loopback>")
        .arg(nginx.url("/page/"))
        .env("HOME", profile.path())
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("a second handle"))
        .stderr(said)
        .spawn()
        .expect("chromium runs");
    let _browser = Browser(browser);
    let report = eventually("the page's report", || nginx.log().into_iter().find(|line| line.contains("/report?")));
    assert!(report.ends_with("images=20&styles=10&scripts=10&fetched=10&echoed=hello"), "{report}");
    let log = nginx.log();
    let resources: Vec<&String> = log.iter().filter(|line| line.contains("|200 GET /page/r/")).collect();
    assert_eq!(resources.len(), RESOURCES, "{log:#?}");
    let through = resources.iter().filter(|line| line.contains(" 1.1 ")).count();
    assert_eq!(through, RESOURCES - 1, "all but the one over https name the proxy: {log:#?}");
}
