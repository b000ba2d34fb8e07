//! What clients get that read no answer in HTTP: an alert of TLS where they understand it, and the end of their connection.

use reactor::buffer::Buf;

use super::close::CloseReason;
use super::phase::{AnswerState, Ending, LastNotice, Phase};
use super::{Action, Context, Exchange};
use crate::http::answer::ESTABLISHED;
use crate::http::cause::Cause;
use crate::http::framing::Framing;
use crate::tls::alert::Alert;

impl Exchange {
    /// Ends the exchange with a notice in place of an answer.
    pub(super) fn close_with(&mut self, cause: Cause, notice: LastNotice, cx: &mut Context<'_>) {
        self.trouble = Some(cause);
        cx.counters.note_answer(cause, true);
        if let Some(summary) = &mut self.current.summary {
            summary.note_refused(cause);
        }
        self.upload.broken = true;
        self.download.begin(Framing::Empty);
        let (reply, reason) = (AnswerState::Notice(notice), CloseReason::Refused);
        self.enter(Phase::Answering(Ending { reply, keep: false, whole: false, reason }), cx.now);
        self.action = Some(Action::Hangup);
    }

    /// Puts a notice behind what is on its way to the client.
    pub(super) fn write_notice(&mut self, notice: LastNotice, buf: &mut Buf) {
        self.download.drop_raw(buf);
        if notice.greet {
            buf.append(ESTABLISHED);
        }
        if let Some(alert) = notice.alert {
            buf.append(&alert.record());
        }
        self.download.cleared = buf.len() as u32;
    }
}

/// What a client of TLS gets in place of a page.
pub(super) fn alert_of(cause: Cause) -> Option<Alert> {
    match cause {
        Cause::NotTls => None,
        Cause::BadHello => Some(Alert::DecodeError),
        Cause::SniMissing | Cause::SniMismatch | Cause::NameFailed | Cause::NameShort | Cause::NoDestination => {
            Some(Alert::UnrecognizedName)
        }
        Cause::ClientDenied
        | Cause::Blocked
        | Cause::SniEch
        | Cause::Denied
        | Cause::AuthenticationRequired
        | Cause::AuthenticationFailed
        | Cause::AuthenticationSlowed
        | Cause::ConnectNotAllowed
        | Cause::PortNotAllowed
        | Cause::AddressNotAllowed
        | Cause::Loop => Some(Alert::AccessDenied),
        _ => Some(Alert::InternalError),
    }
}
