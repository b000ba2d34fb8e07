//! nginx as the origin: files over http and https on both families, uploads, compression, and a log to look at.

use super::Server;
use crate::programs::{command, run};
use crate::support::{pattern, ports, superuser};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Length of the file `/big`, in bytes: more than all the buffers on the way hold together.
pub(crate) const BIG: usize = 24 << 20;

/// Length of the file `/text`, which nginx compresses on the way and so sends in chunks.
pub(crate) const TEXT: usize = 200_000;

pub(crate) struct Nginx {
    _server: Server,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) tls: u16,
}

impl Nginx {
    /// Starts one with a site of a few files.
    pub(crate) fn start() -> Nginx {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, tls) = (ports::next(), ports::next());
        write_site(&folder.path().join("site"));
        certificate(folder.path());
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration(folder.path(), port, tls)).expect("a configuration file");
        let mut nginx = command("nginx");
        nginx.arg("-e").arg(folder.path().join("error.log")).arg("-p").arg(folder.path()).arg("-c").arg(&file);
        let listens = SocketAddr::from((Ipv4Addr::LOCALHOST, tls));
        let server = Server::start(nginx, folder.path().join("output"), listens);
        Nginx { _server: server, folder, port, tls }
    }

    /// A file of the site, for looking at what an upload left, or for putting one there.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("site").join(name)
    }

    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn tls_url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.tls)
    }

    /// The log: one line per request, `connection requests-on-it via status method target`.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }
}

fn write_site(site: &Path) {
    std::fs::create_dir_all(site.join("tree/deep")).expect("folders for the site");
    let text: String = (0..TEXT / 20).map(|line| format!("line {line:>10} ok.\n")).collect();
    let pages: String = (0..20).map(|page| format!("<a href=\"deep/{page}.html\">{page}</a>\n")).collect();
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("small".into(), b"a small file\n".to_vec()),
        ("big".into(), pattern(BIG, 7)),
        ("text.txt".into(), text.into_bytes()),
        ("tree/index.html".into(), format!("<html><body>\n{pages}</body></html>\n").into_bytes()),
    ];
    files.extend((0..20).map(|page| (format!("tree/deep/{page}.html"), format!("page {page}\n").repeat(300).into())));
    for (name, content) in files {
        std::fs::write(site.join(name), content).expect("a file of the site");
    }
}

/// A key and a certificate signed with itself.
fn certificate(folder: &Path) {
    let path = |name: &str| folder.join(name).display().to_string();
    let (key, certificate) = (path("key.pem"), path("cert.pem"));
    let subject = ["-subj", "/CN=peer.test", "-days", "2", "-nodes"];
    let mut arguments = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    arguments.extend(["-keyout", &key, "-out", &certificate]);
    arguments.extend(subject);
    run("openssl", &arguments).content();
}

fn configuration(folder: &Path, port: u16, tls: u16) -> String {
    let folder = folder.display();
    let user = if superuser() { "user root;" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|part| format!("{part}_temp_path {folder}/{part};\n"))
        .concat();
    format!(
        r#"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
{temporary}
  log_format peer "$connection $connection_requests $http_via|$status $request_method $request_uri";
  access_log {folder}/access.log peer;
  types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; text/plain txt; }}
  default_type application/octet-stream;
  gzip on; gzip_types text/plain; gzip_proxied any; client_max_body_size 0;
  server {{
    listen 0.0.0.0:{port}; listen [::]:{port} ipv6only=on;
    listen 0.0.0.0:{tls} ssl; listen [::]:{tls} ssl ipv6only=on;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    root {folder}/site; index index.html;
    location /put/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    location /moved {{ return 302 /small; }}
    location /report {{ return 204; }}
  }}
}}
"#
    )
}
