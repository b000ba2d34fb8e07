//! From a request to its decision: the stages that it walks through, what is done about their judgement, and what becomes of a
//! request that no helper decided about.

use reactor::arena::Key;

use super::access::logins::{Login, Realm};
use super::{Proxy, Waits};
use crate::exchange::ingress::Ingress;
use crate::http::answer::Answer;
use crate::http::cause::Cause;
use crate::http::request::Request;
use crate::http::Method;
use crate::logs::{Usage, Word};
use crate::peer::ClientId;
use crate::policy::admission::{self, Judgement, Refusal, Stage, Subject};
use crate::policy::decision::{Decision, Verdict};
use crate::policy::lists::ListVerdict;
use crate::policy::Refused;
use crate::redirector::OnFailure;

impl Proxy {
    /// Decides about a request, or has helpers do so.
    pub(super) fn ask(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else { return };
        if client.session.exchange.ingress() == Ingress::Web {
            self.counters.monitor_requests += 1;
            return self.answer_monitor(key);
        }
        if self.asks_options(key) {
            return self.ask_for_options(key);
        }
        self.counters.requests += 1;
        let exchange = &client.session.exchange;
        if exchange.is_doubted() {
            let (peer, within) = (exchange.peer(), exchange.ingress() == Ingress::Icap);
            self.tell_doubt(peer, if within { "X-Client-IP of ICAP" } else { "a field of http.forward" });
        }
        let Some(request) = self.clients.get(key).and_then(|client| client.session.exchange.request()) else { return };
        if !request.leads_nowhere() {
            self.out.clear();
            request.target().host.write(&mut self.out);
            self.watch.hosts.note(&self.out);
        }
        let limited = self.limit(key);
        if limited.is_none() && self.tells_script(key) {
            return;
        }
        self.begin_walk(key, limited);
    }

    /// Takes a request through all stages of its decision.
    pub(super) fn begin_walk(&mut self, key: Key, limited: Option<Refused>) {
        self.walk(key, Stage::ALL, limited);
    }

    /// Takes a request through these stages of its decision, up to the one that settles it.
    fn walk(&mut self, key: Key, stages: &[Stage], limited: Option<Refused>) {
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let Some(request) = exchange.request() else { return };
        // A walk that ends with credentials does not come to the lists.
        let known = || request.user().is_some() || !self.has_users(Realm::Proxy);
        let judged = self.lists.is_some() && known() && stages.contains(&Stage::Lists);
        let listed = if judged { self.verdict(request) } else { None };
        let subject = self.subject(key, request, exchange.client(), self.helper_terms().is_some(), listed);
        let judgement = admission::walk(stages, &Subject { limited, ..subject });
        if let Some(verdict) = listed.filter(|_| !matches!(judgement, Judgement::Refuse(_))) {
            self.note_listed(key, verdict);
        }
        match judgement {
            Judgement::Pass => self.decided(key, Word::Permit, Decision::Forward),
            Judgement::Identify => {
                let login = self.log_in(key, Realm::Proxy);
                self.logged_in(key, login);
            }
            Judgement::Ask => self.consult(key),
            Judgement::Refuse(refusal) => self.refuse_by(key, &refusal, None),
            Judgement::Answer(answer) => {
                let request = self.clients.get(key).and_then(|client| client.session.exchange.request());
                let method = request.map(|request| String::from_utf8_lossy(request.method_name()).into_owned());
                self.note_usage(key, Word::Permit, method.as_deref());
                self.decide(key, Decision::Answer(answer));
            }
        }
    }

    /// Goes on with a request whose sender is known, or refuses it.
    pub(super) fn logged_in(&mut self, key: Key, login: Login) {
        match login {
            Login::User(user) => {
                self.with_exchange(key, |exchange, _| exchange.handle_user(user));
                self.walk(key, Stage::Credentials.followers(), None);
            }
            Login::Refused(cause) => self.refuse_by(key, &Refusal::Cause(cause), None),
            Login::Waits => {}
        }
    }

    /// What the lists say of a request before its name is looked up.
    fn verdict(&self, request: &Request) -> Option<ListVerdict> {
        self.lists.as_ref().map(|active| active.lists.judge_request(request))
    }

    fn subject<'a>(
        &'a self,
        key: Key,
        request: &'a Request,
        client: ClientId,
        helpers: bool,
        listed: Option<ListVerdict>,
    ) -> Subject<'a> {
        let lists = self.lists.as_ref();
        Subject {
            request,
            client,
            limited: None,
            arrived: self.arrived(key),
            rules: &self.settings.rules,
            policy: &self.policy,
            listed: listed.filter(|_| lists.is_some_and(|active| active.lists.enforced)),
            users: self.has_users(Realm::Proxy),
            helpers,
            spared: lists.is_some_and(|lists| lists.spared),
        }
    }

    /// Answers a request that a stage has refused: the client's, or what a helper has put in its place.
    fn refuse_by(&mut self, key: Key, refusal: &Refusal, other: Option<&Request>) {
        self.counters.refused += u64::from(matches!(refusal, Refusal::Policy(Refused::Port(_))));
        let place = match refusal {
            Refusal::Policy(refused) => self.note_refused(key, *refused).unwrap_or_default(),
            Refusal::Cause(_) => String::new(),
        };
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let request = other.or(exchange.request());
        let answer = self.answers.refusal(refusal, &place, request, exchange.client());
        self.refuse(key, answer);
    }

    /// Does what a helper says, within what policy allows.
    pub(super) fn obey(&mut self, key: Key, verdict: Verdict) {
        match verdict {
            Verdict::Permit => self.permit(key),
            Verdict::Rewrite(other) => self.rewrite(key, other),
            Verdict::Intercept(to, header) => self.decided(key, Word::Intercept, Decision::Intercept(to, header)),
            Verdict::Parent(to) => self.name_parent(key, *to),
            Verdict::Redirect(answer) => self.decided(key, Word::Redirect, Decision::Answer(answer)),
            Verdict::Answer(answer) => self.decided(key, Word::Local, Decision::Answer(answer)),
            Verdict::File(page) => self.serve_page(key, page),
        }
    }

    /// Puts another request in place of the client's, which has to pass the same stages, but for the helper's.
    fn rewrite(&mut self, key: Key, mut other: Box<Request>) {
        let Some(client) = self.clients.get(key) else { return };
        if let Some(own) = client.session.exchange.request() {
            other.follow(own);
        }
        other.set_user(client.session.exchange.user().cloned());
        let listed = self.verdict(&other);
        let subject = self.subject(key, &other, client.session.exchange.client(), false, listed);
        // Whose request it is was settled before helpers were asked: users who came into force since do not end the walk here.
        let judgement = admission::walk(Stage::ALL, &Subject { users: false, ..subject });
        if let Some(verdict) = listed.filter(|_| !matches!(judgement, Judgement::Refuse(_))) {
            self.note_rewritten(key, verdict, other.target());
        }
        match judgement {
            Judgement::Refuse(refusal) => self.refuse_by(key, &refusal, Some(&other)),
            Judgement::Answer(answer) => self.decided(key, Word::Rewrite, Decision::Answer(answer)),
            Judgement::Pass => self.decided(key, Word::Rewrite, Decision::Rewrite(other)),
            // Neither is asked for by this subject. A walk that stops has not seen every stage.
            Judgement::Ask | Judgement::Identify => {
                self.refuse_by(key, &Refusal::Cause(Cause::AuthenticationRequired), Some(&other));
            }
        }
    }

    /// A helper lets a request pass, or none is asked: what stands behind it still holds.
    pub(super) fn permit(&mut self, key: Key) {
        if self.asks_options(key) {
            return self.tell_options(key, Vec::new());
        }
        self.walk(key, Stage::Helper.followers(), None);
    }

    /// Answers a request that may not pass, or that is no sound request.
    fn refuse(&mut self, key: Key, answer: Box<Answer>) {
        let word = match answer.cause {
            Some(Cause::Client(_) | Cause::HelperFailed) => Word::Error,
            _ => Word::Deny,
        };
        let why = answer.cause.map_or_else(String::new, |cause| cause.to_string().to_ascii_uppercase());
        self.note_usage(key, word, Some(&why));
        self.decide(key, Decision::Answer(answer));
    }

    /// No helper has decided about a request, and none will; `why` tells the client the reason.
    pub(super) fn undecided(&mut self, key: Key, why: &str) {
        let Some(terms) = self.helper_terms().filter(|_| !self.asks_options(key)) else {
            return self.permit(key);
        };
        match terms.on_failure {
            OnFailure::Permit => {
                self.counters.undecided += 1;
                self.permit(key);
            }
            OnFailure::Deny => self.fail(key, Cause::Denied, ""),
            OnFailure::Error => self.fail(key, Cause::HelperFailed, why),
        }
    }

    /// Answers a request that no helper has decided about.
    pub(super) fn fail(&mut self, key: Key, cause: Cause, why: &str) {
        self.counters.undecided += 1;
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let answer = self.answers.explain(cause, exchange.request(), exchange.client(), why);
        self.refuse(key, answer);
    }

    /// The time for a decision is over.
    pub(super) fn decide_late(&mut self, key: Key) {
        let waits = self.clients.get(key).map(|client| client.waits);
        self.hang_up(key);
        match waits {
            Some(Waits::Page(_)) => self.page_late(key),
            Some(Waits::Check(_)) => self.login_late(key),
            Some(Waits::Reports(_)) => self.answer_with(key, &[]),
            _ => self.undecided(key, "no helper decided in time"),
        }
    }

    pub(super) fn decided(&mut self, key: Key, word: Word, decision: Decision) {
        self.note_usage(key, word, None);
        self.decide(key, decision);
    }

    fn decide(&mut self, key: Key, decision: Decision) {
        self.with_exchange(key, |exchange, cx| exchange.handle_decision(decision, cx));
    }

    /// Writes what was decided to the usage log: why, or for which host.
    fn note_usage(&mut self, key: Key, word: Word, why: Option<&str>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        self.counters.decided.note(word.name());
        if let Some(summary) = client.session.exchange.summary_mut() {
            summary.decision = Some(word.name());
        }
        let Some(log) = &mut self.usage else { return };
        let exchange = &client.session.exchange;
        let Some(request) = exchange.request() else { return };
        let host = request.target().host.to_string();
        let mut url = Vec::new();
        request.target().write_authority(&mut url);
        url.extend_from_slice(match request.method() {
            Method::Connect if request.opaque_kind().is_some() => b"",
            Method::Connect => b"/",
            _ => request.path(),
        });
        log.write(&Usage {
            connection: key.generation,
            port: client.local_address().port(),
            client: exchange.client(),
            user: request.user().map(|user| &**user),
            method: &String::from_utf8_lossy(request.method_name()),
            url: &String::from_utf8_lossy(&url),
            word,
            detail: why.unwrap_or(&host),
        });
    }
}
