//! dnsmasq and unbound as name servers: both answer for the zone `test` with the same records, each in its own words.

use super::Server;
use crate::programs::command;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// Addresses of the name `big.test`: more than an answer over UDP holds.
const MANY: u8 = 120;

/// Where records of the zone lead: any address of the loopback does.
const FOUR: &str = "127.0.0.1";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    Dnsmasq,
    Unbound,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Dnsmasq => "dnsmasq",
            Program::Unbound => "unbound",
        }
    }
}

/// A running name server on port 53 of an address of its own.
pub(crate) struct NameServer {
    _server: Server,
    _folder: tempfile::TempDir,
    pub(crate) address: Ipv4Addr,
}

impl NameServer {
    pub(crate) fn start(program: Program) -> NameServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = own_address();
        let command = match program {
            Program::Dnsmasq => dnsmasq(folder.path(), address),
            Program::Unbound => unbound(folder.path(), address),
        };
        let server = Server::start(command, folder.path().join("output"), SocketAddr::from((address, 53)));
        NameServer { _server: server, _folder: folder, address }
    }
}

/// An address of 127.0.0.0/8 that no other test uses, in this process or in one beside it.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % 100;
    Ipv4Addr::new(127, 100 + next as u8, high, low.clamp(1, 254))
}

fn write(path: &Path, text: String) {
    std::fs::write(path, text).expect("a configuration file");
}

fn dnsmasq(folder: &Path, address: Ipv4Addr) -> Command {
    let file = folder.join("dnsmasq.conf");
    let many: String = (1..=MANY).map(|last| format!("host-record=big.test,127.0.0.{last}\n")).collect();
    write(
        &file,
        format!(
            "port=53\nlisten-address={address}\nbind-interfaces\nno-resolv\nno-hosts\nkeep-in-foreground\nuser=root\n\
             pid-file={}\nlocal=/test/\nlocal-ttl=60\nhost-record=dual.test,{FOUR},::1\nhost-record=four.test,{FOUR}\n\
             host-record=six.test,::1\ncname=alias.test,dual.test\ntxt-record=text.test,nothing\n{many}",
            folder.join("pid").display()
        ),
    );
    let mut command = command("dnsmasq");
    command.arg(format!("--conf-file={}", file.display()));
    command
}

fn unbound(folder: &Path, address: Ipv4Addr) -> Command {
    let file = folder.join("unbound.conf");
    let record = |text: String| format!("  local-data: \"{text}\"\n");
    let many: String = (1..=MANY).map(|last| record(format!("big.test. 60 A 127.0.0.{last}"))).collect();
    let few: String = [
        format!("dual.test. 60 A {FOUR}"),
        "dual.test. 60 AAAA ::1".into(),
        format!("four.test. 60 A {FOUR}"),
        "six.test. 60 AAAA ::1".into(),
        "alias.test. 60 CNAME dual.test.".into(),
        "text.test. 60 TXT nothing".into(),
    ]
    .map(record)
    .concat();
    write(
        &file,
        format!(
            "server:\n  interface: {address}\n  port: 53\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  \
             directory: \"{folder}\"\n  pidfile: \"{folder}/pid\"\n  use-syslog: no\n  access-control: 127.0.0.0/8 allow\n  \
             module-config: \"iterator\"\n  do-ip6: no\n  local-zone: \"test.\" static\n{few}{many}\
             remote-control:\n  control-enable: no\n",
            folder = folder.display()
        ),
    );
    let mut command = command("unbound");
    command.arg("-d").arg("-c").arg(&file);
    command
}
