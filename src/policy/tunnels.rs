//! What a tunnel may begin with: the rules of `security.sni`, `security.ech` and `security.tunnels`. A ClientHello names a
//! server in the clear, and is compared with what CONNECT named; nothing is decrypted. Knows no connection.

use crate::http::cause::Cause;
use crate::http::target::Host;
use crate::tls::hello::ClientHello;

/// What becomes of a name in a hello that is not that of CONNECT (`security.sni`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SniMode {
    /// It is not looked at.
    #[default]
    Off,
    /// It is counted and logged.
    Log,
    /// The tunnel is closed before the origin gets the hello.
    Enforce,
}

impl SniMode {
    /// All of them.
    pub const ALL: [SniMode; 3] = [SniMode::Off, SniMode::Log, SniMode::Enforce];

    /// The word in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            SniMode::Off => "off",
            SniMode::Log => "log",
            SniMode::Enforce => "enforce",
        }
    }
}

/// What tunnels may begin with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TunnelRules {
    /// `security.sni`
    pub sni: SniMode,
    /// `security.ech`: a differing name is refused also where another hello may be hidden behind it; else lists judge it.
    pub refuses_ech: bool,
    /// `security.tunnels`: nothing but TLS.
    pub tls_alone: bool,
}

/// How a tunnel has begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// With this hello.
    Hello(ClientHello),
    /// With TLS of which no hello can be read.
    Broken,
    /// With a part of one, behind which nothing comes, or not in time.
    Cut,
    /// With another protocol.
    Other,
    /// With nothing for some time: its origin may be the one that speaks first.
    Silent,
}

/// What is counted of beginnings, by its name in counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The hello names the host of CONNECT.
    Matched,
    /// It names another.
    Mismatch,
    /// It names none, and CONNECT did.
    Missing,
    /// It names another, and another hello may be hidden in it.
    Ech,
    /// No hello could be read where there was TLS.
    Unread,
    /// Another protocol, or silence.
    Other,
}

impl Finding {
    /// All of them, in the order of their counters.
    pub const ALL: [Finding; 6] =
        [Finding::Matched, Finding::Mismatch, Finding::Missing, Finding::Ech, Finding::Unread, Finding::Other];

    /// The name in counters.
    pub fn name(self) -> &'static str {
        match self {
            Finding::Matched => "matched",
            Finding::Mismatch => "mismatch",
            Finding::Missing => "missing",
            Finding::Ech => "ech",
            Finding::Unread => "unread",
            Finding::Other => "other",
        }
    }

    /// What it means, for the log.
    pub fn explain(self) -> &'static str {
        match self {
            Finding::Matched => "its hello names the same host",
            Finding::Mismatch => "its hello names another host",
            Finding::Missing => "its hello names no host",
            Finding::Ech => "its hello names another host and may hide one (ECH)",
            Finding::Unread => "no hello of TLS can be read in it",
            Finding::Other => "it does not begin with TLS",
        }
    }
}

/// What becomes of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TunnelVerdict {
    /// Its bytes pass.
    Pass,
    /// They pass if lists let the name in the hello pass.
    Lists,
    /// It is closed.
    Refuse(Cause),
}

impl TunnelRules {
    /// Whether anybody looks at how tunnels begin.
    pub fn look(&self) -> bool {
        self.sni != SniMode::Off || self.tls_alone
    }

    /// What becomes of a tunnel to `host`, as CONNECT named it, that has begun so.
    pub fn judge(&self, host: &Host, beginning: &Beginning) -> (Option<Finding>, TunnelVerdict) {
        let enforced = self.sni == SniMode::Enforce;
        match beginning {
            Beginning::Hello(_) if self.sni == SniMode::Off => (None, TunnelVerdict::Pass),
            Beginning::Hello(hello) => self.judge_name(host, hello),
            Beginning::Broken | Beginning::Cut => {
                (Some(Finding::Unread), refuse_if(enforced || self.tls_alone, Cause::BadHello))
            }
            Beginning::Other | Beginning::Silent => (Some(Finding::Other), refuse_if(self.tls_alone, Cause::NotTls)),
        }
    }

    /// Behind an address that CONNECT named, a name is one like any other; and so is one that stands in front of a hidden one,
    /// since browsers send the extension as a decoration and their servers' names with it.
    fn judge_name(&self, host: &Host, hello: &ClientHello) -> (Option<Finding>, TunnelVerdict) {
        let enforced = self.sni == SniMode::Enforce;
        let is_address = !matches!(host, Host::Name(_));
        match &hello.name {
            None if is_address => (None, TunnelVerdict::Pass),
            None => (Some(Finding::Missing), refuse_if(enforced, Cause::SniMissing)),
            Some(name) if name == host => (Some(Finding::Matched), TunnelVerdict::Pass),
            Some(_) if is_address => (None, TunnelVerdict::Lists),
            Some(_) if !hello.ech => (Some(Finding::Mismatch), refuse_if(enforced, Cause::SniMismatch)),
            Some(_) if enforced && !self.refuses_ech => (Some(Finding::Ech), TunnelVerdict::Lists),
            Some(_) => (Some(Finding::Ech), refuse_if(enforced, Cause::SniEch)),
        }
    }
}

fn refuse_if(refused: bool, cause: Cause) -> TunnelVerdict {
    match refused {
        true => TunnelVerdict::Refuse(cause),
        false => TunnelVerdict::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TunnelVerdict::{Lists, Pass, Refuse};

    fn rules(sni: SniMode, refuses_ech: bool, tls_alone: bool) -> TunnelRules {
        TunnelRules { sni, refuses_ech, tls_alone }
    }

    fn hello(name: &str, ech: bool) -> Beginning {
        let name = Host::parse(name.as_bytes()).ok();
        Beginning::Hello(ClientHello { name, ech, ..ClientHello::default() })
    }

    #[test]
    fn names_are_compared_with_what_connect_named() {
        const ADDRESS: &str = "192.0.2.7";
        let table = [
            // CONNECT, the hello, ECH; what is found; verdicts of log, enforce, and enforce with security.ech=refuse
            ("a.example", "a.example", false, Some(Finding::Matched), [Pass, Pass, Pass]),
            ("a.example", "A.example.", true, Some(Finding::Matched), [Pass, Pass, Pass]),
            (
                "a.example",
                "b.example",
                false,
                Some(Finding::Mismatch),
                [Pass, Refuse(Cause::SniMismatch), Refuse(Cause::SniMismatch)],
            ),
            ("a.example", "b.example", true, Some(Finding::Ech), [Pass, Lists, Refuse(Cause::SniEch)]),
            (
                "a.example",
                ADDRESS,
                false,
                Some(Finding::Mismatch),
                [Pass, Refuse(Cause::SniMismatch), Refuse(Cause::SniMismatch)],
            ),
            (
                "a.example",
                "",
                false,
                Some(Finding::Missing),
                [Pass, Refuse(Cause::SniMissing), Refuse(Cause::SniMissing)],
            ),
            (
                "a.example",
                "",
                true,
                Some(Finding::Missing),
                [Pass, Refuse(Cause::SniMissing), Refuse(Cause::SniMissing)],
            ),
            (ADDRESS, "", false, None, [Pass, Pass, Pass]),
            (ADDRESS, "", true, None, [Pass, Pass, Pass]),
            (ADDRESS, ADDRESS, false, Some(Finding::Matched), [Pass, Pass, Pass]),
            (ADDRESS, "b.example", false, None, [Lists, Lists, Lists]),
            (ADDRESS, "b.example", true, None, [Lists, Lists, Lists]),
            (ADDRESS, "192.0.2.8", false, None, [Lists, Lists, Lists]),
            ("[2001:db8::1]", "b.example", false, None, [Lists, Lists, Lists]),
        ];
        for (host, name, ech, finding, verdicts) in table {
            let host = Host::parse(host.as_bytes()).unwrap();
            let modes = [
                rules(SniMode::Log, false, false),
                rules(SniMode::Enforce, false, false),
                rules(SniMode::Enforce, true, false),
            ];
            for (mode, verdict) in modes.iter().zip(verdicts) {
                assert_eq!(mode.judge(&host, &hello(name, ech)), (finding, verdict), "{host} {name} {ech} {mode:?}");
            }
            for alone in [false, true] {
                assert_eq!(rules(SniMode::Off, true, alone).judge(&host, &hello(name, ech)), (None, Pass));
            }
        }
    }

    #[test]
    fn what_is_no_hello_passes_unless_tls_alone_may() {
        let host = Host::parse(b"a.example").unwrap();
        let (unread, other) = (Some(Finding::Unread), Some(Finding::Other));
        for begun in [Beginning::Broken, Beginning::Cut] {
            assert_eq!(rules(SniMode::Log, false, false).judge(&host, &begun), (unread, Pass));
            for strict in [
                rules(SniMode::Enforce, false, false),
                rules(SniMode::Log, false, true),
                rules(SniMode::Off, false, true),
            ] {
                assert_eq!(strict.judge(&host, &begun), (unread, Refuse(Cause::BadHello)));
            }
        }
        for begun in [Beginning::Other, Beginning::Silent] {
            for lenient in [rules(SniMode::Log, false, false), rules(SniMode::Enforce, true, false)] {
                assert_eq!(lenient.judge(&host, &begun), (other, Pass));
            }
            assert_eq!(rules(SniMode::Off, false, true).judge(&host, &begun), (other, Refuse(Cause::NotTls)));
        }
    }

    #[test]
    fn nobody_looks_where_nothing_is_asked() {
        assert!(!TunnelRules::default().look() && !rules(SniMode::Off, true, false).look());
        assert!(rules(SniMode::Log, false, false).look() && rules(SniMode::Off, false, true).look());
    }
}
