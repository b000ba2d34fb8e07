//! Every number that the monitor shows has to be moved by something, and by nothing else: a step says what happens to a
//! proxy and all that it moves, to the last one, so that what is counted twice, for the wrong reason, or never is seen.
//!
//! What a step does not name must stand still, under every name that it is shown by.

mod auth;
mod books;
mod bytes;
mod cache;
mod causes;
mod diverted;
mod ends;
mod families;
mod files;
mod helpers;
mod house;
mod limits;
mod lists;
mod names;
mod origins;
mod parents;
mod process;
mod sni;
mod timers;
mod times;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::support::{client, patiently, Client, Helpers, Message, NameServer, Proxy};
use books::{is_common, is_restless, meaning, Books, Numbers};

/// Something that happens to a proxy.
struct Step<T> {
    /// What it is, for a test that fails.
    what: &'static str,
    /// Each number that it moves, by its name in `/json/running` if it has one there, and by how much; `~` where that
    /// depends on how busy this machine is.
    moves: &'static str,
    act: fn(&Stage<T>),
}

/// A proxy that steps happen to, one after the other.
struct Stage<T> {
    proxy: Proxy,
    books: Books,
    /// Clients of one step that a later one goes on with.
    held: RefCell<Vec<Client>>,
    /// What else the steps of a file need.
    peers: T,
}

impl<T> Stage<T> {
    fn new(proxy: Proxy, peers: T) -> Stage<T> {
        Stage { books: Books::open(&proxy), proxy, held: RefCell::default(), peers }
    }

    /// Lets a client stay for the next step.
    fn hold(&self, client: Client) {
        self.held.borrow_mut().push(client);
    }

    /// The client that was held last.
    fn held(&self) -> Client {
        self.held.borrow_mut().pop().expect("a client that was held")
    }

    /// Takes the steps in their order.
    fn play(&self, steps: &[Step<T>]) {
        let mut before = self.books.look();
        for step in steps {
            (step.act)(self);
            before = self.expect(step, &before);
        }
    }

    /// Waits until all has moved that a step claims and nothing else, and still has when looked at once more.
    fn expect(&self, step: &Step<T>, before: &Numbers) -> Numbers {
        let wanted = claims(step.moves);
        let mut last = Vec::new();
        let mut seen = false;
        let found = patiently(|| {
            let now = self.books.look();
            last = wrong(&wanted, before, &now);
            let again = std::mem::replace(&mut seen, last.is_empty());
            (again && seen).then_some(now)
        });
        found.unwrap_or_else(|| panic!("{}: {}", step.what, last.join(", ")))
    }
}

/// Names and differences of a step; none where it cannot be told before by how much a number moves.
fn claims(moves: &str) -> BTreeMap<String, Option<f64>> {
    let pair = |claim: &str| {
        let (name, difference) = claim.trim().rsplit_once(' ').expect("a name and a difference");
        (name.to_owned(), (difference != "~").then(|| difference.parse().expect("a difference")))
    };
    moves.split(',').map(pair).collect()
}

/// The numbers that have not moved as wanted.
fn wrong(wanted: &BTreeMap<String, Option<f64>>, before: &Numbers, now: &Numbers) -> Vec<String> {
    let judge = |(key, value): (&String, &f64)| {
        let moved = value - before.get(key).copied().unwrap_or(0.0);
        let claimed = wanted.get(&meaning(key)).copied();
        let wanted =
            claimed.unwrap_or(Some(0.0)).filter(|_| !is_restless(key) && (claimed.is_some() || !is_common(key)))?;
        (moved != wanted).then(|| format!("{key} moved by {moved}, not by {wanted}"))
    };
    now.iter().filter_map(judge).collect()
}

/// A GET after whose response the connection ends.
fn last_get(url: &str) -> String {
    client::get(url).replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
}

/// Asks on a new connection, reads the response, and sees the end of it.
fn ask(proxy: &Proxy, request: &str) -> Message {
    let mut client = proxy.client();
    client.send(request);
    let reply = client.reply();
    client.expect_close();
    reply
}

/// Whether this can be tested without a name server; where it cannot, that is said aloud.
fn names_or_skip() -> bool {
    NameServer::zone(&[]).is_some()
}

fn of<T>(steps: &[Step<T>]) -> BTreeSet<String> {
    steps.iter().flat_map(|step| claims(step.moves).into_keys()).collect()
}

/// All that some test moves, by the names of claims.
fn claimed() -> BTreeSet<String> {
    let of_steps = [
        of(ends::STEPS),
        of(ends::PROXIED),
        of(ends::CROWDED),
        of(ends::UNTRUSTED),
        of(causes::CLIENTS),
        of(limits::RATE),
        of(limits::CONNECTIONS),
        of(limits::TUNNEL),
        of(diverted::STEPS),
        of(auth::STEPS),
        of(auth::SLOW),
        of(lists::STEPS),
        of(lists::REPORTING),
        of(causes::STEPS),
        of(names::STEPS),
        of(helpers::STEPS),
        of(helpers::QUEUE),
        of(origins::STEPS),
        of(families::STEPS),
        of(parents::STEPS),
        of(parents::FAILED),
        of(sni::STEPS),
        of(sni::NOWHERE),
        of(house::STEPS),
        of(cache::STEPS),
        of(process::RELOADS),
        files::claimed(),
        timers::claimed(),
    ];
    let keys = [
        bytes::KEYS,
        cache::KEYS,
        diverted::KEYS,
        house::KEYS,
        helpers::KEYS,
        times::KEYS,
        auth::KEYS,
        process::KEYS,
        parents::KEYS,
    ]
    .concat();
    of_steps.into_iter().flatten().chain(keys.into_iter().map(str::to_owned)).collect()
}

#[test]
fn row_54_every_number_is_moved_by_some_test() {
    let helpers = Helpers::permitting();
    let proxy = helpers.proxy(&[]);
    let books = Books::open(&proxy);
    let seen = || Some(books.look()).filter(|shown| shown.contains_key("process_open_fds"));
    let shown = crate::support::eventually("a first look at the process", seen);
    let family = |key: &str| key.split('{').next().unwrap_or(key).to_owned();
    let claimed = claimed();
    let is_claimed = |key: &&String| claimed.contains(&meaning(key)) || claimed.contains(&family(key));
    let lost: Vec<_> =
        shown.keys().filter(|key| !is_claimed(key) && !UNSEEN.iter().any(|start| key.starts_with(start))).collect();
    assert!(lost.is_empty(), "no test moves {lost:?}");
    let shown: BTreeSet<String> = shown.keys().flat_map(|key| [meaning(key), family(key)]).collect();
    // Files of lists are shown where there are some.
    let of_files = ["lists.block.", "lists.allow.", "lists.line."];
    let is_gone = |key: &&String| !of_files.iter().any(|start| key.starts_with(start));
    let gone: Vec<_> = claimed.difference(&shown).filter(is_gone).collect();
    assert!(gone.is_empty(), "claimed and not shown: {gone:?}");
}

/// The first only changes once a minute, which is longer than a test should take; the others are what `clients.*` is, by
/// listener, with its address in the name; troubles that last, which have tests of their own in `outages` and beside the code; and
/// what former versions have left, which `next_version::drainers` moves.
const UNSEEN: [&str; 5] =
    ["exaproxy_host_requests", "exaproxy_listener_", "exaproxy_trouble", "episodes.", "exaproxy_drainer"];
