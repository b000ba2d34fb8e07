//! What the loader prepares for the hub, and how the hub takes it over: at the start of a turn, by a swap.

use dns::Replaced;
use reactor::poller::Poller;
use reactor::Millis;

use super::Proxy;
use crate::io::owner::Owner;
use crate::loader::names::{NameReader, Names};
use crate::loader::{Loader, Watch};

/// The loader, and what is asked of it again and again.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) loader: Loader,
    names: Watch<NameReader>,
}

impl Loading {
    pub(super) fn new(names: NameReader, poller: &mut Poller<Owner>, now: Millis) -> std::io::Result<Loading> {
        Ok(Loading { loader: Loader::new(poller)?, names: Watch::new(names, now) })
    }

    /// Has files looked at whose time has come.
    pub(super) fn tick(&mut self, now: Millis) {
        self.names.tick(&mut self.loader, now);
    }
}

impl Proxy {
    /// Starts the loader's thread, which keeps the privileges that the process has now.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start_loader(&mut self) -> std::io::Result<()> {
        self.loading.loader.start()
    }

    /// Takes over what the loader has finished.
    pub(super) fn take_loaded(&mut self) {
        self.loading.loader.go_on();
        if let Some(names) = self.loading.names.take() {
            self.use_names(names);
        }
    }

    /// Other files hold for names from now on.
    pub(super) fn watch_names(&mut self, reader: NameReader, names: Names) {
        let watch = Watch::new(reader, self.clock.now());
        let before = std::mem::replace(&mut self.loading.names, watch);
        // It may hold names that were read and not taken.
        self.loading.loader.discard(before);
        self.use_names(names);
    }

    fn use_names(&mut self, Names { config, hosts }: Names) {
        let replaced = self.resolver.reconfigure(config, hosts, self.clock.now());
        self.loading.loader.discard(replaced);
    }

    /// The addresses of this machine are known anew.
    pub(super) fn note_ipv6(&mut self, here: bool) {
        let replaced: Option<Replaced> = self.resolver.note_ipv6(here);
        if let Some(replaced) = replaced {
            self.loading.loader.discard(replaced);
        }
    }
}
