//! TCP in memory: a connection whose bytes take their time, arrive in other pieces than they were sent in, and whose ends
//! close, half close and break off. Tells readiness by edges, as epoll does. Knows nothing of what the bytes mean.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use reactor::pipe::Pipe;
use reactor::ready::Ready;
use reactor::stream::Transport;

use crate::random::Random;

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The proxy's.
    Proxy,
    /// That of a client or an origin.
    Peer,
}

impl Lane {
    /// Bytes that one read can take: it ends before a mark (tcp(7)). A marked byte leaves the stream unless it is kept.
    fn before_mark(&mut self, keeps: bool) -> usize {
        if !keeps && !self.arrived.is_empty() && self.marks.front() == Some(&self.taken) {
            self.take(1);
        }
        while self.marks.front().is_some_and(|mark| *mark < self.taken) {
            self.marks.pop_front();
        }
        let next = self.marks.iter().find(|mark| **mark > self.taken);
        next.map_or(usize::MAX, |mark| mark - self.taken).min(self.arrived.len())
    }

    fn is_at_mark(&self) -> bool {
        !self.arrived.is_empty() && self.marks.contains(&self.taken)
    }

    fn take(&mut self, count: usize) {
        self.arrived.drain(..count);
        self.taken += count;
    }
}

impl End {
    fn other(self) -> End {
        match self {
            End::Proxy => End::Peer,
            End::Peer => End::Proxy,
        }
    }
}

/// What is on its way to one end.
#[derive(Default, Debug)]
struct Lane {
    flying: VecDeque<u8>,
    arrived: VecDeque<u8>,
    /// Bytes that were sent, that arrived, and that were taken out, all in all.
    sent: usize,
    came: Rc<Cell<usize>>,
    taken: usize,
    /// Places of bytes that are marked as urgent.
    marks: VecDeque<usize>,
    fin_sent: bool,
    fin_arrived: bool,
    /// The sender was told that there is no room, and wants to know when there is.
    blocked: bool,
    /// What to tell the end that reads here.
    news: Ready,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    to_proxy: Lane,
    to_peer: Lane,
    /// Bytes that each way holds.
    capacity: usize,
    proxy_closed: bool,
    peer_closed: bool,
    /// A reset is on its way to this end.
    resetting: Option<End>,
    /// This end has been reset; the first call that notices gets the error.
    reset: Option<(End, bool)>,
    random: Random,
    /// Calls of the proxy are interrupted now and then.
    interrupts: bool,
    /// The peer marks bytes as urgent now and then.
    urgent: bool,
    /// Marked bytes keep their place in the stream.
    keeps_urgent: bool,
}

/// A handle of a wire.
pub(crate) type SharedWire = Rc<RefCell<Wire>>;

impl Wire {
    /// A connection that has just come about. The proxy's end is writable, which is news.
    pub(crate) fn new(capacity: usize, urgent: bool, random: &mut Random) -> SharedWire {
        let mut to_proxy = Lane::default();
        to_proxy.news |= Ready::WRITE;
        Rc::new(RefCell::new(Wire {
            to_proxy,
            to_peer: Lane::default(),
            capacity: capacity.max(1),
            proxy_closed: false,
            peer_closed: false,
            resetting: None,
            reset: None,
            random: Random::new(random.next()),
            interrupts: random.chance(20),
            urgent,
            keeps_urgent: false,
        }))
    }

    /// Time passes: some of what flies arrives. True if anything did.
    pub(crate) fn tick(&mut self) -> bool {
        let moved = self.fly(End::Proxy) | self.fly(End::Peer);
        // What was sent before the reset is before it on the way, too.
        if let Some(end) = self.resetting.filter(|end| self.lane(*end).flying.is_empty()) {
            self.resetting = None;
            if self.reset.is_some() {
                return moved;
            }
            // Behind an end that has arrived a reset is no news to a reader, and a broken pipe to a writer.
            self.reset = Some((end, self.lane(end).fin_arrived));
            let lane = self.lane(end);
            lane.fin_arrived = true;
            lane.news |= Ready::ERROR | Ready::READ | Ready::READ_CLOSED | Ready::WRITE;
            return true;
        }
        moved
    }

    fn fly(&mut self, to: End) -> bool {
        let all = self.random.chance(50);
        let most = self.lane(to).flying.len();
        let count = if all { most } else { self.random.size(most) };
        if count > 0 && self.closed(to) {
            // The socket at that end is closed: its kernel answers with a reset.
            self.lane(to).flying.clear();
            self.resetting = Some(to.other());
            return true;
        }
        let lane = self.lane(to);
        let bytes = lane.flying.drain(..count);
        lane.arrived.extend(bytes);
        let before = lane.came.get();
        lane.came.set(before + count);
        if lane.marks.iter().any(|mark| (before..before + count).contains(mark)) {
            lane.news |= Ready::URGENT;
        }
        let ends = lane.flying.is_empty() && lane.fin_sent && !lane.fin_arrived;
        if count > 0 {
            lane.news |= Ready::READ;
        }
        if ends {
            lane.fin_arrived = true;
            lane.news |= Ready::READ | Ready::READ_CLOSED;
        }
        count > 0 || ends
    }

    /// Edges that the proxy's end has not been told of.
    pub(crate) fn take_news(&mut self) -> Ready {
        let mut news = std::mem::take(&mut self.to_proxy.news);
        if self.to_peer.blocked && self.room(End::Peer) > 0 {
            self.to_peer.blocked = false;
            news |= Ready::WRITE;
        }
        news
    }

    /// Bytes that may be sent to this end.
    pub(crate) fn room(&self, to: End) -> usize {
        let lane = if to == End::Proxy { &self.to_proxy } else { &self.to_peer };
        self.capacity.saturating_sub(lane.flying.len() + lane.arrived.len())
    }

    /// Has this end been reset?
    pub(crate) fn is_reset(&self, end: End) -> bool {
        matches!(self.reset, Some((reset, _)) if reset == end)
    }

    /// Has everything up to the other side's end been read?
    pub(crate) fn is_at_end(&self, end: End) -> bool {
        let lane = if end == End::Proxy { &self.to_proxy } else { &self.to_peer };
        lane.arrived.is_empty() && lane.fin_arrived
    }

    /// The peer reads at most `most` bytes.
    pub(crate) fn read(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.to_peer.arrived.len());
        let bytes = self.to_peer.arrived.range(..count).copied().collect();
        self.to_peer.take(count);
        bytes
    }

    /// The peer sends what there is room for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.to_proxy.fin_sent || self.is_reset(End::Peer) {
            return 0;
        }
        let count = bytes.len().min(self.room(End::Proxy));
        self.to_proxy.flying.extend(&bytes[..count]);
        if self.urgent && count > 0 && self.random.chance(10) {
            let mark = self.to_proxy.sent + self.random.below(count);
            self.to_proxy.marks.push_back(mark);
        }
        self.to_proxy.sent += count;
        count
    }

    /// Bytes that the peer has sent.
    pub(crate) fn sent(&self) -> usize {
        self.to_proxy.sent
    }

    /// Bytes of the peer that have arrived, now and later.
    pub(crate) fn came(&self) -> Rc<Cell<usize>> {
        self.to_proxy.came.clone()
    }

    /// The peer sends nothing more.
    pub(crate) fn finish(&mut self) {
        self.to_proxy.fin_sent = true;
    }

    /// The peer closes its end; `reset` breaks the connection off.
    pub(crate) fn close(&mut self, reset: bool) {
        self.drop_end(End::Peer, reset);
    }

    fn drop_end(&mut self, end: End, reset: bool) {
        if self.closed(end) {
            return;
        }
        match end {
            End::Proxy => self.proxy_closed = true,
            End::Peer => self.peer_closed = true,
        }
        // Closing with unread bytes is a reset too (RFC 2525 section 2.17).
        let unread = !self.lane(end).arrived.is_empty();
        let gone = self.reset.is_some();
        if gone {
            return;
        }
        if reset || unread {
            // What the system had not sent yet is thrown away. Of the proxy that is all: it may not count on any of it.
            let flying = self.lane(end.other()).flying.len();
            let left = if end == End::Proxy { 0 } else { self.random.below(flying + 1) };
            let lane = self.lane(end.other());
            lane.flying.truncate(left);
            // An end behind bytes that are gone never arrives.
            lane.fin_sent &= left == flying;
            self.resetting = Some(end.other());
        } else {
            self.lane(end.other()).fin_sent = true;
        }
    }

    fn lane(&mut self, to: End) -> &mut Lane {
        match to {
            End::Proxy => &mut self.to_proxy,
            End::Peer => &mut self.to_peer,
        }
    }

    fn closed(&self, end: End) -> bool {
        match end {
            End::Proxy => self.proxy_closed,
            End::Peer => self.peer_closed,
        }
    }

    fn interrupt(&mut self) -> io::Result<()> {
        match self.interrupts && self.random.chance(5) {
            true => Err(ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }

    /// What a read finds: how many bytes, after what there is of errors.
    fn readable(&mut self) -> io::Result<usize> {
        self.interrupt()?;
        if self.random.chance(10) {
            // Bytes come at any moment, and with them marks of which no event has told yet.
            self.fly(End::Proxy);
        }
        let count = self.to_proxy.before_mark(self.keeps_urgent);
        match &mut self.reset {
            _ if count > 0 => Ok(count),
            Some((End::Proxy, told @ false)) => {
                *told = true;
                Err(ErrorKind::ConnectionReset.into())
            }
            _ if self.to_proxy.fin_arrived => Ok(0),
            _ => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

/// The proxy's end of a wire. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Socket {
    wire: SharedWire,
    abort: bool,
}

impl Socket {
    pub(crate) fn new(wire: &SharedWire) -> Socket {
        Socket { wire: wire.clone(), abort: false }
    }

    pub(crate) fn wire(&self) -> &SharedWire {
        &self.wire
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.wire.borrow_mut().drop_end(End::Proxy, self.abort);
    }
}

impl Transport for Socket {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.peek(into)?;
        self.wire.borrow_mut().to_proxy.take(count);
        Ok(count)
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        assert!(!into.is_empty(), "a read of nothing looks like the end");
        let mut wire = self.wire.borrow_mut();
        let count = wire.readable()?.min(into.len());
        let (first, second) = wire.to_proxy.arrived.as_slices();
        let (here, there) = (count.min(first.len()), count.saturating_sub(first.len()));
        into[..here].copy_from_slice(&first[..here]);
        into[here..count].copy_from_slice(&second[..there]);
        Ok(count)
    }

    fn discard(&mut self, over: &mut [u8]) -> io::Result<usize> {
        // A socket may write there or not.
        over.fill(b'?');
        let mut wire = self.wire.borrow_mut();
        wire.interrupt()?;
        let keeps = wire.keeps_urgent;
        let most = wire.to_proxy.before_mark(keeps).min(over.len());
        let taken = if most > 0 { 1 + wire.random.below(most) } else { 0 };
        wire.to_proxy.take(taken);
        Ok(taken)
    }

    fn send(&mut self, from: &[u8]) -> io::Result<usize> {
        assert!(!from.is_empty(), "nothing to send");
        let mut wire = self.wire.borrow_mut();
        wire.interrupt()?;
        assert!(!wire.to_peer.fin_sent, "sent after the shutdown");
        if let Some((End::Proxy, told)) = &mut wire.reset {
            let kind = if *told { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionReset };
            *told = true;
            return Err(kind.into());
        }
        let mut room = wire.room(End::Peer);
        if wire.random.chance(10) {
            room = wire.random.below(room + 1);
        }
        let count = room.min(from.len());
        wire.to_peer.blocked |= count < from.len();
        wire.to_peer.flying.extend(&from[..count]);
        match count {
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(count),
        }
    }

    fn send_both(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        self.send(&[first, second].concat())
    }

    fn splice_in(&mut self, pipe: &Pipe, most: usize) -> io::Result<usize> {
        assert!(most > 0 && pipe.is_empty(), "a pipe with bytes is drained first");
        let mut wire = self.wire.borrow_mut();
        wire.interrupt()?;
        if wire.random.chance(1) {
            return Err(ErrorKind::InvalidInput.into());
        }
        // At a mark there is nothing, and behind an end it looks like the end.
        let mut count = match wire.to_proxy.is_at_mark() {
            true if wire.to_proxy.fin_arrived && wire.reset.is_none() => return Ok(0),
            true => return Err(ErrorKind::WouldBlock.into()),
            false => wire.readable()?.min(most),
        };
        if wire.random.chance(30) && count > 0 {
            // Small pieces fill the places of a pipe.
            count = 1 + wire.random.below(count);
        }
        let bytes: Vec<u8> = wire.to_proxy.arrived.range(..count).copied().collect();
        if count > 0 {
            assert_eq!(nix::unistd::write(pipe.input(), &bytes)?, count, "the pipe takes what it was made for");
        }
        wire.to_proxy.take(count);
        Ok(count)
    }

    fn splice_out(&mut self, pipe: &Pipe) -> io::Result<usize> {
        let room = {
            let mut wire = self.wire.borrow_mut();
            let room = wire.room(End::Peer);
            let some = wire.random.below(room + 1);
            // A short write does not say that there is no more room.
            if wire.random.chance(20) {
                some.max(1).min(room)
            } else {
                room
            }
        };
        let mut bytes = vec![0; pipe.len().min(room.max(1))];
        if room == 0 || self.wire.borrow().is_reset(End::Proxy) {
            return self.send(&bytes);
        }
        let count = nix::unistd::read(pipe.output(), &mut bytes)?;
        assert_eq!(count, bytes.len(), "what was counted is there");
        let mut wire = self.wire.borrow_mut();
        assert!(!wire.to_peer.fin_sent, "sent after the shutdown");
        wire.to_peer.flying.extend(&bytes);
        Ok(count)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        let mut wire = self.wire.borrow_mut();
        assert!(!wire.to_peer.fin_sent, "shut down twice");
        if wire.is_reset(End::Proxy) {
            return Err(ErrorKind::NotConnected.into());
        }
        wire.to_peer.fin_sent = true;
        Ok(())
    }

    fn keep_urgent(&mut self) {
        self.wire.borrow_mut().keeps_urgent = true;
    }

    fn unsent(&self) -> usize {
        self.wire.borrow().to_peer.flying.len()
    }

    fn abort(&mut self) {
        self.abort = true;
    }
}
