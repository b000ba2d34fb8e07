//! Who has proved to have sent the request under way: known while it lasts, and to nothing behind it.

use std::sync::Arc;

use super::phase::Phase;
use super::Exchange;
use crate::http::request::Request;

impl Exchange {
    /// Who has proved to have sent the request under way, or to have asked for the tunnel.
    pub fn user(&self) -> Option<&Arc<str>> {
        match &self.phase {
            Phase::Tunnel { of, .. } => of.user.as_ref(),
            _ => self.request().and_then(Request::user),
        }
    }

    /// The client has proved to be this user, for the request under way and no other.
    pub fn handle_user(&mut self, user: Arc<str>) {
        let Phase::Deciding(request) = &mut self.phase else { return };
        if let Some(summary) = &mut self.current.summary {
            summary.user = Some(Arc::clone(&user));
        }
        request.set_user(Some(user));
    }
}
