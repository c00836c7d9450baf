//! Tells the backend who the client is, on a connection that was just opened.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;
use zeroize::Zeroizing;

use super::{Relay, RelayError, Route, refused, write_all};
use crate::base::{Identity, Secret};
use crate::gate::introduction::{Introduction, Way};
use crate::gate::settings::IdentityWay;
use crate::gate::stream::Stream;
use crate::wire::proxy;
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::xclient;

/// What was told on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing of any client.
    Nobody,
    /// Each MAIL tells anew.
    EachTime,
    /// This client, who logged in as this user: it is of no use to others.
    Client(Option<Identity>),
}

impl Relay {
    /// What stands in front of everything else, where the backend waits for a PROXY
    /// header; `None` is us, asking for ourselves.
    pub(super) async fn send_header(
        &mut self,
        client: Option<&Introduction>,
    ) -> Result<(), RelayError> {
        let header = match (self.route.settings.identity, client) {
            (IdentityWay::Proxy, Some(client)) => proxy::v2(&client.ends),
            (IdentityWay::Proxy, None) => proxy::V2_LOCAL.to_vec(),
            (IdentityWay::ProxyV1, Some(client)) => proxy::v1(&client.ends),
            (IdentityWay::ProxyV1, None) => proxy::V1_UNKNOWN.to_vec(),
            _ => return Ok(()),
        };
        let sent = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(&header).await,
            Stream::Tls(_) => return Ok(()),
        };
        sent.map_err(|_| RelayError::Lost { what: "a PROXY header" })
    }

    /// Tells whose mail comes; `None` is us, asking for ourselves.
    pub(super) async fn introduce(
        &mut self,
        client: Option<&Introduction>,
    ) -> Result<(), RelayError> {
        let wanted = self.route.settings.identity;
        let Some(client) = client else {
            return if wanted == IdentityWay::Login { self.log_in_as_gate().await } else { Ok(()) };
        };
        self.told = match client.way(wanted, &self.capabilities)? {
            Way::Nothing => match wanted {
                IdentityWay::Proxy | IdentityWay::ProxyV1 => Told::Client(client.login.clone()),
                _ => Told::Nobody,
            },
            Way::Rules => Told::EachTime,
            Way::Login => {
                self.log_in_as_gate().await?;
                Told::Nobody
            }
            Way::Handover(login, token) => {
                self.authenticate(&login.to_string(), token.secret()).await?;
                Told::Client(Some(login))
            }
            Way::Xclient => {
                self.xclient(client).await?;
                Told::Client(client.login.clone())
            }
        };
        Ok(())
    }

    /// One line, 220, and EHLO in the client's name: it is what the backend goes by from now on.
    async fn xclient(&mut self, client: &Introduction) -> Result<(), RelayError> {
        let login = client.login.as_ref().map(Identity::to_string);
        let attributes = xclient::Attributes {
            name: client.name.as_deref(),
            address: client.ends.source,
            destination: client.ends.destination,
            helo: &client.helo,
            login: login.as_deref(),
        };
        let line = xclient::line(&attributes, &self.capabilities.xclient)
            .map_err(|error| RelayError::Identity(error.to_string()))?;
        let reply = self.exchange(line.as_bytes(), "answer XCLIENT").await?;
        match reply.code {
            220 => {}
            421 => return Err(refused(reply)),
            _ => {
                let said = reply.first_line();
                return Err(RelayError::Identity(format!("it answered XCLIENT with \"{said}\"")));
            }
        }
        let Capabilities { auth, xclient, starttls, .. } = self.capabilities.clone();
        self.hello(&client.helo).await?;
        // What it says to this client is not what it says to us: the next one asks again.
        self.capabilities =
            Capabilities { auth, xclient, starttls, ..std::mem::take(&mut self.capabilities) };
        Ok(())
    }

    async fn log_in_as_gate(&mut self) -> Result<(), RelayError> {
        let route = std::sync::Arc::clone(&self.route);
        match &route.account {
            Some((user, password)) => self.authenticate(user, password).await,
            None => Err(RelayError::Identity("no service account is configured".to_owned())),
        }
    }

    /// AUTH PLAIN (RFC 4616) with an initial response.
    async fn authenticate(&mut self, user: &str, password: &Secret) -> Result<(), RelayError> {
        let mut message =
            Zeroizing::new(Vec::with_capacity(2 + user.len() + password.expose().len()));
        message.push(0);
        message.extend_from_slice(user.as_bytes());
        message.push(0);
        message.extend_from_slice(password.expose());
        let encoded = Zeroizing::new(STANDARD.encode(&*message));
        let line = Zeroizing::new([b"AUTH PLAIN ", encoded.as_bytes(), b"\r\n"].concat());
        self.hear_first("answer AUTH").await?;
        let _ = write_all(&mut self.stream, &line).await;
        let reply = self.read_reply("answer AUTH").await?;
        match reply.code {
            235 => Ok(()),
            421 => Err(refused(reply)),
            _ => {
                let said = reply.first_line();
                Err(RelayError::Identity(format!(
                    "it answered the login of {user} with \"{said}\""
                )))
            }
        }
    }

    /// True if only the client it was opened for may use it.
    pub(in crate::gate) fn is_bound(&self) -> bool {
        matches!(self.told, Told::Client(_))
    }

    /// True if it will do for a client who has logged in as `login` by now; `may_share`
    /// says whether one that nobody is named on would.
    pub(in crate::gate) fn is_for(&self, login: Option<&Identity>, may_share: bool) -> bool {
        match &self.told {
            Told::Nobody | Told::EachTime => may_share,
            Told::Client(known) => known.as_ref() == login,
        }
    }

    /// True if each MAIL has to say whose it is.
    pub(in crate::gate) fn tells_each_time(&self) -> bool {
        self.told == Told::EachTime
    }
}

impl Route {
    /// How the backend learns who a client is.
    #[must_use]
    pub fn identity(&self) -> IdentityWay {
        self.settings.identity
    }
}
