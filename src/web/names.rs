//! Which names the monitor answers to. A browser takes pages of one name for one site, and a name can be made to lead here by
//! its owner ("DNS rebinding"): a script of that site could then read all that the monitor tells. An address cannot be
//! given away like that, and neither can the names that the configuration lists.

use crate::http::answer::Answer;
use crate::http::media::PLAIN;
use crate::http::target::Host;

/// Stands for every name in `web.names`.
const ANY: &str = "*";

/// What balancers, programs and browsers ask for by names of their own, and what tells nothing about clients.
const OPEN: [&str; 4] = ["/health", "/metrics", "/proxy.pac", "/wpad.dat"];

/// Is this path answered under this host? `names` are those of this machine and of the configuration, in lower case. A
/// request without a host has come as one to `localhost`: no browser sends it.
pub(super) fn may_be_asked(host: &Host, path: &str, names: &[String]) -> bool {
    match host {
        Host::V4(_) | Host::V6(..) => true,
        Host::Name(name) => {
            &**name == "localhost" || OPEN.contains(&path) || names.iter().any(|own| own == ANY || **own == **name)
        }
    }
}

/// The answer under another name (RFC 9110 section 15.5.20). It tells nothing of this process.
pub(super) fn misdirected(host: &Host) -> Answer {
    let text = format!(
        "The monitor does not answer to the name {host}, which could be made to lead here by others. Ask for it by its \
         address or as localhost, or list the name in web.names.\n"
    );
    super::without_sniffing(Answer { kind: PLAIN, ..Answer::new(421, text.into_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::target::Target;

    #[test]
    fn b16_names_of_others_are_answered_for_what_is_open_alone() {
        let host = |text: &str| Target::from_authority(text.as_bytes(), Some(80)).expect(text).host;
        let own = ["gate.example".to_owned()];
        for (text, names, pages) in [
            ("127.0.0.1:8080", &[][..], true),
            ("[::1]:8080", &[], true),
            ("LOCALHOST", &[], true),
            ("localhost.", &[], true),
            ("Gate.Example.:8080", &own, true),
            ("gate.example", &[], false),
            ("evil.example", &own, false),
            ("x.gate.example", &own, false),
            ("localhost.evil.example", &own, false),
            ("evil.example", &[ANY.to_owned()], true),
        ] {
            for path in ["/", "/json/running", "/control/token", "/health/x"] {
                assert_eq!(may_be_asked(&host(text), path, names), pages, "{text}{path}");
            }
            for path in OPEN {
                assert!(may_be_asked(&host(text), path, names), "{text}{path}");
            }
        }
    }
}
