//! One ICAP transaction behind its heads: what its client may be answered with, how far its content has been read, and content on
//! its way back to it. The client that asks is also the one that gets the message back.

use super::request::{IcapMethod, IcapRequest, SaidOfClient, MAX_PREVIEW};
use crate::http::chunked::{ChunkScan, ChunkSender, Mode};
use crate::http::framing::Framing;

/// Bytes of memory for content that goes back which are kept for the next of it: those of one read, and more than its lines take.
const BLOCK: usize = 17 << 10;

/// The end of chunked content.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// How far content has come on its way back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Echo {
    /// It is thrown away.
    Off,
    /// It is on its way, or will be when the head in front of it is written.
    On,
    /// Its last chunk is on its way.
    Ending,
}

/// A request of ICAP, from its head to its reply.
#[derive(Debug)]
pub struct Transaction {
    method: IcapMethod,
    allows_204: bool,
    preview: bool,
    body: bool,
    /// The client waits at the end of the preview to be asked for the rest.
    previewing: bool,
    said: SaidOfClient,
    /// What helpers of the dialect icap are told of the ICAP head, in lines.
    lines: Box<[u8]>,
    echo: Echo,
    /// Content that goes back, in its chunks, and how much of that has gone out.
    held: Vec<u8>,
    given: usize,
    /// Bytes of content that were read in all.
    content: u64,
    /// Bytes of content that the head announces which goes back.
    announced: Option<u64>,
}

impl Transaction {
    /// A transaction whose heads have been read. What its client says of others counts where it is `trusted`.
    pub fn new(request: IcapRequest, trusted: bool) -> Transaction {
        let previewing = request.preview.is_some() && request.parts.body;
        Transaction {
            method: request.method,
            allows_204: request.allows_204,
            preview: request.preview.is_some(),
            body: request.parts.body,
            previewing,
            said: if trusted { request.said } else { SaidOfClient::default() },
            lines: Box::default(),
            echo: Echo::Off,
            held: Vec::new(),
            given: 0,
            content: 0,
            announced: None,
        }
    }

    /// What is asked.
    pub fn method(&self) -> IcapMethod {
        self.method
    }

    /// What is said of the client behind it, by one who is trusted.
    pub fn said(&self) -> &SaidOfClient {
        &self.said
    }

    /// Keeps lines for helpers.
    pub fn keep_lines(&mut self, lines: Vec<u8>) {
        self.lines = lines.into();
    }

    /// The lines for helpers, each with its end.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Whether 204 may be said in place of the message (RFC 3507 section 4.6).
    pub fn takes_204(&self) -> bool {
        self.allows_204 || self.preview
    }

    /// How its content is framed, and each of the two parts where it has a preview.
    pub fn framing(&self) -> Framing {
        match self.body {
            true => Framing::Chunked(ChunkScan::new(Mode::Decode, ChunkSender::Origin)),
            false => Framing::Empty,
        }
    }

    /// Has content go back to the client, behind a head that announces so many bytes of it, or none.
    pub fn begin_echo(&mut self, announced: Option<u64>) {
        if self.body {
            (self.echo, self.announced) = (Echo::On, announced);
        }
    }

    /// Whether content goes back.
    pub fn echoes(&self) -> bool {
        self.echo != Echo::Off
    }

    /// Whether the client has to be asked for the rest of the content before more of it comes, or before it can be said that
    /// all has been seen. `framing` is that of the part that is over.
    pub fn awaits_continue(&self, framing: &Framing) -> bool {
        let is_whole = matches!(framing, Framing::Chunked(chunks) if chunks.is_whole());
        self.previewing && self.echoes() && framing.is_done() && !is_whole
    }

    /// Whether the head that goes back can be written in front of content that is still coming: not before the preview is over,
    /// as a reply to it would be taken for the answer to all.
    pub fn may_begin(&self, framing: &Framing) -> bool {
        !self.previewing || framing.is_done()
    }

    /// The client is asked for the rest.
    pub fn go_on(&mut self) {
        self.previewing = false;
    }

    /// Takes content that was read. False when that cannot be what it was to be.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        self.content = self.content.saturating_add(bytes.len() as u64);
        if self.echo == Echo::On && !bytes.is_empty() {
            self.held.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
            self.held.extend_from_slice(bytes);
            self.held.extend_from_slice(b"\r\n");
        }
        !self.previewing || self.content <= MAX_PREVIEW
    }

    /// All content has been taken. False when it is not as long as the head in front of it says.
    pub fn finish(&mut self) -> bool {
        if self.echo == Echo::On {
            self.echo = Echo::Ending;
            self.held.extend_from_slice(LAST_CHUNK);
        }
        self.announced.is_none_or(|announced| announced == self.content)
    }

    /// Bytes of memory held for content that goes back: those of one read, or of a preview.
    pub fn held(&self) -> usize {
        self.held.capacity()
    }

    /// Chunks that are to go back.
    pub fn output(&self) -> &[u8] {
        self.held.get(self.given..).unwrap_or_default()
    }

    /// So many bytes of them have gone out. True when nothing more comes.
    pub fn skip(&mut self, count: usize) -> bool {
        self.given += count;
        if self.output().is_empty() {
            self.held.clear();
            // One read is as long as the next; a preview that was held is longer.
            self.held.shrink_to(BLOCK);
            self.given = 0;
        }
        self.echo == Echo::Ending && self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(fields: &str) -> Transaction {
        let head = format!("REQMOD icap://h/s ICAP/1.0\r\nEncapsulated: req-hdr=0, req-body=9\r\n{fields}\r\n");
        Transaction::new(IcapRequest::parse(head.as_bytes()).unwrap(), true)
    }

    /// Reads content as an exchange does.
    fn read(transaction: &mut Transaction, framing: &mut Framing, content: &[u8]) -> usize {
        let mut bytes = content.to_vec();
        let scan = framing.scan(&mut bytes).unwrap();
        assert!(transaction.take(&bytes[..scan.kept]));
        scan.taken
    }

    fn given(transaction: &mut Transaction) -> String {
        let mut out = Vec::new();
        while let [first, ..] = transaction.output() {
            out.push(*first);
            transaction.skip(1);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn content_goes_back_in_chunks_of_ours() {
        let mut transaction = transaction("");
        assert!(!transaction.takes_204() && transaction.may_begin(&transaction.framing()));
        transaction.begin_echo(Some(12));
        let mut framing = transaction.framing();
        read(&mut transaction, &mut framing, b"5;x=y\r\nhello\r\n7\r\n, w");
        assert_eq!(given(&mut transaction), "8\r\nhello, w\r\n");
        read(&mut transaction, &mut framing, b"orld\r\n0\r\nTrailer: x\r\n\r\nREQMOD");
        assert!(framing.is_done() && !transaction.awaits_continue(&framing) && transaction.finish());
        assert_eq!(given(&mut transaction), "4\r\norld\r\n0\r\n\r\n");
        assert!(transaction.skip(0));
    }

    #[test]
    fn behind_a_preview_the_client_is_asked_for_the_rest() {
        for (end, asks) in [("0\r\n\r\n", true), ("0; ieof\r\n\r\n", false), ("0;IEOF\r\n\r\n", false)] {
            let mut transaction = transaction("Preview: 5\r\n");
            transaction.begin_echo(None);
            let mut framing = transaction.framing();
            assert!(transaction.takes_204() && !transaction.may_begin(&framing));
            read(&mut transaction, &mut framing, format!("5\r\nhello\r\n{end}").as_bytes());
            assert_eq!(transaction.awaits_continue(&framing), asks, "{end}");
            assert!(transaction.may_begin(&framing));
            if asks {
                transaction.go_on();
                framing = transaction.framing();
                read(&mut transaction, &mut framing, b"1\r\n!\r\n0\r\n\r\n");
            }
            assert!(transaction.finish());
            let wanted = if asks { "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n" } else { "5\r\nhello\r\n0\r\n\r\n" };
            assert_eq!(given(&mut transaction), wanted);
        }
    }

    #[test]
    fn what_goes_nowhere_is_not_held_and_asked_for_no_further() {
        let mut transaction = transaction("Preview: 5\r\nAllow: 204\r\n");
        let mut framing = transaction.framing();
        read(&mut transaction, &mut framing, b"5\r\nhello\r\n0\r\n\r\n");
        assert!(framing.is_done() && !transaction.awaits_continue(&framing) && transaction.held() == 0);
        assert!(transaction.finish() && transaction.output().is_empty());
    }

    #[test]
    fn a_preview_has_a_bound_and_a_length_is_kept() {
        let mut long = transaction("Preview: 0\r\n");
        assert!(long.take(&vec![0; MAX_PREVIEW as usize]) && !long.take(b"x"));
        let mut short = transaction("");
        short.begin_echo(Some(3));
        assert!(short.take(b"ab") && !short.finish());
    }
}
