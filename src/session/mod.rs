//! A client's socket, its origin's socket and the exchange between them: the pump.
//!
//! One session owns both ends, so nothing can be left behind when one of them goes. The exchange decides, the pump only
//! moves bytes: it asks what is wanted, does what is ready, and stops when nothing that is wanted is ready.

mod content;
pub mod moving;
mod passing;
mod peek;
mod shared;

use std::io;

use reactor::alarm::Alarms;
use reactor::arena::Key;
use reactor::buffer::{Buf, BLOCK};
use reactor::pipe::PipeKey;
use reactor::ready::Ready;
use reactor::stream::{Stream, Transport};

use crate::exchange::flow::Direction;
use crate::exchange::phase::Phase;
use crate::exchange::timers::Limits;
use crate::exchange::{Action, Context, Exchange, Side};
use crate::io::content::Content;
use crate::io::origin::Origin;
use content::following;
use passing::passes;
use peek::{PeekSize, MIN_PEEK};
pub use shared::Shared;
use shared::HEADROOM;

/// Rounds, and bytes in each direction, that a session may use before others get their turn. Each direction has its own
/// budget, or an upload that never pauses would leave nothing for the download.
const ROUNDS: u32 = 32;
const BYTES: usize = 2 << 20;

/// One client connection.
#[derive(Debug)]
pub struct Session<T> {
    /// The client's end.
    pub client: Stream<T>,
    /// The origin's end, while there is one.
    pub origin: Option<Box<Origin<T>>>,
    /// What is going on between them.
    pub exchange: Exchange,
    upload: Buf,
    download: Buf,
    /// How much of a body is peeked at in one go, each way; 0 while the bytes come in small pieces.
    peek_up: PeekSize,
    peek_down: PeekSize,
    /// Pipes with bytes that left their source and that the other side has not taken yet.
    pipe_up: Option<PipeKey>,
    pipe_down: Option<PipeKey>,
    /// What follows an answer of our own.
    content: Option<Box<Content>>,
}

/// Why the pump came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The exchange wants something done.
    Act(Action),
    /// Nothing that is wanted is ready.
    Wait,
    /// The budget of this turn is used up; there is more to do.
    Again,
}

impl<T: Transport> Session<T> {
    /// A session for a client that has just connected.
    pub fn new(client: Stream<T>, exchange: Exchange) -> Session<T> {
        Session {
            client,
            origin: None,
            exchange,
            upload: Buf::default(),
            download: Buf::default(),
            peek_up: PeekSize::NONE,
            peek_down: PeekSize::NONE,
            pipe_up: None,
            pipe_down: None,
            content: None,
        }
    }

    /// Moves what can be moved, until something has to be done by others or nothing is ready.
    pub fn run(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Progress {
        // What was asked for outside the pump comes first: there may be nothing to move before it is done.
        if let Some(action) = self.exchange.poll() {
            return Progress::Act(action);
        }
        let (mut left_up, mut left_down) = (BYTES, BYTES);
        for _ in 0..ROUNDS {
            self.note_errors(cx);
            let mut moved = self.pump(Direction::Upload, shared, cx, &mut left_up);
            moved |= self.pump(Direction::Download, shared, cx, &mut left_down);
            let (waiting, unread) = (self.waiting(shared), self.client.ready.has(Ready::READ));
            moved |= self.exchange.settle(waiting, unread, cx);
            moved |= self.shut_down(waiting, cx) | self.end_tunnel(waiting, cx);
            if let Some(action) = self.exchange.poll() {
                return Progress::Act(action);
            }
            if !moved {
                debug_assert!(!self.is_stuck(shared), "{} waits though it could go on", self.exchange.phase());
                return Progress::Wait;
            }
            self.exchange.handle_activity(cx.now);
            if left_up == 0 || left_down == 0 {
                break;
            }
        }
        Progress::Again
    }

    /// Arms the session's alarm for the exchange's next deadline.
    pub fn arm(&self, alarms: &mut Alarms, slot: Key, limits: &Limits) {
        if let Some((_, at)) = self.exchange.poll_timeout(limits) {
            alarms.arm(slot.index, at);
        }
    }

    /// The origin's connection has carried an exchange and stays for the next one.
    pub fn count_exchange(&mut self) {
        if let Some(origin) = &mut self.origin {
            origin.exchanges += 1;
        }
    }

    /// What has come from the origin and was not looked at yet: a head that is to be judged, with what is behind it.
    pub fn received(&self) -> &[u8] {
        &self.download.bytes()[self.exchange.flow(Direction::Download).cleared()..]
    }

    /// Drops what has come from the origin: it is no part of what the next one says.
    pub fn drop_received(&mut self, shared: &mut Shared) {
        let count = self.download.len();
        self.download.consume(count);
        shared.pool.reclaim(&mut self.download);
    }

    /// Bytes held for this session.
    pub fn stored(&self) -> usize {
        self.upload.len() + self.download.len()
    }

    /// Bytes of each direction that left their source and that the other side has not taken, upload first.
    fn waiting(&self, shared: &Shared) -> [usize; 2] {
        let held = |pipe: Option<PipeKey>| pipe.map_or(0, |pipe| shared.pipes.get(pipe).len());
        [self.upload.len() + held(self.pipe_up), self.download.len() + held(self.pipe_down)]
    }

    /// Bytes held for heads beyond a block each, by the buffers and by the request that waits, and for an answer that was made for
    /// this client. What the buffer has of an answer of our own is no head.
    pub fn head_bytes(&self) -> usize {
        let download = if self.exchange.is_answering() { 0 } else { self.download.beyond() };
        let request = self.exchange.request().map_or(0, |request| request.size().saturating_sub(BLOCK));
        self.upload.beyond() + download + request + self.exchange.answer_size().saturating_sub(BLOCK)
    }

    /// Takes the session apart: gives back its memory and makes sure that a cut message ends in a reset.
    pub fn dismantle(mut self, shared: &mut Shared) -> (Stream<T>, Option<Box<Origin<T>>>) {
        shared.pool.reclaim(&mut self.upload);
        shared.pool.reclaim(&mut self.download);
        [self.pipe_up, self.pipe_down].into_iter().flatten().for_each(|pipe| shared.pipes.release(pipe));
        if self.exchange.aborts(Side::Client) {
            self.client.io.abort();
        }
        let mut origin = self.origin.take();
        if let Some(origin) = origin.as_mut().filter(|_| self.exchange.aborts(Side::Origin)) {
            origin.stream.io.abort();
        }
        (self.client, origin)
    }

    /// A reset is acted on at once, also while no input is wanted. What came before it can still be read: it may be a whole
    /// response, and a tunnel delivers it.
    fn note_errors(&mut self, cx: &mut Context<'_>) {
        if self.client.ready.has(Ready::ERROR) {
            match self.exchange.handle_download_refused() {
                true => self.client.ready |= Ready::READ | Ready::READ_CLOSED,
                false => self.exchange.handle_broken(Side::Client, cx),
            }
        }
        let Some(origin) = &mut self.origin else { return };
        if origin.stream.ready.has(Ready::ERROR) {
            origin.stream.ready |= Ready::READ | Ready::READ_CLOSED;
            if matches!(self.exchange.phase(), Phase::Tunnel { .. }) {
                self.exchange.handle_upload_refused(true);
            }
        }
    }

    /// Ends the connection of the side that is left of a tunnel after the other was reset and all of it is through.
    fn end_tunnel(&mut self, waiting: [usize; 2], cx: &mut Context<'_>) -> bool {
        let Some(side) = self.exchange.wants_end(waiting) else { return false };
        let delivered = match (side, &self.origin) {
            (Side::Client, _) => self.client.io.unsent() == 0,
            (Side::Origin, Some(origin)) => origin.stream.io.unsent() == 0,
            (Side::Origin, None) => true,
        };
        self.exchange.handle_end(side, delivered, cx);
        true
    }

    /// Bytes that the client has not acknowledged yet, as far as the system tells.
    pub fn undelivered(&self) -> usize {
        self.client.io.unsent()
    }

    /// Is anything that is wanted ready? Then waiting may be for ever: the poller tells of an edge only once.
    fn is_stuck(&self, shared: &Shared) -> bool {
        let origin = self.origin.as_ref().map(|origin| origin.stream.ready);
        let client = Some(self.client.ready);
        let upload = (Direction::Upload, origin, &self.upload, self.peek_up, self.pipe_up);
        let download = (Direction::Download, client, &self.download, self.peek_down, self.pipe_down);
        [upload, download].into_iter().any(|(direction, to, stored, peek, pipe)| {
            let reads = self.reads(direction);
            let writes = to.is_some_and(|ready| ready.has(Ready::WRITE));
            match self.exchange.flow(direction).cleared() {
                _ if pipe.is_some() => writes || to.is_none() || !self.exchange.delivers(direction),
                _ if self.exchange.wants_shutdown(direction, stored.len()) => to.is_some(),
                0 if self.sends_content(direction, stored) => reads && writes,
                0 if passes(&self.exchange, direction, stored, peek) => reads && writes,
                0 => reads && (stored.has_storage() || shared.pool.has_room()),
                // What has no destination goes nowhere, now or later.
                _ => writes || to.is_none(),
            }
        })
    }

    /// Is input of this direction wanted, and there?
    fn reads(&self, direction: Direction) -> bool {
        let from = match (direction, &self.content) {
            (Direction::Upload, _) => Some(self.client.ready),
            (_, Some(content)) if self.exchange.is_answering() => content.is_ready().then_some(Ready::READ),
            // The end of what does not follow can be read at once.
            (_, None) if self.exchange.is_answering() => Some(Ready::READ),
            _ => self.origin.as_ref().map(|origin| origin.stream.ready),
        };
        from.is_some_and(|ready| ready.has(Ready::READ)) && self.exchange.wants_input(direction)
    }

    /// Is there anything for the pump to do in this direction? Most of the time there is not, and a look costs a tenth of a try.
    fn is_due(&self, direction: Direction) -> bool {
        let (stored, pipe) = match direction {
            Direction::Upload => (&self.upload, self.pipe_up),
            Direction::Download => (&self.download, self.pipe_down),
        };
        stored.has_storage() || pipe.is_some() || self.exchange.has_own(direction) || self.reads(direction)
    }

    /// Moves bytes in one direction, if there are some to be moved. True if anything changed.
    #[inline]
    fn pump(&mut self, direction: Direction, shared: &mut Shared, cx: &mut Context<'_>, left: &mut usize) -> bool {
        self.is_due(direction) && self.pump_due(direction, shared, cx, left)
    }

    /// The same where there are some. Apart, so that a direction in which nothing moves, as most do, costs no call.
    #[inline(never)]
    fn pump_due(&mut self, direction: Direction, shared: &mut Shared, cx: &mut Context<'_>, left: &mut usize) -> bool {
        let stored = self.stored_mut(direction);
        let room = stored.has_storage() || shared.pool.has_room();
        // Without stored bytes the work is done in the shared buffer, and an idle session owns none.
        let in_scratch = !stored.has_storage();
        let mut work = std::mem::take(if in_scratch { &mut shared.scratch } else { stored });
        if in_scratch {
            work.reset(HEADROOM);
        }
        let moved = self.move_bytes(direction, &mut work, room, shared, cx, left);
        let stored = self.stored_mut(direction);
        if in_scratch {
            if !work.is_empty() {
                *stored = shared.pool.store(work.bytes());
            }
            shared.scratch = work;
        } else if work.is_empty() {
            shared.pool.reclaim(&mut work);
        } else {
            shared.pool.shrink(&mut work);
            *stored = work;
        }
        moved
    }

    fn stored_mut(&mut self, direction: Direction) -> &mut Buf {
        match direction {
            Direction::Upload => &mut self.upload,
            Direction::Download => &mut self.download,
        }
    }

    /// Where the bytes of this direction go.
    fn sink(&mut self, direction: Direction) -> Option<&mut Stream<T>> {
        match direction {
            Direction::Upload => self.origin.as_mut().map(|origin| &mut origin.stream),
            Direction::Download => Some(&mut self.client),
        }
    }

    fn move_bytes(
        &mut self,
        direction: Direction,
        work: &mut Buf,
        room: bool,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        left: &mut usize,
    ) -> bool {
        let mut moved = false;
        for _ in 0..ROUNDS {
            if *left == 0 {
                break;
            }
            let before = work.len();
            match direction {
                Direction::Upload => self.exchange.advance_upload(work, cx),
                Direction::Download => self.exchange.advance_download(work, cx),
            }
            let cleared = self.exchange.flow(direction).cleared();
            let step = if let Some(pipe) = *self.pipe_mut(direction) {
                self.drain(direction, pipe, shared, cx)
            } else if cleared > 0 {
                self.send(direction, work, cleared, cx)
            } else {
                self.fetch(direction, work, room, shared, cx)
            };
            match step {
                Some(count) => {
                    moved = true;
                    *left = left.saturating_sub(count);
                }
                None => return moved || work.len() != before,
            }
        }
        moved
    }

    /// Sends cleared bytes. None when the destination takes nothing now.
    fn send(&mut self, direction: Direction, work: &mut Buf, cleared: usize, cx: &mut Context<'_>) -> Option<usize> {
        let ready = self.sink(direction)?.ready;
        if !ready.has(Ready::WRITE) {
            return None;
        }
        // What follows an answer goes with its head.
        let behind = if direction == Direction::Download && work.len() == cleared {
            following(&self.exchange, self.content.as_deref())
        } else {
            b""
        };
        let sent = match (direction, &mut self.origin) {
            (Direction::Download, _) if behind.is_empty() => self.client.send(&work.bytes()[..cleared]),
            (Direction::Download, _) => self.client.send_both(&work.bytes()[..cleared], behind),
            (Direction::Upload, Some(origin)) => origin.stream.send(&work.bytes()[..cleared]),
            (Direction::Upload, None) => return None,
        };
        match sent {
            Ok(0) => None,
            Ok(count) => {
                let of_buffer = count.min(cleared);
                work.consume(of_buffer);
                self.exchange.handle_sent(direction, of_buffer);
                if count > of_buffer {
                    self.handle_following(count - of_buffer);
                }
                Some(count)
            }
            Err(error) => {
                work.consume(cleared);
                self.exchange.handle_lost(direction);
                self.send_failed(direction, &error, cx);
                Some(0)
            }
        }
    }

    fn send_failed(&mut self, direction: Direction, error: &io::Error, cx: &mut Context<'_>) {
        log::debug!(target: "client", "{} sending to {} failed: {error}", self.exchange.name(cx), direction.sink());
        match direction {
            // The client of a tunnel may have said something before its connection broke; reading tells.
            Direction::Download => match self.exchange.handle_download_refused() {
                true => self.client.ready |= Ready::READ,
                false => self.exchange.handle_broken(Side::Client, cx),
            },
            Direction::Upload => {
                // The origin may have answered before it closed; reading tells.
                if let Some(origin) = &mut self.origin {
                    origin.stream.ready |= Ready::READ;
                }
                // The system says EPIPE only where the origin's FIN came before its reset (tcp(7)): then all that it said
                // is there to be read.
                self.exchange.handle_upload_refused(error.kind() != io::ErrorKind::BrokenPipe);
            }
        }
    }

    /// Gets more input. None when there is none now, or none is wanted.
    fn fetch(
        &mut self,
        direction: Direction,
        work: &mut Buf,
        room: bool,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        if !self.exchange.wants_input(direction) {
            return None;
        }
        if direction == Direction::Download && self.exchange.is_answering() {
            return self.fetch_content(work, room, shared, cx);
        }
        let (from, peek) = match direction {
            Direction::Upload => (&mut self.client, &mut self.peek_up),
            Direction::Download => (&mut self.origin.as_mut()?.stream, &mut self.peek_down),
        };
        if !from.ready.has(Ready::READ) {
            return None;
        }
        if passes(&self.exchange, direction, work, *peek) {
            return self.pass(direction, shared, cx);
        }
        if !room {
            shared.starved = true;
            return None;
        }
        if work.space().is_empty() {
            // Only a head is collected beyond a block, and heads are bounded by their own limit.
            let size = (work.len() * 2).min(self.exchange.most_held(cx.settings) + BLOCK);
            shared.pool.outgrow(work, size);
        }
        let space = work.space();
        let asked = space.len().min(BLOCK);
        match from.receive(&mut space[..asked]) {
            Ok(Some(0)) => self.exchange.handle_eof(direction, cx),
            Ok(Some(count)) => {
                *peek = if count == asked { PeekSize::of(MIN_PEEK) } else { PeekSize::NONE };
                work.filled(count);
                return Some(count);
            }
            // An interrupted call leaves READ set, and no event would tell of the bytes again.
            Ok(None) => return from.ready.has(Ready::READ).then_some(0),
            Err(error) => self.receive_failed(direction, &error, cx),
        }
        Some(0)
    }

    fn receive_failed(&mut self, direction: Direction, error: &io::Error, cx: &mut Context<'_>) {
        log::debug!(target: "client", "{} receiving from {} failed: {error}", self.exchange.name(cx), direction.source());
        let side = if direction == Direction::Upload { Side::Client } else { Side::Origin };
        self.exchange.handle_broken(side, cx);
    }

    /// Tells a destination that nothing more comes, where that is due.
    fn shut_down(&mut self, waiting: [usize; 2], cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        for (direction, stored) in [Direction::Upload, Direction::Download].into_iter().zip(waiting) {
            if !self.exchange.wants_shutdown(direction, stored) {
                continue;
            }
            if let Some(to) = self.sink(direction) {
                let shut = to.io.shutdown();
                self.exchange.handle_shut(direction);
                moved = true;
                if let Err(error) = shut {
                    log::debug!(target: "client", "{} ending our side to {} failed: {error}", self.exchange.name(cx), direction.sink());
                    let side = if direction == Direction::Upload { Side::Origin } else { Side::Client };
                    self.exchange.handle_broken(side, cx);
                }
            }
        }
        moved
    }
}
