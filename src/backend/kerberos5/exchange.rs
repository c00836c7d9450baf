//! What each message of a login says, and what its answer means. No I/O: bytes
//! in, decisions out; `verify` carries them.
//!
//! A KRB-ERROR is not proved to be the KDC's: it can keep somebody out, never
//! let somebody in.

#[cfg(test)]
mod tests;

use super::files::Login;
use crate::auth::Answer;
use crate::base::{Printable, Reason, ReasonCode, Secret};
use crate::wire::kerberos::{
    AsRequest, Enctype, ErrorReply, Key, KeyInfo, Principal, Reply, SealedReply, Stamp, TgsRequest,
    Ticket, Usage, error_codes as codes,
};

/// How the key of a password is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    enctype: Enctype,
    salt: String,
    iterations: u32,
}

/// What the KDC says to the first request.
pub(super) enum Opening {
    /// It wants a proof that the password is known, and its cookie back.
    Prove(Recipe, Option<Vec<u8>>),
    /// It hands a ticket to anybody, and only the password opens it.
    Granted(Recipe, Box<SealedReply>),
}

/// A ticket and the session key that came with it.
pub(super) struct Grant {
    pub(super) ticket: Ticket,
    pub(super) session: Key,
    /// When password or account expire, in seconds since 1970.
    pub(super) expiration: Option<i64>,
}

/// Whether the client has proved anything before a ticket was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Given,
    NotAsked,
}

impl Recipe {
    /// For somebody who is not there: the cost of everybody else.
    pub(super) fn decoy(client: &Principal) -> Self {
        let enctype = Enctype::Aes256Sha1;
        Self { enctype, salt: client.salt(), iterations: enctype.default_iterations() }
    }

    /// Makes the key; takes milliseconds.
    pub(super) fn key(&self, password: &Secret) -> Key {
        Key::from_password(self.enctype, password.expose(), self.salt.as_bytes(), self.iterations)
    }

    fn new(info: KeyInfo, client: &Principal) -> Result<Self, Reason> {
        let iterations = info.iterations.unwrap_or_else(|| info.enctype.default_iterations());
        // Too few would make what we send easy to guess from, too many would keep us busy:
        // whoever answers in the KDC's place may want either.
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(down(format!(
                "the KDC wants {iterations} rounds for the key of {client}; {MIN_ITERATIONS} to \
                 {MAX_ITERATIONS} are done"
            )));
        }
        let salt = info.salt.unwrap_or_else(|| client.salt());
        Ok(Self { enctype: info.enctype, salt, iterations })
    }
}

/// The first request: who are you, and how is your key made?
pub(super) fn open(login: &Login, stamp: &Stamp) -> Vec<u8> {
    let request =
        AsRequest { client: &login.client, enctypes: &Enctype::ALL, key: None, cookie: None };
    request.encode(stamp)
}

/// What the answer to it means.
pub(super) fn judge_opening(login: &Login, bytes: &[u8]) -> Result<Opening, Answer> {
    let client = &login.client;
    match decode(bytes)? {
        Reply::Error(error) if error.code == codes::PREAUTH_REQUIRED => {
            let info = error.preauth;
            let recipe = match info.key {
                Some(key) => Recipe::new(key, client).map_err(Answer::Unavailable)?,
                None if info.has_list => return Err(no_known_kind(client)),
                None => Recipe::decoy(client),
            };
            if !info.takes_timestamp {
                return Err(Answer::Unavailable(down(format!(
                    "the KDC takes no password from {client}: it wants another method (SPAKE, \
                     PKINIT, one-time passwords)"
                ))));
            }
            Ok(Opening::Prove(recipe, info.cookie))
        }
        Reply::Error(error) => Err(refusal(client, &error)),
        Reply::Granted(reply) => {
            let Some(enctype) = Enctype::from_number(reply.enctype()) else {
                return Err(no_known_kind(client));
            };
            let told = &reply.preauth.key;
            let info = match told {
                Some(info) if info.enctype == enctype => {
                    KeyInfo { enctype, salt: info.salt.clone(), iterations: info.iterations }
                }
                _ => KeyInfo { enctype, salt: None, iterations: None },
            };
            let recipe = Recipe::new(info, client).map_err(Answer::Unavailable)?;
            Ok(Opening::Granted(recipe, reply))
        }
    }
}

/// The second request, with the time sealed by the password's key.
pub(super) fn prove(login: &Login, key: &Key, cookie: Option<&[u8]>, stamp: &Stamp) -> Vec<u8> {
    // Its own kind first, so that the answer is sealed with this key and no other of the user.
    let mut enctypes = Enctype::ALL.to_vec();
    enctypes.sort_by_key(|enctype| *enctype != key.enctype());
    AsRequest { client: &login.client, enctypes: &enctypes, key: Some(key), cookie }.encode(stamp)
}

/// What the answer to it means, as far as it can be read without the key.
pub(super) fn judge_proof(login: &Login, bytes: &[u8]) -> Result<Box<SealedReply>, Answer> {
    match decode(bytes)? {
        Reply::Error(error) => Err(refusal(&login.client, &error)),
        Reply::Granted(reply) => Ok(reply),
    }
}

/// Opens the ticket-granting ticket's reply with the password's key.
pub(super) fn unseal(
    login: &Login,
    reply: SealedReply,
    key: &Key,
    nonce: u32,
    proof: Proof,
) -> Result<Grant, Answer> {
    if reply.client != login.client {
        return Err(not_ours(&login.client, "is for somebody else"));
    }
    let Some(part) = reply.open(Usage::AsReply, key) else {
        return Err(match proof {
            Proof::NotAsked => Answer::Rejected(ReasonCode::BadCredentials.into()),
            Proof::Given => not_ours(&login.client, "is sealed with another key"),
        });
    };
    let part = part.map_err(|error| Answer::Unavailable(down(error.to_string())))?;
    if part.nonce != i64::from(nonce) || part.service != Principal::granting(&login.client.realm) {
        return Err(not_ours(&login.client, "is for another request"));
    }
    Ok(Grant { ticket: reply.ticket, session: part.key, expiration: part.key_expiration })
}

/// A request for a ticket of `service`.
pub(super) fn ask_for(login: &Login, service: &Principal, grant: &Grant, stamp: &Stamp) -> Vec<u8> {
    let request = TgsRequest {
        client: &login.client,
        service,
        ticket: &grant.ticket,
        session: &grant.session,
        enctypes: &Enctype::ALL,
    };
    request.encode(stamp)
}

/// What the answer to it means. That a ticket is not granted says nothing of the password.
pub(super) fn judge_ticket(
    login: &Login,
    service: &Principal,
    grant: &Grant,
    nonce: u32,
    bytes: &[u8],
) -> Result<Grant, Answer> {
    let reply = match decode(bytes)? {
        Reply::Error(error) => return Err(Answer::Unavailable(no_ticket(service, &error))),
        Reply::Granted(reply) => *reply,
    };
    if reply.client != login.client {
        return Err(not_ours(service, "is for somebody else"));
    }
    let Some(part) = reply.open(Usage::TgsReply, &grant.session) else {
        return Err(not_ours(service, "is sealed with another key"));
    };
    let part = part.map_err(|error| Answer::Unavailable(down(error.to_string())))?;
    let is_ours = part.service == *service && reply.ticket.service == *service;
    if part.nonce != i64::from(nonce) || !is_ours {
        let got = Printable::from(part.service.to_string().as_str()).to_string();
        return Err(Answer::Unavailable(down(format!(
            "the KDC was asked for a ticket of {service} and gave one of {got}"
        ))));
    }
    Ok(Grant { ticket: reply.ticket, session: part.key, expiration: grant.expiration })
}

/// Whether the ticket is one that only the KDC of our realm can have made for
/// this client in this session: our key opens it.
///
/// # Errors
/// Why it proves nothing.
pub(super) fn check_ticket(login: &Login, grant: &Grant, now: i64) -> Result<(), Reason> {
    let part = login.keys.iter().find_map(|key| grant.ticket.open(&key.key));
    let Some(part) = part else { return Err(unopened(login, &grant.ticket)) };
    let part = part.map_err(|error| down(error.to_string()))?;
    let service = &login.service;
    if !part.key.is_same(&grant.session) || part.client != login.client {
        return Err(down(format!(
            "the ticket of {service} is real and not from this login of {}: somebody answers in \
             the KDC's place",
            login.client
        )));
    }
    if part.end < now - SKEW {
        return Err(down(format!(
            "the ticket of {service} has ended: is this host's clock right?"
        )));
    }
    Ok(())
}

fn unopened(login: &Login, ticket: &Ticket) -> Reason {
    let versions: Vec<u32> = login.keys.iter().map(|key| key.version).collect();
    let service = &login.service;
    let why = match ticket.sealed.version {
        Some(version) if !versions.contains(&version) => format!(
            "the keytab has version {} of its key and the KDC uses {version}; export it again \
             (kadmin: ktadd {service})",
            versions.iter().max().copied().unwrap_or_default()
        ),
        _ => "the keytab is of another realm or an older one, or somebody answers in the KDC's \
              place"
            .to_owned(),
    };
    down(format!("the KDC did not prove itself: its ticket of {service} does not open: {why}"))
}

fn decode(bytes: &[u8]) -> Result<Reply, Answer> {
    Reply::decode(bytes).map_err(|error| Answer::Unavailable(down(error.to_string())))
}

/// What an error about the client means.
fn refusal(client: &Principal, error: &ErrorReply) -> Answer {
    let rejected =
        |code: ReasonCode, detail: &'static str| Answer::Rejected(Reason::new(code, detail));
    match error.code {
        codes::CLIENT_UNKNOWN | codes::WRONG_REALM => Answer::Unknown,
        codes::PREAUTH_FAILED | codes::BAD_INTEGRITY => {
            Answer::Rejected(ReasonCode::BadCredentials.into())
        }
        codes::CLIENT_REVOKED => {
            rejected(ReasonCode::AccountLocked, "the KDC has revoked or locked the principal")
        }
        codes::KEY_EXPIRED => {
            rejected(ReasonCode::PasswordExpired, "it must be changed at the KDC")
        }
        codes::NAME_EXPIRED => rejected(ReasonCode::AccountExpired, "the principal has expired"),
        codes::CLIENT_NOT_YET => {
            rejected(ReasonCode::AccessDenied, "the principal is not valid yet")
        }
        codes::POLICY => rejected(ReasonCode::AccessDenied, "the policy of the KDC forbids it"),
        codes::ENCTYPE_UNSUPPORTED => no_known_kind(client),
        codes::SKEW => Answer::Unavailable(skew(error)),
        _ => Answer::Unavailable(down(format!(
            "the KDC does not answer for {client}: {}",
            words(error)
        ))),
    }
}

fn skew(error: &ErrorReply) -> Reason {
    let detail = format!(
        "the clocks of this host and of the KDC differ too much (its says {}): set them right, \
         with NTP",
        jiff::Timestamp::from_second(error.time)
            .map_or_else(|_| "?".to_owned(), |it| it.to_string())
    );
    down(detail)
}

fn no_ticket(service: &Principal, error: &ErrorReply) -> Reason {
    match error.code {
        codes::SERVICE_UNKNOWN => down(format!(
            "the KDC does not know {service}, whose key it has to prove itself with: create it \
             and export it (kadmin: ktadd {service})"
        )),
        codes::SKEW => skew(error),
        _ => down(format!("the KDC gives no ticket of {service}: {}", words(error))),
    }
}

/// The code, and what the KDC says itself.
fn words(error: &ErrorReply) -> String {
    let text: String = error.text.chars().take(MAX_TEXT).collect();
    format!("error {} {}", error.code, Printable::from(text.as_str())).trim_end().to_owned()
}

fn no_known_kind(client: &Principal) -> Answer {
    Answer::Unavailable(down(format!(
        "the KDC has no AES key of {client}, only kinds that are not secure any more: setting the \
         password anew makes one"
    )))
}

fn not_ours(whose: &Principal, what: &str) -> Answer {
    Answer::Unavailable(down(format!(
        "what the KDC sent about {whose} {what}: somebody answers in its place, or in between"
    )))
}

fn down(detail: String) -> Reason {
    Reason::new(ReasonCode::BackendDown, detail)
}

const MIN_ITERATIONS: u32 = 4096;
/// About a second of work.
const MAX_ITERATIONS: u32 = 1_000_000;
/// Clocks may differ by five minutes, as everywhere in Kerberos.
const SKEW: i64 = 300;
/// Characters of a KDC's own words that go to the log.
const MAX_TEXT: usize = 100;
