//! What the loader reads beside the loop: files that are none, or have no end, and what becomes of the proxy meanwhile.

use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::dns::url;
use crate::support::{NameServer, Origin, Proxy};

/// Puts something in the file's place that cannot be read to an end.
type Replace = fn(&Path);

const ENDLESS: [Replace; 2] = [
    |path| nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("a FIFO"),
    |path| std::os::unix::fs::symlink("/dev/zero", path).expect("a link"),
];

const KEPT: &str = "the configuration stays as it was: ";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[test]
fn b21_a_hosts_file_that_is_none_stays_out() {
    let Some(names) = NameServer::zone(&[]) else { return };
    let resolver = names.resolv_conf();
    let origin = Origin::site();
    for replace in ENDLESS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, "127.0.0.1 known.test\n").expect("a hosts file");
        let options = [("dns.resolver", resolver.as_str()), ("dns.hosts", text(&hosts))];
        let proxy = Proxy::start(&options);
        let memory = proxy.rss();
        std::fs::remove_file(&hosts).expect("a hosts file");
        replace(&hosts);
        let reason = format!("cannot read {}: not a regular file", hosts.display());
        proxy.wait_log(&format!("{reason}; what was read before stays in use"));
        proxy.signal(Signal::SIGHUP);
        proxy.wait_log(&format!("{KEPT}{reason}"));
        assert_eq!(proxy.client().get(&url("known.test", &origin)).text(), "/here");
        assert!(proxy.rss().saturating_sub(memory) < 16 << 20, "{} bytes", proxy.rss());
        let failed = Proxy::run(&[], &options);
        assert!(failed.code == Some(1) && failed.stderr.contains(&reason), "{}", failed.stderr);
    }
}

#[test]
fn b21_a_configuration_that_is_no_file_stays_out() {
    for replace in ENDLESS {
        let proxy = Proxy::start_with(&[], "[http]\nvia = before\n");
        let file = proxy.file();
        std::fs::remove_file(&file).expect("a configuration");
        replace(&file);
        proxy.signal(Signal::SIGHUP);
        let reason = format!("{} cannot be read : not a regular file", file.display());
        proxy.wait_log(&format!("{KEPT}configuration issue, {reason}"));
        proxy.assert_serves();
        for arguments in [&["-c", text(&file)][..], &["--check", "-c", text(&file)]] {
            let failed = Proxy::run(arguments, &[]);
            assert!(failed.code == Some(1) && failed.stderr.contains(&reason), "{}", failed.stderr);
        }
    }
}
