//! One login at one server: from the entry to the answer.
//!
//! ```text
//! search:   find the entry ─▶ bind as it ─▶ group? ─▶ accepted
//!           none: bind as an entry that does not exist, and unknown
//! template: make the name ──▶ bind as it ─▶ group? ─▶ accepted
//! custom:   find the entry ─▶ compare its hashes ─▶ group? ─▶ accepted
//! ```
//!
//! Called by `failover`, which has the deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::connection::{Connection, Reply};
use super::failover::Ldap;
use super::outcome::{Bound, bound};
use super::scheme::{Stored, Unusable};
use super::server::{Server, Use};
use super::settings::{Method, Settings};
use super::template::{Facts, Template};
use super::trouble::{Trouble, is_overloaded, told};
use crate::auth::{Accepted, Answer, Attempt};
use crate::backend::hashing::Refused;
use crate::base::{Reason, ReasonCode};
use crate::wire::ldap::{Entry, Filter, Outcome, Request, ResultCode, Scope, Search};

/// What is sent in place of a password where there is no user: the bind costs
/// the same, and the directory's log does not learn what somebody typed.
const NO_PASSWORD: &[u8] = b"no such user";

/// Values of the password attribute that are looked at.
const MAX_VALUES: usize = 16;

/// A login on its way from server to server.
pub(super) struct Login<'a> {
    pub(super) attempt: &'a Arc<Attempt>,
    pub(super) facts: Facts<'a>,
    /// The password is on its way to a server: nobody else is asked any more,
    /// since a wrong one would count twice.
    pub(super) is_sent: AtomicBool,
}

/// What a search for a user came to.
enum Found {
    One(Entry),
    None,
    /// More than one: nobody knows whose password to check.
    Several,
}

impl Ldap {
    /// Asks one server. An error is an outage of it; whether another is asked depends on `is_sent`.
    pub(super) async fn login_at(
        &self,
        server: &Server,
        login: &Login<'_>,
    ) -> Result<Answer, Trouble> {
        match self.settings.method {
            Method::Template => self.login_by_template(server, login).await,
            Method::Search => self.login_by_search(server, login).await,
            Method::Custom => self.login_by_comparison(server, login).await,
        }
    }

    async fn login_by_template(
        &self,
        server: &Server,
        login: &Login<'_>,
    ) -> Result<Answer, Trouble> {
        let name = self.settings.name.name(&login.facts, "");
        // The original takes an empty name for somebody who may come in.
        if name.trim().is_empty() {
            return Ok(Answer::Unknown);
        }
        let (verdict, mut connection) = self.bind_as(server, login, &name).await?;
        if !matches!(verdict, Bound::Right) || !self.has_group() {
            server.keep(Use::Bind, connection);
            return Ok(answer(verdict));
        }
        // As the user: there may be nobody else who could ask.
        let asked = self.ask_group(login, &name)?;
        let outcome = match &asked {
            GroupQuestion::Filter { base, filter } => {
                let search = search(&self.settings, base, self.settings.group.scope, filter, &[]);
                connection.ask(&Request::Search(search), None).await?
            }
            GroupQuestion::Value { group } => {
                connection.ask(&self.comparison(group, &name), None).await?
            }
        };
        server.keep(Use::Bind, connection);
        membership(&outcome, &asked)
    }

    async fn login_by_search(&self, server: &Server, login: &Login<'_>) -> Result<Answer, Trouble> {
        let entry = match self.find(server, login, &[]).await? {
            Found::One(entry) => entry,
            Found::Several => return Ok(ambiguous()),
            Found::None => {
                let base = self.settings.base.name(&login.facts, "");
                let nobody = format!("cn=saslgate-nobody,{base}");
                let request = Request::SimpleBind {
                    name: nobody.trim_end_matches(','),
                    password: NO_PASSWORD,
                };
                let asked = server.exchange(Use::Bind, &request, &self.settings, None).await;
                // That there is no such user is known already.
                if let Ok((_, connection)) = asked {
                    server.keep(Use::Bind, connection);
                }
                return Ok(Answer::Unknown);
            }
        };
        // Binding with an empty name is binding as nobody: it would succeed.
        if entry.name.trim().is_empty() {
            return Err(Trouble::NoName);
        }
        let (verdict, connection) = self.bind_as(server, login, &entry.name).await?;
        server.keep(Use::Bind, connection);
        self.finish(server, login, &entry.name, verdict).await
    }

    async fn login_by_comparison(
        &self,
        server: &Server,
        login: &Login<'_>,
    ) -> Result<Answer, Trouble> {
        let attributes = [self.settings.password_attribute.as_str()];
        let entry = match self.find(server, login, &attributes).await? {
            Found::One(entry) => entry,
            Found::Several => return Ok(ambiguous()),
            Found::None => {
                self.compare(login, vec![self.decoy()]).await?;
                return Ok(Answer::Unknown);
            }
        };
        let mut stored = Vec::new();
        let mut unusable = None;
        for value in entry.values.iter().take(MAX_VALUES) {
            match Stored::parse(value) {
                Ok(value) => stored.push(Arc::new(value)),
                Err(error) => unusable = Some(error),
            }
        }
        if let Some(first) = stored.first() {
            self.remember_cost(first);
        }
        let has_value = !entry.values.is_empty();
        let verdict = match (self.compare(login, stored).await?, unusable) {
            (true, _) => Bound::Right,
            (false, Some(error)) => return Err(unusable_value(&error)),
            (false, None) => {
                let detail = if has_value { "" } else { NO_VALUE };
                Bound::Rejected(Reason::new(ReasonCode::BadCredentials, detail))
            }
        };
        self.finish(server, login, &entry.name, verdict).await
    }

    /// Binds as `name`. The connection is the user's for as long as the caller has it.
    async fn bind_as(
        &self,
        server: &Server,
        login: &Login<'_>,
        name: &str,
    ) -> Result<(Bound, Connection), Trouble> {
        let request = Request::SimpleBind { name, password: login.attempt.password.expose() };
        let sent = Some(&login.is_sent);
        let (reply, connection) =
            server.exchange(Use::Bind, &request, &self.settings, sent).await?;
        if is_overloaded(reply.outcome.code) {
            // Not looked at: another server may be asked.
            login.is_sent.store(false, Ordering::Relaxed);
        }
        Ok((bound(reply.outcome)?, connection))
    }

    async fn find(
        &self,
        server: &Server,
        login: &Login<'_>,
        attributes: &[&str],
    ) -> Result<Found, Trouble> {
        let settings = &self.settings;
        let filter = settings.filter.filter(&login.facts, "")?;
        let base = settings.base.name(&login.facts, "");
        let search = search(settings, &base, settings.scope, &filter, attributes);
        let mut reply = self.ask(server, &Request::Search(search)).await?;
        match reply.outcome.code {
            ResultCode::SUCCESS if reply.entries.len() < 2 => {
                Ok(reply.entries.pop().map_or(Found::None, Found::One))
            }
            ResultCode::SUCCESS | ResultCode::SIZE_LIMIT => Ok(Found::Several),
            ResultCode::NO_OBJECT => Ok(Found::None),
            // A login made a base that is none.
            ResultCode::BAD_NAME if !settings.base.is_fixed() => Ok(Found::None),
            _ => Err(Trouble::Refused { what: "the search for the user", outcome: reply.outcome }),
        }
    }

    /// Asks as `bind_dn`.
    async fn ask(&self, server: &Server, request: &Request<'_>) -> Result<Reply, Trouble> {
        let (reply, connection) =
            server.exchange(Use::Search, request, &self.settings, None).await?;
        server.keep(Use::Search, connection);
        Ok(reply)
    }

    /// A right password is enough unless a group is asked for.
    async fn finish(
        &self,
        server: &Server,
        login: &Login<'_>,
        name: &str,
        verdict: Bound,
    ) -> Result<Answer, Trouble> {
        if !matches!(verdict, Bound::Right) || !self.has_group() {
            return Ok(answer(verdict));
        }
        let asked = self.ask_group(login, name)?;
        let reply = match &asked {
            GroupQuestion::Filter { base, filter } => {
                let search = search(&self.settings, base, self.settings.group.scope, filter, &[]);
                self.ask(server, &Request::Search(search)).await?
            }
            GroupQuestion::Value { group } => {
                self.ask(server, &self.comparison(group, name)).await?
            }
        };
        membership(&reply, &asked)
    }

    fn has_group(&self) -> bool {
        !self.settings.group.name.is_empty() || !self.settings.group.filter.is_empty()
    }

    fn ask_group(&self, login: &Login<'_>, name: &str) -> Result<GroupQuestion, Trouble> {
        let group = &self.settings.group;
        if group.filter.is_empty() {
            return Ok(GroupQuestion::Value { group: group.name.name(&login.facts, name) });
        }
        let base: &Template = if group.base.is_empty() { &self.settings.base } else { &group.base };
        let filter = group.filter.filter(&login.facts, name)?;
        Ok(GroupQuestion::Filter { base: base.name(&login.facts, name), filter })
    }

    fn comparison<'a>(&'a self, group: &'a str, name: &'a str) -> Request<'a> {
        let attribute = &self.settings.group.attribute;
        Request::Compare { entry: group, attribute, value: name }
    }

    /// True if the password is one of `stored`. On a hash thread.
    async fn compare(&self, login: &Login<'_>, stored: Vec<Arc<Stored>>) -> Result<bool, Trouble> {
        let Some(pool) = &self.hashing else { return Ok(false) };
        let attempt = Arc::clone(login.attempt);
        let job = pool.submit(move |worker| {
            for value in stored {
                if value.matches(worker, &attempt.password)? {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        let waiting = job.map_err(|refused| {
            Trouble::Stored(match refused {
                Refused::Busy => "too many passwords wait to be hashed".to_owned(),
                Refused::Stopping => "the service is stopping".to_owned(),
            })
        })?;
        let matched: Result<bool, Unusable> =
            waiting.await.map_err(|_| Trouble::Stored("the service is stopping".to_owned()))?;
        matched.map_err(|error| unusable_value(&error))
    }
}

/// What is asked about a group.
enum GroupQuestion {
    /// Does this entry name the user?
    Value { group: String },
    /// Does this find anything?
    Filter { base: String, filter: Filter },
}

fn search<'a>(
    settings: &Settings,
    base: &'a str,
    scope: Scope,
    filter: &'a Filter,
    attributes: &'a [&'a str],
) -> Search<'a> {
    let seconds = settings.time_limit.as_secs();
    Search {
        base,
        scope,
        deref: settings.deref,
        size_limit: settings.size_limit,
        time_limit: u32::try_from(seconds).unwrap_or(0),
        filter,
        attributes,
    }
}

fn answer(verdict: Bound) -> Answer {
    match verdict {
        Bound::Right => Answer::Accepted(Accepted::default()),
        Bound::Unknown => Answer::Unknown,
        Bound::Rejected(reason) => Answer::Rejected(reason),
    }
}

/// What the directory says about a group. The password was right.
fn membership(reply: &Reply, asked: &GroupQuestion) -> Result<Answer, Trouble> {
    let is_member = match (reply.outcome.code, asked) {
        (ResultCode::COMPARE_TRUE, GroupQuestion::Value { .. }) => true,
        (ResultCode::SUCCESS | ResultCode::SIZE_LIMIT, GroupQuestion::Filter { .. }) => {
            !reply.entries.is_empty()
        }
        (ResultCode::COMPARE_FALSE | ResultCode::NO_ATTRIBUTE | ResultCode::NO_OBJECT, _) => false,
        _ => {
            let Outcome { code, text } = &reply.outcome;
            let outcome = Outcome { code: *code, text: text.clone() };
            return Err(Trouble::Refused { what: "the question about the group", outcome });
        }
    };
    if is_member {
        return Ok(Answer::Accepted(Accepted::default()));
    }
    let detail = format!("not in the group that is asked for: {}", told(&reply.outcome));
    Ok(Answer::Rejected(Reason::new(ReasonCode::AccessDenied, detail)))
}

/// Said before any password was tried, so it looks like a wrong one outside.
fn ambiguous() -> Answer {
    let detail = "several entries fit this login: make base and filter narrower";
    Answer::Rejected(Reason::new(ReasonCode::BadCredentials, detail))
}

fn unusable_value(error: &Unusable) -> Trouble {
    Trouble::Stored(error.to_string())
}

const NO_VALUE: &str = "the entry has no password that bind_dn may read";
