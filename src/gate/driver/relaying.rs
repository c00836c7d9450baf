//! The driver's dealings with the backend: a connection for each transaction, who it
//! is told the client is, and the replies that it owes.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Connection, Owed};
use crate::auth::Authenticated;
use crate::gate::introduction::{Introduction, may_share};
use crate::gate::names::ClientName;
use crate::gate::relay::{Relay, RelayError};
use crate::gate::session::{Asked, Event};
use crate::ops::metrics::gate::Step;
use crate::wire::proxy::Ends;
use crate::wire::smtp::reply::Reply;

impl Connection {
    /// A connection without a transaction: the one at hand made clean, or a new one.
    pub(super) async fn open_relay(&mut self) -> Event {
        self.recorder.transaction_begins();
        let way = self.gate.backend().route.identity();
        let login = self.session.user().map(Authenticated::identity);
        let may_share = self.opening.is_none() && may_share(way, login, self.token.as_ref());
        if let Some(mut relay) = self.relay.take() {
            // Who has logged in since is somebody else for the backend.
            if !relay.is_for(login, may_share) {
                tokio::spawn(relay.quit());
            } else if self.client.meanwhile(relay.clean()).await.is_ok() {
                return self.relay_ready(relay);
            }
        }
        let Some(permit) = self.session.permit() else {
            return Event::RelayFailed(Reply::new(530, "5.7.0", "Authentication required"));
        };
        let backend = Arc::clone(self.gate.backend());
        self.seat.uses(&backend.route);
        let (route, health) = (Arc::clone(&backend.route), &backend.health);
        let opened = match self.opening.take() {
            Some(opening) => self.client.meanwhile(opening).await.unwrap_or_else(|_| {
                Err(RelayError::Protocol("opening a connection to it was broken off".to_owned()))
            }),
            None => {
                let client = self.introduction();
                while may_share && let Some(mut relay) = backend.pool.take(&permit) {
                    if self.client.meanwhile(relay.clean()).await.is_ok() {
                        backend.counts.reused.one();
                        return self.relay_ready(relay);
                    }
                }
                let began = Instant::now();
                let opening = Relay::open(Arc::clone(&route), permit, client);
                let opened = self.client.meanwhile(opening).await;
                backend.counts.latency(Step::Connect).note(began.elapsed());
                opened
            }
        };
        match opened {
            Ok(relay) => {
                backend.counts.opened.one();
                let capabilities = relay.capabilities().clone();
                health.is_up(&route.settings.address, &capabilities);
                if let Some(tls) = relay.tls() {
                    self.recorder.backend_encrypted(tls);
                }
                self.relay_ready(relay)
            }
            Err(error) => {
                if matches!(error, RelayError::Connect { .. }) {
                    health.is_down(&route.settings.address, &error.to_string());
                }
                self.relay_failed(&error)
            }
        }
    }

    pub(super) fn relay_ready(&mut self, relay: Relay) -> Event {
        let capabilities = relay.capabilities().clone();
        self.relay = Some(relay);
        Event::RelayReady(capabilities)
    }

    /// A session that waits for its client needs no connection to the backend, unless
    /// it is of no use to others.
    pub(super) fn let_go(&mut self) {
        let pool = &self.gate.backend().pool;
        if !pool.is_on() || self.relay.as_ref().is_some_and(Relay::is_bound) {
            return;
        }
        if let Some(relay) = self.relay.take()
            && let Err(relay) = pool.put(relay)
        {
            tokio::spawn(relay.quit());
        }
    }

    /// The backend's reply to `command`, the first that it owes one.
    pub(super) async fn hear(&mut self, command: Asked) -> Event {
        self.owed.pop_front();
        if let Some(reply) = &self.lost {
            let event = Event::RelayFailed(reply.clone());
            if !self.owed.iter().any(|owed| matches!(owed, Owed::Theirs(_))) {
                self.lost = None;
            }
            return event;
        }
        let timeouts = &self.gate.settings.timeouts;
        let limit = match command {
            Asked::Mail | Asked::Rcpt | Asked::Nothing => timeouts.reply,
            Asked::Data => timeouts.data_init,
        };
        let Some(mut relay) = self.relay.take() else {
            return self.relay_failed(&RelayError::Lost { what: "a command" });
        };
        let began = Instant::now();
        match self.client.meanwhile(relay.answer(limit)).await {
            Ok(reply) if is_fitting(command, &reply) => {
                if let Some(step) = step_of(command) {
                    self.gate.backend().counts.latency(step).note(began.elapsed());
                }
                self.relay = Some(relay);
                Event::Replied(reply)
            }
            Ok(reply) => {
                let text = format!("\"{}\" is no reply to this command", reply.first_line());
                self.relay_failed(&RelayError::Protocol(text))
            }
            Err(error) => self.relay_failed(&error),
        }
    }

    pub(super) fn relay_failed(&mut self, error: &RelayError) -> Event {
        self.relay = None;
        self.gate.backend().counts.failed.one();
        self.recorder.backend_trouble(error);
        let reply = error.reply();
        let owes_more = self.owed.iter().any(|owed| matches!(owed, Owed::Theirs(_)));
        self.lost = owes_more.then(|| reply.clone());
        Event::RelayFailed(reply)
    }

    /// What the backend is told of this client; the token goes with it.
    pub(super) fn introduction(&mut self) -> Introduction {
        Introduction {
            ends: Ends { source: self.client.peer, destination: self.client.local },
            name: match &self.facts.name {
                ClientName::Verified(name) => Some(name.clone()),
                _ => None,
            },
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

/// The step of a backend's latency that `command` is.
fn step_of(command: Asked) -> Option<Step> {
    match command {
        Asked::Mail => Some(Step::Mail),
        Asked::Rcpt => Some(Step::Rcpt),
        Asked::Data => Some(Step::Data),
        Asked::Nothing => None,
    }
}

/// RFC 5321 §4.3.2. A 530 to MAIL is about the gate, not about its client, who did log in.
fn is_fitting(command: Asked, reply: &Reply) -> bool {
    match (command, reply.code) {
        (_, 530) => false,
        (Asked::Data, 354) | (_, 400..=599) | (Asked::Nothing, _) => true,
        (Asked::Mail | Asked::Rcpt, 250..=259) => true,
        _ => false,
    }
}
