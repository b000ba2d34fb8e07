//! Times as text, made anew only when the second is another one. Reads no clock, but the zone of this machine.

use chrono::{DateTime, Local, Utc};

/// The texts of the last second that was asked for.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    local: Option<(u64, String)>,
    utc: Option<(u64, String)>,
}

impl Stamps {
    /// `[21/Nov/2026:01:02:35 +0100]`
    pub(super) fn local(&mut self, seconds: u64) -> &str {
        stamp(&mut self.local, seconds, |time| time.with_timezone(&Local).format("[%d/%b/%Y:%H:%M:%S %z]").to_string())
    }

    /// `2026-11-21T00:02:35`
    pub(super) fn utc(&mut self, seconds: u64) -> &str {
        stamp(&mut self.utc, seconds, |time| time.format("%Y-%m-%dT%H:%M:%S").to_string())
    }
}

fn stamp(cached: &mut Option<(u64, String)>, seconds: u64, format: impl Fn(DateTime<Utc>) -> String) -> &str {
    if cached.as_ref().is_none_or(|(cached, _)| *cached != seconds) {
        *cached = None;
    }
    let (_, text) = cached.get_or_insert_with(|| {
        let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        (seconds, format(time.unwrap_or_default()))
    });
    text
}
