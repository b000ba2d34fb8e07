//! Faults of running the program: its start, its signals, its logs and its monitor.

use crate::support::proxy::command;
use crate::support::{Finished, Proxy};

/// Runs with these variables, named as they are, and an ini file of this text.
fn with(arguments: &[&str], variables: &[(&str, &str)], ini: &str) -> Finished {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("test.conf");
    std::fs::write(&file, ini).expect("an ini file");
    let mut command = command(arguments);
    command.arg("-c").arg(&file).envs(variables.iter().copied());
    Proxy::finish(command)
}

#[test]
fn a8_rules_that_would_not_be_applied_stop_the_start_and_the_check() {
    for (variables, ini, named) in [
        (&[("exaproxy_auth_enable", "true"), ("exaproxy_auth_users", "/etc/users")][..], "", "auth."),
        (&[("exaproxy_acl_blocklist", "/etc/blocklist")], "", "acl.blocklist"),
        (&[], "[acl]\nblocklist = /etc/blocklist\n", "[acl]"),
        (&[("exaproxy.cache.enable", "true")], "", "cache.enable"),
        (&[("exaproxy_security_dney", "10.0.0.0/8")], "", "security.dney"),
        (&[], "[secruity]\ndeny = 10.0.0.0/8\n", "[secruity]"),
        (&[("EXAPROXY_SECURITY_DENY", "10.0.0.0/8")], "", "small letters"),
    ] {
        let start = with(&[], variables, ini);
        assert_eq!((start.code, start.stderr.lines().count()), (Some(1), 1), "{variables:?}{ini}: {}", start.stderr);
        assert!(start.stderr.contains(named), "{variables:?}{ini}: {}", start.stderr);
        let check = with(&["--check"], variables, ini);
        assert_eq!(check.code, Some(1), "{variables:?}{ini}: {}", check.stdout);
        assert!(check.stderr.contains(named), "{variables:?}{ini}: {}", check.stderr);
    }
}
