//! Local pages that a helper has named: answered from what is kept, or from a file that the loader looks at. A session waits
//! for that as for a decision, and gets the bytes of a large file block by block.

use reactor::arena::Key;

use super::loading::PageLook;
use super::{Proxy, Waits};
use crate::answers::{PageAnswer, PageContent, Served};
use crate::http::cause::Cause;
use crate::io::content::{Content, ContentRequest};
use crate::loader::contents::Block;
use crate::logs::Word;
use crate::policy::decision::{Decision, LocalPage};

impl Proxy {
    /// Answers with a local page, or has its file looked at.
    pub(super) fn serve_page(&mut self, key: Key, page: LocalPage) {
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let Some(request) = exchange.request() else { return };
        match self.answers.page(&page, request, exchange.client()) {
            Served::Answer(served) => self.answer_page(key, served),
            Served::Elsewhere(path) => {
                let id = self.loading.look_at(path, key, page);
                self.set_waits(key, Waits::Page(id));
            }
        }
    }

    /// The loader has looked at a page's file.
    pub(super) fn page_looked_at(&mut self, look: PageLook) {
        let PageLook { session: key, id, page, content } = look;
        let large = matches!(content, Ok(PageContent::Large { .. }));
        let Some(client) = self.clients.get_mut(key).filter(|client| client.waits == Waits::Page(id)) else {
            if large {
                self.loading.loader.serve(ContentRequest::Close(id));
            }
            return;
        };
        client.waits = Waits::Nothing;
        if large {
            client.session.provide(Content::new(id));
        }
        let exchange = &client.session.exchange;
        let Some(request) = exchange.request() else { return };
        let served = self.answers.file(&page, content, request, exchange.client());
        self.answer_page(key, served);
        self.enqueue(key);
    }

    fn answer_page(&mut self, key: Key, served: PageAnswer) {
        if let Some(why) = served.missing {
            log::error!(target: "download", "{why}");
        }
        self.decided(key, Word::File, Decision::Answer(served.answer));
    }

    /// The time for a decision is over, and the loader has not come back. The decision was to answer: the
    /// request must not pass, as requests without a decision may under `redirector.on-failure`.
    pub(super) fn page_late(&mut self, key: Key) {
        const WHY: &str = "the local page could not be read in time";
        log::error!(target: "download", "{WHY}");
        let Some(client) = self.clients.get(key) else { return };
        let exchange = &client.session.exchange;
        let answer = self.answers.explain(Cause::PageMissing, exchange.request(), exchange.client(), WHY);
        self.decided(key, Word::File, Decision::Answer(answer));
    }

    /// The loader has read more of a file.
    pub(super) fn block_read(&mut self, Block { session: key, id, bytes }: Block) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some(content) = client.session.content_mut().filter(|content| content.id() == id) {
            content.handle_block(bytes);
            self.enqueue(key);
        }
    }
}
