//! Servers as processes: started with a configuration written for the test, ended with it.

pub(crate) mod nameserver;
pub(crate) mod nginx;

use crate::support::eventually;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

/// A running server; ended when it is dropped.
pub(crate) struct Server {
    child: Child,
    output: std::path::PathBuf,
}

impl Server {
    /// Starts it, its output in a file, and waits until it accepts connections.
    pub(crate) fn start(mut command: Command, output: std::path::PathBuf, listens: SocketAddr) -> Server {
        let file = std::fs::File::create(&output).expect("a file for its output");
        let again = file.try_clone().expect("a second handle");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(again).spawn().expect("the server runs");
        let mut server = Server { child, output };
        eventually(&format!("{command:?} on {listens}"), || {
            let ended = server.child.try_wait().expect("a child to ask about");
            assert!(ended.is_none(), "the server ended: {}", server.said());
            TcpStream::connect(listens).ok()
        });
        server
    }

    /// What it has written.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }
}

impl Drop for Server {
    /// Asks first, so that a server with children of its own can end them.
    fn drop(&mut self) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id fits"));
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- output of a server:\n{}---", self.said());
        }
    }
}
