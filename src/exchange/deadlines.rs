//! Which timer runs in which phase, and from when it counts. Knows how long none of them is.

use reactor::Millis;

use super::ingress::Ingress;
use super::parent::asks_parent_for_tunnel;
use super::phase::{Phase, RelayStage};
use super::timers::{Limits, Timer};
use super::Exchange;

/// Longest time in milliseconds that a client of the monitor may be without a request: pages ask every few seconds.
const LOCAL_LIMIT: Millis = 30_000;

/// Longest time in milliseconds that a helper has to say what a service of ICAP can do: its clients give a service up that does
/// not tell them.
const OPTIONS_LIMIT: Millis = 1_000;

impl Exchange {
    /// Milliseconds since bytes last moved on either side, or since it connected.
    pub fn still(&self, now: Millis) -> Millis {
        now.saturating_sub(self.touched).saturating_add(self.before(self.touched))
    }

    /// How long a tunnel had waited already at that time, where that is when the clock of its loop began.
    fn before(&self, from: Millis) -> Millis {
        match &self.phase {
            Phase::Tunnel { of, .. } if from == 0 => of.still_before,
            _ => 0,
        }
    }

    /// The timer that will run out first, and when; None while every timer of the phase is off.
    pub fn poll_timeout(&self, limits: &Limits) -> Option<(Timer, Millis)> {
        let due = |(timer, from): (Timer, Millis)| {
            // No time at all for draining means none; elsewhere it means for ever.
            let runs = self.limit_of(timer, limits) > 0 || timer == Timer::Drain;
            runs.then(|| (timer, (from + self.limit_of(timer, limits)).saturating_sub(self.before(from))))
        };
        let (one, two) = self.running();
        match (due(one), two.and_then(due)) {
            (Some(one), Some(two)) if two.1 < one.1 => Some(two),
            (one, two) => one.or(two),
        }
    }

    /// How long a timer runs here. The monitor has few places, and its clients come back at once.
    fn limit_of(&self, timer: Timer, limits: &Limits) -> Millis {
        let limit = limits.of(timer);
        match timer {
            Timer::First if self.ingress == Ingress::Tls => limits.first_tls,
            Timer::First if self.ingress == Ingress::Passthrough => limits.first_passthrough,
            Timer::First if self.ingress == Ingress::Icap => limits.first_icap,
            Timer::Decision if self.asks_options() => limit.min(OPTIONS_LIMIT),
            Timer::First | Timer::Idle | Timer::Head if self.ingress.is_local() => limit.min(LOCAL_LIMIT),
            _ => limit,
        }
    }

    /// The timers of the present phase, each with the time from which it counts.
    fn running(&self) -> ((Timer, Millis), Option<(Timer, Millis)>) {
        let (entered, touched) = (self.entered, self.touched.max(self.entered));
        let first = (Timer::First, self.touched);
        match &self.phase {
            Phase::ProxyHeader { .. } => ((Timer::Head, entered), Some(first)),
            Phase::Idle if self.requests == 0 => (first, None),
            Phase::Idle => ((Timer::Idle, entered), None),
            Phase::Hello(_) => ((Timer::Head, entered), Some(first)),
            Phase::Head { .. } if self.requests == 0 => ((Timer::Head, entered), Some(first)),
            Phase::Head { .. } => ((Timer::Head, entered), None),
            Phase::Deciding(_) => ((Timer::Decision, entered), None),
            Phase::Resolving(_) => ((Timer::Resolve, entered), None),
            Phase::Connecting(_) => ((Timer::Connect, entered), None),
            // A tunnel that a parent is asked for is no more than a connection that is to come about.
            Phase::Relaying(relay) if asks_parent_for_tunnel(&relay.request) && relay.stage != RelayStage::Body => {
                ((Timer::Connect, entered), None)
            }
            // The response is complete, and its origin takes no more of the content.
            Phase::Relaying(_) if self.download.done && self.upload.cleared > 0 => ((Timer::Drain, touched), None),
            Phase::Answering(ending) if ending.is_awaiting() => ((Timer::Drain, entered), None),
            Phase::Relaying(_) | Phase::Answering(_) => ((Timer::Inactive, touched), None),
            Phase::Tunnel { of, .. } => {
                let half = self.upload.eof || self.download.eof;
                let timer = if half { Timer::HalfClose } else { Timer::Tunnel };
                let moved = self.upload.moved + self.download.moved + of.before.up + of.before.down;
                let silent = self.ingress == Ingress::Passthrough && moved == 0;
                let first = silent.then_some((Timer::First, entered));
                ((timer, touched), of.opening.as_ref().and_then(|opening| opening.timer(entered)).or(first))
            }
            Phase::Draining { .. } | Phase::Closed(_) => ((Timer::Drain, entered), None),
        }
    }
}
