//! A tunnel that moves to another process: what its exchange has to know there, in words. That process may be of another version, which
//! passes over what it does not know, and refuses the tunnel where it misses what it needs.

use std::net::SocketAddr;
use std::sync::Arc;

use reactor::Millis;
use serde_json::{json, Value};

use super::current::{Current, Persistence};
use super::flow::{Direction, Flow};
use super::identity::Identity;
use super::ingress::{Ingress, Provenance, MAX_AUTHORITY, MAX_UNIQUE_ID};
use super::phase::{Phase, TunnelOrigin};
use super::summary::moved::{bytes_of, text_of, NewHome};
use super::{Exchange, Moved, Summary};
use crate::http::framing::Framing;
use crate::http::target::Target;
use crate::peer::Peer;

impl Exchange {
    /// Could it go on in another process? Only a tunnel can that is open both ways or half closed, and of which nothing is to be judged
    /// or told any more.
    pub fn may_move(&self) -> bool {
        let Phase::Tunnel { greet: false, of } = &self.phase else { return false };
        let broken = self.upload.broken || self.download.broken || self.client_reset || self.origin_reset;
        let ended = self.upload.eof && self.download.eof || self.abort_client || self.abort_origin;
        let told =
            self.current.summary.as_ref().is_some_and(|summary| summary.end().is_some() || summary.cause.is_some());
        of.opening.is_none() && !of.stays && self.action.is_none() && self.icap.is_none() && !broken && !ended && !told
    }

    /// It stays, since no other process takes it.
    pub fn stay(&mut self) {
        if let Phase::Tunnel { of, .. } = &mut self.phase {
            of.stays = true;
        }
    }

    /// What was moved for the connection before it came here.
    pub fn moved_before(&self) -> Moved {
        match &self.phase {
            Phase::Tunnel { of, .. } => of.before,
            _ => Moved::default(),
        }
    }

    /// What a tunnel has moved so far is counted, and is what was moved before from here on.
    pub fn note_counted(&mut self) {
        let moved = self.moved();
        let Phase::Tunnel { of, .. } = &mut self.phase else { return };
        of.before = Moved { up: of.before.up + moved.up, down: of.before.down + moved.down };
        (self.upload.moved, self.download.moved) = (0, 0);
        if let Some(summary) = &mut self.current.summary {
            summary.note_counted(moved);
        }
    }

    /// What another process has to know of a tunnel.
    pub fn to_words(&self, now: Millis, fraction: u16) -> Option<Value> {
        let Phase::Tunnel { of, .. } = &self.phase else { return None };
        let (opener, moved) = (self.identity.opener(), self.moved());
        let mut words = json!({
            "ingress": self.ingress.name(),
            "requests": self.requests,
            "target": of.target.to_string(),
            "user": of.user.as_deref(),
            "parent": of.through_parent,
            "eof": [self.upload.eof, self.download.eof],
            "shut": [self.upload.shut, self.download.shut],
            "moved": [of.before.up + moved.up, of.before.down + moved.down],
            "waited": self.waited(now),
            "still": self.still(now),
            "noted": self.identity.noted().map(|noted| noted.to_string()),
            "summary": self.current.summary.as_ref().map(|summary| summary.to_words(now, fraction, moved)),
        });
        match opener {
            Peer::Port(address, port) => words["peer"] = SocketAddr::new(address, port).to_string().into(),
            Peer::Process { uid, .. } => (words["uid"], words["pid"]) = (uid.number().into(), opener.pid().into()),
        }
        if let Some(Provenance { original, unique_id, authority }) = self.provenance.as_deref() {
            words["original"] = original.map(|original| original.to_string()).into();
            (words["unique-id"], words["authority"]) = (text_of(unique_id).into(), text_of(authority).into());
        }
        Some(words)
    }

    /// The exchange of a tunnel that another process has had. None where something is missing, or cannot be.
    pub fn from_words(words: &Value, home: NewHome<'_>) -> Option<Exchange> {
        let text = |name: &str| words[name].as_str();
        let number = |name: &str| words[name].as_u64();
        let ingress = Ingress::ALL.into_iter().find(|kind| Some(kind.name()) == text("ingress"))?;
        if ingress.is_local() || ingress == Ingress::Icap {
            return None;
        }
        let mut identity = Identity::new(read_peer(words)?);
        identity.note(text("noted").and_then(|noted| noted.parse().ok()));
        let provenance = read_provenance(words)?;
        let flow = |place: usize| {
            let (eof, shut) = (words["eof"][place].as_bool()?, words["shut"][place].as_bool()?);
            Some(Flow { framing: Framing::UntilClose, eof, shut, ..Flow::new() })
        };
        let of = TunnelOrigin {
            target: Target::from_authority(text("target")?.as_bytes(), None).ok()?,
            user: text("user").map(Arc::from),
            through_parent: words["parent"].as_bool()?,
            opening: None,
            before: Moved::from_words(&words["moved"])?,
            still_before: number("still")?.saturating_sub(home.now),
            stays: false,
        };
        let mut current = Current::begun(home.now, home.fraction);
        current.client = Persistence::Last;
        if let (Some(wanted), true) = (home.remembers, words["summary"].is_object()) {
            let mut summary = Summary::from_words(&words["summary"], wanted, home)?;
            if let Some(provenance) = &provenance {
                summary.note_provenance(provenance);
            }
            current.summary = Some(Box::new(summary));
        }
        // A time before the clock of this process began counts from there, but for how long nothing has moved.
        let before = |name: &str| Some(home.now.saturating_sub(number(name)?));
        Some(Exchange {
            upload: flow(Direction::Upload as usize)?,
            download: flow(Direction::Download as usize)?,
            provenance,
            requests: u32::try_from(number("requests")?).ok()?,
            current,
            entered: before("waited")?,
            touched: before("still")?,
            ..Exchange::at(Phase::Tunnel { greet: false, of: Box::new(of) }, ingress, identity, home.now)
        })
    }

    /// It came in by the listener of this number.
    pub fn set_listener(&mut self, number: u16) {
        self.listener = number;
    }
}

fn read_peer(words: &Value) -> Option<Peer> {
    if let Some(address) = words["peer"].as_str() {
        return Some(address.parse::<SocketAddr>().ok()?.into());
    }
    let number = |name: &str| words[name].as_u64().and_then(|number| u32::try_from(number).ok());
    Some(Peer::process(number("uid")?, number("pid").unwrap_or(0)))
}

/// None where it cannot be; nothing where nothing is known.
fn read_provenance(words: &Value) -> Option<Option<Box<Provenance>>> {
    let original = match words["original"].as_str() {
        Some(original) => Some(original.parse().ok()?),
        None => None,
    };
    let kept = |name: &str, most: usize| {
        let bytes = bytes_of(words[name].as_str().unwrap_or_default())?;
        (bytes.len() <= most).then(|| bytes.into_boxed_slice())
    };
    let (unique_id, authority) = (kept("unique-id", MAX_UNIQUE_ID)?, kept("authority", MAX_AUTHORITY)?);
    let provenance = Provenance { original, unique_id, authority };
    Some((provenance != Provenance::default()).then(|| Box::new(provenance)))
}
