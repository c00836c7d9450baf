//! sendmail's rulesets: may this client, this sender, this recipient?
//!
//! | question | ruleset | keys |
//! |---|---|---|
//! | connect | `check_relay` | `Connect:` name (D), then address (A) |
//! | sender | `check_mail` | `From:` F, U, then domain (D); the null path always |
//! | recipient | `Rcpt_ok`, first part | `To:` F, U for our domains, then domain (D) |
//! | relaying | `Rcpt_ok`, `Relay_ok` | certificate, login, domains, `To:`, address, name |
//!
//! With `delay_checks`, client and sender are asked about at RCPT, and not at
//! all where the client's login or certificate lets it relay. Called by
//! `gate/desk` with what is known of the session; logs nothing.

use super::AccessMap;
use super::classes::Classes;
use super::client::{Client, PtrState};
use super::demand::TlsFacts;
use super::mailbox::Mailbox;
use super::search::{Entry, Mode, Purpose, Search, Step, Tag, Value};
use super::value::{Refusal, Verdict};

/// What the rules go by; one for all sessions, replaced at a reload.
#[derive(Debug, Default)]
pub struct Site {
    /// `/etc/mail/access`.
    pub map: AccessMap,
    /// Our domains.
    pub classes: Classes,
    /// `FEATURE(delay_checks)`: clients and senders are refused at RCPT.
    pub delay_checks: bool,
    /// Clients on loopback may relay, as sendmail lets them.
    pub relay_loopback: bool,
}

/// Whom the session is with.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// Address and name.
    pub client: &'a Client,
    /// Its TLS.
    pub tls: TlsFacts<'a>,
    /// It has logged in.
    pub is_authenticated: bool,
}

/// What a rule has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is said about it: go on.
    Silent,
    /// Go on, because of this.
    Accept(Cause),
    /// Go on; the mail server might be told to hold such mail.
    Quarantine(Cause),
    /// No.
    Refuse(Refusal, Cause),
    /// Take it and throw it away.
    Discard(Cause),
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A line of the access map.
    Line(u32),
    /// The client has logged in.
    Login,
    /// The domain is one of ours.
    LocalDomain,
    /// The domain or the network is one that we relay for.
    RelayDomain,
    /// The client is on this host.
    Loopback,
    /// The recipient has no domain.
    NoDomain,
    /// Nothing lets it.
    Nothing,
}

impl Cause {
    /// The line of the access map, if it is one.
    #[must_use]
    pub fn line(self) -> Option<u32> {
        match self {
            Self::Line(line) => Some(line),
            _ => None,
        }
    }
}

/// Whether mail for a recipient is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relaying {
    /// Yes, and nothing else is asked (sendmail's `$# RELAY`): a login or a certificate.
    Final(Cause),
    /// Yes.
    Allowed(Cause),
    /// No.
    Denied(Refusal),
}

/// Where tried keys are noted, if somebody wants them.
pub(super) type Steps<'s> = Option<&'s mut Vec<Step>>;

impl Site {
    /// At the greeting. A refusal with 421 is said instead of it; any other one is
    /// the answer to whatever the client says afterwards.
    #[must_use]
    pub fn at_connect(&self, client: &Client) -> Decision {
        if self.delay_checks { Decision::Silent } else { self.connect(client, None) }
    }

    /// At MAIL. `sender` is without brackets, empty for the null path.
    #[must_use]
    pub fn at_mail(&self, visit: &Visit<'_>, sender: &str) -> Decision {
        if self.delay_checks {
            return Decision::Silent;
        }
        match self.tls_client(visit, None) {
            refused @ Decision::Refuse(..) => refused,
            _ => self.sender(sender, None),
        }
    }

    /// At RCPT. `recipient` is without brackets.
    #[must_use]
    pub fn at_rcpt(&self, visit: &Visit<'_>, sender: &str, recipient: &str) -> Decision {
        let decision = self.recipient(recipient, None);
        if decision.is_end() {
            return decision;
        }
        let (accepted, is_final) = match self.relaying(visit, recipient, None) {
            Relaying::Final(cause) => (Decision::Accept(cause), true),
            Relaying::Allowed(cause) => (Decision::Accept(cause), false),
            Relaying::Denied(refusal) => return Decision::Refuse(refusal, Cause::Nothing),
        };
        let delayed = if self.delay_checks { self.delayed(visit, sender, is_final) } else { None };
        let quarantine = matches!(decision, Decision::Quarantine(_)).then_some(decision);
        delayed.or(quarantine).unwrap_or(accepted)
    }

    /// What was put off until RCPT.
    fn delayed(&self, visit: &Visit<'_>, sender: &str, is_final: bool) -> Option<Decision> {
        let tls = self.tls_client(visit, None);
        if tls.is_end() || is_final {
            return Some(tls).filter(Decision::is_end);
        }
        let by_sender = self.sender(sender, None);
        // `$# OK` of check_mail ends the checks.
        if by_sender.is_end() || matches!(by_sender, Decision::Accept(Cause::Line(_))) {
            return Some(by_sender).filter(Decision::is_end);
        }
        let by_client = self.connect(visit.client, None);
        let is_worth_telling =
            |decision: &Decision| decision.is_end() || matches!(decision, Decision::Quarantine(_));
        Some(by_client).filter(is_worth_telling).or(Some(by_sender).filter(is_worth_telling))
    }

    /// `Connect:` alone.
    #[must_use]
    pub fn connect(&self, client: &Client, steps: Steps<'_>) -> Decision {
        let about = (Purpose::Connect, Tag::Connect, Mode::TagThenBare);
        let mut search = self.search(about, steps);
        let found = search.name(&client.name).or_else(|| search.address(&client.address));
        decide(found, REJECT)
    }

    /// `From:` alone.
    #[must_use]
    pub fn sender(&self, address: &str, steps: Steps<'_>) -> Decision {
        if address.is_empty() || self.map.is_empty() {
            return Decision::Silent;
        }
        let mailbox = Mailbox::read(address);
        let mut search = self.search((Purpose::Sender, Tag::From, Mode::TagThenBare), steps);
        let found = match &mailbox.domain {
            Some(domain) => search
                .full(&mailbox.user, domain)
                .or_else(|| search.user(&mailbox.user))
                .or_else(|| search.name(domain)),
            None => search.user(&mailbox.user),
        };
        decide(found, REJECT)
    }

    /// `To:` as a list of recipients who get no mail.
    #[must_use]
    pub fn recipient(&self, address: &str, steps: Steps<'_>) -> Decision {
        if self.map.is_empty() {
            return Decision::Silent;
        }
        let mailbox = self.innermost(address);
        let mut search = self.search((Purpose::Recipient, Tag::To, Mode::TagThenBare), steps);
        let found = match &mailbox.domain {
            Some(domain) => search
                .full(&mailbox.user, domain)
                .or_else(|| {
                    let is_local = self.classes.is_local(domain);
                    is_local.then(|| search.user(&mailbox.user)).flatten()
                })
                .or_else(|| search.name(domain)),
            None => search.user(&mailbox.user),
        };
        match found.and_then(Entry::verdict) {
            Some(Verdict::Ok | Verdict::Relay | Verdict::Skip) => Decision::Silent,
            _ => decide(found, RCPT_REJECT),
        }
    }

    /// The mailbox that is meant, behind hosts that we serve.
    fn innermost(&self, address: &str) -> Mailbox {
        let mut mailbox = Mailbox::read(address);
        while let Some(domain) = &mailbox.domain
            && let Some(inner) = mailbox.inner()
            && self.serves(domain, None).is_some()
        {
            mailbox = inner;
        }
        mailbox
    }

    /// Why mail for this domain is taken from anybody, if it is.
    fn serves(&self, domain: &str, steps: Steps<'_>) -> Option<Cause> {
        if self.classes.is_local(domain) {
            return Some(Cause::LocalDomain);
        }
        if self.classes.is_relayed(domain) {
            return Some(Cause::RelayDomain);
        }
        let about = (Purpose::RelayDomain, Tag::To, Mode::TagThenBare);
        relay(self.search(about, steps).name(domain))
    }

    /// Whether mail for this recipient is taken from this client.
    #[must_use]
    pub fn relaying(&self, visit: &Visit<'_>, recipient: &str, mut steps: Steps<'_>) -> Relaying {
        if let Some(cause) = self.certificate(&visit.tls, steps.as_deref_mut()) {
            return Relaying::Final(cause);
        }
        if visit.is_authenticated {
            return Relaying::Final(Cause::Login);
        }
        let mailbox = Mailbox::read(recipient);
        let Some(domain) = &mailbox.domain else { return Relaying::Allowed(Cause::NoDomain) };
        if let Some(cause) = self.serves(domain, steps.as_deref_mut())
            && mailbox.routed_hosts().all(|host| self.serves(host, steps.as_deref_mut()).is_some())
        {
            return Relaying::Allowed(cause);
        }
        match self.client_relays(visit.client, steps) {
            Ok(cause) => Relaying::Allowed(cause),
            Err(refusal) => Relaying::Denied(refusal),
        }
    }

    /// `RelayTLS`: a verified certificate, by its issuer, or by issuer and subject.
    pub(super) fn certificate(&self, tls: &TlsFacts<'_>, mut steps: Steps<'_>) -> Option<Cause> {
        if !tls.is_verified() || tls.issuer.is_empty() {
            return None;
        }
        let about = (Purpose::RelayCertificate, Tag::CertIssuer, Mode::TagOnly);
        let entry = by_name(self.search(about, steps.as_deref_mut()), tls.issuer)?;
        if entry.verdict() != Some(&Verdict::Subject) {
            return relay(Some(entry));
        }
        let about = (Purpose::RelayCertificate, Tag::CertSubject, Mode::TagOnly);
        relay(by_name(self.search(about, steps), tls.subject))
    }

    /// `Relay_ok`.
    pub(super) fn client_relays(
        &self,
        client: &Client,
        mut steps: Steps<'_>,
    ) -> Result<Cause, Refusal> {
        if client.is_loopback && self.relay_loopback {
            return Ok(Cause::Loopback);
        }
        if self.classes.is_relayed_network(&client.address) {
            return Ok(Cause::RelayDomain);
        }
        let about = (Purpose::RelayAddress, Tag::Connect, Mode::TagThenBare);
        let by_address = self.search(about, steps.as_deref_mut()).address(&client.address);
        if let Some(cause) = relay(by_address) {
            return Ok(cause);
        }
        self.name_relays(client, steps)
    }

    fn name_relays(&self, client: &Client, steps: Steps<'_>) -> Result<Cause, Refusal> {
        let denied = |text: String| Err(Refusal::new(550, "5.7.1", text));
        let address = client.shown_address();
        match client.ptr {
            PtrState::Later => {
                let text =
                    format!("Relaying temporarily denied. Cannot resolve PTR record for {address}");
                return Err(Refusal::new(450, "4.4.0", text));
            }
            PtrState::Forged => {
                return denied(format!("Relaying denied. IP name possibly forged [{address}]"));
            }
            PtrState::Failed => {
                return denied(format!("Relaying denied. IP name lookup failed [{address}]"));
            }
            PtrState::Verified | PtrState::NotAsked => {}
        }
        if self.classes.is_local(&client.name) {
            return Ok(Cause::LocalDomain);
        }
        if self.classes.is_relayed(&client.name) {
            return Ok(Cause::RelayDomain);
        }
        let about = (Purpose::RelayName, Tag::Connect, Mode::TagThenBare);
        match relay(self.search(about, steps).name(&client.name)) {
            Some(cause) => Ok(cause),
            None => denied("Relaying denied. Proper authentication required.".to_owned()),
        }
    }

    /// `TLS_Clt:`: whether the connection with the client is good enough.
    #[must_use]
    pub fn tls_client(&self, visit: &Visit<'_>, steps: Steps<'_>) -> Decision {
        let Client { address, name, .. } = visit.client;
        let about = (Purpose::TlsClient, Tag::TlsClient, Mode::TagOnly);
        let mut search = self.search(about, steps);
        let found =
            search.name(name).or_else(|| search.address(address)).or_else(|| search.exact(""));
        demand(found, &visit.tls, name)
    }

    /// `TLS_Srv:`: whether the connection with a mail server is good enough.
    /// `server` has the name by which it is configured as its verified one.
    #[must_use]
    pub fn tls_server(&self, server: &Client, tls: &TlsFacts<'_>, steps: Steps<'_>) -> Decision {
        let about = (Purpose::TlsServer, Tag::TlsServer, Mode::TagOnly);
        let mut search = self.search(about, steps);
        let found = search
            .name(&server.name)
            .or_else(|| search.address(&server.address))
            .or_else(|| search.exact(""));
        demand(found, tls, &server.name)
    }

    /// `TLS_Rcpt:`: whether that connection is good enough for this recipient.
    #[must_use]
    pub fn tls_recipient(
        &self,
        server: &Client,
        tls: &TlsFacts<'_>,
        recipient: &str,
        steps: Steps<'_>,
    ) -> Decision {
        let mailbox = Mailbox::read(recipient);
        let about = (Purpose::TlsRecipient, Tag::TlsRecipient, Mode::TagOnly);
        let mut search = self.search(about, steps);
        let domain = mailbox.domain.as_deref();
        let found = domain
            .and_then(|domain| search.full(&mailbox.user, domain))
            .or_else(|| search.user(&mailbox.user))
            .or_else(|| domain.and_then(|domain| search.name(domain)))
            .or_else(|| search.exact(""));
        demand(found, tls, &server.name)
    }

    /// `ClientRate:`: connections a minute from this client's address, with the
    /// line that says so; `None` for any number.
    #[must_use]
    pub fn rate_limit(&self, client: &Client, steps: Steps<'_>) -> Option<(u32, Cause)> {
        self.limit(client, (Purpose::ClientRate, Tag::ClientRate, Mode::TagOnly), steps)
    }

    /// `ClientConn:`: open connections of this client's address.
    #[must_use]
    pub fn connection_limit(&self, client: &Client, steps: Steps<'_>) -> Option<(u32, Cause)> {
        self.limit(client, (Purpose::ClientConn, Tag::ClientConn, Mode::TagOnly), steps)
    }

    fn limit(
        &self,
        client: &Client,
        about: (Purpose, Tag, Mode),
        steps: Steps<'_>,
    ) -> Option<(u32, Cause)> {
        let mut search = self.search(about, steps);
        let entry = search.address(&client.address).or_else(|| search.exact(""))?;
        match entry.value {
            Value::Limit(limit) if limit > 0 => Some((limit, Cause::Line(entry.line))),
            _ => None,
        }
    }

    fn search<'m, 's>(
        &'m self,
        about: (Purpose, Tag, Mode),
        steps: Option<&'s mut Vec<Step>>,
    ) -> Search<'m, 's> {
        Search::new(&self.map.tables, about, steps)
    }
}

impl Decision {
    /// True if nothing further needs to be asked.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Refuse(..) | Self::Discard(_))
    }
}

/// Code, enhanced code, text.
type Words = (u16, &'static str, &'static str);
const REJECT: Words = (550, "5.7.1", "Access denied");
const RCPT_REJECT: Words = (550, "5.2.1", "Mailbox disabled for this recipient");

fn decide(found: Option<&Entry>, (code, status, text): Words) -> Decision {
    let Some((entry, verdict)) = found.and_then(|entry| Some((entry, entry.verdict()?))) else {
        return Decision::Silent;
    };
    let cause = Cause::Line(entry.line);
    match verdict {
        Verdict::Ok | Verdict::Relay => Decision::Accept(cause),
        Verdict::Reject => Decision::Refuse(Refusal::new(code, status, text), cause),
        Verdict::Discard => Decision::Discard(cause),
        Verdict::Quarantine(_) => Decision::Quarantine(cause),
        Verdict::Error(_) | Verdict::Skip | Verdict::Subject => match verdict.as_refusal() {
            Some(refusal) => Decision::Refuse(refusal, cause),
            None => Decision::Silent,
        },
    }
}

fn demand(found: Option<&Entry>, tls: &TlsFacts<'_>, other_side: &str) -> Decision {
    let Some(entry) = found else { return Decision::Silent };
    let cause = Cause::Line(entry.line);
    match &entry.value {
        Value::Demand(demand) => match demand.judge(tls, other_side) {
            Some(refusal) => Decision::Refuse(refusal, cause),
            None => Decision::Accept(cause),
        },
        Value::Verdict(_) | Value::Limit(_) => Decision::Silent,
    }
}

fn relay(found: Option<&Entry>) -> Option<Cause> {
    let entry = found.filter(|entry| entry.verdict() == Some(&Verdict::Relay))?;
    Some(Cause::Line(entry.line))
}

/// The entry of a distinguished name. OpenSSL before 3 wrote `+` and `/` in
/// values without the backslash (`+5C`) that it puts there now; maps have both.
fn by_name<'m>(mut search: Search<'m, '_>, name: &str) -> Option<&'m Entry> {
    let name = name.to_ascii_lowercase();
    let found = search.exact(&name);
    if found.is_some() || !name.contains("+5c") {
        return found;
    }
    search.exact(&name.replace("+5c+2b", "+2b").replace("+5c/", "/"))
}
