//! Together about several options at a time. Reads no text: what is wrong with one option alone was found before.

use super::error::Mistakes;
use super::options::{find, Config};
use super::sources::Given;
use crate::exchange::ingress::{Diversion, HostCheck};

/// Sections whose options say where the program listens.
const LISTENING: [&str; 9] = ["tcp4", "tcp6", "http", "unix", "intercept", "tls", "passthrough", "icap", "web"];

/// Notes every rule that the options break. One about an option that is wrong by itself is left out: it would speak of the
/// default.
pub(super) fn check(config: &Config, given: &Given, wrong: &mut Mistakes) {
    let mut rules = Together { given, wrong };
    check_listeners(config, &mut rules);
    check_filters(config, &mut rules);
    check_diverted(config, &mut rules);
    check_helpers(config, &mut rules);
    check_parents(config, &mut rules);
}

/// The rules that were broken so far.
struct Together<'a> {
    given: &'a Given,
    wrong: &'a mut Mistakes,
}

impl Together<'_> {
    /// Refuses `section.key` if the rule is broken that it has together with the options `beside` it.
    fn refuse(&mut self, broken: bool, section: &str, key: &str, beside: &[(&str, &str)], expected: &str) {
        let unknown = |(section, key): &(&str, &str)| self.wrong.touch(section, Some(key));
        if !broken || unknown(&(section, key)) || beside.iter().any(unknown) {
            return;
        }
        if let Some(entry) = find(section, key) {
            self.wrong.add(self.given.refusal(entry, expected));
        }
    }
}

fn check_listeners(config: &Config, rules: &mut Together) {
    let web = &config.web;
    rules.refuse(
        !config.tcp4.out && !config.tcp6.out,
        "tcp4",
        "out",
        &[("tcp6", "out")],
        "true for tcp4.out or tcp6.out, else no server can be reached",
    );
    rules.refuse(
        web.enable && !web.listen && web.path.is_none(),
        "web",
        "listen",
        &[("web", "path"), ("web", "enable")],
        "true, or a Unix socket in web.path, else nobody can see the pages",
    );
    if LISTENING.iter().any(|section| rules.wrong.touch(section, None)) {
        return;
    }
    for (own, (section, key)) in config.doubled_listeners() {
        let (own_section, own_key) = own.option;
        let expected = format!("another address than {}, on which {section}.{key} listens already", own.at);
        rules.refuse(true, own_section, own_key, &[], &expected);
    }
}

fn check_filters(config: &Config, rules: &mut Together) {
    rules.refuse(
        config.acl.default && config.acl.allowlist.is_empty(),
        "acl",
        "default",
        &[("acl", "allowlist")],
        "allow, or an acl.allowlist beside deny, else every request is refused",
    );
    rules.refuse(
        config.auth.enable && config.auth.users.is_none(),
        "auth",
        "enable",
        &[("auth", "users")],
        "false, or a file of users in auth.users, else nobody can use the proxy",
    );
}

fn check_diverted(config: &Config, rules: &mut Together) {
    let intercept = &config.intercept;
    rules.refuse(
        intercept.spoof && intercept.mode != Diversion::Tproxy,
        "intercept",
        "spoof",
        &[("intercept", "mode")],
        "false, or intercept.mode=tproxy beside it: what comes back must find its way here",
    );
    rules.refuse(
        intercept.enable && config.acl.default && intercept.host_check == HostCheck::Ignore,
        "intercept",
        "host-check",
        &[("acl", "default"), ("intercept", "enable")],
        "log or refuse beside acl.default=deny, else whoever says an allowed name may go anywhere",
    );
    rules.refuse(
        config.acl.default && config.tls.enable && config.tls.destination,
        "tls",
        "destination",
        &[("acl", "default"), ("tls", "enable")],
        "name beside acl.default=deny: a client may say any name, and would be let through to any address",
    );
}

fn check_helpers(config: &Config, rules: &mut Together) {
    let redirector = &config.redirector;
    if !redirector.enable {
        return;
    }
    if let Err(expected) = &redirector.program.path {
        rules.refuse(true, "redirector", "program", &[("redirector", "enable")], expected);
    }
    rules.refuse(
        redirector.minimum > redirector.maximum,
        "redirector",
        "minimum",
        &[("redirector", "maximum")],
        "no more than redirector.maximum",
    );
}

fn check_parents(config: &Config, rules: &mut Together) {
    let parent = &config.parent;
    if parent.proxy.parents.is_empty() {
        return;
    }
    rules.refuse(
        !config.security.deny.is_empty() && parent.resolve.is_none(),
        "parent",
        "resolve",
        &[("security", "deny")],
        "true or false beside security.deny: true = names are resolved and judged here before a parent gets them, \
         false = their addresses are for the parent to judge",
    );
}
