//! What the hub is told by a start and a reload.

use super::{ClientLimits, DivertOptions, InheritedSockets, ListSetup, ListenAddress, Realm, UsersSetup};
use crate::answers::Answers;
use crate::cache::CacheSettings;
use crate::exchange::ingress::Ingress;
use crate::exchange::Settings;
use crate::loader::folder::Folder;
use crate::loader::lists::ListReader;
use crate::loader::names::{NameReader, Names};
use crate::loader::parents::ParentReader;
use crate::loader::users::UsersReader;
use crate::policy::parents::Parents;
use crate::policy::Policy;
use crate::redirector;
use crate::upstream::DialOptions;
use crate::web::Facts;

/// What the hub needs to know at its start and after a reload.
#[derive(Debug)]
pub struct Options {
    /// How many loops there are; a reload does not change it.
    pub threads: usize,
    /// End the process when a loop does not turn any more; a reload does not change it.
    pub watchdog: bool,
    /// Where to listen.
    pub places: Vec<ListenAddress>,
    /// Sockets that the process was started with, for some of these places; none at a reload.
    pub inherited: InheritedSockets,
    /// The listeners of the proxy are shut, as a former version has left them; none at a reload.
    pub shut: bool,
    /// What serving clients needs.
    pub service: ServiceOptions,
    /// Files that are looked at again.
    pub readers: Readers,
    /// The helpers that are asked about requests; None where there are none.
    pub redirector: Option<redirector::Options>,
    /// Seconds for which a soft stop goes on to accept.
    pub drain_delay: u64,
    /// Seconds that it then waits for its clients, 0 for ever.
    pub drain: u64,
    /// A pidfile was written.
    pub pid_saved: bool,
}

/// What has to be known to serve clients. What is large in it is shared by its copies.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Most clients of each kind, by [`Ingress::index`].
    pub limits: [usize; Ingress::ALL.len()],
    /// Most that one client may have.
    pub client_limits: ClientLimits,
    /// Most pipes that hold bytes at a time.
    pub pipes: usize,
    /// What the proxy says itself.
    pub answers: Answers,
    /// Limits and rules of exchanges.
    pub settings: Settings,
    /// What is allowed.
    pub policy: Policy,
    /// How connections are made.
    pub dial_options: DialOptions,
    /// How diverted requests and announced clients are dealt with.
    pub divert: DivertOptions,
    /// The parents that requests may be sent through.
    pub parents: Parents,
    /// What the files say about names.
    pub names: Names,
    /// The lists; None without one.
    pub lists: Option<ListSetup>,
    /// The users.
    pub users: UsersSetup,
    /// The cache; None where nothing is kept.
    pub cache: Option<CacheSettings>,
    /// What the monitor shows besides numbers.
    pub facts: Facts,
    /// Local addresses are read again while running.
    pub poll_interfaces: bool,
}

/// Files that are looked at again, so that what they say is swapped in when it has changed.
#[derive(Debug)]
pub struct Readers {
    /// Those about names.
    pub names: NameReader,
    /// The folder of local pages; None without one.
    pub pages: Option<Folder>,
    /// Those of lists; None without one.
    pub lists: Option<ListReader>,
    /// Those about parents; None without one.
    pub parents: Option<ParentReader>,
    /// Those of users, by realm; None where there are no users.
    pub users: [Option<UsersReader>; Realm::ALL.len()],
}

impl ServiceOptions {
    /// The same for each of so many loops: what is bounded for the process is divided among them.
    #[must_use]
    pub(super) fn divided(mut self, loops: usize) -> ServiceOptions {
        if loops < 2 {
            return self;
        }
        // A quarter is divided, the rest is what loops offer one another.
        let pool = self.dial_options.pool;
        self.dial_options.pool = pool / (4 * loops);
        self.dial_options.offers = pool - loops * self.dial_options.pool;
        self.dial_options.attempts = self.dial_options.attempts.div_ceil(loops);
        self.pipes = self.pipes.div_ceil(loops);
        self
    }
}
