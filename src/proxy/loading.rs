//! What the loader prepares for the hub, and how the hub takes it over: at the start of a turn, by a swap.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Arc;

use dns::Replaced;
use reactor::arena::Key;
use reactor::poller::Poller;
use reactor::Millis;

use super::loops::letters::Task;
use super::{Proxy, Readers};
use crate::answers::{PageContent, Pages};
use crate::io::owner::Owner;
use crate::loader::folder::Folder;
use crate::loader::lists::ListReader;
use crate::loader::names::{NameReader, Names};
use crate::loader::parents::ParentReader;
use crate::loader::users::UsersReader;
use crate::loader::{Loader, Watch};
use crate::policy::credentials::users::UserTable;
use crate::policy::decision::LocalPage;
use crate::policy::lists::Lists;
use crate::policy::parents::Parents;
use crate::resolver;

/// The loader, and what is asked of it again and again.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) loader: Loader,
    /// None in a loop that is told what they find.
    watches: Option<Watches>,
    looks: PageLooks,
}

/// The files that are looked at again and again.
#[derive(Debug)]
struct Watches {
    names: Watch<NameReader>,
    /// None where there is no folder of pages.
    pages: Option<Watch<Folder>>,
    /// None where there are no lists.
    lists: Option<Watch<ListReader>>,
    /// None where none says anything about parents.
    parents: Option<Watch<ParentReader>>,
    /// Those of each realm, None where there are no users.
    users: [Option<Watch<UsersReader>>; 2],
}

impl Watches {
    fn new(readers: Readers, now: Millis) -> Watches {
        let Readers { names, pages, lists, parents, users } = readers;
        Watches {
            names: Watch::new(names, now),
            pages: pages.map(|pages| Watch::new(pages, now)),
            lists: lists.map(|lists| Watch::new(lists, now)),
            parents: parents.map(|parents| Watch::new(parents, now)),
            users: users.map(|users| Some(Watch::new(users?, now))),
        }
    }

    fn tick(&mut self, loader: &mut Loader, now: Millis) {
        self.names.tick(loader, now);
        if let Some(pages) = &mut self.pages {
            pages.tick(loader, now);
        }
        if let Some(lists) = &mut self.lists {
            lists.tick(loader, now);
        }
        if let Some(parents) = &mut self.parents {
            parents.tick(loader, now);
        }
        for users in self.users.iter_mut().flatten() {
            users.tick(loader, now);
        }
    }
}

/// What was found in files that have changed.
struct FoundInFiles {
    names: Option<Names>,
    lists: Option<Result<Option<Arc<Lists>>, String>>,
    parents: Option<Parents>,
    users: [Option<Result<Arc<UserTable>, String>>; 2],
    pages: Option<Arc<Pages>>,
}

/// A look at the file of a page that is not kept, for a session.
#[derive(Debug)]
pub(super) struct PageLook {
    pub(super) session: Key,
    /// The number of the look, and of the file if it is a large one.
    pub(super) id: u64,
    /// The page as the helper has named it.
    pub(super) page: LocalPage,
    pub(super) content: Result<PageContent, String>,
}

/// The looks that sessions wait for, one for each of them at most.
#[derive(Debug)]
struct PageLooks {
    last: u64,
    waiting: usize,
    done: (Sender<PageLook>, Receiver<PageLook>),
}

impl Loading {
    pub(super) fn new(readers: Option<Readers>, poller: &mut Poller<Owner>, now: Millis) -> std::io::Result<Loading> {
        let looks = PageLooks { last: 0, waiting: 0, done: mpsc::channel() };
        Ok(Loading { loader: Loader::new(poller)?, watches: readers.map(|readers| Watches::new(readers, now)), looks })
    }

    /// Has the file of a page looked at for a session. Gives the number of the look.
    pub(super) fn look_at(&mut self, path: PathBuf, session: Key, page: LocalPage) -> u64 {
        let PageLooks { last, waiting, done } = &mut self.looks;
        (*last, *waiting) = (*last + 1, *waiting + 1);
        let (id, done) = (*last, done.0.clone());
        self.loader.look_at(path, session, id, move |content| {
            drop(done.send(PageLook { session, id, page, content }));
        });
        id
    }

    /// A look that is done.
    fn poll_look(&mut self) -> Option<PageLook> {
        if self.looks.waiting == 0 {
            return None;
        }
        let look = self.looks.done.1.try_recv().ok()?;
        self.looks.waiting -= 1;
        Some(look)
    }

    /// Has files looked at whose time has come.
    pub(super) fn tick(&mut self, now: Millis) {
        self.loader.tick(now);
        if let Some(watches) = &mut self.watches {
            watches.tick(&mut self.loader, now);
        }
    }

    /// Other files are looked at from now on.
    pub(super) fn watch(&mut self, readers: Option<Readers>, now: Millis) {
        // It may hold what was read and not taken.
        let before = std::mem::replace(&mut self.watches, readers.map(|readers| Watches::new(readers, now)));
        self.loader.discard(before);
    }
}

impl Proxy {
    /// Starts the loader's thread, and those of the other loops, which keep the privileges that the process has now.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start_threads(&mut self) -> std::io::Result<()> {
        self.start_loader()?;
        self.start_loops()
    }

    pub(super) fn start_loader(&mut self) -> std::io::Result<()> {
        self.loading.loader.start()
    }

    /// The loader, for what is not the loop's own business.
    pub fn loader(&mut self) -> &mut Loader {
        &mut self.loading.loader
    }

    /// Takes over what the loader has finished.
    pub(super) fn take_loaded(&mut self) {
        self.loading.loader.go_on();
        while let Some(block) = self.loading.loader.poll_block() {
            self.block_read(block);
        }
        while let Some(look) = self.loading.poll_look() {
            self.page_looked_at(look);
        }
        self.take_process();
        let Some(watches) = &mut self.loading.watches else { return };
        let found = FoundInFiles {
            names: watches.names.take(),
            lists: watches.lists.as_mut().and_then(Watch::take),
            parents: watches.parents.as_mut().and_then(Watch::take),
            users: watches.users.each_mut().map(|users| users.as_mut().and_then(Watch::take)),
            pages: watches.pages.as_mut().and_then(Watch::take).map(Arc::new),
        };
        self.take_found(found);
    }

    /// Takes over what was found in files, and tells the other loops.
    fn take_found(&mut self, found: FoundInFiles) {
        if let Some(names) = found.names {
            self.tell_loops(|| Task::Names(names.clone()));
            self.use_names(names);
        }
        if let Some(news) = found.lists {
            self.tell_loops(|| Task::Lists(news.clone()));
            self.lists_looked_at(news);
        }
        if let Some(parents) = found.parents {
            self.tell_loops(|| Task::Parents(Box::new(parents.clone())));
            self.use_parents(parents);
        }
        for (place, news) in found.users.into_iter().enumerate() {
            let Some(news) = news else { continue };
            self.tell_loops(|| Task::Users(place, news.clone()));
            self.users_changed(place, news);
        }
        if let Some(pages) = found.pages {
            self.tell_loops(|| Task::Pages(Arc::clone(&pages)));
            self.use_pages(pages);
        }
    }

    /// These are the local pages from now on.
    pub(super) fn use_pages(&mut self, pages: Arc<Pages>) {
        let before = std::mem::replace(&mut self.answers.pages, pages);
        self.loading.loader.discard(before);
    }

    /// What is known about names, from now on.
    pub(super) fn use_names(&mut self, names: Names) {
        let Names { config, hosts } = names.divided(self.loop_count());
        if self.is_first() {
            resolver::tell_servers(&config);
        }
        let replaced = self.resolver.reconfigure(config, hosts, self.clock.now());
        self.loading.loader.discard(replaced);
    }

    /// Of these families a route leads out of this machine.
    pub(super) fn use_ways(&mut self, ways: dns::Families) {
        let replaced: Option<Replaced> = self.resolver.note_ways(ways, self.clock.now());
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
