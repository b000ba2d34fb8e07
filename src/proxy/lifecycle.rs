//! What the loop does besides moving bytes: signals, the soft stop, and what is due once a second.

use reactor::Millis;

use super::listening::KINDS;
use super::{ListenAddress, Options, Proxy, ServiceOptions, Turn, TICK};
use crate::exchange::ingress::Ingress;
use crate::redirector;
use crate::system::orphans;
use crate::system::signals::{Signal, Signals};

/// The budget of the pool of buffers: one each way for every client at its limit, of any kind.
pub(super) fn pool_budget(limits: [usize; KINDS]) -> usize {
    2 * limits.iter().sum::<usize>()
}

/// Milliseconds that a soft stop may take longer while tunnels go to another process.
const GRACE: Millis = 10_000;

/// What is due when, and whether the end is near.
#[derive(Debug)]
pub(super) struct Lifecycle {
    next: Millis,
    drain_delay: u64,
    drain: u64,
    pid_saved: bool,
    /// A soft stop, since when.
    draining: Option<Millis>,
    /// It is that of a drainer, which no signal has asked for yet.
    unasked: bool,
    /// When it has closed the listeners.
    closed: Option<Millis>,
    stopping: bool,
    /// SIGHUP has come, SIGTRAP has come.
    reload: bool,
    toggle: bool,
    /// SIGALRM has come.
    upgrade: bool,
    /// SIGTTOU has come, and SIGTTIN not since.
    shut: bool,
    /// The proxy listeners that wait for SIGTTIN.
    held_back: Vec<ListenAddress>,
}

impl Default for Lifecycle {
    fn default() -> Lifecycle {
        Lifecycle {
            next: TICK,
            drain_delay: 0,
            drain: 0,
            pid_saved: false,
            draining: None,
            unasked: false,
            closed: None,
            stopping: false,
            reload: false,
            toggle: false,
            upgrade: false,
            shut: false,
            held_back: Vec::new(),
        }
    }
}

impl Lifecycle {
    /// A soft stop closes the listeners after `drain_delay` seconds and waits `drain` seconds for clients, 0 for ever.
    pub(super) fn begin(&mut self, drain_delay: u64, drain: u64, pid_saved: bool) {
        (self.drain_delay, self.drain, self.pid_saved) = (drain_delay, drain, pid_saved);
    }

    /// When something is due.
    pub(super) fn next(&self) -> Millis {
        if self.reload || self.toggle || self.upgrade {
            return 0;
        }
        self.next
    }

    /// Holds the listeners of the proxy back if they are shut from the start, until SIGTTIN comes. Gives the others.
    pub(super) fn hold_back(&mut self, places: Vec<ListenAddress>, shut: bool) -> Vec<ListenAddress> {
        self.shut = shut;
        let (held_back, open) = places.into_iter().partition(|place| self.waits(place));
        self.held_back = held_back;
        open
    }

    /// The listeners of the proxy that wait for SIGTTIN.
    pub(super) fn held_back(&self) -> &[ListenAddress] {
        &self.held_back
    }

    /// Does a listener here wait for SIGTTIN?
    fn waits(&self, place: &ListenAddress) -> bool {
        self.shut && place.ingress == Ingress::Proxy
    }

    /// Are the listeners of the proxy shut?
    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// The end is to come.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Was a pidfile written?
    pub(super) fn pid_saved(&self) -> bool {
        self.pid_saved
    }

    /// Is a soft stop under way?
    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// What the caller of the loop has to do now: one thing at a time, the level last, since a reload sets it anew.
    /// `empty` says that a soft stop has no client left to wait for, `departing` that some of them are about to go to another
    /// process, for which it may take a little longer.
    pub(super) fn outcome(&mut self, empty: bool, departing: bool, now: Millis) -> Turn {
        if self.is_over(empty, departing, now) {
            return Turn::Stop;
        }
        if std::mem::take(&mut self.reload) {
            return Turn::Reload;
        }
        if std::mem::take(&mut self.toggle) {
            return Turn::ToggleDebug;
        }
        match std::mem::take(&mut self.upgrade) {
            true => Turn::Upgrade,
            false => Turn::Continue,
        }
    }

    /// This process is not the service any more, and closes the listeners when it is told to.
    pub(super) fn leave(&mut self, now: Millis) {
        (self.draining, self.drain_delay, self.unasked) = (Some(now), u64::MAX / 1000, true);
        self.held_back.clear();
    }

    /// A soft stop accepts no more.
    pub(super) fn close(&mut self, now: Millis) {
        self.closed = self.closed.or(Some(now));
    }

    /// When a soft stop ends at the latest, if it does.
    pub(super) fn drained_at(&self) -> Option<Millis> {
        self.closed.filter(|_| self.drain > 0).map(|since| since.saturating_add(self.drain * 1000))
    }

    /// Is a soft stop still accepting, and is the time for that over?
    fn is_to_close(&self, now: Millis) -> bool {
        self.closed.is_none() && self.draining.is_some_and(|since| now >= since.saturating_add(self.drain_delay * 1000))
    }

    /// Has a soft stop closed the listeners?
    pub(super) fn has_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Has everything come to its end?
    fn is_over(&self, empty: bool, departing: bool, now: Millis) -> bool {
        let grace = if departing { GRACE } else { 0 };
        let late = self.drained_at().is_some_and(|at| now >= at.saturating_add(grace));
        self.stopping || late || empty
    }
}

impl Proxy {
    /// Acts on the signals that have come.
    pub(super) fn take_signals(&mut self) {
        let signals = self.signals.as_mut().map(Signals::take).unwrap_or_default();
        for signal in signals {
            crate::critical!(target: "signal", "{} received", signal.name());
            match signal {
                Signal::Terminate | Signal::Interrupt => self.lifecycle.stopping = true,
                Signal::Quit => self.soft_stop(),
                Signal::StopListening => self.stop_listening(),
                Signal::Listen => {
                    if let Err(error) = self.listen_again() {
                        log::error!(target: "server", "still not listening: {error}");
                    }
                }
                Signal::Reload => self.lifecycle.reload = true,
                Signal::Debug => self.lifecycle.toggle = true,
                Signal::FewerHelpers => self.adjust_helpers(false),
                Signal::MoreHelpers => self.adjust_helpers(true),
                Signal::Upgrade => self.lifecycle.upgrade = true,
            }
        }
    }

    fn adjust_helpers(&mut self, more: bool) {
        match &mut self.redirector {
            Some(redirector) => redirector.adjust(more, self.clock.now()),
            None => log::warn!(target: "signal", "there are no helpers: redirector.enable is false"),
        }
    }

    /// Takes a new configuration over. Listeners whose address stays keep their sockets, and no client is touched.
    ///
    /// # Errors
    /// When a new listener cannot be opened: then nothing has changed.
    pub fn reload(&mut self, options: Options) -> std::io::Result<()> {
        if !self.lifecycle.is_draining() {
            if let Err(error) = self.move_listeners(&options) {
                self.loading.loader.discard(options);
                return Err(error);
            }
        }
        self.loading.watch(Some(options.readers), self.clock.now());
        let terms = options.redirector.as_ref().map(redirector::Options::terms);
        let configured = self.configure_loops(&options.service, terms);
        self.configure(options.service);
        self.reload_helpers(options.redirector);
        (self.lifecycle.drain_delay, self.lifecycle.drain) = (options.drain_delay, options.drain);
        configured.wait();
        Ok(())
    }

    /// Serves clients by these options from now on.
    pub(super) fn configure(&mut self, options: ServiceOptions) {
        let options = options.divided(self.loop_count());
        self.listeners.set_limits(options.limits);
        self.shared.pool.set_budget(pool_budget(options.limits));
        self.shared.pipes.set_most(options.pipes);
        let answers = std::mem::replace(&mut self.answers, options.answers);
        let policy = std::mem::replace(&mut self.policy, options.policy);
        let other_rules =
            self.settings.rules.transparent != options.settings.rules.transparent || self.policy != policy;
        self.loading.loader.discard((answers, policy));
        let (tag, leaving) = (self.settings.icap.tag, self.settings.leaving);
        self.settings = options.settings;
        (self.settings.icap.tag, self.settings.leaving) = (tag, leaving);
        self.renew_service();
        self.limiting.configure(options.client_limits);
        self.divert = options.divert;
        self.use_cache(options.cache, other_rules);
        self.upstream.configure(options.dial_options, &mut self.shares);
        self.use_names(options.names);
        self.use_lists(options.lists);
        self.use_users(options.users);
        self.use_parents(options.parents);
        self.watch.set_facts(options.facts);
        self.addresses.set_polling(options.poll_interfaces, &mut self.poller);
        // A timer that became shorter is found by asking every session once.
        for key in self.clients.keys() {
            self.enqueue(key);
        }
    }

    /// Ends everything at once.
    pub fn stop(&mut self) {
        self.tell_next_the_last();
        for key in self.clients.keys() {
            self.with_exchange(key, |exchange, cx| exchange.handle_stop(cx.now));
            self.drive(key);
        }
        self.stop_loops();
        if let Some(redirector) = self.redirector.take() {
            redirector.end(&mut self.poller);
        }
        self.listeners.close(&mut self.poller, |_| true);
    }

    /// Opens the listeners that are new, and closes those that are not wanted any more.
    fn move_listeners(&mut self, options: &Options) -> std::io::Result<()> {
        let waits = |place: &ListenAddress| self.lifecycle.waits(place);
        let (held_back, open): (Vec<_>, Vec<_>) = options.places.iter().cloned().partition(waits);
        self.listeners.open(&open, options.service.dial_options.keepalive, &mut self.poller)?;
        self.lifecycle.held_back = held_back;
        self.listeners.close(&mut self.poller, |place| !options.places.iter().any(|wanted| wanted.is_at(place)));
        self.listeners.adjust(&options.places);
        self.tell_listeners();
        Ok(())
    }

    /// What is due once a second.
    pub(super) fn tick(&mut self) {
        self.note_held();
        let now = self.clock.now();
        if now < self.lifecycle.next {
            return;
        }
        self.lifecycle.next = now + TICK;
        if self.lifecycle.is_to_close(now) {
            self.close_for_good();
        }
        self.upstream.tick(&mut self.poller, now);
        self.resolver.tick(&mut self.poller, now);
        self.loading.tick(now);
        if self.listeners.open_awaited(self.upstream.keepalive(), &mut self.poller) {
            self.tell_listeners();
        }
        self.tick_cache();
        self.tick_process();
        self.wake_the_starved();
        self.note_second();
        self.trim();
        if self.is_first() {
            let ended = orphans::reap();
            self.forget_drainers(&ended);
        }
    }

    /// A session that found the pool of buffers empty is not told when one comes back: all are asked again within a second.
    fn wake_the_starved(&mut self) {
        if std::mem::take(&mut self.shared.starved) {
            self.counters.starved += 1;
            self.clients.keys().into_iter().for_each(|key| self.enqueue(key));
        }
    }

    /// Has the last proxy client gone? Clients of the monitor, who may come as often as they like, hold nothing up.
    pub(super) fn is_deserted(&self) -> bool {
        self.clients.iter().all(|(_, client)| client.session.exchange.ingress().is_local())
            && self.clients_of_others() == 0
            && self.nothing_departs()
    }

    /// SIGQUIT: no new clients, at once or in a while; those that are there keep full service. A second one ends everything. A drainer,
    /// which gets the first together with the service (systemctl(1), kill), does already what it asks for.
    pub(super) fn soft_stop(&mut self) {
        if self.lifecycle.is_draining() {
            self.lifecycle.stopping |= !std::mem::take(&mut self.lifecycle.unasked);
            return;
        }
        self.lifecycle.draining = Some(self.clock.now());
        self.lifecycle.held_back.clear();
        match self.lifecycle.drain_delay {
            0 => self.close_for_good(),
            delay => {
                log::error!(target: "server", "a soft stop: clients are accepted for {delay} s more (daemon.drain-delay)")
            }
        }
    }

    pub(super) fn stop_listening(&mut self) {
        self.lifecycle.shut = true;
        let held_back = self.listeners.places(Ingress::Proxy);
        self.lifecycle.held_back.extend(held_back);
        self.listeners.close(&mut self.poller, |place| place.ingress == Ingress::Proxy);
    }

    /// Opens the listeners of the proxy again.
    ///
    /// # Errors
    /// Why they stay closed.
    pub(super) fn listen_again(&mut self) -> Result<(), String> {
        if self.lifecycle.is_draining() {
            return Err("a soft stop is under way".to_owned());
        }
        self.lifecycle.shut = false;
        let places = std::mem::take(&mut self.lifecycle.held_back);
        let opened = self.listeners.open(&places, self.upstream.keepalive(), &mut self.poller);
        if opened.is_err() {
            self.lifecycle.held_back = places;
        }
        self.tell_listeners();
        opened.map_err(|error| error.to_string())
    }
}
