//! What follows an answer of our own: bytes that stand in memory already, sent from there, and chunks, which go through the
//! buffer.

use reactor::buffer::{Buf, BLOCK};
use reactor::ready::Ready;
use reactor::stream::Transport;

use super::{Session, Shared, BYTES};
use crate::exchange::flow::Direction;
use crate::exchange::{Context, Exchange};
use crate::io::content::{Content, ContentRequest};

impl<T: Transport> Session<T> {
    /// Tells the session of the file whose bytes follow the answer that its exchange is about to give.
    pub fn provide(&mut self, content: Content) {
        debug_assert!(self.content.is_none(), "one file at a time, and it is closed");
        self.content = Some(Box::new(content));
    }

    /// The file whose bytes follow the answer, to be given what was read of it.
    pub fn content_mut(&mut self) -> Option<&mut Content> {
        self.content.as_deref_mut()
    }

    /// What is needed of that file now. To be asked after each run, so that it is closed as soon as no more of it is wanted.
    pub fn poll_content(&mut self) -> Option<ContentRequest> {
        let content = self.content.as_mut()?;
        if self.exchange.needs_content() {
            return content.poll();
        }
        self.content.take().map(|content| content.farewell())
    }

    /// Does what follows an answer go out from where it stands?
    pub(super) fn sends_content(&self, direction: Direction, stored: &Buf) -> bool {
        let empty = stored.is_empty() && direction == Direction::Download;
        empty && !following(&self.exchange, self.content.as_deref()).is_empty()
    }

    /// So many bytes of what follows an answer were sent from where they stand.
    pub(super) fn handle_following(&mut self, count: usize) {
        // An answer's own body comes first, and has nothing behind it.
        if self.exchange.body_rest().is_empty() {
            if let Some(content) = &mut self.content {
                content.skip(count);
            }
        }
        self.exchange.handle_body_sent(count);
    }

    /// Sends what follows an answer from where it stands, so that nothing of it is copied. None when the client takes nothing now.
    fn send_content(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        if !self.client.ready.has(Ready::WRITE) {
            return None;
        }
        match self.client.send(following(&self.exchange, self.content.as_deref())) {
            Ok(0) => None,
            Ok(count) => {
                self.handle_following(count);
                Some(count)
            }
            Err(error) => {
                self.send_failed(Direction::Download, &error, cx);
                Some(0)
            }
        }
    }

    /// Gets more of what follows an answer. None while the loader reads it.
    pub(super) fn fetch_content(
        &mut self,
        work: &mut Buf,
        room: bool,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        if self.sends_content(Direction::Download, work) {
            return self.send_content(cx);
        }
        if self.content.as_ref().is_some_and(|content| !content.is_ready()) {
            return None;
        }
        if !room {
            shared.starved = true;
            return None;
        }
        let space = work.space();
        let asked = space.len().min(BLOCK);
        let space = &mut space[..asked];
        match self.content.as_mut().and_then(|content| content.read(space)) {
            Some(count) if count > 0 => {
                work.filled(count);
                Some(count)
            }
            _ => {
                self.exchange.handle_eof(Direction::Download, cx);
                Some(0)
            }
        }
    }
}

/// The bytes that follow an answer, where they stand: of its own body, or of content from elsewhere. None of what goes out as chunks.
pub(super) fn following<'a>(exchange: &'a Exchange, content: Option<&'a Content>) -> &'a [u8] {
    let passable = usize::try_from(exchange.passable(Direction::Download)).unwrap_or(usize::MAX);
    let bytes = match (exchange.body_rest(), content) {
        _ if !exchange.is_answering() => &b""[..],
        (b"", Some(content)) => content.bytes(),
        (body, _) => body,
    };
    &bytes[..bytes.len().min(passable).min(BYTES)]
}
