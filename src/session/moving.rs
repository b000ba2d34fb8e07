//! A session without its loop: what it takes along to another process, or gets back where that does not take it.

use reactor::arena::Key;
use reactor::pipe::Pipe;
use reactor::ready::Ready;
use reactor::stream::{Stream, Transport};

use super::peek::PeekSize;
use super::{Session, Shared};
use crate::exchange::flow::Direction;
use crate::exchange::Exchange;
use crate::io::origin::Origin;

/// Most bytes that buffers may hold of a session that moves, both ways: a block each, and what came with a head.
pub const MOST_HELD: usize = 48 << 10;

/// A session that moves. No poll watches its sockets.
#[derive(Debug)]
pub struct MovingSession<T> {
    /// The client's socket.
    pub client: T,
    /// The connection to the origin.
    pub origin: Box<Origin<T>>,
    /// What is going on between them.
    pub exchange: Exchange,
    /// What was read and not sent, upload first.
    pub held: [Vec<u8>; 2],
    /// The same in pipes.
    pub pipes: [Option<Pipe>; 2],
}

impl<T: Transport> Session<T> {
    /// Could it go on elsewhere?
    pub fn may_move(&self) -> bool {
        let sound = |stream: &Stream<T>| !stream.ready.has(Ready::ERROR);
        self.exchange.may_move()
            && self.content.is_none()
            && self.stored() <= MOST_HELD
            && sound(&self.client)
            && self.origin.as_ref().is_some_and(|origin| sound(&origin.stream))
    }

    /// Takes it apart, with nothing lost. None where it has no origin; its client's connection ends then.
    pub fn part(mut self, shared: &mut Shared) -> Option<MovingSession<T>> {
        let held = [self.upload.bytes().to_vec(), self.download.bytes().to_vec()];
        shared.pool.reclaim(&mut self.upload);
        shared.pool.reclaim(&mut self.download);
        let pipes = [self.pipe_up, self.pipe_down].map(|pipe| pipe.map(|key| shared.pipes.give(key)));
        Some(MovingSession { client: self.client.io, origin: self.origin?, exchange: self.exchange, held, pipes })
    }

    /// Goes on with one that has moved: the route of the client's socket is new, that of the origin's it bears itself.
    ///
    /// # Errors
    /// Itself, where there is no place for its pipes.
    pub fn resume(
        mut moving: Box<MovingSession<T>>,
        route: Key,
        shared: &mut Shared,
    ) -> Result<Session<T>, Box<MovingSession<T>>> {
        let mut keys = [None; 2];
        for place in 0..keys.len() {
            let Some(pipe) = moving.pipes[place].take() else { continue };
            match shared.pipes.take(pipe) {
                Ok(key) => keys[place] = Some(key),
                Err(pipe) => {
                    moving.pipes[place] = Some(pipe);
                    if let Some(key) = keys[0].take() {
                        moving.pipes[0] = Some(shared.pipes.give(key));
                    }
                    return Err(moving);
                }
            }
        }
        let MovingSession { client, origin, exchange, held, .. } = *moving;
        let mut buffer = |bytes: &[u8]| if bytes.is_empty() { Default::default() } else { shared.pool.store(bytes) };
        let (upload, download) =
            (buffer(&held[Direction::Upload as usize]), buffer(&held[Direction::Download as usize]));
        Ok(Session {
            client: Stream::new(client, route),
            origin: Some(origin),
            exchange,
            upload,
            download,
            peek_up: PeekSize::NONE,
            peek_down: PeekSize::NONE,
            pipe_up: keys[0],
            pipe_down: keys[1],
            content: None,
        })
    }
}
