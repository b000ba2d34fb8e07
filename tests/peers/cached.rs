//! Real clients with the cache before them: two machines that ask for the same, of which the origin serves one.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::browser::Browser;
use crate::programs::{have, run};
use crate::support::{Origin, Proxy};

/// What an origin has at a path.
struct Page {
    path: String,
    fields: &'static str,
    body: Vec<u8>,
}

fn page(path: impl Into<String>, fields: &'static str, body: impl Into<Vec<u8>>) -> Page {
    Page { path: path.into(), fields, body: body.into() }
}

/// An origin with these pages, each with an entity tag; what it answered, by path and status; a proxy with a cache.
struct Site {
    origin: Origin,
    answered: Arc<Mutex<Vec<(String, u16)>>>,
    proxy: Proxy,
}

impl Site {
    /// `pages` gets the origin's own address, which some pages name.
    fn start(pages: impl FnOnce(&str) -> Vec<Page>) -> Site {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let pages = pages(&url);
        let answered = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&answered);
        let origin = Origin::over(listener, move |peer| {
            while let Some(request) = peer.request()? {
                let start = request.start();
                let path = start.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, fields, body) = match pages.iter().find(|page| page.path == path) {
                    None => (404, String::new(), &b""[..]),
                    Some(page) => {
                        let tag = format!("\"{}-{}\"", page.body.len(), page.path.len());
                        let held = request.value("If-None-Match").is_some_and(|tags| tags.contains(&tag));
                        let fields = format!("{}ETag: {tag}\r\n", page.fields);
                        if held {
                            (304, fields, &b""[..])
                        } else {
                            (200, fields, &page.body[..])
                        }
                    }
                };
                noted.lock().expect("no holder panics").push((path, status));
                let length = if status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
                peer.send(format!("HTTP/1.1 {status} X\r\n{fields}{length}\r\n"))?;
                if !start.starts_with("HEAD") {
                    peer.send(body)?;
                }
            }
            Ok(())
        });
        Site { origin, answered, proxy: Proxy::start(&[("cache.enable", "true")]) }
    }

    /// How often the origin has answered so for the path that ends like this.
    fn count(&self, end: &str, status: u16) -> usize {
        let answered = self.answered.lock().expect("no holder panics");
        answered.iter().filter(|(path, code)| path.ends_with(end) && *code == status).count()
    }
}

fn sh(folder: &Path, script: &str) -> String {
    let script = format!("cd {} && {script}", folder.display());
    run("sh", &["-ec", &script]).content().text()
}

/// The first word that a program says of a file, its checksum.
fn checksum(folder: &Path, program: &str, file: &str) -> String {
    sh(folder, &format!("{program} {file}")).split(' ').next().unwrap_or_default().to_owned()
}

/// A page that is loaded, loaded anew, and loaded anew past all caches: it is whole each time, and its origin sends each part once.
#[test]
fn chromium_loads_a_page_and_loads_it_anew() {
    if !have(&["chromium"]) {
        return;
    }
    let site = Site::start(|_| {
        let text =
            "<!doctype html><title>t</title><link rel=icon href=data:,><link rel=stylesheet href=/s.css><p>kept</p>";
        vec![
            page("/", "Content-Type: text/html\r\nCache-Control: no-cache\r\n", text),
            page("/s.css", "Content-Type: text/css\r\nCache-Control: max-age=600\r\n", "body { --s: yes }"),
        ]
    });
    let whole = |browser: &mut Browser| {
        let style = browser.evaluate("getComputedStyle(document.body).getPropertyValue('--s').trim()");
        (browser.evaluate("document.querySelector('p').textContent"), style) == ("kept".into(), "yes".into())
    };
    let url = site.origin.url("/");
    let mut first = Browser::behind(&format!("http://{}", site.proxy.address()), 800, 600);
    first.open(&url);
    assert!(whole(&mut first));
    drop(first);
    let mut second = Browser::behind(&format!("http://{}", site.proxy.address()), 800, 600);
    second.open(&url);
    assert!(whole(&mut second), "from what the first one had brought");
    assert_eq!((site.count("/", 200), site.count("/s.css", 200)), (1, 1));
    let asked = site.count("/", 304);
    second.reload(false);
    assert!(whole(&mut second) && site.count("/", 304) > asked, "it is asked about");
    second.reload(true);
    assert!(whole(&mut second) && site.count("/s.css", 304) == 1, "all of it is asked about");
    assert_eq!((site.count("/", 200), site.count("/s.css", 200)), (1, 1));
}

/// Indexes by hash (Acquire-By-Hash), which never change.
#[test]
fn apt_gets_an_index_by_hash_once_for_two_machines() {
    if !have(&["apt-get", "sha256sum", "sh"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let packages = "Package: nothing\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.example>\nFilename: ./n.deb\n\
                    Size: 1\nDescription: x\n";
    fs::write(at.join("Packages"), packages).expect("a file");
    let hash = checksum(at, "sha256sum", "Packages");
    let release = format!(
        "Origin: t\nSuite: stable\nCodename: stable\nDate: Wed, 01 Jan 2020 00:00:00 UTC\nArchitectures: amd64\n\
         Components: main\nAcquire-By-Hash: yes\nSHA256:\n {hash} {} main/binary-amd64/Packages\n",
        packages.len()
    );
    let by_hash = format!("/d/dists/stable/main/binary-amd64/by-hash/SHA256/{hash}");
    let site = Site::start(|_| {
        vec![
            page("/d/dists/stable/Release", "Cache-Control: max-age=120\r\n", release),
            page(&by_hash, "Cache-Control: max-age=31536000, immutable\r\n", packages),
        ]
    });
    fs::write(at.join("sources"), format!("deb [trusted=yes arch=amd64] {} stable main\n", site.origin.url("/d")))
        .expect("a file");
    for machine in ["one", "two"] {
        let listed = sh(
            at,
            &format!(
                "mkdir -p {machine}/lists/partial {machine}/cache/archives/partial; at=$(pwd)
                 apt-get update -q -o Dir::Etc::SourceList=$at/sources -o Dir::Etc::SourceParts=/none \
                     -o Dir::State::Lists=$at/{machine}/lists -o Dir::Cache=$at/{machine}/cache -o Dir::State::status=/dev/null \
                     -o APT::Architecture=amd64 -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=0 \
                     -o Acquire::GzipIndexes=false -o Acquire::http::Proxy=http://{} >said 2>&1 || {{ cat said; exit 1; }}
                 cat {machine}/lists/*Packages",
                site.proxy.address()
            ),
        );
        assert!(listed.contains("Package: nothing"), "{machine}: {listed}");
    }
    let answered = site.answered.lock().expect("no holder panics").clone();
    assert_eq!((site.count(&by_hash, 200), site.count("/Release", 200)), (1, 1), "{answered:?}");
}

#[test]
fn pip_gets_a_wheel_once_for_two_machines() {
    if !have(&["pip3", "python3", "sha256sum", "sh"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let wheel = "demo-1.0-py3-none-any.whl";
    let script = r##"
import zipfile
with zipfile.ZipFile("demo-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("demo/__init__.py", "kept = True\n" + "#" * 50000)
    wheel.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    wheel.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("demo-1.0.dist-info/RECORD", "")
"##;
    fs::write(at.join("make.py"), script).expect("a file");
    sh(at, "python3 make.py");
    let hash = checksum(at, "sha256sum", wheel);
    let index = format!("<!doctype html><a href=\"/files/{wheel}#sha256={hash}\">{wheel}</a>");
    let site = Site::start(|_| {
        vec![
            page("/simple/demo/", "Content-Type: text/html\r\nCache-Control: max-age=600\r\n", index),
            page(
                format!("/files/{wheel}"),
                "Cache-Control: max-age=365000000, immutable, public\r\n",
                fs::read(at.join(wheel)).expect("a wheel"),
            ),
        ]
    });
    for machine in ["one", "two"] {
        sh(
            at,
            &format!(
                "HOME=$(pwd) pip3 --isolated download --no-deps --no-cache-dir --disable-pip-version-check --retries 0 -q -d {machine} \
                     --proxy http://{} --index-url {} --trusted-host 127.0.0.1 demo && cmp {machine}/{wheel} {wheel}",
                site.proxy.address(),
                site.origin.url("/simple")
            ),
        );
    }
    assert_eq!((site.count(wheel, 200), site.count("/simple/demo/", 200)), (1, 1));
}

#[test]
fn npm_gets_a_package_once_for_two_machines() {
    if !have(&["npm", "node", "tar", "sha1sum", "sh"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let manifest = "{\"name\":\"demo\",\"version\":\"1.0.0\"}";
    fs::create_dir(at.join("package")).expect("a folder");
    fs::write(at.join("package/package.json"), manifest).expect("a file");
    sh(at, "tar czf demo.tgz package");
    let sum = checksum(at, "sha1sum", "demo.tgz");
    let site = Site::start(|url| {
        let document = format!(
            "{{\"name\":\"demo\",\"dist-tags\":{{\"latest\":\"1.0.0\"}},\"versions\":{{\"1.0.0\":{{\"name\":\"demo\",\
             \"version\":\"1.0.0\",\"dist\":{{\"tarball\":\"{url}/demo/-/demo-1.0.0.tgz\",\"shasum\":\"{sum}\"}}}}}}}}"
        );
        let fields =
            "Content-Type: application/json\r\nVary: accept-encoding, accept\r\nCache-Control: public, max-age=300\r\n";
        vec![
            page("/demo", fields, document),
            page(
                "/demo/-/demo-1.0.0.tgz",
                "Cache-Control: public, immutable, max-age=31557600\r\n",
                fs::read(at.join("demo.tgz")).expect("a package"),
            ),
        ]
    });
    for machine in ["one", "two"] {
        let installed = sh(
            at,
            &format!(
                "mkdir {machine} && cd {machine} && echo '{{}}' >package.json && HOME=$(pwd) npm install demo --no-audit --no-fund \
                     --ignore-scripts --fetch-retries=0 --userconfig=/dev/null --cache=$(pwd)/cache --registry={}/ --proxy=http://{} \
                     >said 2>&1 || {{ cat said; exit 1; }}
                 cat node_modules/demo/package.json",
                site.origin.url(""),
                site.proxy.address()
            ),
        );
        assert_eq!(installed, manifest, "{machine}");
    }
    let answered = site.answered.lock().expect("no holder panics").clone();
    assert_eq!((site.count("/demo-1.0.0.tgz", 200), site.count("/demo", 200)), (1, 1), "{answered:?}");
}
