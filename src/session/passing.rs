//! The two ways of bytes that need not be looked at, from socket to socket: through a pipe of the kernel, or peeked at, sent
//! and discarded.

use std::io;

use reactor::buffer::Buf;
use reactor::pipe::PipeKey;
use reactor::ready::Ready;
use reactor::stream::{Stream, Transport};

use super::peek::{PeekSize, MAX_PEEK, MIN_PEEK};
use super::{Session, Shared};
use crate::exchange::flow::Direction;
use crate::exchange::{Context, Exchange};

/// Least bytes to ask for at which a pipe is used: what has come up to there was a read of a block and a peek that were both
/// filled and taken, and a slow destination takes less.
const MIN_SPLICE: usize = 2 * MIN_PEEK;

/// Do the next bytes of this direction go from socket to socket?
pub(super) fn passes(exchange: &Exchange, direction: Direction, work: &Buf, peek: PeekSize) -> bool {
    peek != PeekSize::NONE && work.is_empty() && exchange.passable(direction) >= MIN_PEEK as u64
}

/// Does this error say that sockets and pipes do not go together here, and nothing of the connection?
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, OutOfMemory, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | OutOfMemory | PermissionDenied | Unsupported)
}

impl<T: Transport> Session<T> {
    pub(super) fn pipe_mut(&mut self, direction: Direction) -> &mut Option<PipeKey> {
        match direction {
            Direction::Upload => &mut self.pipe_up,
            Direction::Download => &mut self.pipe_down,
        }
    }

    /// Source and destination of a direction, and how much is asked for in one go.
    fn ends(&mut self, direction: Direction) -> Option<(&mut Stream<T>, &mut Stream<T>, &mut PeekSize)> {
        let origin = &mut self.origin.as_mut()?.stream;
        Some(match direction {
            Direction::Upload => (&mut self.client, origin, &mut self.peek_up),
            Direction::Download => (origin, &mut self.client, &mut self.peek_down),
        })
    }

    /// Passes body bytes from socket to socket. None when none are there, or the destination takes none.
    pub(super) fn pass(&mut self, direction: Direction, shared: &mut Shared, cx: &mut Context<'_>) -> Option<usize> {
        let passable = usize::try_from(self.exchange.passable(direction)).unwrap_or(MAX_PEEK);
        let (from, to, peek) = self.ends(direction)?;
        if !to.ready.has(Ready::WRITE) {
            return None;
        }
        let asked = peek.bytes().min(passable);
        // A pipe does not tell the end from a mark of urgent bytes.
        let pipe = if asked < MIN_SPLICE || from.ready.has(Ready::URGENT) { None } else { shared.pipes.empty() };
        let Some(pipe) = pipe else { return self.copy(direction, asked, shared, cx) };
        let asked = asked.min(pipe.size());
        match from.splice_in(pipe, asked) {
            Ok(Some(0)) => self.copy(direction, asked, shared, cx),
            Ok(Some(_)) => self.splice(direction, asked, shared, cx),
            Ok(None) => None,
            Err(error) if is_refusal(&error) => {
                shared.pipes.refuse();
                self.copy(direction, asked, shared, cx)
            }
            Err(error) => {
                self.receive_failed(direction, &error, cx);
                Some(0)
            }
        }
    }

    /// Sends what came into the loop's empty pipe. Where that is not all, the pipe stays with this direction.
    fn splice(
        &mut self,
        direction: Direction,
        asked: usize,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        let key = shared.pipes.keep()?;
        let seen = shared.pipes.get(key).len();
        *self.pipe_mut(direction) = Some(key);
        let taken = self.drain(direction, key, shared, cx);
        if let Some((_, _, peek)) = self.ends(direction) {
            *peek = PeekSize::after(taken.unwrap_or(0), seen, asked);
        }
        taken
    }

    /// Sends what is left in the pipe of this direction, or closes it where nothing of it is wanted any more. None when the
    /// destination takes nothing now.
    pub(super) fn drain(
        &mut self,
        direction: Direction,
        key: PipeKey,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        let delivers = self.exchange.delivers(direction);
        let Some(to) = self.sink(direction).filter(|_| delivers) else {
            self.drop_pipe(direction, key, shared);
            return Some(0);
        };
        if !to.ready.has(Ready::WRITE) {
            return None;
        }
        let pipe = shared.pipes.get_mut(key);
        match to.splice_out(pipe) {
            Ok(0) => None,
            Ok(taken) => {
                if pipe.is_empty() {
                    shared.pipes.release(key);
                    *self.pipe_mut(direction) = None;
                }
                self.exchange.handle_passed(direction, taken);
                Some(taken)
            }
            Err(error) => {
                self.drop_pipe(direction, key, shared);
                self.send_failed(direction, &error, cx);
                Some(0)
            }
        }
    }

    fn drop_pipe(&mut self, direction: Direction, key: PipeKey, shared: &mut Shared) {
        self.exchange.handle_dropped(direction, shared.pipes.get(key).len());
        shared.pipes.release(key);
        *self.pipe_mut(direction) = None;
    }

    /// Peeks at as many bytes as the other side is likely to take, sends them, and takes out of the first socket only what the
    /// second one took. So nothing has to be kept however slow it is.
    fn copy(&mut self, direction: Direction, asked: usize, shared: &mut Shared, cx: &mut Context<'_>) -> Option<usize> {
        let (from, to, peek) = self.ends(direction)?;
        let seen = match from.peek(&mut shared.peek[..asked]) {
            Ok(Some(0)) => {
                self.exchange.handle_eof(direction, cx);
                return Some(0);
            }
            Ok(Some(seen)) => seen,
            Ok(None) => return from.ready.has(Ready::READ).then_some(0),
            Err(error) => {
                self.receive_failed(direction, &error, cx);
                return Some(0);
            }
        };
        let taken = match to.send(&shared.peek[..seen]) {
            Ok(taken) => taken,
            Err(error) => {
                self.send_failed(direction, &error, cx);
                return Some(0);
            }
        };
        *peek = PeekSize::after(taken, seen, asked);
        if let Err(error) = from.discard(&mut shared.peek[..taken], taken == seen && seen < asked) {
            self.receive_failed(direction, &error, cx);
            return Some(0);
        }
        self.exchange.handle_passed(direction, taken);
        (taken > 0).then_some(taken)
    }
}
