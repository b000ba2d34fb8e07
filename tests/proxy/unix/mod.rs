//! Unix sockets: clients that are known by their user, and the files by which they come in.

mod clients;
mod files;

use std::path::{Path, PathBuf};

use crate::support::{Client, Proxy};

/// A folder for a socket, and where the socket is.
struct Place {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("proxy");
        Place { folder, path }
    }

    fn text(&self) -> &str {
        self.path.to_str().expect("a path in UTF-8")
    }

    /// A proxy that listens here too.
    fn proxy(&self, options: &[(&str, &str)]) -> Proxy {
        Proxy::start(&[&[("unix.path", self.text())], options].concat())
    }

    fn client(&self) -> Client {
        Client::connect_path(&self.path)
    }
}

/// The proxy's name for this process.
fn own() -> String {
    format!("uid:{}", nix::unistd::geteuid())
}

/// Whether a program listens there.
fn listens(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}
