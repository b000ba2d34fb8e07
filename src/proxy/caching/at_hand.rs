//! What has come of a response's body together with its head, decoded where it is to be kept.

use crate::cache::heads::AtHand;
use crate::cache::Role;
use crate::http::framing::Framing;
use crate::http::response::Response;
use crate::http::Version;

/// What there is of a response's body.
pub(super) enum BodyAtHand<'a> {
    Whole(&'a [u8], usize),
    Decoded(Vec<u8>, usize),
    Partial(Option<u64>),
}

impl<'a> BodyAtHand<'a> {
    /// None where it is at fault already.
    pub(super) fn of(response: &Response<'_>, rest: &'a [u8], role: Role) -> Option<BodyAtHand<'a>> {
        Some(match response.framing(Version::Http10) {
            Framing::Empty => BodyAtHand::Whole(b"", 0),
            Framing::Sized(length) => match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
                Some(body) => BodyAtHand::Whole(body, body.len()),
                None => BodyAtHand::Partial(Some(length)),
            },
            Framing::Chunked(mut chunks) if role == Role::Fill => {
                let mut copy = rest.to_vec();
                let scan = chunks.scan(&mut copy).ok()?;
                if scan.done {
                    copy.truncate(scan.kept);
                    BodyAtHand::Decoded(copy, scan.taken)
                } else {
                    BodyAtHand::Partial(None)
                }
            }
            Framing::Chunked(_) | Framing::UntilClose => BodyAtHand::Partial(None),
        })
    }

    pub(super) fn at_hand(&self) -> AtHand<'_> {
        match self {
            BodyAtHand::Whole(bytes, _) => AtHand::Complete(bytes),
            BodyAtHand::Decoded(bytes, _) => AtHand::Complete(bytes),
            BodyAtHand::Partial(length) => AtHand::Partial(*length),
        }
    }

    /// How many bytes it took, if it is complete.
    pub(super) fn taken(&self) -> Option<usize> {
        match self {
            BodyAtHand::Whole(_, taken) | BodyAtHand::Decoded(_, taken) => Some(*taken),
            BodyAtHand::Partial(_) => None,
        }
    }
}
