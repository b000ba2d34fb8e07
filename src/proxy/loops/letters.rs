//! What loops write to one another. A letter is a value that changes hands: nothing in it is looked at by two loops, but for what
//! is immutable.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::sync::Arc;

use mio::net::TcpStream;
use reactor::arena::Key;

use super::mailbox::Letter;
use crate::answers::Pages;
use crate::cache::far::FarWord;
use crate::exchange::ingress::{Arrival, Ingress};
use crate::http::request::Request;
use crate::loader::names::Names;
use crate::logs::{AccessLog, UsageLog};
use crate::monitor::hosts::HostCounts;
use crate::monitor::lists::ListFileRow;
use crate::monitor::observed::ObservedHosts;
use crate::monitor::sessions::{EndPoints, Sessions};
use crate::monitor::Running;
use crate::peer::ClientId;
use crate::policy::credentials::users::UserTable;
use crate::policy::lists::Lists;
use crate::policy::parents::Parents;
use crate::policy::OwnListener;
use crate::proxy::listening::crowding::Standing;
use crate::proxy::parcels::{IncomingTunnel, Parcel};
use crate::proxy::{ListenAddress, ServiceOptions};
use crate::redirector::helper::Program;
use crate::redirector::pool::{Answered, HelperFault, Ticket};
use crate::redirector::HelperTerms;
use crate::web::Needs;

/// To a loop that is not the first.
#[derive(Debug)]
pub(in crate::proxy) enum Task {
    /// This connection is its own from now on.
    Serve(TcpStream, Arrival),
    /// It serves clients by these options, and its helpers are these. It says when it does.
    Configure(Box<(ServiceOptions, Option<HelperTerms>)>, Sender<()>),
    /// What is known about names.
    Names(Names),
    /// What has been found in the files of lists.
    Lists(Result<Option<Arc<Lists>>, String>),
    /// The parents, as their files say now.
    Parents(Box<Parents>),
    /// What has been found in a file of users, by its place.
    Users(usize, Result<Arc<UserTable>, String>),
    /// The local pages.
    Pages(Arc<Pages>),
    /// Our listeners: the addresses of all, and where clients find the proxy.
    Listeners(Vec<(OwnListener, SocketAddr)>, Vec<ListenAddress>),
    /// Where decisions are written to.
    Usage(Option<UsageLog>),
    /// Where requests are written to.
    Access(Option<AccessLog>),
    /// What its clients wait for has come, or not.
    Fetched(FarWord),
    /// What a page needs, for the gathering of this number.
    Report(u64, Needs),
    /// Where its clients of this kind stand, since places are wanted.
    Stand(Ingress),
    /// A client gives its place to others; one that is served is told so.
    GiveWay(Key, bool),
    /// A helper has replied.
    Replied(Box<FarReply>),
    /// No helper will reply.
    Undecided(Key, Ticket, HelperFault),
    /// There are no helpers any more.
    Unasked(Key, Ticket),
    /// Nothing is to be begun that keeps a thread busy, since all of them are to end for a moment.
    Settle,
    /// The loop ends its threads, and its turns.
    Park,
    /// Threads may be busy again.
    GoOn,
    /// Clients stay with this process, which is not the service any more.
    Leave,
    /// A tunnel of another process is its own from now on.
    Adopt(Box<IncomingTunnel>),
    /// Up to so many of its tunnels are to go on in another process.
    Depart(usize),
    /// The end.
    Stop,
}

impl Letter for Task {
    fn replaces(&self, older: &Task) -> bool {
        match (self, older) {
            // That nothing more was found says nothing of what was found before.
            (Task::Lists(news), Task::Lists(old)) => matches!(news, Ok(Some(_))) || !matches!(old, Ok(Some(_))),
            (Task::Users(place, news), Task::Users(other, old)) => place == other && (news.is_ok() || old.is_err()),
            (Task::Stand(ingress), Task::Stand(other)) => ingress == other,
            (Task::Configure(..), Task::Configure(..))
            | (Task::Names(_), Task::Names(_))
            | (Task::Parents(_), Task::Parents(_))
            | (Task::Pages(_), Task::Pages(_))
            | (Task::Listeners(..), Task::Listeners(..))
            | (Task::Usage(_), Task::Usage(_))
            | (Task::Access(_), Task::Access(_))
            | (Task::Settle, Task::Settle) => true,
            _ => false,
        }
    }
}

/// To the first loop.
#[derive(Debug)]
pub(in crate::proxy) enum News {
    /// The numbers of a second, of the loop of this number.
    Second(usize, Box<Running>),
    /// What clients of the first loop wait for has come, or not.
    Fetched(FarWord),
    /// The hosts of a minute.
    Hosts(HostCounts),
    /// What a page needs, of the loop of this number, for the gathering of that one.
    Reported(usize, u64, Box<LoopReport>),
    /// Where clients of a kind stand in the loop of this number.
    Standing(usize, Ingress, Vec<Standing>),
    /// A session of that loop asks helpers.
    Ask(usize, Key, Ticket, Box<FarQuestion>),
    /// A reply was of no use, and the question goes to another helper.
    AskAgain(usize, Ticket, Box<FarReply>),
    /// That loop does not wait for this reply any more.
    Cancel(usize, Ticket),
    /// These tunnels of that loop are to go on in another process.
    Departs(usize, Vec<Parcel>),
    /// A loop cannot go on.
    Failed(String),
}

impl Letter for News {
    fn replaces(&self, older: &News) -> bool {
        matches!((self, older), (News::Second(number, _), News::Second(other, _)) if number == other)
    }
}

/// A question for helpers by a session of another loop.
#[derive(Debug)]
pub(in crate::proxy) struct FarQuestion {
    pub(super) request: Request,
    pub(super) client: ClientId,
    pub(super) local: SocketAddr,
    pub(super) lines: Box<[u8]>,
    /// A helper has it: it does not wait any more.
    pub(super) taken: Arc<AtomicBool>,
}

/// A helper's reply on its way to the loop that has asked.
#[derive(Debug)]
pub(in crate::proxy) struct FarReply {
    pub(super) who: Key,
    /// The name of the question in that loop.
    pub(super) ticket: Ticket,
    pub(super) answered: Answered,
    pub(super) program: Arc<Program>,
    pub(super) reply: Vec<u8>,
    pub(super) question: Box<FarQuestion>,
}

/// What a loop knows that a page is to show; what was not asked for is empty.
#[derive(Debug, Default)]
pub(in crate::proxy) struct LoopReport {
    pub(super) running: Option<Running>,
    pub(super) sessions: Sessions,
    pub(super) ends: EndPoints,
    /// Clients by the number of their listener.
    pub(super) listeners: HashMap<u16, u64>,
    pub(super) files: Vec<ListFileRow>,
    pub(super) observed: ObservedHosts,
    pub(super) refusals: Vec<(Box<str>, u64)>,
}
