//! Leave to open a connection to a backend, which only a session gives.
//!
//! A relay connection asks for one, so that a gate which relays for anybody
//! does not compile: there is a permit for a session that has logged in, and for
//! one on an `mta` listener, each of whose recipients the desk rules on.

use super::Session;
use crate::gate::settings::ListenerKind;

/// Leave to open a connection to a backend, for one session.
pub struct Permit(());

impl Session {
    /// Leave for this session as it stands; `None` while it has nothing to relay.
    #[must_use]
    pub fn permit(&self) -> Option<Permit> {
        let is_open = self.rules.kind == ListenerKind::Mta;
        (self.user.is_some() || is_open).then_some(Permit(()))
    }
}
