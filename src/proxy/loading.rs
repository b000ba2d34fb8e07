//! What the loader prepares for the hub, and how the hub takes it over: at the start of a turn, by a swap.

use std::sync::Arc;

use dns::Replaced;
use reactor::poller::Poller;
use reactor::Millis;

use super::Proxy;
use crate::io::owner::Owner;
use crate::loader::folder::Folder;
use crate::loader::names::{NameReader, Names};
use crate::loader::{Loader, Watch};

/// The loader, and what is asked of it again and again.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) loader: Loader,
    names: Watch<NameReader>,
    /// None where there is no folder of pages.
    pages: Option<Watch<Folder>>,
}

impl Loading {
    pub(super) fn new(
        names: NameReader,
        pages: Option<Folder>,
        poller: &mut Poller<Owner>,
        now: Millis,
    ) -> std::io::Result<Loading> {
        let (names, pages) = (Watch::new(names, now), pages.map(|folder| Watch::new(folder, now)));
        Ok(Loading { loader: Loader::new(poller)?, names, pages })
    }

    /// Has files looked at whose time has come.
    pub(super) fn tick(&mut self, now: Millis) {
        self.names.tick(&mut self.loader, now);
        if let Some(pages) = &mut self.pages {
            pages.tick(&mut self.loader, now);
        }
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

    /// The loader, for what is not the loop's own business.
    pub fn loader(&mut self) -> &mut Loader {
        &mut self.loading.loader
    }

    /// Takes over what the loader has finished.
    pub(super) fn take_loaded(&mut self) {
        self.loading.loader.go_on();
        if let Some(names) = self.loading.names.take() {
            self.use_names(names);
        }
        if let Some(pages) = self.loading.pages.as_mut().and_then(Watch::take) {
            let before = std::mem::replace(&mut self.answers.pages, Arc::new(pages));
            self.loading.loader.discard(before);
        }
    }

    /// Another folder of pages holds from now on. Its pages came with the answers.
    pub(super) fn watch_pages(&mut self, folder: Option<Folder>) {
        let watch = folder.map(|folder| Watch::new(folder, self.clock.now()));
        let before = std::mem::replace(&mut self.loading.pages, watch);
        self.loading.loader.discard(before);
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

/// The loop and what it is started with can be made on one thread and used on another.
const _: fn() = || {
    fn movable<T: Send>() {}
    movable::<Proxy>();
    movable::<super::Options>();
};
