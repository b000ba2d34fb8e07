//! Why the proxy answers for itself, and with which status: one table for ours and one for those of the original, which
//! tools of its users match on (`http.compatible-status`). Knows neither pages nor how an answer is written.

use std::fmt;

use super::fault::{Fault, OriginFault};

/// Why a request gets an answer that no origin gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client's message is at fault.
    Client(Fault),
    /// The origin's message is at fault.
    Origin(OriginFault),
    /// The client may not use the proxy.
    ClientDenied,
    /// The client has as many connections as one may have (`http.client-connections`).
    TooManyConnections,
    /// The client asks too often (`http.client-requests`).
    TooManyRequests,
    /// The request has no credentials that could be read, and needs some.
    AuthenticationRequired,
    /// Its credentials are wrong.
    AuthenticationFailed,
    /// Its client has given wrong credentials too often.
    AuthenticationSlowed,
    /// Too many credentials wait to be checked.
    AuthenticationBusy,
    /// A list refuses it.
    Blocked,
    /// CONNECT is not allowed, or not to that port.
    ConnectNotAllowed,
    /// Requests other than CONNECT may not go to that port.
    PortNotAllowed,
    /// The address is one that must not be connected to.
    AddressNotAllowed,
    /// The host that the request names is not where its connection was going (`intercept.host-check`).
    HostMismatch,
    /// Nothing diverted the connection to this listener, which is for those alone.
    Undiverted,
    /// No address of the origin took the connection.
    ConnectFailed,
    /// No address of the origin took the connection in time.
    ConnectTimeout,
    /// The name does not exist, has no address, or the name servers refuse to tell.
    NameFailed,
    /// No name server answered in time.
    NameTimeout,
    /// The name has no dot, and such names are not looked up (`dns.fqdn`).
    NameShort,
    /// Too many names are being looked up, for this client or for all.
    TooManyNames,
    /// Heads take too much memory, those of this client or of all.
    TooManyHeads,
    /// The request has passed here before (RFC 9110 section 7.6).
    Loop,
    /// No helper gave a usable decision.
    HelperFailed,
    /// No helper gave a usable decision, which counts as a refusal.
    Denied,
    /// A local page that was asked for does not exist.
    PageMissing,
    /// The client's hello names another host than its CONNECT did (`security.sni`).
    SniMismatch,
    /// The client's hello names no host.
    SniMissing,
    /// The client's hello names another host than its CONNECT did, and may hide another hello (`security.ech`).
    SniEch,
    /// No hello can be read in what looks like TLS.
    BadHello,
    /// Something else than TLS, where only that may come.
    NotTls,
    /// It is not known where the connection is to go.
    NoDestination,
    /// No parent can be connected to.
    ParentFailed,
    /// Too much to do: no more connections, memory or descriptors at the moment.
    Overloaded,
}

/// Seconds after which a client may try again when we are overloaded (RFC 9110 section 10.2.3).
pub const RETRY_AFTER: u32 = 5;

impl Cause {
    /// The status, by the standards or, with `compatible`, as the original had it.
    ///
    /// The original closed without an answer on heads that are too large and on broken origins; those keep our statuses.
    pub fn status(self, compatible: bool) -> u16 {
        let (standard, original) = match self {
            Cause::Client(fault) => (fault.status(), original_of(fault)),
            Cause::Origin(fault) => (fault.status(), fault.status()),
            Cause::ClientDenied | Cause::Blocked => (403, 403),
            Cause::TooManyConnections => (503, 503),
            Cause::TooManyRequests => (429, 429),
            Cause::AuthenticationRequired | Cause::AuthenticationFailed => (407, 407),
            Cause::AuthenticationSlowed => (429, 429),
            Cause::AuthenticationBusy => (503, 503),
            Cause::ConnectNotAllowed => (403, 501),
            Cause::PortNotAllowed => (403, 403),
            Cause::AddressNotAllowed => (403, 400),
            Cause::HostMismatch | Cause::Undiverted => (403, 403),
            Cause::ConnectFailed => (502, 400),
            Cause::ConnectTimeout => (504, 400),
            Cause::NameFailed => (502, 503),
            Cause::NameTimeout => (504, 503),
            Cause::NameShort => (502, 200),
            Cause::TooManyNames | Cause::TooManyHeads => (503, 503),
            Cause::Loop => (502, 502),
            Cause::HelperFailed => (503, 200),
            Cause::Denied => (403, 403),
            Cause::PageMissing => (501, 501),
            Cause::SniMismatch | Cause::SniMissing | Cause::SniEch => (403, 403),
            Cause::BadHello | Cause::NotTls => (400, 400),
            Cause::NoDestination | Cause::ParentFailed => (502, 502),
            Cause::Overloaded => (503, 503),
        };
        match compatible {
            true => original,
            false => standard,
        }
    }

    /// Whether a rule refuses the request, and nothing has failed. A 407 to a request without credentials is a question, and
    /// none of them.
    pub fn is_refusal(self) -> bool {
        let by_client = matches!(self, Cause::ClientDenied | Cause::TooManyConnections | Cause::TooManyRequests);
        let by_user = matches!(self, Cause::AuthenticationFailed | Cause::AuthenticationSlowed);
        let by_target = matches!(
            self,
            Cause::Blocked | Cause::ConnectNotAllowed | Cause::PortNotAllowed | Cause::AddressNotAllowed
        );
        let by_hello = matches!(self, Cause::SniMismatch | Cause::SniMissing | Cause::SniEch | Cause::NotTls);
        let by_way = matches!(self, Cause::HostMismatch | Cause::Undiverted | Cause::Loop | Cause::Denied);
        by_client || by_user || by_target || by_hello || by_way
    }

    /// Whether something fails that neither a rule nor the client is the reason for: what an operator has to look after.
    pub fn is_failure(self) -> bool {
        let by_origin =
            matches!(self, Cause::Origin(_) | Cause::ConnectFailed | Cause::ConnectTimeout | Cause::ParentFailed);
        let by_name = matches!(self, Cause::NameFailed | Cause::NameTimeout | Cause::TooManyNames);
        let by_us =
            matches!(self, Cause::TooManyHeads | Cause::PageMissing | Cause::AuthenticationBusy | Cause::Overloaded);
        by_origin || by_name || by_us || self == Cause::HelperFailed
    }

    /// The page that explains it, by its name in the folder of pages.
    pub fn page(self) -> &'static str {
        match self {
            Cause::AddressNotAllowed | Cause::ConnectFailed | Cause::ConnectTimeout | Cause::ParentFailed => {
                "noconnect.html"
            }
            Cause::NameFailed | Cause::NameTimeout | Cause::NameShort | Cause::TooManyNames => "dns.html",
            Cause::HelperFailed => "internal_error.html",
            Cause::Denied => "deny.html",
            Cause::Blocked => "blocked.html",
            _ => "error.html",
        }
    }

    /// The word for it in logs and counters: the error type of Proxy-Status, and a narrower one where that is too wide.
    pub fn word(self) -> &'static str {
        match self {
            Cause::ClientDenied => "client_denied",
            Cause::AuthenticationRequired => "authentication_required",
            Cause::AuthenticationFailed => "authentication_failed",
            Cause::AuthenticationSlowed => "authentication_slowed",
            Cause::AuthenticationBusy => "authentication_busy",
            Cause::Blocked => "blocked",
            Cause::TooManyConnections => "too_many_connections",
            Cause::TooManyRequests => "too_many_requests",
            Cause::HostMismatch => "host_mismatch",
            Cause::SniMismatch => "sni_mismatch",
            Cause::SniMissing => "sni_missing",
            Cause::SniEch => "sni_ech",
            Cause::BadHello => "bad_hello",
            Cause::NotTls => "not_tls",
            Cause::NoDestination => "no_destination",
            Cause::ParentFailed => "parent_failed",
            Cause::Origin(OriginFault::ParentLogin) => "parent_login",
            Cause::Origin(OriginFault::ParentRefused) => "parent_refused",
            cause => cause.proxy_status(),
        }
    }

    /// The words of those that are refusals, and of nothing else.
    pub const REFUSALS: [&'static str; 14] = [
        "authentication_failed",
        "authentication_slowed",
        "blocked",
        "client_denied",
        "destination_ip_prohibited",
        "host_mismatch",
        "http_request_denied",
        "not_tls",
        "proxy_loop_detected",
        "sni_ech",
        "sni_mismatch",
        "sni_missing",
        "too_many_connections",
        "too_many_requests",
    ];

    /// Every word that [`Cause::word`] gives.
    pub const WORDS: [&'static str; 34] = [
        "authentication_busy",
        "authentication_failed",
        "authentication_required",
        "authentication_slowed",
        "bad_hello",
        "blocked",
        "client_denied",
        "connection_limit_reached",
        "connection_refused",
        "connection_terminated",
        "connection_timeout",
        "destination_ip_prohibited",
        "dns_error",
        "dns_timeout",
        "host_mismatch",
        "http_protocol_error",
        "http_request_denied",
        "http_request_error",
        "http_response_header_section_size",
        "http_response_timeout",
        "http_response_transfer_coding",
        "http_upgrade_failed",
        "no_destination",
        "not_tls",
        "parent_failed",
        "parent_login",
        "parent_refused",
        "proxy_internal_error",
        "proxy_loop_detected",
        "sni_ech",
        "sni_mismatch",
        "sni_missing",
        "too_many_connections",
        "too_many_requests",
    ];

    /// The error type of a Proxy-Status field (RFC 9209 section 2.3).
    pub fn proxy_status(self) -> &'static str {
        match self {
            Cause::Client(_) | Cause::BadHello | Cause::NotTls => "http_request_error",
            Cause::Origin(OriginFault::ClosedEarly) => "connection_terminated",
            Cause::Origin(OriginFault::HeadTimeout) => "http_response_timeout",
            Cause::Origin(OriginFault::HeadTooLarge | OriginFault::TooManyFields) => {
                "http_response_header_section_size"
            }
            Cause::Origin(OriginFault::BadCoding) => "http_response_transfer_coding",
            Cause::Origin(OriginFault::UnaskedSwitch) => "http_upgrade_failed",
            Cause::Origin(OriginFault::ParentLogin) => "proxy_configuration_error",
            Cause::Origin(OriginFault::ParentRefused) => "destination_unavailable",
            Cause::Origin(_) => "http_protocol_error",
            Cause::ClientDenied | Cause::Blocked | Cause::ConnectNotAllowed | Cause::PortNotAllowed | Cause::Denied => {
                "http_request_denied"
            }
            Cause::TooManyRequests => "http_request_denied",
            Cause::TooManyConnections => "connection_limit_reached",
            Cause::HostMismatch | Cause::Undiverted => "http_request_denied",
            Cause::AuthenticationRequired | Cause::AuthenticationFailed | Cause::AuthenticationSlowed => {
                "http_request_denied"
            }
            Cause::SniMismatch | Cause::SniMissing | Cause::SniEch => "http_request_denied",
            Cause::AddressNotAllowed => "destination_ip_prohibited",
            Cause::ConnectFailed => "connection_refused",
            Cause::ConnectTimeout => "connection_timeout",
            Cause::NameFailed | Cause::NameShort => "dns_error",
            Cause::NameTimeout => "dns_timeout",
            Cause::NoDestination => "destination_not_found",
            Cause::ParentFailed => "destination_unavailable",
            Cause::Loop => "proxy_loop_detected",
            Cause::HelperFailed | Cause::PageMissing => "proxy_internal_error",
            Cause::AuthenticationBusy | Cause::Overloaded | Cause::TooManyNames | Cause::TooManyHeads => {
                "connection_limit_reached"
            }
        }
    }
}

/// The original answered 400 to all that it could not parse, and knew 417.
fn original_of(fault: Fault) -> u16 {
    match fault.status() {
        501 | 505 => 400,
        status => status,
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Client(fault) => return fault.fmt(f),
            Cause::Origin(fault) => return fault.fmt(f),
            Cause::ClientDenied => "this client may not use the proxy",
            Cause::AuthenticationRequired => "this proxy asks for a user and a password",
            Cause::AuthenticationFailed => "the user or the password is wrong",
            Cause::AuthenticationSlowed => "there were too many wrong passwords from this address",
            Cause::AuthenticationBusy => "too many passwords wait to be checked",
            Cause::Blocked => "the rules of this proxy do not allow it",
            Cause::TooManyConnections => "this client has too many connections",
            Cause::TooManyRequests => "this client asks too often",
            Cause::ConnectNotAllowed => "CONNECT NOT ALLOWED",
            Cause::PortNotAllowed => "requests may not go to that port",
            Cause::AddressNotAllowed => "the address may not be connected to",
            Cause::HostMismatch => "the host is not where the connection was going",
            Cause::Undiverted => "this listener is for connections that the network diverts",
            Cause::ConnectFailed => "the server could not be connected to",
            Cause::ConnectTimeout => "the server could not be connected to in time",
            Cause::NameFailed => "the name could not be resolved",
            Cause::NameTimeout => "the name could not be resolved in time",
            Cause::NameShort => "the name has no domain",
            Cause::TooManyNames => "too many names are being looked up",
            Cause::TooManyHeads => "too many large heads are being held",
            Cause::Loop => "the request came back to this proxy",
            Cause::HelperFailed => "the redirector gave no usable answer",
            Cause::Denied => "the request is refused",
            Cause::PageMissing => "a local page is missing",
            Cause::SniMismatch => "the hello of TLS names another host than CONNECT",
            Cause::SniMissing => "the hello of TLS names no host",
            Cause::SniEch => "the hello of TLS names another host than CONNECT and may hide one",
            Cause::BadHello => "the hello of TLS cannot be read",
            Cause::NoDestination => "it is not known where the connection is to go",
            Cause::NotTls => "only TLS may come here, and this is something else",
            Cause::ParentFailed => "the next proxy could not be connected to",
            Cause::Overloaded => "the proxy has too much to do",
        })
    }
}

impl From<Fault> for Cause {
    fn from(fault: Fault) -> Cause {
        Cause::Client(fault)
    }
}

impl From<OriginFault> for Cause {
    fn from(fault: OriginFault) -> Cause {
        Cause::Origin(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_of_statuses() {
        let table = [
            (Cause::Client(Fault::BadLine), 400, 400),
            (Cause::Client(Fault::Expectation), 417, 417),
            (Cause::Client(Fault::BadMaxForwards), 400, 400),
            (Cause::Client(Fault::BadVersion), 505, 400),
            (Cause::Client(Fault::HeadTooLarge), 431, 431),
            (Cause::Client(Fault::TargetTooLarge), 414, 414),
            (Cause::Client(Fault::HeadTimeout), 408, 408),
            (Cause::Origin(OriginFault::NotHttp), 502, 502),
            (Cause::Origin(OriginFault::HeadTimeout), 504, 504),
            (Cause::ClientDenied, 403, 403),
            (Cause::AuthenticationRequired, 407, 407),
            (Cause::AuthenticationFailed, 407, 407),
            (Cause::AuthenticationSlowed, 429, 429),
            (Cause::AuthenticationBusy, 503, 503),
            (Cause::Blocked, 403, 403),
            (Cause::TooManyConnections, 503, 503),
            (Cause::TooManyRequests, 429, 429),
            (Cause::ConnectNotAllowed, 403, 501),
            (Cause::PortNotAllowed, 403, 403),
            (Cause::AddressNotAllowed, 403, 400),
            (Cause::HostMismatch, 403, 403),
            (Cause::Undiverted, 403, 403),
            (Cause::ConnectFailed, 502, 400),
            (Cause::ConnectTimeout, 504, 400),
            (Cause::NameFailed, 502, 503),
            (Cause::NameTimeout, 504, 503),
            (Cause::NameShort, 502, 200),
            (Cause::TooManyNames, 503, 503),
            (Cause::TooManyHeads, 503, 503),
            (Cause::HelperFailed, 503, 200),
            (Cause::Denied, 403, 403),
            (Cause::PageMissing, 501, 501),
            (Cause::SniMismatch, 403, 403),
            (Cause::SniMissing, 403, 403),
            (Cause::SniEch, 403, 403),
            (Cause::BadHello, 400, 400),
            (Cause::NotTls, 400, 400),
            (Cause::NoDestination, 502, 502),
            (Cause::ParentFailed, 502, 502),
            (Cause::Origin(OriginFault::ParentLogin), 502, 502),
            (Cause::Overloaded, 503, 503),
        ];
        for (cause, standard, original) in table {
            assert_eq!((cause.status(false), cause.status(true)), (standard, original), "{cause}");
        }
    }

    #[test]
    fn every_word_is_in_the_list_and_no_other() {
        use OriginFault::*;
        let faults = [NotHttp, BadField, BadByte, TooManyFields, HeadTooLarge, BadLength, LengthsDiffer, BadCoding];
        let others = [ClosedEarly, UnaskedSwitch, TooManyInterims, HeadTimeout, ParentLogin, ParentRefused];
        let mut causes: Vec<Cause> = faults.into_iter().chain(others).map(Cause::Origin).collect();
        causes.extend([
            Cause::ClientDenied,
            Cause::TooManyConnections,
            Cause::TooManyRequests,
            Cause::Blocked,
            Cause::ConnectNotAllowed,
            Cause::PortNotAllowed,
            Cause::AddressNotAllowed,
            Cause::HostMismatch,
            Cause::Undiverted,
            Cause::ConnectFailed,
            Cause::ConnectTimeout,
        ]);
        causes.extend([Cause::AuthenticationRequired, Cause::AuthenticationFailed]);
        causes.extend([Cause::AuthenticationSlowed, Cause::AuthenticationBusy]);
        causes.extend([Cause::NameFailed, Cause::NameTimeout, Cause::NameShort, Cause::Loop, Cause::HelperFailed]);
        causes.extend([
            Cause::Denied,
            Cause::PageMissing,
            Cause::SniMismatch,
            Cause::SniMissing,
            Cause::SniEch,
            Cause::BadHello,
            Cause::NotTls,
            Cause::NoDestination,
            Cause::ParentFailed,
            Cause::Overloaded,
            Cause::TooManyNames,
            Cause::TooManyHeads,
            Cause::Client(Fault::BadLine),
        ]);
        let words = |causes: &[Cause]| {
            let mut words: Vec<&str> = causes.iter().map(|cause| cause.word()).collect();
            words.sort_unstable();
            words.dedup();
            words
        };
        assert_eq!(words(&causes), Cause::WORDS);
        let (refusals, others): (Vec<Cause>, Vec<Cause>) = causes.into_iter().partition(|cause| cause.is_refusal());
        assert_eq!(words(&refusals), Cause::REFUSALS);
        assert!(words(&others).iter().all(|word| !Cause::REFUSALS.contains(word)), "{others:?}");
    }
}
