//! What a response means for the question it answers. Knows neither servers nor time, and trusts that id and question
//! matched.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::message::{Message, Question, Record, Records, Section};
use crate::wire::name::NameRef;
use crate::wire::{rcode, u32_at, Malformed, CLASS_IN, TYPE_CNAME, TYPE_NS, TYPE_OPT, TYPE_SOA};
use crate::Family;

/// Aliases that are followed for one name, inside one message and by asking again together. Real chains have up to
/// five; other resolvers stop between eight and sixteen.
pub(crate) const MAX_ALIASES: u8 = 12;
/// Addresses that are kept of one answer: more than a connection ever tries.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// What a response says. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Addresses are in the scratch list.
    Found { ttl: u32 },
    /// The family does not exist; without an SOA the response does not say for how long.
    NoAddress { ttl: Option<u32> },
    /// The name does not exist.
    NotFound { ttl: Option<u32> },
    /// Another name has to be asked.
    Alias { target: String, ttl: u32, hops: u8 },
    /// The chain of aliases is too long, or has a name in it that cannot be asked.
    Loop,
    /// Ask again over TCP.
    Truncated,
    /// Ask again without EDNS (RFC 6891 section 7).
    NoEdns,
    /// This server cannot help.
    ServerError,
}

/// Memory that is used again from one response to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    records: Records,
    /// The addresses of the last [`Verdict::Found`].
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether the last response that was judged had an OPT record.
    pub(crate) has_edns: bool,
}

impl Scratch {
    /// Judges a response to a question for `family`; `edns` tells whether it was asked with EDNS.
    pub(crate) fn judge(
        &mut self,
        message: &Message<'_>,
        question: &Question<'_>,
        family: Family,
        edns: bool,
    ) -> Result<Verdict, Malformed> {
        self.addresses.clear();
        self.has_edns = false;
        // Before the records are read: they may be cut anywhere.
        if message.is_truncated() {
            return Ok(Verdict::Truncated);
        }
        if edns && matches!(message.rcode(), rcode::FORMERR | rcode::NOTIMP) {
            return Ok(Verdict::NoEdns);
        }
        message.records(question.end, &mut self.records)?;
        match self.rcode(message) {
            rcode::NOERROR => self.answer(message, question, family),
            rcode::NXDOMAIN => Ok(Verdict::NotFound { ttl: self.negative_ttl(message)? }),
            rcode::BADVERS if edns => Ok(Verdict::NoEdns),
            _ => Ok(Verdict::ServerError),
        }
    }

    /// The whole response code: the header's four bits and the eight of OPT (RFC 6891 section 6.1.3).
    fn rcode(&mut self, message: &Message<'_>) -> u16 {
        let opt = self.records.of(Section::Additional).iter().find(|record| record.kind == TYPE_OPT);
        self.has_edns = opt.is_some();
        let high = opt.map_or(0, |opt| (opt.raw_ttl >> 24) as u16);
        high << 4 | message.rcode()
    }

    fn answer(&mut self, message: &Message<'_>, question: &Question<'_>, family: Family) -> Result<Verdict, Malformed> {
        // Follows the aliases in this message. They may stand in any order, so each step goes through all records. The
        // chain holds for as long as the record on it that ends first.
        let mut name = question.name;
        let mut ttl = u32::MAX;
        for hops in 0..=MAX_ALIASES {
            if let Some(shortest) = self.collect(message, name, family)? {
                return Ok(Verdict::Found { ttl: ttl.min(shortest) });
            }
            let Some(alias) = self.alias(message, name)? else { return self.nothing(message, name, ttl, hops) };
            ttl = ttl.min(alias.ttl());
            name = NameRef::new(message.bytes(), alias.data);
        }
        Ok(Verdict::Loop)
    }

    /// Gathers the addresses that belong to `name`; the shortest time to live if there are any.
    fn collect(&mut self, message: &Message<'_>, name: NameRef<'_>, family: Family) -> Result<Option<u32>, Malformed> {
        let mut shortest = None;
        // Records of other names are passed over: a server may not slip in addresses for a name that was not asked for
        // (RFC 5452 section 6).
        for record in self.records.of(Section::Answer) {
            if record.kind != family.record_type() || record.class != CLASS_IN || !owns(message, record, name)? {
                continue;
            }
            let address = address(family, record.bytes(message))?;
            shortest = Some(shortest.unwrap_or(u32::MAX).min(record.ttl()));
            if self.addresses.len() < MAX_ADDRESSES && !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
        Ok(shortest)
    }

    fn alias(&self, message: &Message<'_>, name: NameRef<'_>) -> Result<Option<Record>, Malformed> {
        for record in self.records.of(Section::Answer) {
            if record.kind == TYPE_CNAME && record.class == CLASS_IN && owns(message, record, name)? {
                return Ok(Some(*record));
            }
        }
        Ok(None)
    }

    /// The chain ended at `name`, which has no address here.
    fn nothing(&self, message: &Message<'_>, name: NameRef<'_>, ttl: u32, hops: u8) -> Result<Verdict, Malformed> {
        let negative = self.negative_ttl(message)?;
        if negative.is_some() {
            return Ok(Verdict::NoAddress { ttl: negative.map(|negative| negative.min(ttl)) });
        }
        // Without an SOA the chain may just go on in another zone, of which this server knows nothing.
        if hops > 0 {
            let target = name.text()?;
            return Ok(target.map_or(Verdict::Loop, |target| Verdict::Alias { target, ttl, hops }));
        }
        // An empty answer with NS records is a referral (RFC 2308 section 2.2). A server that gives one, or does not
        // resolve for others, cannot answer this question; the next one is asked.
        let refers = self.records.of(Section::Authority).iter().any(|record| record.kind == TYPE_NS);
        let lame = !message.is_authoritative() && (refers || !message.has_recursion());
        Ok(if lame { Verdict::ServerError } else { Verdict::NoAddress { ttl: None } })
    }

    /// For how long a "no" holds: the smaller of the SOA's time to live and its last field (RFC 2308 section 5).
    fn negative_ttl(&self, message: &Message<'_>) -> Result<Option<u32>, Malformed> {
        let Some(soa) = self.records.of(Section::Authority).iter().find(|record| record.kind == TYPE_SOA) else {
            return Ok(None);
        };
        // The minimum is the last field, behind two names of any length and four numbers (RFC 1035 section 3.3.13).
        let Some(minimum) = soa.length.checked_sub(4) else { return Err(Malformed::Data) };
        Ok(Some(soa.ttl().min(u32_at(soa.bytes(message), minimum)?)))
    }
}

fn owns(message: &Message<'_>, record: &Record, name: NameRef<'_>) -> Result<bool, Malformed> {
    NameRef::new(message.bytes(), record.owner).same(name)
}

fn address(family: Family, data: &[u8]) -> Result<IpAddr, Malformed> {
    match family {
        Family::V4 => <[u8; 4]>::try_from(data).map(|octets| Ipv4Addr::from(octets).into()),
        Family::V6 => <[u8; 16]>::try_from(data).map(|octets| Ipv6Addr::from(octets).into()),
    }
    .map_err(|_| Malformed::Data)
}
