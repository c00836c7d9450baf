//! Which keys are tried for an address, a host or a key, and which line decides.
//!
//! | given | asked |
//! |---|---|
//! | `192.0.2.7`, `2001:db8::7`, `host.example` | may it connect, relay; how often; what must its TLS be |
//! | `Connect:...`, `TLS_Clt:...`, `ClientRate:...` | those of these questions that have this tag |
//! | `user@example.com` | may it send; may it get mail; may anybody send to it |
//! | `From:...`, `To:...` | those about senders, about recipients |
//! | `CERTIssuer:...`, `TLS_Rcpt:...` | may this certificate relay; what must TLS be for it |
//!
//! Called by `saslgate check --access`, which prints it.

use std::net::{IpAddr, Ipv6Addr};

use super::client::{Client, PtrState};
use super::demand::TlsFacts;
use super::rules::{Cause, Decision, Relaying, Site, Visit};
use super::search::{Step, TAGS};

/// One question with all that was tried for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `may this client connect`
    pub question: &'static str,
    /// In the order in which they were tried.
    pub steps: Vec<Step>,
    /// What comes of it, in a few words: `refused: 550 5.7.1 Access denied`.
    pub outcome: String,
    /// The line of the map that decided, if one did.
    pub line: Option<u32>,
}

/// Answers every question that `given` raises.
///
/// # Errors
/// Says why it raises none.
pub fn explain(site: &Site, given: &str) -> Result<Vec<Answer>, String> {
    let Some((tag, rest)) = tagged(given) else {
        if given.contains('@') {
            return Ok([sender(site, given), recipient(site, given)].concat());
        }
        let answers = about_client(site, &client(given)?);
        return Ok(answers.into_iter().map(|(_, answer)| answer).collect());
    };
    Ok(match tag {
        "From:" => sender(site, &mailbox(rest)),
        "To:" => recipient(site, &mailbox(rest)),
        "CERTIssuer:" => vec![certificate(site, rest, "")],
        "CERTSubject:" => {
            return Err("name the certificate's issuer: CERTIssuer:...".to_owned());
        }
        "TLS_Rcpt:" => vec![tls_recipient(site, &mailbox(rest))],
        _ => {
            let answers = about_client(site, &client(rest)?).into_iter();
            answers.filter(|(of, _)| *of == tag).map(|(_, answer)| answer).collect()
        }
    })
}

/// A known tag as it is written, and the key behind it.
fn tagged(given: &str) -> Option<(&'static str, &str)> {
    TAGS[1..].iter().find_map(|(_, text)| {
        let (head, rest) = given.split_at_checked(text.len())?;
        head.eq_ignore_ascii_case(text).then_some((*text, rest))
    })
}

/// A mailbox of that domain, where only the domain is given.
fn mailbox(rest: &str) -> String {
    if rest.contains('@') { rest.to_owned() } else { format!("anybody@{rest}") }
}

fn client(given: &str) -> Result<Client, String> {
    let text = given.trim_start_matches('[').trim_end_matches(']');
    let v6 = text.split_at_checked("IPv6:".len());
    let v6 = v6.filter(|(head, _)| head.eq_ignore_ascii_case("IPv6:")).map(|(_, rest)| rest);
    let address = match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => text.parse().ok(),
    };
    if let Some(address) = address {
        return Ok(Client::new(address, None, PtrState::NotAsked));
    }
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic());
    if is_name {
        return Ok(Client::named(text));
    }
    Err(format!(
        "\"{given}\" is no address, no host name, no mail address and no key such as From:user@dom"
    ))
}

fn about_client(site: &Site, client: &Client) -> Vec<(&'static str, Answer)> {
    let visit = Visit { client, tls: TlsFacts::default(), is_authenticated: false };
    vec![
        ("Connect:", answer("may this client connect", |steps| told(&site.connect(client, steps)))),
        (
            "Connect:",
            answer("may this client relay without a login", |steps| {
                match site.client_relays(client, steps) {
                    Ok(cause) => yes(cause),
                    Err(refusal) => (format!("no: {refusal}"), None),
                }
            }),
        ),
        (
            "TLS_Clt:",
            answer("what must this client's TLS be (told of one without)", |steps| {
                told(&site.tls_client(&visit, steps))
            }),
        ),
        (
            "TLS_Srv:",
            answer("what must TLS be with this mail server (told of one without)", |steps| {
                told(&site.tls_server(client, &TlsFacts::default(), steps))
            }),
        ),
        (
            "ClientRate:",
            answer("how many connections a minute", |steps| limit(site.rate_limit(client, steps))),
        ),
        (
            "ClientConn:",
            answer("how many open connections", |steps| {
                limit(site.connection_limit(client, steps))
            }),
        ),
    ]
}

fn sender(site: &Site, address: &str) -> Vec<Answer> {
    vec![answer("may this be the sender", |steps| told(&site.sender(address, steps)))]
}

fn recipient(site: &Site, address: &str) -> Vec<Answer> {
    let stranger = Client::named("");
    let visit = Visit { client: &stranger, tls: TlsFacts::default(), is_authenticated: false };
    vec![
        answer("may this recipient get mail", |steps| told(&site.recipient(address, steps))),
        answer("may anybody send to this recipient", |steps| {
            match site.relaying(&visit, address, steps) {
                Relaying::Final(cause) | Relaying::Allowed(cause) => yes(cause),
                Relaying::Denied(_) => {
                    ("only who has logged in, or may relay by address or certificate".into(), None)
                }
            }
        }),
    ]
}

fn certificate(site: &Site, issuer: &str, subject: &str) -> Answer {
    let tls = TlsFacts { verify: "OK", issuer, subject, ..TlsFacts::default() };
    answer("may clients with a certificate of this issuer relay", |steps| {
        match site.certificate(&tls, steps) {
            Some(cause) => yes(cause),
            None => ("not by that alone".to_owned(), None),
        }
    })
}

fn tls_recipient(site: &Site, address: &str) -> Answer {
    let server = Client::named("");
    answer("what must TLS be for mail to this recipient (told of none)", |steps| {
        told(&site.tls_recipient(&server, &TlsFacts::default(), address, steps))
    })
}

fn answer(
    question: &'static str,
    ask: impl FnOnce(Option<&mut Vec<Step>>) -> (String, Option<u32>),
) -> Answer {
    let mut steps = Vec::new();
    let (outcome, line) = ask(Some(&mut steps));
    Answer { question, steps, outcome, line }
}

fn told(decision: &Decision) -> (String, Option<u32>) {
    match decision {
        Decision::Silent => ("nothing is said about it".to_owned(), None),
        Decision::Accept(cause) => yes(*cause),
        Decision::Quarantine(cause) => {
            ("passed on, and logged: a front cannot quarantine".to_owned(), cause.line())
        }
        Decision::Refuse(refusal, cause) => (format!("refused: {refusal}"), cause.line()),
        Decision::Discard(cause) => ("taken and thrown away".to_owned(), cause.line()),
    }
}

fn yes(cause: Cause) -> (String, Option<u32>) {
    let text = match cause {
        Cause::LocalDomain => "yes: it is one of our domains",
        Cause::RelayDomain => "yes: we relay for it",
        Cause::Loopback => "yes: it is on this host",
        _ => "yes",
    };
    (text.to_owned(), cause.line())
}

fn limit(limit: Option<(u32, Cause)>) -> (String, Option<u32>) {
    match limit {
        Some((count, cause)) => (count.to_string(), cause.line()),
        None => ("any number".to_owned(), None),
    }
}
