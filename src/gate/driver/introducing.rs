//! Telling the backend whose mail comes: what is told, and when.

use std::sync::Arc;

use super::Connection;
use crate::gate::introduction::Introduction;
use crate::gate::relay::Relay;
use crate::gate::session::Asked;
use crate::wire::proxy::Ends;

impl Connection {
    /// What the backend is told of this client; the token goes with it.
    pub(super) fn introduction(&mut self) -> Introduction {
        Introduction {
            ends: Ends { source: self.client.peer, destination: self.client.local },
            helo: self.session.client_name().unwrap_or("unknown").to_owned(),
            login: self.session.user().map(|user| user.identity().clone()),
            token: self.token.take(),
        }
    }

    /// A token is good for some seconds, and a client may wait for longer with its
    /// first message: the connection that needs it is opened at once.
    pub(super) fn open_ahead(&mut self) {
        if self.token.is_none() {
            return;
        }
        let Some(permit) = self.session.permit() else { return };
        let introduction = self.introduction();
        let backend = self.gate.backend();
        let way = backend.route.identity();
        if introduction.is_urgent(way, &backend.health.announced()) {
            let route = Arc::clone(&backend.route);
            self.opening = Some(tokio::spawn(Relay::open(route, permit, introduction)));
        }
    }

    pub(super) fn queue(&mut self, line: &[u8], command: Asked) {
        let tells = |relay: &Relay| command == Asked::Mail && relay.tells_each_time();
        let client = self.relay.as_ref().is_some_and(tells).then(|| self.introduction());
        match (&mut self.relay, client) {
            (Some(relay), Some(client)) => relay.queue_mail(line, &client),
            (Some(relay), None) => relay.queue(line),
            (None, _) => {}
        }
    }
}
