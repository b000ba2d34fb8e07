//! The table of all options, the only place where an option is written down: section, name, kind, default, history,
//! meaning. The typed [`Config`], printing, help and documentation all come from it. It does not know where values
//! come from.

use super::destination::PassDestination;
use super::error::Mistakes;
use super::history::{bare, dashed, OptionHistory};
use super::listen::{Listen4, Listen6};
use super::lists::{
    ClientRanges, Ech, EvictionWord, FieldNames, HostNames, ListDefault, ListHelpers, ListMode, Methods, PlainPorts,
    Ports, Ranges, Services, Sni, TlsDestination, Tunnels,
};
use super::pac::PacDirect;
use super::parents::{ParentProxies, Said, SiteEntries};
use super::paths::{GivenFile, Hosts, ListFiles, NewFile, Pages, Program, Resolver, UsersPath, HOSTS, PAGES, RESOLVER};
use super::place::PathContext;
use super::table::options;
use super::text::{
    BareText, Extras, FieldName, Host, Host4, Host6, Level, Line, LineFormat, Nat64, OnFailure, Protocol, Pseudonym,
    Reactor, Sink, SyslogWord, Text, User,
};
use super::threads::Threads;
use super::unix::{SocketMode, SocketOwner, SocketPath};
use super::value::{Bytes, Count, Flag, Limit, PageStatus, Percent, Port, RateLimit, Seconds, Timeout, ValueType};
use super::words::{AnnounceWord, DivertMode, HostCheckWord, OnwardWord, RespmodWord};

/// One line of the table.
#[derive(Debug)]
pub struct OptionEntry {
    /// The section of the ini file, and the second word of the environment names.
    pub section: &'static str,
    /// The name within the section, with dashes.
    pub key: &'static str,
    /// An older name that is accepted too.
    pub alias: Option<&'static str>,
    /// The default as it would be written by a user.
    pub default: &'static str,
    /// Whether values are printed between quotes.
    pub quoted: bool,
    /// How the option stands to the original.
    pub history: OptionHistory,
    /// What the option does.
    pub help: &'static str,
    /// The text of its value in a configuration.
    pub text: fn(&Config, &PathContext) -> String,
}

impl OptionEntry {
    /// `section.key`
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// Whether it is left out when the configuration is printed, as inner matters of the program.
    pub fn hidden(&self) -> bool {
        matches!(self.section, "debug" | "proxy")
    }
}

/// The texts that were given for options, as [`Config::read`] asks for them.
pub(super) trait Texts {
    /// The value of one option; its default where what was given is wrong, which is noted.
    fn read<K: ValueType>(
        &self,
        entry: &'static OptionEntry,
        place: &PathContext,
        wrong: &mut Mistakes,
    ) -> Option<K::Value>;
}

use OptionHistory::{Changed, Kept, New, Obsolete, Unbuilt};

const UNLIMITED: OptionHistory = Changed("0 is accepted, as the original documented but refused.");
const OBEYED: OptionHistory = Changed("The original ignored it.");
const PROBE: OptionHistory = Obsolete("It only bounded one call to accept a connection, which never waits here.");
const SEVERAL: OptionHistory = Changed(
    "There may be several, each with a port of its own, and with the word proxied for a PROXY header on it alone.",
);
const PYTHON: OptionHistory = Obsolete("It belonged to the Python program.");

/// Upper bound of every number of connections: more than one address has ports for, and far from any overflow.
type Connections = Count<1, 10_000_000>;

options! {
    /// The log of requests, one line for each when it is over.
    access Access {
        destination: Sink = "stdout", New, "where the lines go, as in log.destination";
        enable: Flag = "false", New, "write one line for each request";
        format: LineFormat = "combined", New,
            "form of the lines: common, combined, squid, json, ecs, or a text with codes such as %h";
        keep: Count<0, 1000> = "5", New, "how many old files are kept when the lines go to a file";
        rotate: Limit = "5242880", New, "bytes after which the file is put aside and a new one begun, 0 = never";
    }

    /// Who may use the proxy, and where to.
    acl Acl {
        allowlist: ListFiles = "", New, "files of names and networks that may be reached";
        blocklist: ListFiles = "", New, "files of names and networks that may not be reached";
        clients: ClientRanges = "", New,
            "networks of the clients that may use the proxy, and users on Unix sockets (uid:1000, uid:* for all), others get 403; \
            empty = everybody";
        default: ListDefault = "allow", New, "whether what is on no list may be reached: allow or deny";
        helpers: ListHelpers = "all", New,
            "which requests helpers are asked about: all that no list refuses, or unlisted, those that no list allows either";
        mode: ListMode = "enforce", New,
            "enforce, or report: no list refuses anything, and what it would have refused is counted and logged";
        tell_list: Flag = "false", New, "tell clients the file and line that refuses their request";
    }

    /// Users of the proxy.
    auth Auth {
        enable: Flag = "false", New, "let only users with a password use the proxy (407 for others)";
        realm: Text = "exaproxy", New, "name under which the proxy and its monitor ask for a password";
        users: UsersPath = "", New, "file of the users: user:password or user:hash, one a line, as htpasswd writes it";
    }

    /// The cache.
    cache Cache {
        enable: Flag = "false", New, "keep responses in memory and answer from them, as RFC 9111 lets a shared cache do";
        eviction: EvictionWord = "lru", New,
            "which response goes first: lru, the one used least recently, or sieve, one not used lately, which costs less";
        object_size: Bytes<1, 1_073_741_824> = "1048576", New, "largest body of a response that is kept, in bytes";
        size: Bytes<65_536, 1_099_511_627_776> = "67108864", New, "bytes of memory for all that is kept, by all loops together";
        targeted: FieldNames = "", New, "fields that count in place of Cache-Control, such as CDN-Cache-Control";
    }

    /// The process itself.
    daemon Daemon {
        daemonize: Flag = "false", Kept, "go to the background";
        drain_delay: Timeout = "0", New,
            "seconds for which a soft stop (SIGQUIT) goes on to accept, so that a balancer sees it at /health and sends none any more";
        drain_timeout: Timeout = "0", New,
            "seconds that a soft stop (SIGQUIT) waits for clients to finish, 0 = as long as they need";
        identifier: BareText = "ExaProxy", Kept, "first word of every log line";
        no_new_privileges: Flag = "true", New,
            "keep helper programs from gaining rights by their set-user-id bit or capabilities; false for helpers that need them";
        pidfile: NewFile = "", Kept, "file that holds the process number while the program runs, empty = none";
        poll_interfaces: Flag = "true", Kept, "look for changed addresses of this machine while running";
        reactor: Reactor = "best", Obsolete("The best interface of the system is always used."),
            "kernel interface for events";
        speed: Count<1, 3600> = "2", Obsolete("The loop sleeps until something happens or the next timer is due."),
            "longest wait of the event loop, in seconds";
        threads: Threads = "1", New,
            "loops that serve clients, each in a thread of its own: 1, a number up to 64, or auto, one for each processor";
        user: User = "nobody",
            Changed("It need not exist unless the program is started as root; numbers will do, as user or user:group."),
            "account to run as when started as root, once the listeners are open";
        watchdog: Flag = "false", New,
            "end the process when a loop has not turned for 10 seconds, so that what supervises it starts it again";
    }

    /// Inner twins of the command line's switches; not printed.
    debug Debug {
        log: Flag = "false", Kept, "write all messages, like -d";
        memory: Flag = "false", PYTHON, "report the use of memory";
        pdb: Flag = "false", PYTHON, "start the Python debugger";
    }

    /// Name resolution.
    dns Dns {
        definitions: Text = "etc/exaproxy/dns/types",
            Obsolete("The record types are built in; the folder need not exist."),
            "table of record types";
        fqdn: Flag = "true", Kept, "refuse names without a dot";
        hosts: Hosts = HOSTS, New, "file of names that need no question, empty = none";
        nat64: Nat64 = "auto", New,
            "how IPv4 addresses are reached where IPv4 leads nowhere: through the gateway of this IPv6 prefix, of the one \
            that the network tells (auto), or not at all (off)";
        negative_ttl: Seconds<0> = "300", New, "most seconds to remember that a name does not exist";
        resolver: Resolver = RESOLVER, Changed("It has an effect, which it had not in the original. \
            Only when it is left alone are the other places searched."),
            "file that names the name servers";
        retries: Count<1, 1000> = "10", Kept, "how often one question is sent before the name counts as not resolved";
        timeout: Seconds<1> = "2", Kept, "seconds to wait for an answer before a question is sent again";
        ttl: Seconds<0> = "900", Changed("The time that the name server gives is obeyed below this bound."),
            "most seconds to remember an answer";
    }

    /// The proxy's clients and the servers they ask for.
    http Http {
        body_size: Limit = "0", New, "most bytes in the body of one request (413 above), 0 = no limit";
        client_connections: Count<0, 10_000_000> = "0", New,
            "most connections of one client (503 above), an IPv4 address or an IPv6 /64, 0 = no limit";
        client_requests: RateLimit = "0", New,
            "most requests of one client in a second, a minute or an hour, such as 100/s (429 above), and as many tunnels; \
             0 = no limit";
        compatible_status: Flag = "false", New, "answer failures with the status codes of ExaProxy 1.2, and always with a page";
        connect ("allow-connect"): Flag = "true", Kept, "allow CONNECT";
        connect_timeout: Seconds<1> = "20", New, "seconds for connecting to a server, all its addresses together";
        connections: Connections = "32768", Changed("Where descriptors are short it is lowered with a warning."),
            "most clients at a time, over IPv4 and IPv6 together";
        decision_timeout: Seconds<1> = "60", New,
            "seconds for deciding what to do with a request, the wait for a helper program included";
        drain_timeout: Seconds<0> = "5", New,
            "seconds to go on reading from a client whose connection is being closed, 0 = close at once";
        enable: Flag = "true", OBEYED, "serve the proxy";
        expect: Flag = "false", Kept, "answer 417 to requests with an Expect header, unless transparent";
        extensions: Methods = "", Changed("Every well-formed method is forwarded, named here or not."),
            "further request methods to allow";
        forward: FieldName = "", Kept,
            "header whose last address is the client for decisions, helpers and pages, when another proxy stands in front; \
             empty = none; X-Forwarded-For gets the other end of the connection all the same";
        half_close_timeout: Timeout = "60", New,
            "seconds that one direction may stay open after the other has ended, 0 = no limit";
        head_timeout: Timeout = "30", New,
            "seconds from the first byte of a request head to its last (408 after), and for a PROXY protocol header, 0 = no limit";
        header_size: Limit = "65536", UNLIMITED,
            "most bytes of a request head (431 above); 0 and anything above 1 MiB count as 1 MiB";
        idle_connect: Timeout = "300", UNLIMITED,
            "seconds that a connection may exist without a first request, 0 = no limit";
        idle_timeout: Timeout = "120", New, "seconds that a client may be silent between two requests, 0 = no limit";
        inactive_timeout: Timeout = "300", New,
            "seconds without one byte in either direction while a request is served, 0 = no limit";
        keepalive: Timeout = "60", New,
            "seconds of silence before TCP keep-alive asks whether the peer still exists, on both sides, 0 = off";
        mask: Flag = "false", Kept, "remove the header that http.forward names";
        pool: Count<0, 1_000_000> = "512", New,
            "most idle connections to servers that are kept for further requests, 0 = none";
        pool_timeout: Seconds<1> = "30", New, "seconds that an idle connection to a server is kept";
        proxied: Flag = "false", Changed("Version 2 as well; UNKNOWN and LOCAL keep the address of the connection."),
            "require a PROXY protocol header, version 1 or 2, in front of every connection's first request; only for \
             listeners that nobody but the balancer can reach";
        resolve_timeout: Seconds<1> = "20", New, "seconds for finding the addresses of a name";
        transparent: Flag = "false", Kept, "do not tell servers and clients that there is a proxy";
        trusted: ClientRanges = "0.0.0.0/0 ::/0 uid:*", New,
            "networks (and users, as uid:1000) of the balancers that are believed what they say of their clients: in a PROXY header, in the field \
             of http.forward";
        tunnel_timeout: Timeout = "3600", New, "seconds without one byte in either direction of a tunnel, 0 = no limit";
        via: Pseudonym = "", New,
            "name of this proxy in Via fields, empty = ExaProxy-VERSION-id-PID-RANDOM";
    }

    /// The ICAP server.
    icap Icap {
        connections: Connections = "32768", Kept, "most clients at a time";
        enable: Flag = "false", Changed("It works, which it did not in 1.2.1."),
            "tell other proxies over ICAP what to do with their requests, by lists and helpers";
        header_size: Limit = "65536", UNLIMITED,
            "most bytes of an ICAP head, the heads within are bounded by http.header-size; 0 and anything above 1 MiB count as 1 MiB";
        host: Listen4 = "127.0.0.1", SEVERAL, "IPv4 addresses to listen on, when tcp4.listen is true, as in tcp4.host";
        idle_connect: Timeout = "300", OBEYED,
            "seconds that a connection may exist without a first request, 0 = no limit";
        ipv6: Listen6 = "::", SEVERAL, "IPv6 addresses to listen on, when tcp6.listen is true, as in tcp6.host";
        path: SocketPath = "", New, "file of a Unix socket to listen on too, with unix.mode and unix.owner; empty = none";
        port: Port = "1344", Kept, "port to listen on";
        proxied: Flag = "false", Kept, "expect a PROXY protocol line";
        respmod: RespmodWord = "refuse", New,
            "what becomes of responses (RESPMOD): refuse (405), or allow, which lets them all pass, unread";
    }

    /// HTTP connections that the network diverts to the proxy.
    intercept Intercept {
        connections: Connections = "32768", New, "most clients at a time";
        destination: OnwardWord = "original", New,
            "where requests go: original = where their connection was going, name = to the host that they name";
        enable: Flag = "false", New, "serve diverted HTTP connections";
        host: Listen4 = "127.0.0.1", New, "IPv4 addresses to listen on, when tcp4.listen is true, as in tcp4.host";
        host_check: HostCheckWord = "log", New,
            "what becomes of a request whose host is not where its connection was going: log (where the host's addresses are known), \
             refuse (they are looked up; 403) or ignore";
        ipv6: Listen6 = "::", New, "IPv6 addresses to listen on, when tcp6.listen is true, as in tcp6.host";
        mode: DivertMode = "redirect", New,
            "how connections are diverted, those to tls and passthrough too: redirect or tproxy (docs/network.md)";
        port: Port = "3129", New, "port to listen on";
        proxied: Flag = "false", New,
            "require a PROXY protocol header, as http.proxied; where its client was going is the original destination";
        spoof: Flag = "false", New,
            "connect for diverted clients from their own addresses, with intercept.mode=tproxy";
    }

    /// The message log.
    log Log {
        client: Flag = "true", Kept, "messages about clients";
        configuration: Flag = "true", Kept, "messages about the configuration";
        daemon: Flag = "true", Kept, "messages about the process";
        destination: Sink = "stdout", Changed("stdout is standard output, not standard error; host:name:port works."),
            "where messages go: stdout, stderr, empty = syslog, host:name or host:name:port = UDP syslog, else a file";
        download: Flag = "true", Kept, "messages about connections to servers";
        enable: Flag = "true", Kept, "write messages at all";
        header: Flag = "true", Kept, "messages about request heads";
        http: Flag = "true", Kept, "messages about HTTP";
        keep: Count<0, 1000> = "5", New, "how many old files are kept when the log goes to a file";
        level: Level = "ERROR", Kept, "least severe messages to write: CRITICAL ERROR WARNING INFO DEBUG";
        manager: Flag = "true", Kept, "messages about the pool of helper programs";
        resolver: Flag = "true", Kept, "messages about name resolution";
        rotate: Limit = "5242880", New, "bytes after which a log file is put aside and a new one begun, 0 = never";
        server: Flag = "true", Kept, "messages about listeners";
        signal: Flag = "true", Kept, "messages about signals";
        supervisor: Flag = "true", Kept, "messages about start and stop";
        syslog: SyslogWord = "exaproxy", New,
            "form of lines for syslog, of all logs: exaproxy (as ever, with a NUL byte at the end), rfc3164 or rfc5424";
        web: Flag = "true", Kept, "messages about the monitoring pages";
        worker: Flag = "true", Changed("The usage log does not depend on it."), "messages about single helper programs";
    }

    /// The script by which browsers configure themselves, at /proxy.pac and /wpad.dat of proxy and monitor.
    pac Pac {
        direct: PacDirect = "", New, "hosts that browsers reach without the proxy: names, *.name or .name, addresses, networks";
        file: GivenFile = "", New, "file of the script, in place of the one that is made from the listeners";
    }

    /// Local pages that helpers name.
    pages NamedPages {
        block_status: PageStatus = "200", New,
            "status of a page that a helper names without one: 200, as ever, or 400 to 599; CONNECT gets 403 in place of 200";
    }

    /// Other proxies that requests are sent through.
    parent Parent {
        auth_file: GivenFile = "", New,
            "file of user:password for the parents, or HOST:PORT user:password for one of them, empty = none";
        except: SiteEntries = "", New, "hosts that no parent is used for, as in parent.for";
        r#for: SiteEntries = "", New,
            "hosts that parents are used for: names and networks as in lists, or file:NAME; empty = all";
        proxy: ParentProxies = "", New,
            "parents as host:port, in the order in which they are tried, and direct behind the last where servers may be reached without; \
             empty = none";
        proxy_protocol: AnnounceWord = "off", New, "header in front of connections to parents: off, v1 or v2";
        resolve: Said = "", New,
            "resolve names and judge their addresses before a parent gets them; has to be said beside security.deny and lists with networks";
    }

    /// Interception of raw TCP connections.
    passthrough Passthrough {
        connections: Connections = "32768", Kept, "most clients at a time";
        destination: PassDestination = "", New,
            "host:port for connections that were not diverted; empty = they are closed, unless a helper says where to";
        enable: Flag = "false", Kept, "accept intercepted TCP connections";
        host: Listen4 = "127.0.0.1", SEVERAL, "IPv4 addresses to listen on, when tcp4.listen is true, as in tcp4.host";
        idle_connect: Timeout = "300", OBEYED, "seconds that a connection may exist without a first byte, 0 = no limit";
        ipv6: Listen6 = "::", OBEYED, "IPv6 addresses to listen on, when tcp6.listen is true, as in tcp6.host";
        port: Port = "8000", Kept, "port to listen on";
        proxied: Flag = "false", OBEYED, "expect a PROXY protocol line";
    }

    /// The profiler of the original.
    profile Profile {
        destination: Text = "stdout", Kept, "where the profile goes";
        enable: Flag = "false", Unbuilt, "profile the program";
    }

    /// Inner matters; not printed.
    proxy Proxy {
        version: Text = env!("CARGO_PKG_VERSION"), Obsolete("The version is built in."), "version of the program";
    }

    /// The helper programs that decide about requests.
    redirector Redirector {
        concurrency: Count<0, 1000> = "0", New,
            "requests that a url helper has before it, each with a number in front; 0: one, without a number";
        enable: Flag = "false", Kept, "ask helper programs what to do with requests";
        extras: Extras = "%>a/%>A %un %>rm myip=%la myport=%lp", New,
            "what follows the URL in the line of Squid, with codes of its logformat, as its url_rewrite_extras";
        line: Line = "exaproxy", New,
            "fields of the lines that a url helper reads: exaproxy, or squid for programs that were written for Squid";
        maximum: Count<1, 10_000> = "25", Changed("It must not be below redirector.minimum."), "most helper programs";
        minimum: Count<1, 10_000> = "5", Kept, "helper programs that always run";
        on_failure: OnFailure = "error", New,
            "what a request gets that no helper decided about: error (a page and 503), permit or deny";
        program: Program = "etc/exaproxy/redirector/url-allow",
            Changed("It is looked for only when redirector.enable is true."),
            "helper program and its arguments";
        protocol: Protocol = "url", Kept, "language of the helper programs: url, or icap://host/path";
        queue: Count<0, 1_000_000> = "4096", New, "requests that may wait for a helper program";
        timeout: Seconds<1> = "10", New,
            "seconds that a helper program has for one reply before it is killed and another is asked";
    }

    /// Where clients may go.
    security Security {
        connect: Ports = "443 981 7000", Changed("Ranges such as 7000-7010 are accepted."),
            "ports that CONNECT may reach";
        deny: Ranges = "", Changed("Ranges are masked: 10.0.0.5/8 is 10.0.0.0/8."),
            "address ranges that may not be reached, as network/bits, judged by the address really connected to";
        ech: Ech = "follow", New,
            "what security.sni=enforce does with a differing name in front of an encrypted hello (ECH): follow = lists judge it, or refuse";
        local: Services = "", Changed("The documented `host:*`, `*:*` and `[IPv6]:port` work."),
            "services on this machine that may be reached, as host:port; either may be *";
        monitor: Flag = "false", New,
            "let clients of the proxy reach the monitoring pages through it, which security.local does not";
        ports: PlainPorts = "safe", New,
            "ports that requests other than CONNECT may go to: safe = all but those that browsers block, * = all";
        sni: Sni = "off", New,
            "whether the name in a tunnel's first TLS record must be that of CONNECT: off, log, or enforce, which closes others";
        tunnels: Tunnels = "any", New, "what may come in tunnels of CONNECT: any, or tls alone";
    }

    /// IPv4 sockets of the proxy.
    tcp4 Tcp4 {
        backlog: Count<1, 65535> = "200", Kept, "connections that may wait to be accepted";
        bind: Host4 = "0.0.0.0", Kept, "address that connections to servers come from, 0.0.0.0 = the system's choice";
        host: Listen4 = "127.0.0.1", SEVERAL,
            "addresses to listen on, with blanks or commas between them: address, address:port, address proxied";
        listen: Flag = "true", Kept, "listen on IPv4";
        out: Flag = "true", Changed("It holds for addresses in URLs too."), "connect to servers over IPv4";
        port: Port = "3128", Kept, "port to listen on";
        proxy_protocol: AnnounceWord = "off", New,
            "header in front of connections, of both families, that helpers intercept: off, v1 or v2; a reply may say proxy=v2";
        timeout: Count<1, 3600> = "5", PROBE, "seconds that accepting may take";
    }

    /// IPv6 sockets of the proxy.
    tcp6 Tcp6 {
        backlog: Count<1, 65535> = "200", Kept, "connections that may wait to be accepted";
        bind: Host6 = "::", Kept, "address that connections to servers come from, :: = the system's choice";
        host: Listen6 = "::1", SEVERAL,
            "addresses to listen on, with blanks or commas between them: address, [address]:port, address proxied";
        listen: Flag = "false", Kept, "listen on IPv6";
        out: Flag = "true", Changed("It holds for addresses in URLs too."), "connect to servers over IPv6";
        port: Port = "3128", Kept, "port to listen on";
        timeout: Count<1, 3600> = "5", PROBE, "seconds that accepting may take";
    }

    /// The TLS server, which sends connections on by the name in their first record.
    tls Tls {
        connections: Connections = "32768", Kept, "most clients at a time";
        destination: TlsDestination = "name", New,
            "where diverted connections go: to the name in their hello, or to their original destination";
        enable: Flag = "false", Kept, "serve intercepted TLS connections by their server name";
        header_size: Limit = "65536", UNLIMITED,
            "most bytes of a hello with its records, in tunnels too (security.sni); 0 and anything above 1 MiB count as 1 MiB";
        host: Listen4 = "127.0.0.1", SEVERAL, "IPv4 addresses to listen on, when tcp4.listen is true, as in tcp4.host";
        idle_connect: Timeout = "300", OBEYED,
            "seconds that a connection may exist without a first record, 0 = no limit";
        ipv6: Listen6 = "::", SEVERAL, "IPv6 addresses to listen on, when tcp6.listen is true, as in tcp6.host";
        port: Port = "443", Kept, "port to listen on";
        proxied: Flag = "false", Kept, "expect a PROXY protocol line";
    }

    /// Unix sockets, whose clients are processes of this machine.
    unix Unix {
        backlog: Count<1, 65535> = "200", New,
            "connections that may wait to be accepted; beyond them a client that does not wait gets an error";
        mode: SocketMode = "660", New,
            "permissions of the files of Unix sockets, in octal: who connects needs the one to write";
        owner: SocketOwner = "", New,
            "user, user:group or :group that the files belong to; empty = daemon.user when started as root, else the user that runs it";
        path: SocketPath = "", New,
            "file of a Unix socket that serves clients as the ports of the proxy do; they are known by their user (uid:1000); \
             empty = none";
    }

    /// The log of decisions, one line per request.
    usage Usage {
        destination: Sink = "stdout", Kept, "where the lines go, as in log.destination";
        enable: Flag = "false", Changed("Its lines are written also when log.worker is false; -d switches it on."),
            "write one line for each decision";
    }

    /// Monitoring pages and local pages.
    web Web {
        alarm_errors: Percent = "20", New,
            "percent of the requests of a minute, of at least 20, that have to fail until the log and the monitor tell; 0 = never";
        clients: ClientRanges = "", New,
            "networks (and users, as uid:1000) of those who may see the pages, /health and /metrics included; empty = everybody";
        connections: Connections = "100", Kept, "most clients at a time";
        debug: Flag = "false", Changed("It allowed a page that runs Python code, which does not exist any more."),
            "let the pages of control change things: helpers, debug messages, listening, soft stop, cache";
        enable: Flag = "true", Kept, "serve the monitoring pages";
        host: Host = "127.0.0.1", Kept, "address to listen on";
        html: Pages = PAGES, Changed("Pages are built in; a folder overrides them."),
            "folder of the pages for errors and helpers; the built-in ones when it is left alone and does not exist";
        listen: Flag = "true", New, "listen on web.host and web.port; false leaves web.path alone";
        names: HostNames = "", New,
            "names under which the pages may be asked for besides addresses, localhost and the name of this machine; * = any";
        path: SocketPath = "", New, "file of a Unix socket to listen on too, with unix.mode and unix.owner; empty = none";
        port: Port = "8080", Kept, "port to listen on";
        users: UsersPath = "", New,
            "file of the users who may see the pages, as in auth.users, but for /health and /metrics; empty = no password";
    }
}

/// The line of the table with this section and name, or older name.
pub fn find(section: &str, key: &str) -> Option<&'static OptionEntry> {
    OPTIONS.iter().find(|entry| entry.section == section && (entry.key == key || entry.alias == Some(key))).copied()
}
