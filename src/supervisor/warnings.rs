//! What an operator is told at a start and a reload: who else can reach the proxy or its monitor, and which rules can be
//! forged. Changes nothing.

use crate::config::listeners::Listening;
use crate::config::Config;
use crate::exchange::ingress::Ingress;
use crate::policy::networks::Networks;

/// The lines, in words for the log.
pub(super) fn of(config: &Config) -> Vec<String> {
    let listeners = config.listeners();
    let open = open_listeners(&listeners);
    let proxied = listeners.iter().any(|one| one.proxied);
    let (clients, http) = (&config.acl.clients, &config.http);
    let mut lines = Vec::new();
    if !open.is_empty() && clients.is_empty() && !config.auth.enable {
        let at = open.join(" and ");
        lines.push(format!("everybody who reaches {at} may use the proxy: acl.clients names those who may, auth.enable asks for passwords"));
    }
    let asked = listeners.iter().filter(|one| config.auth.enable && one.ingress.serves_unaware());
    for Listening { ingress, at, .. } in asked {
        let who = ingress.name();
        lines.push(format!("all clients of {at} ({who}) are refused: auth.enable asks for a user, and none of them knows of a proxy to tell one"));
    }
    let learned = match (&http.forward, proxied) {
        (Some(field), _) => Some(format!("the field {field}")),
        (None, true) => Some("a PROXY header".to_owned()),
        (None, false) => None,
    };
    let everybody = Networks::new(&http.trusted).is_whole();
    let rules = [
        ("acl.clients", !clients.is_empty()),
        ("auth.enable", config.auth.enable),
        ("http.client-connections", http.client_connections > 0),
        ("http.client-requests", http.client_requests.is_some()),
    ];
    let rules: Vec<&str> = rules.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    if let Some(source) = learned.filter(|_| everybody && !rules.is_empty()) {
        let rules = rules.join(" and ");
        lines.push(format!(
            "{rules} can be forged: http.trusted names the balancers that are believed, and is everybody ({source})"
        ));
    }
    let told = relays(&listeners);
    if !told.is_empty() && everybody {
        let (at, text) = (told.join(" and "), "may go to any port of any server, which a PROXY header says");
        lines.push(format!("everybody who reaches {at} {text}: http.trusted names the balancers that are believed"));
    }
    lines.extend(named_over_icap(config, &listeners));
    if config.intercept.spoof && proxied && everybody {
        let text = "connections may bear any address that somebody writes in a PROXY header";
        lines.push(format!("{text}: http.trusted names the balancers (intercept.spoof)"));
    }
    let web = &config.web;
    lines.extend(closed_paths(config));
    if web.enable && web.listen && !web.host.is_loopback() && web.clients.is_empty() && web.users.is_none() {
        let at = std::net::SocketAddr::new(web.host, web.port);
        lines.push(format!("everybody who reaches {at} may see the monitor: web.clients names those who may"));
    }
    lines
}

/// What a reload does not take over, in words for the log. `started` is what the start has read.
pub(super) fn of_reload(started: &Config, config: &Config) -> Vec<String> {
    let (old, new) = (&started.daemon, &config.daemon);
    let start = "start";
    let options = [
        ("daemonize", old.daemonize != new.daemonize, start),
        ("no-new-privileges", old.no_new_privileges != new.no_new_privileges, start),
        ("pidfile", old.pidfile != new.pidfile, start),
        ("threads", old.threads != new.threads, "start or upgrade"),
        ("user", old.user != new.user, start),
    ];
    let changed = options.into_iter().filter(|(_, differs, _)| *differs);
    changed.map(|(key, _, until)| format!("daemon.{key} stays as it was until the next {until}")).collect()
}

/// Where other machines can reach us and say where their connections go on to.
fn relays(listeners: &[Listening]) -> Vec<String> {
    let ports =
        listeners.iter().filter(|one| one.ingress.is_diverted() && one.proxied).filter_map(|one| one.at.address());
    ports.filter(|address| !address.ip().is_loopback()).map(|address| address.to_string()).collect()
}

/// Where clients on other machines can reach us.
fn open_listeners(listeners: &[Listening]) -> Vec<String> {
    let ports =
        listeners.iter().filter(|one| !one.ingress.is_local() && !one.proxied).filter_map(|one| one.at.address());
    ports.filter(|address| !address.ip().is_loopback()).map(|address| address.to_string()).collect()
}

/// Unix sockets through which no client gets.
fn closed_paths(config: &Config) -> Vec<String> {
    let (web, clients) = (&config.web, &config.acl.clients);
    let icap = &config.icap;
    let paths = [
        (config.http.enable, &config.unix.path, clients, "unix.path: acl.clients"),
        (icap.enable, &icap.path, clients, "icap.path: acl.clients"),
        (web.enable, &web.path, &web.clients, "web.path: web.clients"),
    ];
    let closed = paths.into_iter().filter(|(enable, path, clients, _)| {
        *enable && path.is_some() && !clients.is_empty() && !Networks::new(clients).has_users()
    });
    let line = |(_, _, _, options): (_, _, _, &str)| {
        format!("no client gets through at {options} names networks and no user (uid:1000, or uid:* for all)")
    };
    closed.map(line).collect()
}

/// Who is believed what is said over ICAP.
fn named_over_icap(config: &Config, listeners: &[Listening]) -> Option<String> {
    let icap: Vec<Listening> = listeners.iter().filter(|one| one.ingress == Ingress::Icap).cloned().collect();
    let open = open_listeners(&icap);
    let told = !open.is_empty() && Networks::new(&config.http.trusted).is_whole();
    told.then(|| {
        let at = open.join(" and ");
        format!(
            "everybody who reaches {at} may name clients and users over ICAP: http.trusted names the proxies that may"
        )
    })
}
