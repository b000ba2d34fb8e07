//! How a tunnel begins, where that is judged: the client's first bytes wait until they are a whole hello, while what the origin
//! says first passes. Knows nothing of what lists say.

use reactor::buffer::Buf;

use super::flow::Direction;
use super::notice::alert_of;
use super::opening::Opening;
use super::phase::{LastNotice, Phase};
use super::{Action, Context, Exchange};
use crate::http::answer::ESTABLISHED;
use crate::http::cause::Cause;
use crate::http::request::Request;
use crate::http::target::Host;
use crate::policy::tunnels::{Beginning, Finding, TunnelVerdict};
use crate::tls::alert::Alert;
use crate::tls::fault::HelloFault;
use crate::tls::hello::ClientHello;

impl Exchange {
    /// The name in a tunnel's hello that lists are to judge, and the port that it stands for.
    pub fn name_to_judge(&self) -> Option<(&Host, u16)> {
        let opening = self.opening()?;
        opening.name.as_ref().map(|name| (name, opening.named.port))
    }

    /// Lists have judged the name in the hello; `refused` says why it may not pass.
    pub fn handle_judged(&mut self, refused: Option<Cause>, cx: &mut Context<'_>) {
        match refused {
            Some(cause) => self.refuse_tunnel(cause, alert_of(cause), cx),
            None => self.end_opening(),
        }
    }

    /// What is to be judged of the tunnel that this request becomes; None where that is not asked for.
    pub(super) fn begin_opening(&self, request: &Request, cx: &Context<'_>) -> Option<Box<Opening>> {
        let looks = self.ingress.speaks_http() && cx.settings.tunnels.look();
        looks.then(|| Box::new(Opening::new(request.asked().clone(), self.flow(Direction::Download).moved)))
    }

    pub(super) fn opening(&self) -> Option<&Opening> {
        match &self.phase {
            Phase::Tunnel { of, .. } => of.opening.as_deref(),
            _ => None,
        }
    }

    fn opening_mut(&mut self) -> Option<&mut Opening> {
        match &mut self.phase {
            Phase::Tunnel { of, .. } => of.opening.as_deref_mut(),
            _ => None,
        }
    }

    /// Looks at what the client has said first in its tunnel. What may pass is cleared with all that follows.
    pub(super) fn read_opening(&mut self, buf: &mut Buf, cx: &mut Context<'_>) {
        let ended = self.upload.eof;
        let Some(opening) = self.opening_mut() else { return };
        if opening.name.is_some() {
            return;
        }
        let beginning = match opening.scan.find(buf.bytes(), cx.settings.hello_size) {
            Ok(Some(length)) => ClientHello::parse(&buf.bytes()[..length]).map(Beginning::Hello),
            // Nothing will come.
            Ok(None) if ended && buf.is_empty() => return self.end_opening(),
            Ok(None) if ended => Ok(Beginning::Cut),
            Ok(None) => {
                if !buf.is_empty() {
                    opening.begun.get_or_insert(cx.now);
                }
                return;
            }
            Err(fault) => Err(fault),
        };
        match beginning {
            Ok(beginning) => self.judge_opening(beginning, None, cx),
            Err(fault) if fault.is_tls() => self.judge_opening(Beginning::Broken, Some(fault), cx),
            Err(_) => self.judge_opening(Beginning::Other, None, cx),
        }
    }

    /// No whole hello has come in time.
    pub(super) fn opening_late(&mut self, cx: &mut Context<'_>) {
        let Some(opening) = self.opening_mut() else { return };
        match opening.begun {
            Some(_) => self.judge_opening(Beginning::Cut, None, cx),
            None => {
                opening.told = true;
                self.judge_opening(Beginning::Silent, None, cx);
            }
        }
    }

    fn judge_opening(&mut self, beginning: Beginning, fault: Option<HelloFault>, cx: &mut Context<'_>) {
        let Some(opening) = self.opening() else { return };
        let (finding, verdict) = cx.settings.tunnels.judge(&opening.named.host, &beginning);
        if let Some(finding) = finding {
            cx.counters.note_opening(finding);
            self.tell_opening(finding, &beginning, fault);
        }
        let stays = beginning == Beginning::Silent;
        let name = self.note_hello(beginning);
        match verdict {
            TunnelVerdict::Refuse(cause) => {
                self.refuse_tunnel(cause, fault.map_or(alert_of(cause), HelloFault::alert), cx);
            }
            TunnelVerdict::Lists => {
                if let Some(opening) = self.opening_mut() {
                    opening.name = name;
                    self.action = Some(Action::Judge);
                }
            }
            TunnelVerdict::Pass if stays => {}
            TunnelVerdict::Pass => self.end_opening(),
        }
    }

    /// Remembers for the access log what a hello says. Its name comes back.
    fn note_hello(&mut self, beginning: Beginning) -> Option<Host> {
        let Beginning::Hello(hello) = beginning else { return None };
        let name = hello.name.clone();
        if let Some(summary) = &mut self.current.summary {
            summary.hello = Some(Box::new(hello));
        }
        name
    }

    fn tell_opening(&self, finding: Finding, beginning: &Beginning, fault: Option<HelloFault>) {
        let Some(opening) = self.opening().filter(|_| finding != Finding::Matched) else { return };
        let (client, to, what) = (self.client(), &opening.named, finding.explain());
        match (beginning, fault) {
            (Beginning::Hello(ClientHello { name: Some(name), .. }), _) => {
                log::info!(target: "client", "tunnel of {client} to {to}: {what}, {name}");
            }
            (_, Some(fault)) => log::info!(target: "client", "tunnel of {client} to {to}: {what}: {fault}"),
            _ => log::info!(target: "client", "tunnel of {client} to {to}: {what}"),
        }
    }

    fn end_opening(&mut self) {
        if let Phase::Tunnel { of, .. } = &mut self.phase {
            of.opening = None;
        }
    }

    /// Closes a tunnel of whose client nothing has passed. It gets an alert, unless its origin has said something by then.
    pub(super) fn refuse_tunnel(&mut self, cause: Cause, alert: Option<Alert>, cx: &mut Context<'_>) {
        let (Some(opening), Phase::Tunnel { greet, .. }) = (self.opening(), &self.phase) else { return };
        let said = self.download.moved + u64::from(self.download.cleared) - opening.before;
        let alert = alert.filter(|_| *greet || said == ESTABLISHED.len() as u64);
        let greet = *greet;
        log::info!(target: "client", "tunnel of {} to {} closed: {cause}", self.client(), opening.named);
        self.close_with(cause, LastNotice { greet, alert }, cx);
    }
}
