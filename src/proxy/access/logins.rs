//! Users within the hub: whose request it is, what is asked of the threads that check passwords, what becomes of requests that
//! wait for them, and other users in the place of those before.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use reactor::arena::Key;
use reactor::ready::Ready;
use reactor::Millis;
use zeroize::Zeroizing;

use crate::exchange::ingress::Ingress;
use crate::http::cause::Cause;
use crate::monitor::users::{Users, UsersFile};
use crate::peer::ClientId;
use crate::policy::credentials::failures::LoginFailures;
use crate::policy::credentials::field::{Credentials, GivenCredentials};
use crate::policy::credentials::kept::{Fingerprint, KeptLogins};
use crate::policy::credentials::users::UserTable;
use crate::policy::shares::ClientKey;
use crate::proxy::loops::common::Common;
use crate::proxy::{Proxy, Waits};
use crate::verifier::{Checked, PasswordCheck, Verifier};

/// Most requests that wait for one check: all of them are answered in one turn when it ends.
const MOST_WAITERS: usize = 256;

/// What a file of users is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Realm {
    /// The proxy (`auth.users`).
    Proxy,
    /// The monitor (`web.users`).
    Monitor,
}

impl Realm {
    /// All of them, in the order of their places.
    pub const ALL: [Realm; 2] = [Realm::Proxy, Realm::Monitor];
}

/// The users of each realm; None where no client has to prove anything.
pub type UsersSetup = [Option<Arc<UserTable>>; Realm::ALL.len()];

/// Whose request it is.
#[derive(Debug)]
pub(in crate::proxy) enum Login {
    /// This user's.
    User(Arc<str>),
    /// No user's.
    Refused(Cause),
    /// A password is being checked.
    Waits,
}

/// The users of a realm that are in force.
#[derive(Debug)]
struct ActiveUsers {
    table: Arc<UserTable>,
    kept: Kept,
    file: UsersFile,
}

/// Which credentials were found right: remembered by this loop alone, or by all together under the place of the realm.
#[derive(Debug)]
enum Kept {
    Own(KeptLogins),
    Shared(Arc<Common>, usize),
}

impl Kept {
    /// Looks at them, at a time of their own clock.
    fn at<R>(&mut self, now: Millis, look: impl FnOnce(&mut KeptLogins, Millis) -> R) -> R {
        match self {
            Kept::Own(kept) => look(kept, now),
            Kept::Shared(common, realm) => look(&mut common.kept(*realm), common.now()),
        }
    }

    /// How many there are. What all loops share is told by the first.
    fn len(&self, first: bool) -> usize {
        match self {
            Kept::Own(kept) => kept.len(),
            Kept::Shared(common, realm) if first => common.kept(*realm).len(),
            Kept::Shared(..) => 0,
        }
    }
}

/// A password that is being checked, or waits for that.
#[derive(Debug)]
struct UnderWay {
    realm: Realm,
    fingerprint: Fingerprint,
    user: Arc<str>,
    client: ClientId,
    /// The sessions that want to know.
    who: Vec<Key>,
}

/// All there is of users.
#[derive(Debug)]
pub(in crate::proxy) struct Logins {
    secret: (u64, u64),
    active: [Option<ActiveUsers>; Realm::ALL.len()],
    failures: LoginFailures,
    /// What all loops see, where there are several: then failures are noted there.
    common: Option<Arc<Common>>,
    verifier: Verifier,
    checks: HashMap<u64, UnderWay>,
    /// The checks by what they are about: who asks for the same waits for the same.
    by_fingerprint: HashMap<Fingerprint, u64>,
}

impl Logins {
    /// No users yet.
    fn new(common: Option<Arc<Common>>) -> Logins {
        let random = RandomState::new();
        Logins {
            secret: (random.hash_one(0), random.hash_one(1)),
            active: [None, None],
            failures: LoginFailures::default(),
            verifier: if common.is_some() { Verifier::small() } else { Verifier::default() },
            common,
            checks: HashMap::new(),
            by_fingerprint: HashMap::new(),
        }
    }

    /// Looks at who has failed, at a time of their own clock.
    fn failures<R>(&mut self, now: Millis, look: impl FnOnce(&mut LoginFailures, Millis) -> R) -> R {
        match &self.common {
            Some(common) => look(&mut common.failures(), common.now()),
            None => look(&mut self.failures, now),
        }
    }

    fn active(&self, realm: Realm) -> Option<&ActiveUsers> {
        self.active[realm as usize].as_ref()
    }

    /// Puts other users in the place of those before, which come back to be dropped. Users that stay what they are stay
    /// logged in.
    fn replace(&mut self, realm: Realm, table: Arc<UserTable>, now: u64) -> Arc<UserTable> {
        let secret = (self.secret.0, self.secret.1.wrapping_add(realm as u64));
        let common = self.common.clone();
        let own = || Kept::Own(KeptLogins::new(secret));
        let kept = || common.map_or_else(own, |common| Kept::Shared(common, realm as usize));
        let active = self.active[realm as usize].get_or_insert_with(|| ActiveUsers {
            table: Arc::default(),
            kept: kept(),
            file: UsersFile::default(),
        });
        let file = &mut active.file;
        (file.count, file.read, file.stale) = (table.len() as u64, now, None);
        if file.generation > 0 && active.table == table {
            return table;
        }
        file.generation += 1;
        active.kept.at(0, |kept, _| kept.forget());
        std::mem::replace(&mut active.table, table)
    }

    /// A session waits for a check no more. Where no other does, a check that has not begun is not made.
    pub(in crate::proxy) fn leave(&mut self, number: u64, key: Key) {
        let Some(check) = self.checks.get_mut(&number) else { return };
        check.who.retain(|other| *other != key);
        if check.who.is_empty() && self.verifier.cancel(ClientKey::from(check.client), number) {
            self.by_fingerprint.remove(&check.fingerprint);
            self.checks.remove(&number);
        }
    }

    /// Has this check not begun?
    pub(in crate::proxy) fn is_queued(&self, number: u64) -> bool {
        self.checks.get(&number).is_some_and(|check| self.verifier.is_queued(ClientKey::from(check.client), number))
    }
}

impl Proxy {
    /// Begins no check of a password from now on, or goes on.
    pub(in crate::proxy) fn hold_checks(&mut self, held: bool) {
        if let Some(Err(error)) = self.logins.as_mut().map(|logins| logins.verifier.hold(held)) {
            log::error!(target: "server", "no passwords can be checked: cannot start a thread: {error}");
        }
    }

    pub(in crate::proxy) fn checks_are_idle(&self) -> bool {
        self.logins.as_ref().is_none_or(|logins| logins.verifier.is_idle())
    }

    pub(in crate::proxy) fn park_checks(&mut self) {
        if let Some(logins) = &mut self.logins {
            logins.verifier.park();
        }
    }

    /// Do only users get through?
    pub(in crate::proxy) fn has_users(&self, realm: Realm) -> bool {
        self.logins.as_ref().is_some_and(|logins| logins.active(realm).is_some())
    }

    /// What pages tell of users.
    pub(in crate::proxy) fn users(&self) -> Users {
        let Some(logins) = &self.logins else { return Users::default() };
        let file = |realm| logins.active(realm).map_or_else(UsersFile::default, |active| active.file.clone());
        Users {
            waiting: logins.verifier.waiting() as u64,
            kept: logins.active.iter().flatten().map(|active| active.kept.len(self.is_first()) as u64).sum(),
            proxy: file(Realm::Proxy),
            monitor: file(Realm::Monitor),
        }
    }

    /// Finds out whose request a session's is. Where a password has to be checked, the session waits.
    pub(in crate::proxy) fn log_in(&mut self, key: Key, realm: Realm) -> Login {
        let now = self.clock.now();
        let refused = Login::Refused(Cause::AuthenticationRequired);
        let (Some(client), Some(logins)) = (self.clients.get(key), self.logins.as_deref_mut()) else { return refused };
        let exchange = &client.session.exchange;
        let (Some(request), Some(active)) = (exchange.request(), &mut logins.active[realm as usize]) else {
            return refused;
        };
        let given = match realm {
            Realm::Proxy => GivenCredentials::of(request.proxy_authorization()),
            Realm::Monitor => GivenCredentials::of(request.authorization()),
        };
        let from = match realm {
            Realm::Proxy => exchange.client(),
            // The field of `http.forward` means nothing here.
            Realm::Monitor => exchange.peer(),
        };
        let token = match given {
            GivenCredentials::Token(token) => Some(token),
            GivenCredentials::Unreadable => None,
            GivenCredentials::Nothing => {
                self.counters.auth.missing += 1;
                return refused;
            }
        };
        let look = |token| {
            active.kept.at(now, |kept, now| {
                let fingerprint = kept.fingerprint(token);
                (fingerprint, kept.find(fingerprint, now), kept.was_right(fingerprint))
            })
        };
        let (fingerprint, user, known) =
            token.map(look).map_or((None, None, false), |(fingerprint, user, known)| (Some(fingerprint), user, known));
        if let Some(user) = user {
            self.counters.auth.kept += 1;
            return Login::User(user);
        }
        if let Some(number) = fingerprint.and_then(|fingerprint| logins.by_fingerprint.get(&fingerprint)).copied() {
            if let Some(check) = logins.checks.get_mut(&number) {
                if check.who.len() >= MOST_WAITERS {
                    self.counters.auth.busy += 1;
                    return Login::Refused(Cause::AuthenticationBusy);
                }
                check.who.push(key);
                self.set_waits(key, Waits::Check(number));
                return Login::Waits;
            }
        }
        if !known && !logins.failures(now, |failures, now| failures.may_check(ClientKey::from(from), now)) {
            self.counters.auth.slowed += 1;
            return Login::Refused(Cause::AuthenticationSlowed);
        }
        let credentials = token.and_then(Credentials::decode);
        let (Some(Credentials { user, password }), Some(fingerprint)) = (credentials, fingerprint) else {
            return self.failed(realm, from, None, 1);
        };
        self.check(key, realm, fingerprint, from, user.into(), password)
    }

    /// Checks a password, at once where that is quick.
    fn check(
        &mut self,
        key: Key,
        realm: Realm,
        fingerprint: Fingerprint,
        client: ClientId,
        user: Arc<str>,
        password: Zeroizing<Vec<u8>>,
    ) -> Login {
        let now = self.clock.now();
        let busy = Login::Refused(Cause::AuthenticationBusy);
        let Some(logins) = self.logins.as_deref_mut() else { return busy };
        let Some(active) = &mut logins.active[realm as usize] else { return busy };
        if !active.table.is_slow(&user) {
            self.counters.auth.checked += 1;
            if !active.table.check(&user, &password) {
                return self.failed(realm, client, Some(&user), 1);
            }
            active.kept.at(now, |kept, now| kept.keep(fingerprint, Arc::clone(&user), now));
            return Login::User(user);
        }
        let check = PasswordCheck { users: Arc::clone(&active.table), user: Arc::clone(&user), password };
        match logins.verifier.ask(ClientKey::from(client), check, &mut self.poller) {
            Ok(number) => {
                logins.by_fingerprint.insert(fingerprint, number);
                let who = vec![key];
                logins.checks.insert(number, UnderWay { realm, fingerprint, user, client, who });
                self.set_waits(key, Waits::Check(number));
                Login::Waits
            }
            Err(_) => {
                self.counters.auth.busy += 1;
                busy
            }
        }
    }

    /// Credentials are wrong, with which so many requests have come. The line is what conf/fail2ban looks for.
    fn failed(&mut self, realm: Realm, client: ClientId, user: Option<&str>, requests: u64) -> Login {
        self.counters.auth.failed += requests;
        if let Some(logins) = self.logins.as_deref_mut() {
            logins.failures(self.clock.now(), |failures, now| failures.note(ClientKey::from(client), now));
            let at = if realm == Realm::Monitor { " of the monitor" } else { "" };
            // A name that does not exist may be a password in the wrong place.
            match user.filter(|user| logins.active(realm).is_some_and(|active| active.table.has(user))) {
                Some(user) => {
                    log::error!(target: "client", "authentication failed for client {client}{at}: wrong password for user {user}");
                }
                None => log::error!(target: "client", "authentication failed for client {client}{at}: no such user"),
            }
        }
        Login::Refused(Cause::AuthenticationFailed)
    }

    /// The bus of the threads has had an event.
    pub(in crate::proxy) fn note_verifier(&mut self, ready: Ready) {
        if let Some(Err(error)) = self.logins.as_mut().map(|logins| logins.verifier.handle_event(ready)) {
            log::error!(target: "server", "{error}");
        }
    }

    /// Takes what the threads have found out.
    pub(in crate::proxy) fn take_checked(&mut self) {
        while let Some(checked) = self.logins.as_deref_mut().and_then(|logins| logins.verifier.poll()) {
            self.checked(&checked);
        }
    }

    fn checked(&mut self, checked: &Checked) {
        let Checked { number, matches, took, .. } = *checked;
        let now = self.clock.now();
        self.counters.auth.checked += 1;
        self.counters.auth.time.note(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let Some(logins) = self.logins.as_deref_mut() else { return };
        // Other users hold by now, and those who wait were asked about anew.
        let Some(UnderWay { realm, fingerprint, user, client, who }) = logins.checks.remove(&number) else { return };
        logins.by_fingerprint.remove(&fingerprint);
        let refused = if matches {
            if let Some(active) = &mut logins.active[realm as usize] {
                active.kept.at(now, |kept, now| kept.keep(fingerprint, Arc::clone(&user), now));
            }
            None
        } else {
            let requests = (who.len() as u64).max(1);
            self.failed(realm, client, Some(&user), requests);
            self.slow(client);
            Some(Cause::AuthenticationFailed)
        };
        for key in who {
            self.checked_for(key, number, refused.map_or_else(|| Login::User(Arc::clone(&user)), Login::Refused));
        }
    }

    /// An address that is slowed gets no check that has not begun yet.
    fn slow(&mut self, client: ClientId) {
        let (now, client) = (self.clock.now(), ClientKey::from(client));
        let Some(logins) = self.logins.as_deref_mut() else { return };
        if !logins.failures(now, |failures, now| failures.is_slowed(client, now)) {
            return;
        }
        for number in logins.verifier.cancel_all(client) {
            let Some(logins) = self.logins.as_deref_mut() else { return };
            let Some(check) = logins.checks.remove(&number) else { continue };
            logins.by_fingerprint.remove(&check.fingerprint);
            self.counters.auth.slowed += check.who.len() as u64;
            for key in check.who {
                self.checked_for(key, number, Login::Refused(Cause::AuthenticationSlowed));
            }
        }
    }

    /// Goes on with a session that has waited for a check.
    fn checked_for(&mut self, key: Key, number: u64, login: Login) {
        let Some(client) = self.clients.get_mut(key).filter(|client| client.waits == Waits::Check(number)) else {
            return;
        };
        client.waits = Waits::Nothing;
        match client.session.exchange.ingress() {
            Ingress::Web => self.answer_monitor_to(key, login),
            _ => self.logged_in(key, login),
        }
        self.enqueue(key);
    }

    /// No check came in time.
    pub(in crate::proxy) fn login_late(&mut self, key: Key) {
        let Some(ingress) = self.clients.get(key).map(|client| client.session.exchange.ingress()) else { return };
        let late = Login::Refused(Cause::AuthenticationBusy);
        self.counters.auth.busy += 1;
        match ingress {
            Ingress::Web => self.answer_monitor_to(key, late),
            _ => self.logged_in(key, late),
        }
    }

    /// Other users hold from now on, in each realm.
    pub(in crate::proxy) fn use_users(&mut self, setup: UsersSetup) {
        if self.logins.is_none() {
            if setup.iter().all(Option::is_none) {
                return;
            }
            let common = self.loops.as_ref().map(|loops| Arc::clone(loops.common()));
            self.logins = Some(Box::new(Logins::new(common)));
        }
        for (realm, table) in Realm::ALL.into_iter().zip(setup) {
            match table {
                Some(table) => self.replace_users(realm, table),
                None => {
                    let before = self.logins.as_deref_mut().and_then(|logins| logins.active[realm as usize].take());
                    self.loading.loader.discard(before);
                }
            }
        }
        self.ask_again();
    }

    /// The loader has looked at a file of users that has changed.
    pub(in crate::proxy) fn users_changed(&mut self, place: usize, news: Result<Arc<UserTable>, String>) {
        let Some(realm) = Realm::ALL.get(place).copied() else { return };
        match news {
            Ok(table) => {
                self.replace_users(realm, table);
                self.ask_again();
            }
            Err(error) => {
                let active = self.logins.as_deref_mut().and_then(|logins| logins.active[place].as_mut());
                if let Some(active) = active {
                    active.file.stale = Some(error.into());
                }
            }
        }
    }

    fn replace_users(&mut self, realm: Realm, table: Arc<UserTable>) {
        let now = self.clock.since_epoch(self.clock.now()) / 1000;
        let Some(logins) = self.logins.as_deref_mut() else { return };
        let before = logins.replace(realm, table, now);
        self.loading.loader.discard(before);
    }

    /// Asks again whose the requests are that wait for a check: it was of users who may have gone.
    fn ask_again(&mut self) {
        let Some(logins) = self.logins.as_deref_mut() else { return };
        logins.by_fingerprint.clear();
        for (number, check) in std::mem::take(&mut logins.checks) {
            let Some(logins) = self.logins.as_deref_mut() else { return };
            logins.verifier.cancel(ClientKey::from(check.client), number);
            for key in check.who {
                let Some(client) = self.clients.get_mut(key).filter(|client| client.waits == Waits::Check(number))
                else {
                    continue;
                };
                client.waits = Waits::Nothing;
                match check.realm {
                    // Its client's limits were looked at.
                    Realm::Proxy => self.begin_walk(key, None),
                    Realm::Monitor => self.answer_monitor(key),
                }
                self.enqueue(key);
            }
        }
    }
}
