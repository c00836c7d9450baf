//! Messages of a KDC (RFC 4120 §5.4.2, §5.9.1), and what is sealed in them (§5.3).
//!
//! Only what checking a password looks at is kept. Nothing of a message is to
//! be believed before a part of it was opened with a key that we know.

#[cfg(test)]
mod tests;

use super::crypto::{Enctype, Key, Usage};
use super::der::{Malformed, Reader, SEQUENCE, application};
use super::name::{Name, Principal};

/// Codes of KRB-ERROR (RFC 4120 §7.5.9).
#[allow(missing_docs, reason = "the names are those of the RFC")]
pub mod error_codes {
    pub const NAME_EXPIRED: i64 = 1;
    pub const CLIENT_UNKNOWN: i64 = 6;
    pub const SERVICE_UNKNOWN: i64 = 7;
    pub const POLICY: i64 = 12;
    pub const ENCTYPE_UNSUPPORTED: i64 = 14;
    pub const CLIENT_REVOKED: i64 = 18;
    pub const CLIENT_NOT_YET: i64 = 21;
    pub const KEY_EXPIRED: i64 = 23;
    pub const PREAUTH_FAILED: i64 = 24;
    pub const PREAUTH_REQUIRED: i64 = 25;
    pub const BAD_INTEGRITY: i64 = 31;
    pub const SKEW: i64 = 37;
    pub const WRONG_REALM: i64 = 68;
}

/// A message.
pub enum Reply {
    /// KRB-ERROR.
    Error(ErrorReply),
    /// AS-REP or TGS-REP.
    Granted(Box<SealedReply>),
}

/// KRB-ERROR: anybody can have sent it.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// What is wrong: see [`error_codes`].
    pub code: i64,
    /// The clock of the KDC, in seconds since 1970.
    pub time: i64,
    /// Its own words, if any.
    pub text: String,
    /// What it wants before it grants a ticket.
    pub preauth: PreauthInfo,
}

/// How the key of a password is made, as the KDC says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PreauthInfo {
    /// The first kind of key in its list that we know.
    pub key: Option<KeyInfo>,
    /// True if there was a list, whatever was in it.
    pub has_list: bool,
    /// True if a timestamp is among what it takes.
    pub takes_timestamp: bool,
    /// PA-FX-COOKIE, to be sent back.
    pub cookie: Option<Vec<u8>>,
}

/// An entry of ETYPE-INFO2 (RFC 4120 §5.2.7.5).
#[derive(Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The kind of key.
    pub enctype: Enctype,
    /// The salt; `None` is the default one.
    pub salt: Option<String>,
    /// Rounds of PBKDF2; `None` is the default of that kind.
    pub iterations: Option<u32>,
}

/// AS-REP or TGS-REP.
pub struct SealedReply {
    /// How the key was made, if it says.
    pub preauth: PreauthInfo,
    /// For whom.
    pub client: Principal,
    /// What was asked for.
    pub ticket: Ticket,
    sealed: Sealed,
}

/// A ticket: sealed for its service.
pub struct Ticket {
    /// The service.
    pub service: Principal,
    /// The sealed part.
    pub sealed: Sealed,
    /// As it came, to be handed on.
    pub(super) encoded: Vec<u8>,
}

/// EncryptedData (RFC 4120 §5.2.9).
pub struct Sealed {
    /// The number of the kind of its key.
    pub enctype: i64,
    /// The version of its key.
    pub version: Option<u32>,
    bytes: Vec<u8>,
}

/// EncKDCRepPart: what the KDC says to the client alone.
pub struct ReplyPart {
    /// The session key.
    pub key: Key,
    /// The nonce of the request.
    pub nonce: i64,
    /// When the client's password or account expires, in seconds since 1970.
    pub key_expiration: Option<i64>,
    /// The service that the ticket is for.
    pub service: Principal,
}

/// EncTicketPart: what the KDC says to the service alone.
pub struct TicketPart {
    /// The session key.
    pub key: Key,
    /// For whom the ticket is.
    pub client: Principal,
    /// When the ticket ends, in seconds since 1970.
    pub end: i64,
}

impl Reply {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Malformed`]: it is none of these, or bytes follow it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(bytes);
        let tag = *bytes.first().ok_or(Malformed)?;
        let mut inner = outer.expect(tag)?.expect(SEQUENCE)?;
        if !outer.is_at_end() {
            return Err(Malformed);
        }
        if tag == application(KRB_ERROR) {
            return error(inner).map(Self::Error);
        }
        let kind = [AS_REP, TGS_REP].into_iter().find(|kind| tag == application(*kind));
        let kind = kind.ok_or(Malformed)?;
        head(&mut inner, kind)?;
        let preauth = match inner.optional(2)? {
            Some(list) => preauth(list)?,
            None => PreauthInfo::default(),
        };
        let realm = inner.field(3)?.text()?.to_owned();
        let client = Principal { name: Name::decode(&mut inner.field(4)?)?, realm };
        let ticket = Ticket::decode(inner.field(5)?)?;
        let sealed = Sealed::decode(&mut inner.field(6)?)?;
        Ok(Self::Granted(Box::new(SealedReply { preauth, client, ticket, sealed })))
    }
}

impl SealedReply {
    /// Opens the sealed part; `None` if it was not sealed with this key, for this usage.
    #[must_use]
    pub fn open(&self, usage: Usage, key: &Key) -> Option<Result<ReplyPart, Malformed>> {
        let text = self.sealed.open(usage, key)?;
        Some(ReplyPart::decode(&text))
    }

    /// The number of the kind of key that it is sealed with.
    #[must_use]
    pub fn enctype(&self) -> i64 {
        self.sealed.enctype
    }
}

impl Ticket {
    /// Opens the sealed part with the key of the service; `None` if it was not sealed with it.
    #[must_use]
    pub fn open(&self, key: &Key) -> Option<Result<TicketPart, Malformed>> {
        let text = self.sealed.open(Usage::Ticket, key)?;
        Some(TicketPart::decode(&text))
    }

    fn decode(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let encoded = reader.rest().to_vec();
        let mut inner = reader.expect(application(1))?.expect(SEQUENCE)?;
        inner.field(0)?.integer()?;
        let realm = inner.field(1)?.text()?.to_owned();
        let service = Principal { name: Name::decode(&mut inner.field(2)?)?, realm };
        let sealed = Sealed::decode(&mut inner.field(3)?)?;
        Ok(Self { service, sealed, encoded })
    }
}

impl Sealed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut inner = reader.expect(SEQUENCE)?;
        let enctype = inner.field(0)?.integer()?;
        let version = inner.optional(1)?.map(|mut version| version.integer()).transpose()?;
        let bytes = inner.field(2)?.octets()?.to_vec();
        // Some KDCs write the version as a signed number.
        let version = version.map(|number| (number & 0xffff_ffff) as u32);
        Ok(Self { enctype, version, bytes })
    }

    fn open(&self, usage: Usage, key: &Key) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        if self.enctype != key.enctype().number() {
            return None;
        }
        key.open(usage, &self.bytes)
    }
}

impl ReplyPart {
    fn decode(text: &[u8]) -> Result<Self, Malformed> {
        // 25 in an AS-REP, 26 in a TGS-REP; some KDCs write 26 in both.
        let number = if text.first() == Some(&application(25)) { 25 } else { 26 };
        let mut inner = Reader::new(text).expect(application(number))?.expect(SEQUENCE)?;
        let key = key(&mut inner.field(0)?)?;
        inner.field(1)?;
        let nonce = inner.field(2)?.integer()?;
        let key_expiration = inner.optional(3)?.map(|mut time| time.time()).transpose()?;
        inner.field(4)?;
        inner.field(5)?;
        inner.optional(6)?;
        inner.field(7)?;
        inner.optional(8)?;
        let realm = inner.field(9)?.text()?.to_owned();
        let service = Principal { name: Name::decode(&mut inner.field(10)?)?, realm };
        Ok(Self { key, nonce, key_expiration, service })
    }
}

impl TicketPart {
    fn decode(text: &[u8]) -> Result<Self, Malformed> {
        let mut inner = Reader::new(text).expect(application(3))?.expect(SEQUENCE)?;
        inner.field(0)?;
        let key = key(&mut inner.field(1)?)?;
        let realm = inner.field(2)?.text()?.to_owned();
        let client = Principal { name: Name::decode(&mut inner.field(3)?)?, realm };
        inner.field(4)?;
        inner.field(5)?;
        inner.optional(6)?;
        let end = inner.field(7)?.time()?;
        Ok(Self { key, client, end })
    }
}

/// EncryptionKey (RFC 4120 §5.2.9).
fn key(reader: &mut Reader<'_>) -> Result<Key, Malformed> {
    let mut inner = reader.expect(SEQUENCE)?;
    let number = inner.field(0)?.integer()?;
    Key::new(number, inner.field(1)?.octets()?).ok_or(Malformed)
}

/// Version 5, and the kind of message once more.
fn head(reader: &mut Reader<'_>, kind: u8) -> Result<(), Malformed> {
    let is_fit = reader.field(0)?.integer()? == 5 && reader.field(1)?.integer()? == i64::from(kind);
    if is_fit { Ok(()) } else { Err(Malformed) }
}

fn error(mut inner: Reader<'_>) -> Result<ErrorReply, Malformed> {
    head(&mut inner, KRB_ERROR)?;
    inner.optional(2)?;
    inner.optional(3)?;
    let time = inner.field(4)?.time()?;
    inner.field(5)?;
    let code = inner.field(6)?.integer()?;
    for number in 7..=10 {
        inner.optional(number)?;
    }
    // Only for people: a KDC that writes another alphabet is no reason to fail.
    let text = inner.optional(11)?.and_then(|mut text| text.text().ok().map(str::to_owned));
    let data = inner.optional(12)?.map(|mut data| data.octets()).transpose()?;
    // What is in it depends on the code; only METHOD-DATA (RFC 4120 §5.9.1) is read.
    let preauth = match data {
        Some(data) if code == error_codes::PREAUTH_REQUIRED => preauth(Reader::new(data))?,
        _ => PreauthInfo::default(),
    };
    Ok(ErrorReply { code, time, text: text.unwrap_or_default(), preauth })
}

/// A SEQUENCE of PA-DATA (RFC 4120 §5.2.7).
fn preauth(mut reader: Reader<'_>) -> Result<PreauthInfo, Malformed> {
    let mut list = reader.expect(SEQUENCE)?;
    let mut info = PreauthInfo::default();
    while !list.is_at_end() {
        let mut item = list.expect(SEQUENCE)?;
        let kind = item.field(1)?.integer()?;
        let value = item.field(2)?.octets()?;
        match kind {
            PA_ENC_TIMESTAMP => info.takes_timestamp = true,
            PA_FX_COOKIE => info.cookie = Some(value.to_vec()),
            PA_ETYPE_INFO2 if !info.has_list => {
                info.has_list = true;
                info.key = best_key(Reader::new(value))?;
            }
            _ => {}
        }
    }
    Ok(info)
}

fn best_key(mut reader: Reader<'_>) -> Result<Option<KeyInfo>, Malformed> {
    let mut list = reader.expect(SEQUENCE)?;
    while !list.is_at_end() {
        let mut entry = list.expect(SEQUENCE)?;
        let Some(enctype) = Enctype::from_number(entry.field(0)?.integer()?) else { continue };
        let salt = entry.optional(1)?.map(|mut salt| salt.text().map(str::to_owned)).transpose()?;
        let iterations = entry.optional(2)?.map(|mut count| count.octets()).transpose()?;
        // RFC 3962 §4: four bytes, and zero stands for 2^32, which nobody computes.
        let iterations = iterations
            .map(|count| <[u8; 4]>::try_from(count).map(u32::from_be_bytes).map_err(|_| Malformed));
        let iterations = match iterations.transpose()? {
            Some(0) => Some(u32::MAX),
            other => other,
        };
        return Ok(Some(KeyInfo { enctype, salt, iterations }));
    }
    Ok(None)
}

const AS_REP: u8 = 11;
const TGS_REP: u8 = 13;
const KRB_ERROR: u8 = 30;

const PA_ENC_TIMESTAMP: i64 = 2;
const PA_ETYPE_INFO2: i64 = 19;
/// RFC 6113 §5.2.
const PA_FX_COOKIE: i64 = 133;
