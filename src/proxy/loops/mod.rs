//! Several loops in one process. The first accepts connections and hands each to the loop that has fewest; it has the signals, the
//! monitor, the helpers and the files. Each of the others is a whole [`Proxy`] with clients, names, connections to origins of its
//! own, and no listener. They write letters to one another. With one loop nothing of this is there.

pub(super) mod common;
mod far_helpers;
mod gathering;
pub(super) mod letters;
mod mailbox;
mod parking;
mod room;
mod running;
mod watchdog;

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use reactor::arena::Arena;
use reactor::poller::Poller;

use self::common::Common;
use self::far_helpers::{Asking, Strangers};
use self::gathering::Gatherings;
use self::letters::{News, Task};
use self::mailbox::Mailbox;
use self::room::Rooms;
use self::running::LoopThreads;
use super::parcels::IncomingTunnel;
use super::{Client, ListenAddress, Proxy, ServiceOptions};
use crate::cache::far::FarWord;
use crate::exchange::ingress::{Arrival, Ingress};
use crate::io::owner::Owner;
use crate::monitor::Running;
use crate::redirector::HelperTerms;
use crate::upstream::{OfferDesk, Offering};

pub(super) use self::gathering::Whole;
pub(super) use self::watchdog::Beats;

/// Longest wait for loops to take a configuration over.
const CONFIGURED: Duration = Duration::from_secs(1);

/// One loop's side of what it shares with the others.
#[derive(Debug)]
pub(super) struct Loops {
    common: Arc<Common>,
    post: Arc<Post>,
    offers: Arc<OfferDesk>,
    number: usize,
    role: LoopRole,
}

/// The boxes of all loops.
#[derive(Debug)]
struct Post {
    first: Mailbox<News>,
    /// Those of the others, from number 1 on.
    further: Vec<Mailbox<Task>>,
}

impl Post {
    /// The box of a loop that is not the first.
    fn mailbox(&self, number: usize) -> Option<&Mailbox<Task>> {
        self.further.get(number.checked_sub(1)?)
    }
}

/// What the first loop does for the others, or what one of the others keeps for itself.
#[derive(Debug)]
enum LoopRole {
    First(Box<First>),
    Further(Box<Further>),
}

/// What only the first loop has.
#[derive(Debug)]
struct First {
    threads: LoopThreads,
    /// The last numbers of each of the others.
    told: Vec<Running>,
    strangers: Strangers,
    gatherings: Gatherings,
    rooms: Rooms,
    /// Why one of the others has ended.
    failed: Option<String>,
}

/// What only the others have.
#[derive(Debug, Default)]
struct Further {
    asking: Asking,
    /// Where clients find the proxy.
    places: Vec<ListenAddress>,
    /// The loop ends its turns for a moment.
    parks: bool,
}

impl Loops {
    /// What the loops with these polls share, for each of them in their order; None for a single one.
    pub(super) fn tie(pollers: &mut [Poller<Owner>]) -> io::Result<Vec<Option<Box<Loops>>>> {
        let count = pollers.len();
        if count < 2 {
            return Ok(pollers.iter().map(|_| None).collect());
        }
        let polls = pollers.iter().map(Poller::withdrawal).collect::<io::Result<Vec<_>>>()?;
        let offers = Arc::new(OfferDesk::new(polls));
        let (first, others) = pollers.split_first_mut().ok_or(io::ErrorKind::InvalidInput)?;
        let first = Mailbox::new(first)?;
        let further = others.iter_mut().map(Mailbox::new).collect::<io::Result<Vec<_>>>()?;
        let common = Arc::new(Common::new(count, Arc::clone(first.bell())));
        let post = Arc::new(Post { first, further });
        let first = First {
            threads: LoopThreads::default(),
            told: vec![Running::default(); count - 1],
            strangers: Strangers::default(),
            gatherings: Gatherings::default(),
            rooms: Rooms::default(),
            failed: None,
        };
        let further = (1..count).map(|_| LoopRole::Further(Box::default()));
        let roles = std::iter::once(LoopRole::First(Box::new(first))).chain(further);
        let loops = roles.enumerate().map(|(number, role)| Loops {
            common: Arc::clone(&common),
            post: Arc::clone(&post),
            offers: Arc::clone(&offers),
            number,
            role,
        });
        Ok(loops.map(|one| Some(Box::new(one))).collect())
    }

    /// What all loops see.
    pub(super) fn common(&self) -> &Arc<Common> {
        &self.common
    }

    /// The number of this loop, from 0 on.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// How many loops there are.
    pub(super) fn count(&self) -> usize {
        self.common.count()
    }

    /// How it offers its kept connections to the others, and takes theirs.
    pub(super) fn offering(&self) -> Offering {
        Offering::new(Arc::clone(&self.offers), self.number)
    }

    /// A place for clients, with keys that no other loop gives to any of its own.
    pub(super) fn clients(&self) -> Arena<Client> {
        let (first, step) = numbering(self.number, self.count());
        Arena::numbered(first, step)
    }

    /// Posts a task to each of the other loops, where this is the first.
    fn post_all(&self, task: impl Fn() -> Task) {
        if matches!(self.role, LoopRole::First(_)) {
            self.post.further.iter().for_each(|mailbox| mailbox.post(task()));
        }
    }

    /// Tells the loop of this number what has become of a response that its clients wait for.
    pub(super) fn tell_fetched(&self, number: usize, word: FarWord) {
        match self.post.mailbox(number) {
            Some(mailbox) => mailbox.post(Task::Fetched(word)),
            None => self.post.first.post(News::Fetched(word)),
        }
    }

    fn first(&mut self) -> Option<&mut First> {
        match &mut self.role {
            LoopRole::First(first) => Some(first),
            LoopRole::Further(_) => None,
        }
    }

    fn further(&mut self) -> Option<&mut Further> {
        match &mut self.role {
            LoopRole::First(_) => None,
            LoopRole::Further(further) => Some(further),
        }
    }
}

/// With which generation the keys of a loop begin, and by how much they rise. A power of two divides all numbers there are, so that
/// those of two loops differ also when they begin anew.
fn numbering(number: usize, count: usize) -> (u32, u32) {
    // There are at most 64 loops.
    (number as u32 + 1, count.next_power_of_two() as u32)
}

/// Loops that are about to serve by other options.
#[derive(Debug)]
#[must_use]
pub(super) struct Configured {
    configured: Receiver<()>,
    missing: usize,
}

impl Configured {
    /// Waits until all loops do, so that what comes after a reload meets the new options everywhere. A loop comes to its letters
    /// with its next turn, within milliseconds; one that hangs is not waited for.
    pub(super) fn wait(self) {
        let deadline = Instant::now() + CONFIGURED;
        for _ in 0..self.missing {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.configured.recv_timeout(left).is_err() {
                return log::error!(target: "server", "a loop has not taken the configuration over yet");
            }
        }
    }
}

impl Proxy {
    /// What only the first of several loops has, in that loop.
    fn first_loop(&mut self) -> Option<&mut First> {
        self.loops.as_mut()?.first()
    }

    /// What only the others have, in one of those.
    fn further_loop(&mut self) -> Option<&mut Further> {
        self.loops.as_mut()?.further()
    }

    /// Whether this is the loop that has listeners, signals and the monitor.
    pub(super) fn is_first(&self) -> bool {
        self.loops.as_ref().is_none_or(|loops| loops.number == 0)
    }

    /// How many loops there are.
    pub(super) fn loop_count(&self) -> usize {
        self.loops.as_ref().map_or(1, |loops| loops.count())
    }

    /// Writes the same to all other loops, where this is the first of several.
    pub(super) fn tell_loops(&self, task: impl Fn() -> Task) {
        if let Some(loops) = &self.loops {
            loops.post_all(task);
        }
    }

    /// Which loops can be reckoned with: those that turn, and keep up with their letters.
    fn heeding(&self) -> impl Fn(usize) -> bool + '_ {
        let turning = self.beats.as_ref().map(|beats| beats.turning());
        move |number| {
            let mailbox = self.loops.as_ref().and_then(|loops| loops.post.mailbox(number));
            mailbox.is_none_or(|mailbox| !mailbox.is_long()) && turning.as_ref().is_none_or(|turns| turns(number))
        }
    }

    /// Writes the same to all other loops that can be reckoned with, and says which these are.
    fn ask_loops(&self, task: impl Fn() -> Task) -> Vec<usize> {
        let (Some(loops), heeding) = (&self.loops, self.heeding()) else { return Vec::new() };
        let asked: Vec<usize> = (1..loops.count()).filter(|number| heeding(*number)).collect();
        asked.iter().filter_map(|number| loops.post.mailbox(*number)).for_each(|mailbox| mailbox.post(task()));
        asked
    }

    /// Gives a connection for which there is a place to the loop that has fewest clients, of those that can be reckoned with. One to
    /// the monitor stays here.
    pub(super) fn place(&mut self, stream: TcpStream, arrival: &Arrival) {
        let chosen = match &self.loops {
            Some(loops) if !arrival.ingress.is_local() => loops.common.emptiest(self.heeding()),
            _ => 0,
        };
        self.listeners.enter(arrival.ingress, chosen);
        match self.loops.as_ref().and_then(|loops| loops.post.mailbox(chosen)) {
            Some(mailbox) => mailbox.post(Task::Serve(stream, *arrival)),
            None => self.welcome(stream, arrival),
        }
    }

    /// Gives a tunnel of another process to the loop that has fewest clients.
    pub(super) fn place_moved(&mut self, arriving: IncomingTunnel) {
        let chosen = self.loops.as_ref().map_or(0, |loops| loops.common.emptiest(self.heeding()));
        self.listeners.enter(arriving.ingress(), chosen);
        match self.loops.as_ref().and_then(|loops| loops.post.mailbox(chosen)) {
            Some(mailbox) => mailbox.post(Task::Adopt(Box::new(arriving))),
            None => self.adopt(arriving),
        }
    }

    /// Tells the first loop which tunnels of this one are to go on in another process.
    fn give_tunnels(&mut self, most: usize) {
        let parcels = self.pack_tunnels(most);
        if let Some(loops) = &self.loops {
            loops.post.first.post(News::Departs(loops.number, parcels));
        }
    }

    /// Clients of that loop belong to the first now, which has counted them already.
    pub(super) fn leave_loop(&self, number: usize, clients: impl Iterator<Item = Ingress>) {
        if let Some(loops) = &self.loops {
            clients.for_each(|ingress| loops.common.leave(number, ingress));
        }
    }

    /// Has the other loops serve clients by these options, which the caller is to wait for.
    pub(super) fn configure_loops(&self, service: &ServiceOptions, terms: Option<HelperTerms>) -> Configured {
        let (done, configured) = mpsc::channel();
        self.tell_loops(|| Task::Configure(Box::new((service.clone(), terms)), done.clone()));
        Configured { configured, missing: self.loop_count() - 1 }
    }

    /// Reads the letters that have come.
    pub(super) fn take_letters(&mut self) {
        let Some(loops) = &self.loops else { return };
        match loops.post.mailbox(loops.number) {
            Some(mailbox) => mailbox.open().into_iter().for_each(|task| self.do_task(task)),
            None => loops.post.first.open().into_iter().for_each(|news| self.take_news(news)),
        }
    }

    fn do_task(&mut self, task: Task) {
        match task {
            Task::Serve(stream, arrival) => self.welcome(stream, &arrival),
            Task::Configure(options, done) => {
                let (service, terms) = *options;
                self.configure(service);
                self.use_helpers(terms);
                // The first loop may have given up waiting.
                let _ = done.send(());
            }
            Task::Names(names) => self.use_names(names),
            Task::Lists(news) => self.lists_looked_at(news),
            Task::Parents(parents) => self.use_parents(*parents),
            Task::Users(place, news) => self.users_changed(place, news),
            Task::Pages(pages) => self.use_pages(pages),
            Task::Listeners(addresses, places) => {
                self.local.set_listeners(addresses);
                if let Some(further) = self.further_loop() {
                    further.places = places;
                }
            }
            Task::Usage(log) => self.set_usage(log),
            Task::Access(log) => self.set_access(log),
            Task::Fetched(word) => self.fetched_elsewhere(word),
            Task::Report(number, needs) => self.report_to_first(number, &needs),
            Task::Stand(ingress) => self.tell_standings(ingress),
            Task::GiveWay(key, served) => self.give_way(key, served),
            Task::Replied(reply) => self.far_reply(*reply),
            Task::Undecided(key, ticket, fault) => self.far_fault(key, ticket, Some(fault)),
            Task::Unasked(key, ticket) => self.far_fault(key, ticket, None),
            Task::Settle => self.settle_further(),
            Task::Park => self.park_further(),
            Task::GoOn => self.go_on_further(),
            Task::Leave => {
                self.settings.leaving = true;
                self.close_cache();
            }
            Task::Adopt(arriving) => self.adopt(*arriving),
            Task::Depart(most) => self.give_tunnels(most),
            Task::Stop => self.lifecycle.stop(),
        }
    }

    fn take_news(&mut self, news: News) {
        match news {
            News::Second(from, running) => self.note_numbers(from, *running),
            News::Fetched(word) => self.fetched_elsewhere(word),
            News::Hosts(counts) => self.watch.hosts.absorb(counts),
            News::Reported(from, number, report) => self.take_report(from, number, *report),
            News::Standing(from, ingress, standings) => self.take_standings(from, ingress, standings),
            News::Ask(from, who, ticket, question) => self.stranger_asks(from, who, ticket, question),
            News::AskAgain(from, ticket, reply) => self.stranger_asks_again(from, ticket, *reply),
            News::Cancel(from, ticket) => self.stranger_leaves(from, ticket),
            News::Departs(number, parcels) => self.take_departing(number, parcels),
            News::Failed(why) => {
                if let Some(first) = self.first_loop() {
                    first.failed = Some(why);
                }
            }
        }
    }

    /// Tells the other loops which listeners there are.
    pub(super) fn tell_listeners(&mut self) {
        let addresses: Vec<(_, SocketAddr)> = self.listeners.addresses();
        self.local.set_listeners(addresses.clone());
        self.tell_loops(|| Task::Listeners(addresses.clone(), self.listeners.places(Ingress::Proxy)));
    }

    /// Where clients find the proxy.
    pub(super) fn proxy_places(&self) -> Vec<ListenAddress> {
        match self.loops.as_ref().map(|loops| &loops.role) {
            Some(LoopRole::Further(further)) => further.places.clone(),
            _ => self.listeners.places(Ingress::Proxy),
        }
    }

    /// Clients of all loops but the first.
    pub(super) fn clients_of_others(&self) -> usize {
        self.loops.as_ref().map_or(0, |loops| loops.common.clients_of_others())
    }

    /// What sessions have to know of the helpers, where there are any.
    pub(super) fn helper_terms(&self) -> Option<HelperTerms> {
        let far = || match &self.loops.as_ref()?.role {
            LoopRole::Further(further) => further.asking.terms,
            LoopRole::First(_) => None,
        };
        self.redirector.as_ref().map(crate::redirector::Redirector::terms).or_else(far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_two_loops_differ_also_when_they_begin_anew() {
        for count in 2..=64 {
            let numbers: Vec<(u32, u32)> = (0..count).map(|number| numbering(number, count)).collect();
            // What the arena does when its numbers end.
            let last = |(first, step): (u32, u32)| first.wrapping_sub(step);
            let mut classes: Vec<u32> = numbers.iter().map(|one| last(*one) % one.1).collect();
            assert!(numbers.iter().zip(&classes).all(|((first, step), class)| first % step == *class), "{count}");
            classes.sort_unstable();
            classes.dedup();
            assert_eq!(classes.len(), count);
        }
    }
}
