//! All listeners that a configuration asks for, of every kind, at ports of both families and at paths, in the order in which they
//! are opened. Opens none.

use super::listen::ListenHost;
use super::Config;
use crate::exchange::ingress::{Diversion, Ingress};
use reactor::listener::ListenAt;
use std::net::SocketAddr;
use std::path::Path;

/// A listener that is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listening {
    /// What its connections are for.
    pub ingress: Ingress,
    /// Section and name of the option that has its address.
    pub option: (&'static str, &'static str),
    /// Where it is.
    pub at: ListenAt,
    /// Its connections start with a PROXY protocol header.
    pub proxied: bool,
    /// How its connections come to us, where the network diverts them.
    pub diversion: Option<Diversion>,
    /// Connections that may wait to be accepted.
    pub backlog: usize,
}

/// As many as the original lets wait at its monitor.
const WEB_BACKLOG: usize = 10;

/// The listeners of one kind within the configuration.
struct Group<'a> {
    ingress: Ingress,
    section: &'static str,
    hosts: [(&'static str, &'a [ListenHost]); 2],
    port: u16,
    proxied: bool,
}

impl Config {
    /// Every listener that is asked for.
    pub fn listeners(&self) -> Vec<Listening> {
        let mut all = self.proxies();
        let groups = [
            (self.intercept.enable, self.intercepting()),
            (self.tls.enable, self.tls_servers()),
            (self.passthrough.enable, self.passing()),
            (self.icap.enable, self.icap_servers()),
        ];
        for (_, group) in groups.into_iter().filter(|(enabled, _)| *enabled) {
            self.add(&mut all, &group);
        }
        let icap = self.icap.path.iter().filter(|_| self.icap.enable);
        all.extend(icap.map(|path| self.at_path(Ingress::Icap, "icap", path)));
        let web = &self.web;
        if web.enable && web.listen {
            all.push(Listening {
                ingress: Ingress::Web,
                option: ("web", "port"),
                at: ListenAt::Port(SocketAddr::new(web.host, web.port)),
                proxied: false,
                diversion: None,
                backlog: WEB_BACKLOG,
            });
        }
        let paths = web.path.iter().filter(|_| web.enable);
        all.extend(paths.map(|path| self.at_path(Ingress::Web, "web", path)));
        all
    }

    /// A listener at the path of an option.
    fn at_path(&self, ingress: Ingress, section: &'static str, path: &Path) -> Listening {
        Listening {
            ingress,
            option: (section, "path"),
            at: ListenAt::Path(path.to_owned()),
            proxied: match ingress {
                Ingress::Proxy => self.http.proxied,
                Ingress::Icap => self.icap.proxied,
                _ => false,
            },
            diversion: None,
            backlog: self.unix.backlog,
        }
    }

    /// Whether sockets are asked for that use addresses which are not this machine's.
    pub fn uses_foreign_addresses(&self) -> bool {
        let listens = |one: &Listening| one.diversion == Some(Diversion::Tproxy);
        self.listeners().iter().any(listens)
    }

    /// The listeners whose address and port another one has too, and the option of that.
    pub(super) fn doubled_listeners(&self) -> Vec<(Listening, (&'static str, &'static str))> {
        let all = self.listeners();
        let doubled = all.iter().enumerate().filter_map(|(at, own)| {
            let first = all[..at].iter().find(|other| other.at == own.at)?;
            Some((own.clone(), first.option))
        });
        doubled.collect()
    }

    fn proxies(&self) -> Vec<Listening> {
        let families = [
            ("tcp4", self.tcp4.listen, &self.tcp4.host, self.tcp4.port, self.tcp4.backlog),
            ("tcp6", self.tcp6.listen, &self.tcp6.host, self.tcp6.port, self.tcp6.backlog),
        ];
        let open = families.into_iter().filter(|(_, listen, ..)| self.http.enable && *listen);
        let paths = self.unix.path.iter().filter(|_| self.http.enable);
        let ports = open.flat_map(|(section, _, hosts, port, backlog)| {
            hosts.iter().map(move |host| Listening {
                ingress: Ingress::Proxy,
                option: (section, "host"),
                at: ListenAt::Port(host.at(port)),
                proxied: host.proxied || self.http.proxied,
                diversion: None,
                backlog,
            })
        });
        ports.chain(paths.map(|path| self.at_path(Ingress::Proxy, "unix", path))).collect()
    }

    fn add(&self, all: &mut Vec<Listening>, group: &Group<'_>) {
        let families = [(self.tcp4.listen, self.tcp4.backlog), (self.tcp6.listen, self.tcp6.backlog)];
        let open = group.hosts.into_iter().zip(families).filter(|(_, (listen, _))| *listen);
        for ((key, hosts), (_, backlog)) in open {
            all.extend(hosts.iter().map(|host| Listening {
                ingress: group.ingress,
                option: (group.section, key),
                at: ListenAt::Port(host.at(group.port)),
                proxied: host.proxied || group.proxied,
                diversion: group.ingress.is_diverted().then_some(self.intercept.mode),
                backlog,
            }));
        }
    }

    fn intercepting(&self) -> Group<'_> {
        let own = &self.intercept;
        let hosts: [(_, &[ListenHost]); 2] = [("host", &own.host), ("ipv6", &own.ipv6)];
        Group { ingress: Ingress::Intercept, section: "intercept", hosts, port: own.port, proxied: own.proxied }
    }

    fn tls_servers(&self) -> Group<'_> {
        let own = &self.tls;
        let hosts: [(_, &[ListenHost]); 2] = [("host", &own.host), ("ipv6", &own.ipv6)];
        Group { ingress: Ingress::Tls, section: "tls", hosts, port: own.port, proxied: own.proxied }
    }

    fn icap_servers(&self) -> Group<'_> {
        let own = &self.icap;
        let hosts: [(_, &[ListenHost]); 2] = [("host", &own.host), ("ipv6", &own.ipv6)];
        Group { ingress: Ingress::Icap, section: "icap", hosts, port: own.port, proxied: own.proxied }
    }

    fn passing(&self) -> Group<'_> {
        let own = &self.passthrough;
        let hosts: [(_, &[ListenHost]); 2] = [("host", &own.host), ("ipv6", &own.ipv6)];
        Group { ingress: Ingress::Passthrough, section: "passthrough", hosts, port: own.port, proxied: own.proxied }
    }
}
