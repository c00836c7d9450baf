//! The request: read incrementally on the server's side, written at once on the client's.
//!
//! Both buffers have all their room from the start and wipe themselves: a
//! vector that grows would leave copies of the password behind.

use std::fmt;
use std::net::IpAddr;

use zeroize::{Zeroize, Zeroizing};

use crate::base::{MAX_SECRET_BYTES, MAX_USER_BYTES, Secret, SecretError};

/// Most bytes that the four fields may have together, lengths not counted:
/// what a libsasl2 client can send (its 8,192-byte buffer less 30).
pub const MAX_REQUEST_BYTES: usize = 8162;

/// Room for the largest request with its five lengths and an address.
const BUFFER_BYTES: usize = 8192;

/// Longest service or realm that is read. The original takes 256 bytes in each field.
const MAX_SHORT_FIELD_BYTES: usize = 256;

/// Longest text of a client address that is looked at: an IPv6 address with zone and port.
const MAX_ADDRESS_BYTES: usize = 128;

/// Behind the address: a handover token is asked for.
const WISH: &[u8] = b";handover";

/// Collects one request. Never grows, and is wiped on drop: it holds a password.
pub struct RequestBuffer {
    bytes: Box<[u8]>,
    filled: usize,
}

/// A whole, well-formed request. Has no `Debug`: it holds a secret.
pub struct Request<'a> {
    /// `1..=1024` bytes without control characters; may hold `@`.
    pub login: &'a [u8],
    /// Never empty.
    pub password: Secret,
    /// At most 256 bytes without control characters; may be empty.
    pub service: &'a [u8],
    /// At most 256 bytes without control characters; may be empty.
    pub realm: &'a [u8],
    /// The mail client, where the fifth field came along and made sense. A
    /// claim of the local peer: good for logs and PAM, proof of nothing.
    pub client: Option<ClientAddress>,
    /// It asks for a handover token with an acceptance.
    pub wants_token: bool,
}

/// The fields that have arrived in whole, for the log line of a refusal; empty where not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known<'a> {
    /// The login as it came.
    pub login: &'a [u8],
    /// The service as it came.
    pub service: &'a [u8],
    /// The realm as it came.
    pub realm: &'a [u8],
}

/// Address and port of a mail client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
}

/// The fields, in the order of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The authentication identity.
    Login,
    /// The secret.
    Password,
    /// What it is for.
    Service,
    /// The realm.
    Realm,
}

/// Why bytes are no request. The peer's fault, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The announced length is over the limit of the field, or of all together.
    #[error("the {field} is announced with {bytes} bytes, over the limit")]
    TooLong {
        /// The field.
        field: Field,
        /// The announced length.
        bytes: usize,
    },
    /// The original answers `NO NULL login received`.
    #[error("the login is empty")]
    EmptyLogin,
    /// The original answers `NO NULL password received`.
    #[error("the password is empty")]
    EmptyPassword,
    /// A NUL, which C programs would take for the end; or, except in a password, a control
    /// character, which would forge log lines.
    #[error("the {0} contains a NUL or control character")]
    ControlCharacter(Field),
}

const FIELDS: [Field; 4] = [Field::Login, Field::Password, Field::Service, Field::Realm];

impl Default for RequestBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: vec![0; BUFFER_BYTES].into_boxed_slice(), filled: 0 }
    }

    /// Where to read to. Empty only if more came than any request has.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Says that `count` bytes have been read to [`RequestBuffer::spare`].
    pub fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.bytes.len());
    }

    /// True until the first byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Reads what is there: a request, or `None` while bytes are missing.
    /// Bytes behind the fourth field that are no address are ignored.
    ///
    /// # Errors
    /// A length over the limit is refused as soon as it has arrived; what is in
    /// the fields is judged when all four are there, in the order of the wire.
    pub fn decode(&self) -> Result<Option<Request<'_>>, Refusal> {
        let mut rest = &self.bytes[..self.filled];
        let mut fields: [&[u8]; 4] = [&[]; 4];
        let mut total = 0;
        for (field, value) in FIELDS.into_iter().zip(&mut fields) {
            let Some(length) = announced(rest) else { return Ok(None) };
            total += length;
            if length > field.limit() || total > MAX_REQUEST_BYTES {
                return Err(Refusal::TooLong { field, bytes: length });
            }
            let Some((body, behind)) = counted(rest) else { return Ok(None) };
            (*value, rest) = (body, behind);
        }
        let [login, password, service, realm] = fields;
        let fifth = counted(rest).map_or(&[][..], |(text, _)| text);
        let (fifth, wants_token) = match fifth.strip_suffix(WISH) {
            Some(address) => (address, true),
            None => (fifth, false),
        };
        let client = ClientAddress::from_wire(fifth);
        Ok(Some(Request {
            login: text(Field::Login, login)?,
            password: secret(password)?,
            service: text(Field::Service, service)?,
            realm: text(Field::Realm, realm)?,
            client,
            wants_token,
        }))
    }

    /// What has arrived in whole, whether or not it can be a request.
    #[must_use]
    pub fn known(&self) -> Known<'_> {
        let mut known = Known::default();
        let mut rest = &self.bytes[..self.filled];
        for field in FIELDS {
            let Some((body, behind)) = counted(rest) else { break };
            rest = behind;
            match field {
                Field::Login => known.login = body,
                Field::Password => {}
                Field::Service => known.service = body,
                Field::Realm => known.realm = body,
            }
        }
        known
    }
}

impl Drop for RequestBuffer {
    fn drop(&mut self) {
        // Only what was used: wiping is a store a byte, and requests are short.
        self.bytes[..self.filled].zeroize();
    }
}

fn announced(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)))
}

/// A counted string at the head of `bytes`, and what is behind it.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = announced(bytes)?;
    bytes.get(2..)?.split_at_checked(length)
}

fn text(field: Field, bytes: &[u8]) -> Result<&[u8], Refusal> {
    if field == Field::Login && bytes.is_empty() {
        return Err(Refusal::EmptyLogin);
    }
    // C1 controls are seen only in UTF-8: as single bytes they are Latin-1 letters' halves.
    let has_control = match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().any(char::is_control),
        Err(_) => bytes.iter().any(u8::is_ascii_control),
    };
    if has_control { Err(Refusal::ControlCharacter(field)) } else { Ok(bytes) }
}

fn secret(bytes: &[u8]) -> Result<Secret, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::EmptyPassword);
    }
    Secret::copied_from(bytes).map_err(|error| match error {
        SecretError::Nul => Refusal::ControlCharacter(Field::Password),
        SecretError::TooLong => Refusal::TooLong { field: Field::Password, bytes: bytes.len() },
    })
}

impl Field {
    fn limit(self) -> usize {
        match self {
            Self::Login => MAX_USER_BYTES,
            Self::Password => MAX_SECRET_BYTES,
            Self::Service | Self::Realm => MAX_SHORT_FIELD_BYTES,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "login",
            Self::Password => "password",
            Self::Service => "service",
            Self::Realm => "realm",
        })
    }
}

impl ClientAddress {
    /// Reads `ip;port` as libsasl2 has it (`192.0.2.7;1234`, `2001:db8::1;1234`;
    /// a zone behind `%` is dropped). `None` for anything else, empty included.
    #[must_use]
    pub fn from_wire(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_ADDRESS_BYTES {
            return None;
        }
        let (ip, port) = std::str::from_utf8(text).ok()?.split_once(';')?;
        let ip = ip.split('%').next().unwrap_or(ip);
        Some(Self { ip: ip.parse().ok()?, port: port.parse().ok()? })
    }
}

impl fmt::Display for ClientAddress {
    /// `ip;port`, as it goes over the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.ip, self.port)
    }
}

/// What a client asks, before it is bytes. Has no `Debug`: it holds a secret.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The login, as a libsasl2 client would send it: without the realm, if that is split off.
    pub login: &'a [u8],
    /// The password.
    pub password: &'a Secret,
    /// The service.
    pub service: &'a [u8],
    /// The realm; may be empty.
    pub realm: &'a [u8],
    /// The mail client; `None` sends the four fields that every saslauthd reads to the end.
    pub client: Option<ClientAddress>,
    /// Asks for a handover token, in the fifth field too.
    pub wants_token: bool,
}

/// A request that no server would read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is too long: its fields have {0} bytes together, over {MAX_REQUEST_BYTES}")]
pub struct RequestTooLong(pub usize);

impl Credentials<'_> {
    /// The bytes of the request, to be sent with one write and wiped by their drop.
    ///
    /// # Errors
    /// [`RequestTooLong`] beyond [`MAX_REQUEST_BYTES`], where libsasl2 gives up as well.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, RequestTooLong> {
        let fields = [self.login, self.password.expose(), self.service, self.realm];
        let mut fifth = self.client.map_or_else(Vec::new, |it| it.to_string().into_bytes());
        if self.wants_token {
            fifth.extend_from_slice(WISH);
        }
        let fifth = (!fifth.is_empty()).then_some(fifth.as_slice());
        let fields = fields.into_iter().chain(fifth);
        let total = fields.clone().map(<[u8]>::len).sum();
        if total > MAX_REQUEST_BYTES {
            return Err(RequestTooLong(total));
        }
        // All the room at once: growing would leave copies of the password behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(BUFFER_BYTES));
        for field in fields {
            let length = u16::try_from(field.len()).map_err(|_| RequestTooLong(total))?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(field);
        }
        Ok(bytes)
    }
}
