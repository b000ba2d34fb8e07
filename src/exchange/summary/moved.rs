//! What is remembered of a request that has become a tunnel and goes to another process, in words.

use std::net::SocketAddr;
use std::sync::Arc;

use reactor::Millis;
use serde_json::{json, Value};
use smallvec::SmallVec;

use super::{Moved, Remembered, Summary, MAX_FIELD, MAX_MEDIA, MAX_TARGET};
use crate::counters::decided;
use crate::http::target::Host;
use crate::http::Version;
use crate::tls::hello::ClientHello;

/// What the process that takes a tunnel over has to say about it.
#[derive(Clone, Copy)]
pub struct NewHome<'a> {
    /// The time of its loop.
    pub now: Millis,
    /// What that leaves out, in microseconds.
    pub fraction: u16,
    /// What is to be remembered of its request; None where nothing is.
    pub remembers: Option<Remembered>,
    /// Finds the words for what a cache did with a request, by our own.
    pub cache_words: &'a dyn Fn(&str) -> Option<(&'static str, &'static str)>,
}

/// Most bytes of all parts of a text.
const MAX_TEXT: usize = MAX_TARGET + 4 * MAX_FIELD + MAX_MEDIA;

/// More bytes than any connection carries, so that there is room for sums.
const MOST_MOVED: u64 = 1 << 60;

impl Moved {
    /// As [`Exchange::to_words`](crate::exchange::Exchange::to_words) has it.
    pub(in crate::exchange) fn from_words(words: &Value) -> Option<Moved> {
        let count = |place: usize| words[place].as_u64().filter(|count| *count <= MOST_MOVED);
        Some(Moved { up: count(0)?, down: count(1)? })
    }
}

impl Summary {
    /// What another process has to know; `moved` is what both directions have moved since the connection began.
    pub(in crate::exchange) fn to_words(&self, now: Millis, fraction: u16, moved: Moved) -> Value {
        let Moved { up, down } = self.so_far(moved);
        let age = now.saturating_mul(1000).saturating_add(fraction.into()).saturating_sub(self.began_micros());
        let after = |at: Option<Millis>| at.map(|at| at.saturating_sub(self.began));
        let hello = |hello: &ClientHello| {
            let name = hello.name.as_ref().map(Host::to_string);
            json!({ "name": name, "protocols": text_of(&hello.protocols), "ech": hello.ech })
        };
        json!({
            "text": text_of(&self.text),
            "ends": self.ends,
            "version": self.version.map(Version::number),
            "status": self.status,
            "list": self.list.as_deref(),
            "user": self.user.as_deref(),
            "hello": self.hello.as_deref().map(hello),
            "decision": self.decision,
            "cache": self.cache.map(|(word, _)| word),
            "origin": self.origin.map(|origin| origin.to_string()),
            "parent": self.parent,
            "age": age.saturating_add(self.age_before),
            "decided": after(self.decided),
            "resolved": after(self.resolved),
            "connected": after(self.connected),
            "moved": [up, down],
        })
    }

    /// What was moved so far is counted as moved before; `moved` is what both directions have moved since the connection began.
    pub(in crate::exchange) fn note_counted(&mut self, moved: Moved) {
        (self.moved_before, self.moved) = (self.so_far(moved), Moved::default());
    }

    /// What is remembered of a request that began in another process. None where something is missing, or cannot be.
    pub(in crate::exchange) fn from_words(words: &Value, wanted: Remembered, home: NewHome<'_>) -> Option<Summary> {
        let text = |name: &str| words[name].as_str();
        let after = |name: &str| words[name].as_u64().map(|span| home.now.saturating_add(span));
        let (bytes, mut ends) = (bytes_of(text("text")?)?, [0; 6]);
        for (place, end) in ends.iter_mut().enumerate() {
            *end = u32::try_from(words["ends"][place].as_u64()?).ok()?;
        }
        let in_order = ends.windows(2).all(|pair| pair[0] <= pair[1]) && ends[5] as usize <= bytes.len();
        if !in_order || bytes.len() > MAX_TEXT {
            return None;
        }
        let version = match text("version") {
            Some(number) => Some([Version::Http10, Version::Http11].into_iter().find(|one| one.number() == number)?),
            None => None,
        };
        Some(Summary {
            ends,
            version,
            status: words["status"]
                .as_u64()
                .and_then(|status| status.try_into().ok())
                .filter(|status| (100..1000).contains(status)),
            list: text("list").map(Box::from),
            user: text("user").map(Arc::from),
            hello: read_hello(&words["hello"]).map(Box::new),
            decision: text("decision").and_then(decided::known),
            cache: text("cache").and_then(home.cache_words),
            origin: text("origin").and_then(|origin| origin.parse::<SocketAddr>().ok()),
            parent: words["parent"].as_bool()?,
            decided: after("decided"),
            resolved: after("resolved"),
            connected: after("connected"),
            age_before: words["age"].as_u64()?,
            moved_before: Moved::from_words(&words["moved"])?,
            ..Summary::unread((home.now, home.fraction), Moved::default(), wanted, bytes)
        })
    }
}

fn read_hello(words: &Value) -> Option<ClientHello> {
    let name = words["name"].as_str().and_then(|name| Host::parse(name.as_bytes()).ok());
    let protocols = SmallVec::from_vec(bytes_of(words["protocols"].as_str()?)?);
    Some(ClientHello { name, ech: words["ech"].as_bool()?, protocols })
}

/// Bytes as a text that has a character for each.
pub(in crate::exchange) fn text_of(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The opposite; None where a character stands for no byte.
pub(in crate::exchange) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(character).ok()).collect()
}
