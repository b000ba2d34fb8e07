//! When the next version takes over: what it gets, how this process is divided, and how the part goes on that stays with its
//! clients.

mod arriving;
mod departing;
mod drainers;
mod following;
mod lines;

use std::time::Instant;

use self::drainers::Drainer;
use self::following::Following;
use self::lines::VersionLine;
use super::loops::letters::Task;
use super::Proxy;
use crate::io::owner::Owner;
use crate::redirector::Redirector;
use crate::system::signals::Signals;

pub use self::drainers::MOST_DRAINERS;

/// Processes of other versions.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// In the service: the drainers, which have clients of former versions.
    drainers: Vec<Drainer>,
    /// In a drainer: the service, which is of the next version.
    next: Option<Following>,
}

impl Proxy {
    /// In a drainer: what it knows of the service.
    fn following(&self) -> Option<&Following> {
        self.versions.as_ref()?.next.as_ref()
    }

    /// The same, to change it.
    fn following_mut(&mut self) -> Option<&mut Following> {
        self.versions.as_mut()?.next.as_mut()
    }

    /// The drainer in this place.
    fn drainer_mut(&mut self, place: usize) -> Option<&mut Drainer> {
        self.versions.as_mut()?.drainers.get_mut(place)
    }

    /// The listening sockets by their descriptors, and whether they are our own.
    pub fn listening(&self) -> Vec<(i32, bool)> {
        self.listeners.descriptors()
    }

    /// Are those of the proxy shut for now?
    pub fn is_shut(&self) -> bool {
        self.lifecycle.is_shut()
    }

    /// Is a soft stop under way?
    pub fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    /// Has a signal come that the next turn will obey?
    pub fn has_signals(&self) -> bool {
        self.signals.as_ref().is_some_and(Signals::has_some)
    }

    /// Gives threads nothing new to do, and looks whether they are idle.
    ///
    /// # Errors
    /// What one of them still does.
    pub fn settle(&mut self) -> Result<(), &'static str> {
        self.hold_checks(true);
        match () {
            () if !self.loading.loader.is_idle() => Err("files are being read"),
            () if !self.checks_are_idle() => Err("a password is being checked"),
            () if !self.redirector.as_ref().is_none_or(Redirector::is_settled) => Err("a helper starts or ends"),
            () if !self.settle_loops() => Err("a loop has work for its threads"),
            () => Ok(()),
        }
    }

    /// Ends all threads, which are to be idle; what they have to do waits. [`Proxy::go_on`] starts them again. False where one
    /// does not end before `deadline`.
    pub fn park(&mut self, deadline: Instant) -> bool {
        self.loading.loader.park();
        self.park_checks();
        let loops = self.park_loops(deadline);
        loops & self.redirector.as_mut().is_none_or(|redirector| redirector.park(deadline))
    }

    /// Starts the threads again that were ended.
    ///
    /// # Errors
    /// When there are none to be had.
    pub fn go_on(&mut self) -> std::io::Result<()> {
        self.start_threads()?;
        if let Some(redirector) = &mut self.redirector {
            redirector.go_on();
        }
        self.hold_checks(false);
        self.tell_loops(|| Task::GoOn);
        Ok(())
    }

    /// This process keeps the clients that are there, and is not the service any more. Until the next version accepts, it goes on
    /// doing so for clients of the proxy.
    pub fn leave(&mut self) {
        self.listeners.leave_files();
        self.listeners.close(&mut self.poller, |place| place.ingress.is_local());
        self.settings.leaving = true;
        self.close_cache();
        self.tell_loops(|| Task::Leave);
        self.lifecycle.leave(self.clock.now());
    }

    /// The next version accepts.
    pub fn close_for_good(&mut self) {
        if self.settings.leaving {
            // The memory of what is kept goes back, now that this holds no new client up.
            self.use_cache(None, false);
            self.let_all_in();
        }
        self.lifecycle.close(self.clock.now());
        self.listeners.close(&mut self.poller, |place| !place.ingress.is_local());
    }

    /// Another version has an event.
    pub(super) fn note_version(&mut self, owner: Owner) {
        let Owner::Drainer(pid) = owner else { return self.note_next() };
        let drainers = self.versions.iter_mut().flat_map(|versions| &mut versions.drainers);
        drainers.filter(|one| one.row.pid == pid).filter_map(|one| one.line.as_mut()).for_each(VersionLine::note);
    }

    /// Have other versions said more than was heard?
    pub(super) fn has_unheard(&self) -> bool {
        let Some(versions) = &self.versions else { return false };
        let lines = versions.drainers.iter().map(|drainer| &drainer.line);
        lines.chain(versions.next.iter().map(|next| &next.line)).flatten().any(VersionLine::is_due)
    }

    /// Hears what other versions say.
    pub(super) fn hear_versions(&mut self) {
        if self.versions.is_some() {
            self.hear_drainers();
            self.hear_next();
            self.depart();
        }
    }
}
