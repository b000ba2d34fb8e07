//! The stages of a decision: values that are walked in their order until one of them settles the request. Knows no answer's
//! page, no connection and no name server; where an address is judged, [`super::Policy`] is asked right before connecting.

use super::lists::ListVerdict;
use super::{Policy, Refused};
use crate::http::answer::{Answer, ALLOWED};
use crate::http::cause::Cause;
use crate::http::fault::Fault;
use crate::http::request::Request;
use crate::http::rules::Rules;
use crate::http::target::Host;
use crate::http::Method;
use crate::peer::ClientId;

/// One stage of a decision about a request of a proxy client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The request has not passed here before (RFC 9110 §7.6).
    Loop,
    /// Its connection was diverted, where its listener is for such alone, and asks for no tunnel there.
    Diverted,
    /// The client may use the proxy.
    Client,
    /// The client has neither too many connections nor asks too often.
    Limits,
    /// The client has proved to be a user, where that is asked for.
    Credentials,
    /// CONNECT is allowed, and to that port.
    Tunnel,
    /// Another request goes to a port that is allowed, or that one of this machine's services may have.
    Port,
    /// The request expects nothing that cannot be met.
    Expectation,
    /// Max-Forwards, where it counts, is a number.
    Forwards,
    /// The name is one that is looked up.
    Name,
    /// No list refuses the host.
    Lists,
    /// A helper is asked.
    Helper,
    /// The request is one that goes further (RFC 9110 §7.6.2).
    Recipient,
}

/// What a stage says.
#[derive(Debug)]
pub enum Judgement {
    /// The next stage is asked.
    Pass,
    /// The request is refused.
    Refuse(Refusal),
    /// Credentials are to be looked at; for a user the walk goes on behind this stage.
    Identify,
    /// A helper is to be asked; with its permission the walk goes on behind this stage.
    Ask,
    /// The request ends here, with this answer.
    Answer(Box<Answer>),
}

/// Why a request is refused before it is known where it would lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Because of what it is.
    Cause(Cause),
    /// Because of what it asks for.
    Policy(Refused),
}

/// What the stages look at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The request, or what a helper put in its place.
    pub request: &'a Request,
    /// Who it comes from.
    pub client: ClientId,
    /// What its limits say, which are asked once for a request of a client that may use the proxy.
    pub limited: Option<Refused>,
    /// How its connection came in: none of the listener's business, diverted, or not although it should be.
    pub arrived: Arrived,
    /// How requests are read.
    pub rules: &'a Rules,
    /// What is allowed.
    pub policy: &'a Policy,
    /// What the lists say of it, where they refuse.
    pub listed: Option<ListVerdict>,
    /// Only users may pass (`auth.enable`).
    pub users: bool,
    /// Helpers decide, and have not done so yet.
    pub helpers: bool,
    /// They are not asked about what a list allows (`acl.helpers`).
    pub spared: bool,
}

/// How the connection of a request came to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrived {
    /// As its client meant it to.
    Directly,
    /// Diverted, on its way to an origin.
    Diverted,
    /// To a listener for diverted connections, and not from there: it has no original destination, or that is a listener of ours.
    Undiverted,
    /// From this proxy itself, which has opened it for another one, and without a word of that in it.
    Back,
}

impl Stage {
    /// All stages in their order: what no helper may permit stands before it.
    pub const ALL: &'static [Stage] = &[
        Stage::Loop,
        Stage::Diverted,
        Stage::Client,
        Stage::Limits,
        Stage::Credentials,
        Stage::Tunnel,
        Stage::Port,
        Stage::Expectation,
        Stage::Forwards,
        Stage::Name,
        Stage::Lists,
        Stage::Helper,
        Stage::Recipient,
    ];

    /// The stages behind this one, in their order.
    pub fn followers(self) -> &'static [Stage] {
        match Stage::ALL.iter().position(|stage| *stage == self) {
            Some(place) => &Stage::ALL[place + 1..],
            None => Stage::ALL,
        }
    }

    /// What this stage says of a request.
    #[inline]
    pub fn judge(self, subject: &Subject<'_>) -> Judgement {
        let Subject { request, arrived, rules, policy, .. } = *subject;
        match self {
            Stage::Loop if arrived == Arrived::Back || request.via_contains(rules.via.as_bytes()) => {
                Judgement::refuse(Cause::Loop)
            }
            Stage::Diverted if request.opaque_kind().is_some() || arrived == Arrived::Directly => Judgement::Pass,
            Stage::Diverted => match arrived {
                _ if request.method() == Method::Connect => Judgement::refuse(Cause::Client(Fault::TunnelHere)),
                Arrived::Diverted | Arrived::Directly | Arrived::Back => Judgement::Pass,
                Arrived::Undiverted => Judgement::refuse(Cause::Undiverted),
            },
            Stage::Client => Judgement::of(policy.client_allowed(subject.client)),
            Stage::Limits => Judgement::of(subject.limited.map_or(Ok(()), Err)),
            Stage::Credentials if subject.users && request.user().is_none() => Judgement::Identify,
            // Where diverted connections may go is said by the rules of the network that divert them.
            Stage::Tunnel if request.method() == Method::Connect && request.opaque_kind().is_none() => {
                Judgement::of(policy.connect_allowed(request.target().port))
            }
            Stage::Port if request.method() != Method::Connect => {
                Judgement::of(policy.port_imaginable(&request.target().host, request.target().port))
            }
            Stage::Expectation if rules.refuses(request.expectation()) => {
                Judgement::refuse(Cause::Client(Fault::Expectation))
            }
            Stage::Forwards => match request.max_forwards() {
                Ok(_) => Judgement::Pass,
                Err(fault) => Judgement::refuse(Cause::Client(fault)),
            },
            Stage::Name => match &request.target().host {
                // Where its connection was going no name is looked up for it.
                Host::Name(name) if request.original().is_none() => Judgement::of(policy.name_allowed(name)),
                Host::Name(_) | Host::V4(_) | Host::V6(..) => Judgement::Pass,
            },
            Stage::Lists if request.leads_nowhere() => Judgement::Pass,
            Stage::Lists => match subject.listed {
                Some(ListVerdict::Blocked(reason)) => Judgement::Refuse(Refusal::Policy(Refused::Listed(reason))),
                _ => Judgement::Pass,
            },
            // What is allowed by a name that is only said spares no question.
            Stage::Helper
                if subject.helpers
                    && subject.spared
                    && request.original().is_none()
                    && matches!(subject.listed, Some(ListVerdict::Allowed(_))) =>
            {
                Judgement::Pass
            }
            Stage::Helper if subject.helpers => Judgement::Ask,
            Stage::Recipient if request.leads_nowhere() => Judgement::refuse(Cause::NoDestination),
            Stage::Recipient => match (request.max_forwards(), request.method()) {
                (Ok(Some(0)), Method::Trace) => Judgement::Answer(Box::new(Answer::trace(request))),
                (Ok(Some(0)), _) => Judgement::Answer(Box::new(Answer::options(ALLOWED))),
                _ => Judgement::Pass,
            },
            Stage::Loop | Stage::Credentials | Stage::Tunnel | Stage::Port | Stage::Expectation | Stage::Helper => {
                Judgement::Pass
            }
        }
    }
}

impl Judgement {
    fn refuse(cause: Cause) -> Judgement {
        Judgement::Refuse(Refusal::Cause(cause))
    }

    fn of(allowed: Result<(), Refused>) -> Judgement {
        allowed.map_or_else(|refused| Judgement::Refuse(Refusal::Policy(refused)), |()| Judgement::Pass)
    }
}

/// Walks these stages up to the first that does not let the request pass.
pub fn walk(stages: &[Stage], subject: &Subject<'_>) -> Judgement {
    let mut judgements = stages.iter().map(|stage| stage.judge(subject));
    judgements.find(|judgement| !matches!(judgement, Judgement::Pass)).unwrap_or(Judgement::Pass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::lists::line::ListFormat;
    use crate::policy::lists::list::ListReading;
    use crate::policy::lists::names::ListKey;
    use crate::policy::lists::Lists;
    use crate::policy::networks::{ClientRange, Networks};
    use crate::policy::ports::PortSet;
    use crate::policy::rates::{Rate, RateSpan};
    use crate::policy::shares::ClientKey;
    use crate::policy::PolicyConfig;

    fn policy() -> Policy {
        Policy::new(PolicyConfig {
            clients: Networks::new(&[ClientRange::parse("192.0.2.0/24").unwrap()]),
            connect: true,
            connect_ports: vec![443..=443],
            ports: vec![PortSet::Safe],
            fqdn: true,
            ipv4: true,
            ipv6: true,
            deny: Vec::new(),
            local: Vec::new(),
            monitor: false,
        })
    }

    fn lists() -> Lists {
        let list = |text: &str| {
            let mut reading = ListReading::new(ListKey(1, 2));
            reading.begin("f");
            reading.read(text.as_bytes(), ListFormat::Lines);
            reading.finish().unwrap()
        };
        Lists { block: list("bad.example\nshort"), allow: list("good.example"), enforced: true, ..Lists::default() }
    }

    /// What the walk says of a request, in a word.
    fn word(first: &str, fields: &str, helpers: bool) -> String {
        word_for("192.0.2.7", None, first, fields, (helpers, false, None))
    }

    /// The same for this client, with helpers, and with users, of whom one has sent it.
    fn word_for(
        client: &str,
        limited: Option<Refused>,
        first: &str,
        fields: &str,
        (helpers, users, user): (bool, bool, Option<&str>),
    ) -> String {
        let client = client.parse().unwrap();
        let (rules, policy) = (Rules::default(), policy());
        let head = format!("{first} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
        let mut request = Request::parse(head.as_bytes(), &rules).unwrap();
        request.set_user(user.map(Into::into));
        let subject = Subject {
            request: &request,
            client,
            limited,
            arrived: Arrived::Directly,
            rules: &rules,
            policy: &policy,
            listed: Some(lists().judge_request(&request)),
            users,
            helpers,
            spared: true,
        };
        match walk(Stage::ALL, &subject) {
            Judgement::Pass => "pass".to_owned(),
            Judgement::Identify => "identify".to_owned(),
            Judgement::Ask => "ask".to_owned(),
            Judgement::Refuse(Refusal::Cause(cause)) => format!("{cause:?}"),
            Judgement::Refuse(Refusal::Policy(refused)) => format!("{refused:?}"),
            Judgement::Answer(answer) => answer.status.to_string(),
        }
    }

    #[test]
    fn the_first_stage_that_objects_settles_the_request() {
        let via = format!("Via: 1.1 {}\r\n", Rules::default().via);
        let table = [
            ("GET http://a.example/", "", "pass", "ask"),
            ("GET http://a.example/", via.as_str(), "Loop", "Loop"),
            ("CONNECT a.example:443", "", "pass", "ask"),
            ("CONNECT a.example:22", via.as_str(), "Loop", "Loop"),
            ("CONNECT a.example:22", "Expect: x\r\n", "ConnectPort(22)", "ConnectPort(22)"),
            ("GET http://a.example:25/", "Expect: x\r\n", "Port(25)", "Port(25)"),
            ("GET http://short:6667/", "", "Port(6667)", "Port(6667)"),
            ("GET http://short/", "Expect: x\r\n", "Client(Expectation)", "Client(Expectation)"),
            ("GET http://short/", "", "Name", "Name"),
            ("GET http://bad.example/", "", "Listed(Line(0))", "Listed(Line(0))"),
            ("CONNECT bad.example:22", "", "ConnectPort(22)", "ConnectPort(22)"),
            ("CONNECT good.example:443", "", "pass", "pass"),
            ("OPTIONS http://a.example/", "Max-Forwards: x\r\n", "Client(BadMaxForwards)", "Client(BadMaxForwards)"),
            ("OPTIONS http://a.example/", "Max-Forwards: 0\r\n", "200", "ask"),
            ("TRACE http://a.example/", "Max-Forwards: 0\r\n", "200", "ask"),
        ];
        for (first, fields, without, with) in table {
            let host = if first.contains("short") { "" } else { fields };
            let fields = if host.is_empty() { fields } else { host };
            assert_eq!(word(first, fields, false), without, "{first} {fields}");
            assert_eq!(word(first, fields, true), with, "{first} {fields} with helpers");
        }
    }

    #[test]
    fn what_came_to_a_listener_for_diverted_connections_was_diverted_and_asks_for_no_tunnel() {
        let (rules, policy, lists) = (Rules::default(), policy(), lists());
        let judge = |line: &str, arrived: Arrived| {
            let request = Request::parse(format!("{line} HTTP/1.1\r\nHost: a.example\r\n\r\n").as_bytes(), &rules);
            let request = request.unwrap();
            let subject = Subject {
                request: &request,
                client: "192.0.2.7".parse().unwrap(),
                limited: None,
                arrived,
                rules: &rules,
                policy: &policy,
                listed: Some(lists.judge_request(&request)),
                users: false,
                helpers: false,
                spared: false,
            };
            match walk(Stage::ALL, &subject) {
                Judgement::Refuse(Refusal::Cause(cause)) => format!("{cause:?}"),
                other => format!("{other:?}"),
            }
        };
        for (line, arrived, wanted) in [
            ("GET /", Arrived::Directly, "Pass"),
            ("GET /", Arrived::Diverted, "Pass"),
            ("GET http://a.example/", Arrived::Diverted, "Pass"),
            ("GET /", Arrived::Undiverted, "Undiverted"),
            ("CONNECT a.example:443", Arrived::Directly, "Pass"),
            ("CONNECT a.example:443", Arrived::Diverted, "Client(TunnelHere)"),
            ("CONNECT a.example:443", Arrived::Undiverted, "Client(TunnelHere)"),
            ("CONNECT a.example:443", Arrived::Back, "Loop"),
        ] {
            assert_eq!(judge(line, arrived), wanted, "{line} {arrived:?}");
        }
    }

    /// Who says the name of an allowed host decides nothing by it: where its connection goes is another matter.
    #[test]
    fn an_allowed_name_that_is_only_said_spares_no_question() {
        let (rules, policy, lists) = (Rules::default(), policy(), lists());
        let mut request = Request::parse(b"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n", &rules).unwrap();
        for (sent_on, asked) in [(false, false), (true, true)] {
            if sent_on {
                request.send_on("198.51.100.1:80".parse().unwrap());
            }
            let subject = Subject {
                request: &request,
                client: "192.0.2.7".parse().unwrap(),
                limited: None,
                arrived: Arrived::Diverted,
                rules: &rules,
                policy: &policy,
                listed: Some(lists.judge_request(&request)),
                users: false,
                helpers: true,
                spared: true,
            };
            assert_eq!(matches!(walk(Stage::ALL, &subject), Judgement::Ask), asked, "{sent_on}");
        }
    }

    #[test]
    fn clients_are_judged_behind_the_loop_and_before_all_else() {
        let via = format!("Via: 1.1 {}\r\n", Rules::default().via);
        assert_eq!(
            word_for("192.0.3.7", None, "CONNECT a.example:22", "", (true, true, None)),
            "Client(Address(192.0.3.7))"
        );
        assert_eq!(word_for("192.0.3.7", None, "CONNECT a.example:22", &via, (true, true, None)), "Loop");
    }

    #[test]
    fn limits_are_behind_the_client_and_before_what_is_asked_for() {
        let one = ClientKey::V4([192, 0, 2, 7].into());
        let rate = Rate::new(5, RateSpan::Second).unwrap();
        for (limit, word) in
            [(Refused::Connections(one, 3), "Connections"), (Refused::Requests(one, rate, 1), "Requests")]
        {
            for (client, word) in [("192.0.2.7", word), ("192.0.3.7", "Client(")] {
                let said = word_for(client, Some(limit), "CONNECT bad.example:22", "", (true, true, None));
                assert!(said.starts_with(word), "{said}");
            }
        }
    }

    #[test]
    fn credentials_are_asked_for_before_anything_is_told_of_what_is_asked_for() {
        for (user, word) in [(None, "identify"), (Some("ann"), "ConnectPort(22)")] {
            assert_eq!(word_for("192.0.2.7", None, "CONNECT a.example:22", "", (true, true, user)), word);
        }
        let via = format!("Via: 1.1 {}\r\n", Rules::default().via);
        assert_eq!(word_for("192.0.2.7", None, "GET http://a.example/", &via, (true, true, None)), "Loop");
        assert_eq!(word_for("192.0.2.7", None, "GET http://a.example/", "", (false, false, None)), "pass");
    }

    #[test]
    fn the_followers_of_a_stage_are_all_behind_it() {
        for (place, stage) in Stage::ALL.iter().enumerate() {
            assert_eq!(stage.followers(), &Stage::ALL[place + 1..], "{stage:?}");
        }
        assert_eq!(Stage::Helper.followers(), [Stage::Recipient]);
    }
}
