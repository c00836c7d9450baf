//! Messages to a KDC (RFC 4120 §5.4.1): AS-REQ and TGS-REQ.

use super::crypto::{Enctype, Key, Usage};
use super::der::{self, application, element, field, sequence};
use super::name::{NameKind, Principal};
use super::reply::Ticket;

/// Seconds that a ticket is asked for: it is looked at and thrown away.
const LIFETIME: i64 = 3600;

/// What a request needs from outside: the time and random numbers.
#[derive(Clone, Copy)]
pub struct Stamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Microseconds of that second, `0..1_000_000`.
    pub micros: u32,
    /// Random; another one for each request.
    pub nonce: u32,
    /// Random; another one for each request.
    pub confounder: [u8; 16],
}

impl Stamp {
    /// The nonce as it goes out: 31 bits, since some KDCs take it for signed.
    #[must_use]
    pub fn nonce(&self) -> u32 {
        self.nonce & 0x7fff_ffff
    }
}

/// AS-REQ: a ticket-granting ticket is asked for.
pub struct AsRequest<'a> {
    /// For whom.
    pub client: &'a Principal,
    /// Kinds of keys that are offered.
    pub enctypes: &'a [Enctype],
    /// The client's key, to prove that it is known.
    pub key: Option<&'a Key>,
    /// PA-FX-COOKIE that the KDC wants back.
    pub cookie: Option<&'a [u8]>,
}

impl AsRequest<'_> {
    /// The message, without its length in front.
    #[must_use]
    pub fn encode(&self, stamp: &Stamp) -> Vec<u8> {
        let mut padata = Vec::new();
        if let Some(key) = self.key {
            let text = sequence(&[
                field(0, &der::time(stamp.seconds)),
                field(1, &der::integer(stamp.micros.into())),
            ]);
            let sealed = key.seal(Usage::Timestamp, stamp.confounder, &text);
            padata.push(pa_data(PA_ENC_TIMESTAMP, &encrypted(key, &sealed)));
        }
        if let Some(cookie) = self.cookie {
            padata.push(pa_data(PA_FX_COOKIE, cookie));
        }
        let granting = Principal::granting(&self.client.realm);
        let body = body(
            Some(&self.client.name.encode(NameKind::Principal)),
            &granting,
            NameKind::Instance,
            self.enctypes,
            stamp,
        );
        message(AS_REQ, &padata, &body)
    }
}

/// TGS-REQ: a ticket for a service is asked for.
pub struct TgsRequest<'a> {
    /// For whom.
    pub client: &'a Principal,
    /// The service, in the realm of the KDC that is asked.
    pub service: &'a Principal,
    /// The ticket-granting ticket.
    pub ticket: &'a Ticket,
    /// The session key that came with it.
    pub session: &'a Key,
    /// Kinds of keys that are offered.
    pub enctypes: &'a [Enctype],
}

impl TgsRequest<'_> {
    /// The message, without its length in front.
    #[must_use]
    pub fn encode(&self, stamp: &Stamp) -> Vec<u8> {
        let body = body(None, self.service, NameKind::Host, self.enctypes, stamp);
        let checksum = sequence(&[
            field(0, &der::integer(self.session.enctype().checksum_number())),
            field(1, &der::octets(&self.session.checksum(Usage::TgsChecksum, &body))),
        ]);
        let authenticator = sequence(&[
            field(0, &der::integer(5)),
            field(1, &der::text(&self.client.realm)),
            field(2, &self.client.name.encode(NameKind::Principal)),
            field(3, &checksum),
            field(4, &der::integer(stamp.micros.into())),
            field(5, &der::time(stamp.seconds)),
        ]);
        let authenticator = element(application(2), &authenticator);
        let sealed = self.session.seal(Usage::TgsAuthenticator, stamp.confounder, &authenticator);
        let ap_req = sequence(&[
            field(0, &der::integer(5)),
            field(1, &der::integer(AP_REQ.into())),
            field(2, &der::flags(0)),
            field(3, &self.ticket.encoded),
            field(4, &encrypted(self.session, &sealed)),
        ]);
        let padata = pa_data(PA_TGS_REQ, &element(application(AP_REQ), &ap_req));
        message(TGS_REQ, &[padata], &body)
    }
}

/// `message` as it goes over TCP: behind its length (RFC 4120 §7.2.2).
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), message].concat()
}

fn message(kind: u8, padata: &[Vec<u8>], body: &[u8]) -> Vec<u8> {
    let mut fields = vec![field(1, &der::integer(5)), field(2, &der::integer(kind.into()))];
    if !padata.is_empty() {
        fields.push(field(3, &sequence(padata)));
    }
    fields.push(field(4, body));
    element(application(kind), &sequence(&fields))
}

fn body(
    client: Option<&[u8]>,
    service: &Principal,
    kind: NameKind,
    enctypes: &[Enctype],
    stamp: &Stamp,
) -> Vec<u8> {
    let enctypes: Vec<Vec<u8>> = enctypes.iter().map(|it| der::integer(it.number())).collect();
    let mut fields = vec![field(0, &der::flags(0))];
    fields.extend(client.map(|name| field(1, name)));
    fields.extend([
        field(2, &der::text(&service.realm)),
        field(3, &service.name.encode(kind)),
        field(5, &der::time(stamp.seconds.saturating_add(LIFETIME))),
        field(7, &der::integer(stamp.nonce().into())),
        field(8, &sequence(&enctypes)),
    ]);
    sequence(&fields)
}

fn pa_data(kind: i64, value: &[u8]) -> Vec<u8> {
    sequence(&[field(1, &der::integer(kind)), field(2, &der::octets(value))])
}

/// EncryptedData (RFC 4120 §5.2.9).
fn encrypted(key: &Key, sealed: &[u8]) -> Vec<u8> {
    sequence(&[field(0, &der::integer(key.enctype().number())), field(2, &der::octets(sealed))])
}

const AS_REQ: u8 = 10;
const TGS_REQ: u8 = 12;
const AP_REQ: u8 = 14;

const PA_TGS_REQ: i64 = 1;
const PA_ENC_TIMESTAMP: i64 = 2;
/// RFC 6113 §5.2.
const PA_FX_COOKIE: i64 = 133;
