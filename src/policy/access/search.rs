//! sendmail's look-ups in the access map, each in its order of keys.
//!
//! | look-up | keys tried |
//! |---|---|
//! | name (D) | `host.example.com`, `example.com`, `com`; `[192.0.2.7]`, `[192.0.2]`, `[192]` |
//! | address (A) | `192.0.2.7`, `192.0.2`, `192`; `IPv6:2001:db8:0:0:0:0:0:7` down to `IPv6` |
//! | full (F) | `user+detail@dom`, `user+*@dom`, `user@dom` |
//! | user (U) | `user+detail@`, `user+*@`, `user@` |
//!
//! Each key is tried with the tag and, where the caller says so, without it. A
//! table for each tag keeps look-ups free of concatenation: a key is a part of
//! the folded text. Keys that were tried are noted where somebody wants to know.

use std::collections::HashMap;

use super::demand::Demand;
use super::value::Verdict;

/// What stands in front of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Tag {
    /// Nothing.
    Bare,
    Connect,
    From,
    To,
    CertIssuer,
    CertSubject,
    TlsClient,
    TlsServer,
    TlsRecipient,
    ClientRate,
    ClientConn,
}

/// Each tag as it is written, `Bare` first.
pub(super) const TAGS: [(Tag, &str); 11] = [
    (Tag::Bare, ""),
    (Tag::Connect, "Connect:"),
    (Tag::From, "From:"),
    (Tag::To, "To:"),
    (Tag::CertIssuer, "CERTIssuer:"),
    (Tag::CertSubject, "CERTSubject:"),
    (Tag::TlsClient, "TLS_Clt:"),
    (Tag::TlsServer, "TLS_Srv:"),
    (Tag::TlsRecipient, "TLS_Rcpt:"),
    (Tag::ClientRate, "ClientRate:"),
    (Tag::ClientConn, "ClientConn:"),
];

impl Tag {
    /// As it is written, with the colon; empty for no tag.
    pub(super) fn text(self) -> &'static str {
        TAGS[self as usize].1
    }
}

/// One line of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// From 1 on.
    pub(super) line: u32,
    pub(super) value: Value,
    /// As the file has it.
    pub(super) text: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Verdict(Verdict),
    Demand(Demand),
    /// Connections; 0 is no limit.
    Limit(u32),
}

impl Entry {
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        match &self.value {
            Value::Verdict(verdict) => Some(verdict),
            _ => None,
        }
    }

    fn is_skip(&self) -> bool {
        self.value == Value::Verdict(Verdict::Skip)
    }
}

/// The keys of a map, folded to lower case, a table for each tag.
#[derive(Debug, Default)]
pub(super) struct Tables([HashMap<Box<str>, Entry>; TAGS.len()]);

impl Tables {
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(HashMap::len).sum()
    }

    /// Takes an entry. The first one of a key counts, as for makemap: gives the
    /// line of that one where there is one already.
    pub(super) fn insert(&mut self, tag: Tag, key: &str, entry: Entry) -> Result<(), u32> {
        let table = &mut self.0[tag as usize];
        match table.get(key) {
            Some(first) => Err(first.line),
            None => {
                table.insert(key.into(), entry);
                Ok(())
            }
        }
    }

    /// True if a key has this tag.
    pub(super) fn has_any(&self, tag: Tag) -> bool {
        !self.0[tag as usize].is_empty()
    }
}

/// Whether keys are also tried without their tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// sendmail's `+`.
    TagThenBare,
    /// sendmail's `!`.
    TagOnly,
}

/// What a key was tried for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// May this client speak to us.
    Connect,
    /// May this be the sender.
    Sender,
    /// May this recipient get mail.
    Recipient,
    /// May the client's certificate relay.
    RelayCertificate,
    /// Is the recipient's domain one that we relay for.
    RelayDomain,
    /// Is the client's address one that we relay for.
    RelayAddress,
    /// Is the client's name one that we relay for.
    RelayName,
    /// Is the connection with the client good enough.
    TlsClient,
    /// Is the connection with the mail server good enough.
    TlsServer,
    /// Is it good enough for this recipient.
    TlsRecipient,
    /// How often may the client connect.
    ClientRate,
    /// How many connections may it have.
    ClientConn,
}

/// A key that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What for.
    pub purpose: Purpose,
    /// With its tag, folded to lower case but for the tag.
    pub key: String,
    /// The line that has it, and its value as the file has it.
    pub found: Option<(u32, Box<str>)>,
}

/// One series of look-ups.
pub(super) struct Search<'m, 's> {
    tables: &'m Tables,
    purpose: Purpose,
    mode: Mode,
    tag: Tag,
    steps: Option<&'s mut Vec<Step>>,
}

impl<'m, 's> Search<'m, 's> {
    pub(super) fn new(
        tables: &'m Tables,
        (purpose, tag, mode): (Purpose, Tag, Mode),
        steps: Option<&'s mut Vec<Step>>,
    ) -> Self {
        Self { tables, purpose, mode, tag, steps }
    }

    /// Nothing can be found, and nobody wants to see it not found.
    fn is_idle(&self) -> bool {
        let has_bare = self.mode == Mode::TagThenBare && self.tables.has_any(Tag::Bare);
        self.steps.is_none() && !has_bare && !self.tables.has_any(self.tag)
    }

    /// One key, with the tag and perhaps without. `key` is folded.
    pub(super) fn exact(&mut self, key: &str) -> Option<&'m Entry> {
        let tagged = self.lookup(self.tag, key);
        if tagged.is_some() || self.mode == Mode::TagOnly || key.is_empty() {
            return tagged;
        }
        self.lookup(Tag::Bare, key)
    }

    fn lookup(&mut self, tag: Tag, key: &str) -> Option<&'m Entry> {
        let found = self.tables.0[tag as usize].get(key);
        if let Some(steps) = &mut self.steps {
            let found = found.map(|entry| (entry.line, entry.text.clone()));
            let key = format!("{}{key}", tag.text());
            steps.push(Step { purpose: self.purpose, key, found });
        }
        found
    }

    /// D: a name and the domains above it, or an address in brackets and the
    /// networks around it. SKIP ends it with nothing.
    pub(super) fn name(&mut self, name: &str) -> Option<&'m Entry> {
        if self.is_idle() {
            return None;
        }
        if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return networks(inner)
                .find_map(|part| self.exact(&format!("[{part}]")))
                .filter(|entry| !entry.is_skip());
        }
        let mut rest = Some(name).filter(|name| !name.is_empty());
        while let Some(domain) = rest {
            if let Some(entry) = self.exact(domain) {
                return Some(entry).filter(|entry| !entry.is_skip());
            }
            rest = domain.split_once('.').map(|(_, above)| above);
        }
        None
    }

    /// A: an address and the networks around it. SKIP ends it with nothing.
    pub(super) fn address(&mut self, address: &str) -> Option<&'m Entry> {
        if self.is_idle() || address.is_empty() {
            return None;
        }
        let found = networks(address).find_map(|part| self.exact(part));
        found.filter(|entry| !entry.is_skip())
    }

    /// F: a mailbox, its plus-wildcard, and it without its detail.
    pub(super) fn full(&mut self, user: &str, domain: &str) -> Option<&'m Entry> {
        if self.is_idle() {
            return None;
        }
        let key = |user: &str| format!("{user}@{domain}");
        if let Some(entry) = self.exact(&key(user)) {
            return Some(entry);
        }
        let (base, _) = user.split_once('+')?;
        self.exact(&key(&format!("{base}+*"))).or_else(|| self.exact(&key(base)))
    }

    /// U: a user anywhere: as F, with nothing behind the `@`.
    pub(super) fn user(&mut self, user: &str) -> Option<&'m Entry> {
        self.full(user, "")
    }
}

/// An address, then what is left when the last octet or group is cut, and so on.
pub(super) fn networks(address: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(address), |part| {
        let end = part.rfind(['.', ':'])?;
        // `::x` is cut as one.
        Some(part[..end].trim_end_matches(':')).filter(|rest| !rest.is_empty())
    })
}
