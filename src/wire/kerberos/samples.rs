//! Replies as a KDC makes them, for the tests of those who read them.

use super::crypto::{Key, Usage};
use super::der::{application, element, field, flags, integer, octets, sequence, text, time};
use super::name::{Name, NameKind, Principal};

/// An AS-REP or TGS-REP in the making.
pub(crate) struct Grant<'a> {
    /// 11 or 13.
    pub(crate) kind: u8,
    /// The key of the client's part, and its usage.
    pub(crate) key: &'a Key,
    pub(crate) usage: Usage,
    pub(crate) nonce: u32,
    pub(crate) client: Principal,
    pub(crate) service: Principal,
    /// The session key as the client is told.
    pub(crate) session: [u8; 32],
    /// The key of the ticket, and what it says.
    pub(crate) ticket_key: &'a Key,
    pub(crate) ticket_client: Principal,
    pub(crate) ticket_session: [u8; 32],
    pub(crate) end: i64,
}

impl Grant<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let reply = sequence(&[
            field(0, &integer(5)),
            field(1, &integer(self.kind.into())),
            field(3, &text(&self.client.realm)),
            field(4, &self.client.name.encode(NameKind::Principal)),
            field(5, &self.ticket()),
            field(6, &encrypted(self.key, self.usage, &self.part())),
        ]);
        element(application(self.kind), &reply)
    }

    fn part(&self) -> Vec<u8> {
        let part = sequence(&[
            field(0, &key_element(&self.session)),
            field(1, &sequence(&[])),
            field(2, &integer(self.nonce.into())),
            field(3, &time(5000)),
            field(4, &flags(0)),
            field(5, &time(0)),
            field(7, &time(self.end)),
            field(9, &text(&self.service.realm)),
            field(10, &self.service.name.encode(NameKind::Host)),
        ]);
        element(application(if self.kind == 11 { 25 } else { 26 }), &part)
    }

    fn ticket(&self) -> Vec<u8> {
        let inner = sequence(&[
            field(0, &flags(0)),
            field(1, &key_element(&self.ticket_session)),
            field(2, &text(&self.ticket_client.realm)),
            field(3, &self.ticket_client.name.encode(NameKind::Principal)),
            field(4, &sequence(&[])),
            field(5, &time(0)),
            field(7, &time(self.end)),
        ]);
        let inner = element(application(3), &inner);
        let ticket = sequence(&[
            field(0, &integer(5)),
            field(1, &text(&self.service.realm)),
            field(2, &self.service.name.encode(NameKind::Host)),
            field(3, &encrypted(self.ticket_key, Usage::Ticket, &inner)),
        ]);
        element(application(1), &ticket)
    }
}

/// A KRB-ERROR without anything to see.
pub(crate) fn error(code: i64, at: i64) -> Vec<u8> {
    let fields = [
        field(0, &integer(5)),
        field(1, &integer(30)),
        field(4, &time(at)),
        field(5, &integer(0)),
        field(6, &integer(code)),
        field(9, &text("A.TEST")),
        field(10, &Name::new(&["krbtgt", "A.TEST"]).encode(NameKind::Instance)),
    ];
    element(application(30), &sequence(&fields))
}

fn encrypted(key: &Key, usage: Usage, plain: &[u8]) -> Vec<u8> {
    sequence(&[
        field(0, &integer(key.enctype().number())),
        field(1, &integer(2)),
        field(2, &octets(&key.seal(usage, [5; 16], plain))),
    ])
}

fn key_element(bytes: &[u8]) -> Vec<u8> {
    sequence(&[field(0, &integer(18)), field(1, &octets(bytes))])
}
