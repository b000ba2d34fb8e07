//! What an exchange remembers of its request: the summary is opened with the first byte, and finished with the end. Knows no log.

use reactor::Millis;

use super::close::CloseReason;
use super::phase::PhaseKind;
use super::{Context, Exchange};

impl Exchange {
    /// A head is there, sound or not.
    pub(super) fn open_summary(&mut self, cx: &mut Context<'_>) {
        if let Some(wanted) = cx.settings.summary.filter(|_| !self.ingress.is_local()) {
            let head = matches!(self.phase.kind(), PhaseKind::Head | PhaseKind::Hello);
            let began = if head { (self.entered, self.current.fraction) } else { (cx.now, cx.fraction) };
            let mut summary = cx.summaries.begin(began, self.moved(), wanted);
            if let Some(provenance) = &self.provenance {
                summary.note_provenance(provenance);
            }
            self.current.summary = Some(summary);
        }
    }

    /// The client has got all of its response, or its tunnel.
    pub(super) fn note_served(&self, cx: &mut Context<'_>) {
        if !self.ingress.is_local() {
            cx.counters.request_time.note(self.current.age(cx.now, cx.fraction));
        }
    }

    /// The request is over; the connection may go on.
    pub(super) fn finish_summary(&mut self, reason: CloseReason, now: Millis) {
        let moved = self.moved();
        if let Some(summary) = &mut self.current.summary {
            summary.finish(reason, now, moved);
        }
    }
}
