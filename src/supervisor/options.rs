//! What the parts of the program get to know, from what the configuration says: each its own small struct.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reactor::unix::SocketAccess;

use super::budget::lowered;
use crate::answers::Answers;
use crate::cache::evict::Eviction;
use crate::cache::CacheSettings;
use crate::config::listeners::Listening;
use crate::config::parents::SiteNames;
use crate::config::{Config, Loaded};
use crate::exchange::ingress::Ingress;
use crate::exchange::timers::Limits;
use crate::exchange::Settings;
use crate::http::answer::AnswerBody;
use crate::http::rules::Rules;
use crate::http::target::{Target, HTTP_PORT};
use crate::icap::reply::ServiceTag;
use crate::icap::ServiceSettings;
use crate::loader::folder::Folder;
use crate::loader::lists::{ListOptions, ListReader};
use crate::loader::names::NameOptions;
use crate::loader::parents::{ParentOptions, ParentReader, SiteSources};
use crate::loader::users::{UsersOptions, UsersReader};
use crate::monitor::episodes::EpisodeOptions;
use crate::policy::credentials::field::challenge;
use crate::policy::lists::names::ListKey;
use crate::policy::lists::{ListVerdict, Lists};
use crate::policy::networks::Networks;
use crate::policy::parents::Parents;
use crate::policy::tunnels::TunnelRules;
use crate::policy::{Policy, PolicyConfig};
use crate::proxy::{self, ClientLimits, DivertOptions, ListSetup, ListenAddress, Readers, UsersSetup};
use crate::redirector::dialect::Dialect;
use crate::redirector::helper::Program;
use crate::redirector::icap::Icap;
use crate::redirector::url::Url;
use crate::redirector::{self, pool};
use crate::system::descriptors::Budget;
use crate::system::owner::owner;
use crate::system::{files, hostname, privileges};
use crate::upstream::DialOptions;
use crate::web::pac::PacScript;
use crate::web::Facts;

/// What the loop needs to know, from what the configuration says.
pub(super) fn options(loaded: &Loaded, budget: Budget) -> Result<proxy::Options, String> {
    let config = &loaded.config;
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let (pages, answers) = answers(config)?;
    let (list_reader, lists) = lists(config)?.unzip();
    let (name_reader, names) = name_options(loaded).read().map_err(unreadable_names)?;
    let (user_readers, users) = users(config)?;
    let parent_reader = ParentReader::new(parent_options(config));
    let service = proxy::ServiceOptions {
        limits: Ingress::ALL.map(|ingress| match ingress {
            Ingress::Proxy => count(budget.http),
            Ingress::Web => count(budget.web),
            Ingress::Intercept => count(budget.intercept),
            Ingress::Tls => count(budget.tls),
            Ingress::Passthrough => count(budget.passthrough),
            Ingress::Icap => count(budget.icap),
        }),
        client_limits: ClientLimits {
            connections: u32::try_from(config.http.client_connections).unwrap_or(u32::MAX),
            requests: config.http.client_requests,
        },
        pipes: count(budget.pipes),
        settings: settings(config, count(budget.icap)),
        answers,
        policy: policy(config),
        divert: divert_options(config),
        dial_options: dial_options(config, count(budget.pool), count(budget.attempts)),
        names,
        parents: parents(config, lists.as_ref())?,
        lists,
        users,
        cache: cache(config),
        facts: facts(loaded, &budget)?,
        poll_interfaces: config.daemon.poll_interfaces,
    };
    Ok(proxy::Options {
        threads: config.daemon.threads.count(),
        watchdog: config.daemon.watchdog,
        places: places(config)?,
        inherited: proxy::InheritedSockets::default(),
        service,
        readers: Readers { names: name_reader, pages, lists: list_reader, parents: parent_reader, users: user_readers },
        redirector: redirector(config),
        drain_delay: config.daemon.drain_delay.unwrap_or_default().as_secs(),
        drain: config.daemon.drain_timeout.unwrap_or_default().as_secs(),
        pid_saved: false,
        shut: false,
    })
}

pub(super) fn unreadable_names(error: String) -> String {
    format!("cannot read {error} (dns.resolver, dns.hosts)")
}

/// The cache, if there is one.
fn cache(config: &Config) -> Option<CacheSettings> {
    let cache = &config.cache;
    cache.enable.then(|| CacheSettings {
        size: cache.size,
        object_size: cache.object_size,
        policy: if cache.eviction { Eviction::Sieve } else { Eviction::Lru },
        targeted: cache.targeted.clone(),
    })
}

/// The lists, read, if there is one.
fn lists(config: &Config) -> Result<Option<(ListReader, ListSetup)>, String> {
    let Some(options) = list_options(config) else { return Ok(None) };
    let (reader, lists) = options.read().map_err(|error| format!("acl: {error}"))?;
    Ok(Some((reader, ListSetup { lists, spared: config.acl.helpers, tell: config.acl.tell_list })))
}

/// The parents, with what their files say.
fn parents(config: &Config, lists: Option<&ListSetup>) -> Result<Parents, String> {
    let parents = parent_options(config).read()?;
    parents_fit(&parents, lists.map(|setup| &*setup.lists))?;
    Ok(parents)
}

/// A network in a list has to be judged before a parent gets a name, unless the operator says that it need not.
pub(super) fn parents_fit(parents: &Parents, lists: Option<&Lists>) -> Result<(), String> {
    match parents.resolve {
        None if !parents.chain.is_empty() && lists.is_some_and(Lists::have_ranges) => Err(
            "parent.resolve is not said, and there are networks in acl.blocklist or acl.allowlist: true = names are resolved \
             and judged here before a parent gets them, false = their addresses are for the parent to judge"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

pub(super) fn parent_options(config: &Config) -> ParentOptions {
    let parent = &config.parent;
    let sources =
        |names: &SiteNames, option| SiteSources { option, entries: names.entries.clone(), files: names.files.clone() };
    ParentOptions {
        places: parent.proxy.parents.clone(),
        direct: parent.proxy.direct,
        announce: parent.proxy_protocol,
        logins: parent.auth_file.clone(),
        only: (!parent.r#for.is_empty()).then(|| sources(&parent.r#for, "parent.for")),
        except: sources(&parent.except, "parent.except"),
        resolve: parent.resolve,
        key: list_key(),
    }
}

/// What browsers are told that configure themselves.
pub(super) fn script(config: &Config) -> Result<PacScript, String> {
    let Some(path) = &config.pac.file else { return Ok(PacScript::Made(config.pac.direct.clone())) };
    let read = files::read(path, MAX_SCRIPT + 1).and_then(|bytes| {
        files::fits(bytes.len() as u64, MAX_SCRIPT)?;
        Ok(bytes)
    });
    let bytes = read.map_err(|error| format!("pac.file: {}: {error}", path.display()))?;
    Ok(PacScript::Given(AnswerBody::Shared(bytes.into())))
}

/// Largest file of a script, in bytes: as much as browsers take.
const MAX_SCRIPT: u64 = 1 << 20;

/// The users of each realm, read.
fn users(config: &Config) -> Result<([Option<UsersReader>; 2], UsersSetup), String> {
    let [proxy, monitor] = users_options(config).map(|options| options.map(UsersOptions::read).transpose());
    let ((proxy_reader, proxy), (monitor_reader, monitor)) = (proxy?.unzip(), monitor?.unzip());
    Ok(([proxy_reader, monitor_reader], [proxy, monitor]))
}

/// The file of users of each realm, in the order of [`Realm::ALL`](crate::proxy::Realm).
pub(super) fn users_options(config: &Config) -> [Option<UsersOptions>; 2] {
    let of = |path: &Option<PathBuf>, option| path.clone().map(|path| UsersOptions { path, option });
    let proxy = of(&config.auth.users, "auth.users").filter(|_| config.auth.enable);
    [proxy, of(&config.web.users, "web.users").filter(|_| config.web.enable)]
}

/// What the lists say of `NAME[:PORT]`, in words.
pub(super) fn verdict(config: &Config, name: &str) -> Result<String, String> {
    let options = list_options(config).ok_or("there are no lists: acl.blocklist and acl.allowlist name them")?;
    let lists = options.lists().map_err(|error| format!("acl: {error}"))?;
    // A URL of http is checked for a request, whose path lists may judge; all else for a tunnel.
    let (authority, path, port) = match name.split_once("://") {
        Some(("http", rest)) => {
            let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            // A request without a path asks for `/`.
            (authority, Some(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }), HTTP_PORT)
        }
        Some(("https", rest)) => (rest.split(['/', '?']).next().unwrap_or_default(), None, CHECKED_PORT),
        _ => (name, None, CHECKED_PORT),
    };
    let target = match authority.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Target::from_authority(format!("[{address}]").as_bytes(), Some(port)),
        _ => Target::from_authority(authority.as_bytes(), Some(port)),
    };
    let target = target.map_err(|fault| format!("{name}: {fault}"))?;
    let verdict = lists.judge(&target.host, target.port, path.as_deref().map(str::as_bytes));
    let place = lists.place(verdict);
    let target = if path.is_some() { name.to_owned() } else { target.to_string() };
    Ok(match verdict {
        ListVerdict::Allowed(_) => format!("{target} is allowed by {place}"),
        ListVerdict::Blocked(_) => format!("{target} is refused by {place}"),
        ListVerdict::Unlisted if lists.have_ranges() => {
            format!("{target} is on no list and is allowed, unless its addresses are in a network that is refused")
        }
        ListVerdict::Unlisted => format!("{target} is on no list and is allowed"),
        ListVerdict::Open => format!("{target} is on no list and is allowed where its addresses are"),
    })
}

/// The port that a name is checked for where none is given.
const CHECKED_PORT: u16 = 443;

/// What names in lists are hashed with, the same for as long as the process runs.
fn list_key() -> ListKey {
    static RANDOM: OnceLock<RandomState> = OnceLock::new();
    let random = RANDOM.get_or_init(RandomState::new);
    ListKey(random.hash_one(0), random.hash_one(1))
}

pub(super) fn list_options(config: &Config) -> Option<ListOptions> {
    let acl = &config.acl;
    let used = !acl.blocklist.is_empty() || !acl.allowlist.is_empty();
    used.then(|| ListOptions {
        block: acl.blocklist.clone(),
        allow: acl.allowlist.clone(),
        closed: acl.default,
        enforced: !acl.mode,
        key: list_key(),
    })
}

fn facts(loaded: &Loaded, limits: &Budget) -> Result<Facts, String> {
    let web = &loaded.config.web;
    let names = hostname::names().into_iter().chain(web.names.iter().cloned()).collect();
    let (configuration, clients) = (loaded.facts(), Networks::new(&web.clients));
    let episodes = EpisodeOptions { alarm_errors: web.alarm_errors as u64, lowered: lowered(&loaded.config, limits) };
    Ok(Facts { configuration, control: web.debug, names, clients, script: script(&loaded.config)?, episodes })
}

/// Where to listen; the files of Unix sockets belong to the account that the process becomes, unless others are named.
pub(super) fn places(config: &Config) -> Result<Vec<ListenAddress>, String> {
    let (given, becomes) = (&config.unix.owner, &config.daemon.user);
    let listeners = config.listeners();
    let (uid, gid) = match listeners.iter().any(|one| one.at.address().is_none()) {
        false => (None, None),
        true if given.is_empty() => privileges::becomes(becomes).map_err(|error| error.to_string())?.unzip(),
        true => owner(given).map_err(|error| format!("unix.owner: {error}"))?,
    };
    let access = SocketAccess { mode: config.unix.mode, uid, gid };
    let place = |one: Listening| ListenAddress {
        ingress: one.ingress,
        proxied: one.proxied,
        diversion: one.diversion,
        at: one.at,
        access,
        backlog: u32::try_from(one.backlog).unwrap_or(u32::MAX),
    };
    Ok(listeners.into_iter().map(place).collect())
}

/// The folder of pages, if there is one, and what is said with them.
pub(super) fn answers(config: &Config) -> Result<(Option<Folder>, Answers), String> {
    let (compatible, block_status) = (config.http.compatible_status, config.pages.block_status);
    let challenge = challenge(&config.auth.realm).into();
    let Some(given) = config.web.html.clone() else {
        return Ok((None, Answers { compatible, block_status, challenge, ..Answers::built_in() }));
    };
    let (folder, pages) = Folder::load(given).map_err(|error| format!("web.html: {error}"))?;
    Ok((Some(folder), Answers { pages: Arc::new(pages), compatible, block_status, challenge }))
}

fn settings(config: &Config, icap_connections: usize) -> Settings {
    let http = &config.http;
    let limit = |value: Option<Duration>| millis(value.unwrap_or_default());
    let in_icap = config.redirector.enable && config.redirector.protocol != "url";
    Settings {
        limits: Limits {
            first: limit(http.idle_connect),
            first_tls: limit(config.tls.idle_connect),
            first_passthrough: limit(config.passthrough.idle_connect),
            first_icap: limit(config.icap.idle_connect),
            idle: limit(http.idle_timeout),
            head: limit(http.head_timeout),
            decision: millis(http.decision_timeout),
            resolve: millis(http.resolve_timeout),
            connect: millis(http.connect_timeout),
            inactive: limit(http.inactive_timeout),
            tunnel: limit(http.tunnel_timeout),
            half_close: limit(http.half_close_timeout),
            drain: millis(http.drain_timeout),
        },
        body_size: http.body_size.unwrap_or(0),
        rules: rules(config),
        trusted: Networks::new(&http.trusted),
        onward: config.intercept.destination,
        tunnels: TunnelRules {
            sni: config.security.sni,
            refuses_ech: config.security.ech,
            tls_alone: config.security.tunnels,
        },
        hello_size: config.tls.hello_bytes(),
        tls_by_name: !config.tls.destination,
        passthrough: config.passthrough.destination.clone(),
        icap: ServiceSettings {
            header_size: config.icap.head_bytes(),
            connections: icap_connections,
            respmod: config.icap.respmod,
            asks_helpers: in_icap,
            tag: ServiceTag { start: start_number(), generation: 0 },
        },
        keeps_hello: in_icap,
        summary: super::logs::remembered(config),
        leaving: false,
    }
}

fn redirector(config: &Config) -> Option<redirector::Options> {
    let given = &config.redirector;
    // What is wrong with the program was said when the configuration was checked.
    let path = given.program.path.clone().ok().filter(|_| given.enable)?;
    let dialect = match given.protocol.as_str() {
        "url" => {
            let extras = given.extras.clone();
            Dialect::Url(Url { line: given.line, extras, concurrency: given.concurrency })
        }
        uri => Dialect::Icap(Icap { uri: uri.to_owned() }),
    };
    let pool = pool::PoolSettings {
        minimum: given.minimum,
        maximum: given.maximum,
        timeout: millis(given.timeout),
        queue: given.queue,
        concurrency: dialect.concurrency(),
    };
    let program = Program { path, arguments: given.program.arguments.clone(), dialect };
    Some(redirector::Options { program, pool, on_failure: given.on_failure })
}

pub(super) fn name_options(loaded: &Loaded) -> NameOptions {
    let (config, dns) = (&loaded.config, &loaded.config.dns);
    NameOptions {
        resolv_conf: dns.resolver.clone(),
        hosts: dns.hosts.clone(),
        timeout: loaded.is_set("dns", "timeout").then_some(dns.timeout),
        attempts: loaded.is_set("dns", "retries").then_some(u32::try_from(dns.retries).unwrap_or(u32::MAX)),
        deadline: config.http.resolve_timeout,
        ttl: dns.ttl,
        negative_ttl: dns.negative_ttl,
        ipv4: config.tcp4.out,
        ipv6: config.tcp6.out,
        nat64: dns.nat64,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn rules(config: &Config) -> Rules {
    let http = &config.http;
    let forward = http.forward.as_deref().map(Into::into);
    Rules {
        transparent: http.transparent,
        forward,
        mask: http.mask,
        expect: http.expect,
        head_limit: http.head_bytes(),
        via: http.via.clone().unwrap_or_else(pseudonym).into(),
        ..Rules::default()
    }
}

/// A number that is the same for as long as the process runs, and another in others.
fn start_number() -> u32 {
    static RANDOM: OnceLock<u64> = OnceLock::new();
    *RANDOM.get_or_init(|| RandomState::new().hash_one(0)) as u32
}

/// Our name in Via fields, the same for as long as the process runs. Its number alone is that of others too: each container
/// has a process 1.
fn pseudonym() -> String {
    let random = start_number();
    format!("ExaProxy-{}-id-{}-{random:08x}", env!("CARGO_PKG_VERSION"), std::process::id())
}

fn policy(config: &Config) -> Policy {
    Policy::new(PolicyConfig {
        clients: Networks::new(&config.acl.clients),
        connect: config.http.connect,
        connect_ports: config.security.connect.clone(),
        ports: config.security.ports.clone(),
        fqdn: config.dns.fqdn,
        ipv4: config.tcp4.out,
        ipv6: config.tcp6.out,
        deny: config.security.deny.clone(),
        local: config.security.local.clone(),
        monitor: config.security.monitor,
    })
}

fn divert_options(config: &Config) -> DivertOptions {
    let intercept = &config.intercept;
    DivertOptions { host_check: intercept.host_check, spoof: intercept.spoof, announce: config.tcp4.proxy_protocol }
}

fn dial_options(config: &Config, pool: usize, attempts: usize) -> DialOptions {
    let (bind4, bind6) = (config.tcp4.bind, config.tcp6.bind);
    DialOptions {
        bind4: (!bind4.is_unspecified()).then_some(bind4),
        bind6: (!bind6.is_unspecified()).then_some(bind6),
        keepalive: config.http.keepalive.unwrap_or_default().as_secs(),
        pool,
        offers: 0,
        pool_timeout: millis(config.http.pool_timeout),
        attempts,
    }
}
