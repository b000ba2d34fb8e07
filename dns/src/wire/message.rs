//! Questions out, responses in: header, question and records (RFC 1035 section 4, EDNS of RFC 6891). Does not know
//! which question was asked, nor what a response means.

use super::name::{self, NameRef};
use super::{u16_at, u32_at, Malformed, CLASS_IN, TYPE_OPT};

/// Bytes of a message's header (RFC 1035 section 4.1.1).
pub const HEADER: usize = 12;
/// Records that are looked at in one message; an answer for a host has a few dozen at most.
pub const MAX_RECORDS: usize = 256;

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const RCODE: u16 = 0x000f;

/// What a question is made of.
#[derive(Clone, Copy, Debug)]
pub struct QueryMessage<'a> {
    /// The message id.
    pub id: u16,
    /// The name in normal text.
    pub name: &'a str,
    /// Which letters are sent in upper case, see [`name::write`].
    pub mask: u64,
    /// The record type.
    pub kind: u16,
    /// The UDP payload in bytes that we accept, announced with EDNS; `None` leaves EDNS out.
    pub edns: Option<u16>,
}

impl QueryMessage<'_> {
    /// Appends the message, without the length that TCP puts in front.
    pub fn write(&self, out: &mut Vec<u8>) {
        let additional = u16::from(self.edns.is_some());
        for number in [self.id, RECURSION_DESIRED, 1, 0, 0, additional] {
            out.extend(number.to_be_bytes());
        }
        name::write(out, self.name, self.mask);
        out.extend(self.kind.to_be_bytes());
        out.extend(CLASS_IN.to_be_bytes());
        if let Some(payload) = self.edns {
            // Root name, OPT, payload size, then extended code, version and flags in the TTL's place, and no options.
            out.push(0);
            out.extend(TYPE_OPT.to_be_bytes());
            out.extend(payload.to_be_bytes());
            out.extend([0; 6]);
        }
    }
}

/// A response whose header has been read.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    bytes: &'m [u8],
    flags: u16,
}

/// The question that a response repeats.
#[derive(Clone, Copy, Debug)]
pub struct Question<'m> {
    /// The name.
    pub name: NameRef<'m>,
    /// The record type.
    pub kind: u16,
    /// The class.
    pub class: u16,
    /// Offset of the first byte after it.
    pub end: usize,
}

/// One record; offsets are into its message.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Offset of the owner's name.
    pub owner: usize,
    /// The record type.
    pub kind: u16,
    /// The class, or the payload size of an OPT.
    pub class: u16,
    /// The time to live as sent, or the extended code and flags of an OPT.
    pub raw_ttl: u32,
    /// Offset of the data.
    pub data: usize,
    /// Length of the data, which lies inside the message.
    pub length: usize,
}

/// The three sections of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who says so: SOA and NS.
    Authority,
    /// Extras, among them OPT.
    Additional,
}

impl<'m> Message<'m> {
    /// Reads the header of a response to a standard query.
    pub fn parse(bytes: &'m [u8]) -> Result<Message<'m>, Malformed> {
        if bytes.len() < HEADER {
            return Err(Malformed::Short);
        }
        let flags = u16_at(bytes, 2)?;
        if flags & RESPONSE == 0 || flags & OPCODE != 0 {
            return Err(Malformed::NotResponse);
        }
        Ok(Message { bytes, flags })
    }

    /// The message id.
    pub fn id(&self) -> u16 {
        self.count(0)
    }

    /// The low four bits of the response code; an OPT record may add more.
    pub fn rcode(&self) -> u16 {
        self.flags & RCODE
    }

    /// Whether the answer was cut to fit a datagram.
    pub fn is_truncated(&self) -> bool {
        self.flags & TRUNCATED != 0
    }

    /// Whether the server owns the name.
    pub fn is_authoritative(&self) -> bool {
        self.flags & AUTHORITATIVE != 0
    }

    /// Whether the server resolves for others.
    pub fn has_recursion(&self) -> bool {
        self.flags & RECURSION_AVAILABLE != 0
    }

    /// How many questions it repeats.
    pub fn questions(&self) -> u16 {
        self.count(4)
    }

    /// The bytes of the message.
    pub fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    /// The first question; [`Malformed::Short`] when there is none.
    pub fn question(&self) -> Result<Question<'m>, Malformed> {
        if self.questions() == 0 {
            return Err(Malformed::Short);
        }
        let name = NameRef::new(self.bytes, HEADER);
        let at = name.end()?;
        Ok(Question { name, kind: u16_at(self.bytes, at)?, class: u16_at(self.bytes, at + 2)?, end: at + 4 })
    }

    /// Fills `records` with the records after a single question that ended at `at`.
    pub fn records(&self, at: usize, records: &mut Records) -> Result<(), Malformed> {
        let counts = [self.count(6), self.count(8), self.count(10)].map(usize::from);
        records.list.clear();
        if counts.iter().sum::<usize>() > MAX_RECORDS {
            return Err(Malformed::Records);
        }
        records.answers = counts[0];
        records.authorities = counts[1];
        let mut at = at;
        for _ in 0..counts.iter().sum() {
            let record = self.record(at)?;
            at = record.data + record.length;
            records.list.push(record);
        }
        Ok(())
    }

    fn record(&self, owner: usize) -> Result<Record, Malformed> {
        let at = NameRef::new(self.bytes, owner).end()?;
        let length = usize::from(u16_at(self.bytes, at + 8)?);
        let data = at + 10;
        if self.bytes.len() - data < length {
            return Err(Malformed::Short);
        }
        Ok(Record {
            owner,
            kind: u16_at(self.bytes, at)?,
            class: u16_at(self.bytes, at + 2)?,
            raw_ttl: u32_at(self.bytes, at + 4)?,
            data,
            length,
        })
    }

    /// A number of the header; `parse` has seen that the header is there.
    fn count(&self, at: usize) -> u16 {
        u16_at(self.bytes, at).unwrap_or(0)
    }
}

impl Record {
    /// The time to live in seconds. A set top bit means zero (RFC 2181 section 8).
    pub fn ttl(&self) -> u32 {
        if self.raw_ttl > 0x7fff_ffff {
            0
        } else {
            self.raw_ttl
        }
    }

    /// The data.
    pub fn bytes<'m>(&self, message: &Message<'m>) -> &'m [u8] {
        message.bytes.get(self.data..self.data + self.length).unwrap_or(&[])
    }
}

/// The records of one message; kept by the caller so that its memory is used again.
#[derive(Clone, Debug, Default)]
pub struct Records {
    list: Vec<Record>,
    answers: usize,
    authorities: usize,
}

impl Records {
    /// The records of one section.
    pub fn of(&self, section: Section) -> &[Record] {
        let authority = self.answers + self.authorities;
        let range = match section {
            Section::Answer => 0..self.answers,
            Section::Authority => self.answers..authority,
            Section::Additional => authority..self.list.len(),
        };
        self.list.get(range).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{TYPE_A, TYPE_AAAA};

    fn encode(edns: Option<u16>) -> Vec<u8> {
        let mut out = Vec::new();
        QueryMessage { id: 1, name: "a.ok", mask: 0, kind: TYPE_A, edns }.write(&mut out);
        out
    }

    #[test]
    fn question_without_edns_is_byte_exact() {
        assert_eq!(encode(None), b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02ok\x00\x00\x01\x00\x01");
    }

    #[test]
    fn question_with_edns_carries_the_payload_size() {
        let bytes = encode(Some(1232));
        assert_eq!(bytes[11], 1);
        assert_eq!(bytes[22..], *b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00");
    }

    fn response() -> Vec<u8> {
        let mut bytes = encode(None);
        bytes[2] = 0x81;
        bytes[3] = 0x80;
        bytes[7] = 1;
        bytes.extend(b"\xc0\x0c\x00\x01\x00\x01\x80\x00\x00\x01\x00\x04\xc0\x00\x02\x01");
        bytes
    }

    #[test]
    fn a_response_is_read() {
        let bytes = response();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.id(), message.rcode(), message.questions()), (1, 0, 1));
        assert!(message.has_recursion() && !message.is_truncated() && !message.is_authoritative());
        let question = message.question().unwrap();
        assert_eq!((question.kind, question.class), (TYPE_A, CLASS_IN));
        let mut records = Records::default();
        message.records(question.end, &mut records).unwrap();
        let answer = records.of(Section::Answer)[0];
        assert_eq!(answer.bytes(&message), [192, 0, 2, 1]);
        assert_eq!(answer.ttl(), 0, "a TTL with its top bit set is zero");
        assert!(records.of(Section::Authority).is_empty() && records.of(Section::Additional).is_empty());
    }

    #[test]
    fn each_cut_is_noticed() {
        let whole = response();
        for length in 0..whole.len() {
            let bytes = &whole[..length];
            let read = Message::parse(bytes).and_then(|message| {
                let question = message.question()?;
                message.records(question.end, &mut Records::default())
            });
            assert_eq!(read, Err(Malformed::Short), "{length}");
        }
    }

    #[test]
    fn questions_and_other_opcodes_are_no_responses() {
        let mut bytes = response();
        bytes[2] = 0x01;
        assert_eq!(Message::parse(&bytes).err(), Some(Malformed::NotResponse));
        bytes[2] = 0x91;
        assert_eq!(Message::parse(&bytes).err(), Some(Malformed::NotResponse));
    }

    #[test]
    fn too_many_records_are_refused() {
        let mut bytes = response();
        bytes[6..8].copy_from_slice(&[1, 1]);
        let message = Message::parse(&bytes).unwrap();
        let end = message.question().unwrap().end;
        assert_eq!(message.records(end, &mut Records::default()), Err(Malformed::Records));
    }

    /// A small generator, so that a failure can be repeated from its seed.
    struct XorShift(u64);

    impl XorShift {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
    }

    #[test]
    fn changed_bytes_never_panic() {
        let mut random = XorShift(0x1234_5678_9abc_def1);
        let mut records = Records::default();
        for _ in 0..20_000 {
            let mut bytes = response();
            for _ in 0..1 + random.next() % 4 {
                let at = random.next() as usize % bytes.len();
                bytes[at] = random.next() as u8;
            }
            bytes.truncate(1 + random.next() as usize % bytes.len());
            let Ok(message) = Message::parse(&bytes) else { continue };
            let Ok(question) = message.question() else { continue };
            let _ = question.name.text();
            if message.records(question.end, &mut records).is_ok() {
                for record in records.of(Section::Answer) {
                    let owner = NameRef::new(message.bytes(), record.owner);
                    let _ = (owner.same(question.name), owner.text(), record.bytes(&message).len());
                }
            }
        }
    }

    #[test]
    fn random_names_come_back() {
        let mut random = XorShift(42);
        for _ in 0..5_000 {
            let labels = 1 + random.next() % 6;
            let label = |random: &mut XorShift| {
                let length = 1 + random.next() % 12;
                (0..length).map(|_| char::from(b'a' + (random.next() % 26) as u8)).collect::<String>()
            };
            let name = (0..labels).map(|_| label(&mut random)).collect::<Vec<_>>().join(".");
            let mask = random.next();
            let mut bytes = Vec::new();
            QueryMessage { id: 7, name: &name, mask, kind: TYPE_AAAA, edns: None }.write(&mut bytes);
            bytes[2] |= 0x80;
            let question = Message::parse(&bytes).unwrap().question().unwrap();
            assert_eq!(question.name.text().unwrap().as_deref(), Some(name.as_str()));
            assert_eq!(question.name.compare(&name, mask), Ok(name::Match::Exact));
        }
    }
}
