//! What we are told: the messages of a server (RFC 4511 §4.1.9 to §4.14).

use std::fmt;

use zeroize::Zeroizing;

use super::ber::{ENUMERATED, INTEGER, Malformed, OCTETS, Reader, SEQUENCE, SET};

/// Longest text of a server that is kept; it goes to the log.
const TEXT_BYTES: usize = 300;

/// A message: which request it answers, and what it says.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The number of the request; 0 where the server speaks unasked.
    pub id: u32,
    /// What it says.
    pub response: Response,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Response {
    /// To a bind.
    Bind(Outcome),
    /// An entry that was found.
    Entry(Entry),
    /// Other servers that may know more. We do not ask them.
    Reference,
    /// The end of a search.
    SearchDone(Outcome),
    /// To a comparison.
    Compare(Outcome),
    /// To StartTLS; unasked, a notice of disconnection.
    Extended(Outcome),
    /// What nobody asked for: progress of a search, operations of others.
    Other,
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The code.
    pub code: ResultCode,
    /// What the server says to it, for the log: 300 bytes at most, not yet escaped.
    pub text: String,
}

/// A result code (RFC 4511 §4.1.9, appendix A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultCode(pub u32);

/// An entry.
#[derive(PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// All values of all attributes that were asked for, in order. May be hashes of passwords.
    pub values: Vec<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} values", self.name, self.values.len())
    }
}

impl ResultCode {
    /// All went well.
    pub const SUCCESS: Self = Self(0);
    /// The time limit of a search.
    pub const TIME_LIMIT: Self = Self(3);
    /// More entries than were asked for.
    pub const SIZE_LIMIT: Self = Self(4);
    /// A comparison: no.
    pub const COMPARE_FALSE: Self = Self(5);
    /// A comparison: yes.
    pub const COMPARE_TRUE: Self = Self(6);
    /// Signing or TLS is wanted (Active Directory).
    pub const STRONGER_AUTH: Self = Self(8);
    /// Ask another server.
    pub const REFERRAL: Self = Self(10);
    /// TLS is wanted.
    pub const CONFIDENTIALITY: Self = Self(13);
    /// The entry has no such attribute.
    pub const NO_ATTRIBUTE: Self = Self(16);
    /// A rule of the server forbids it; 389 Directory Server: the account is locked.
    pub const CONSTRAINT: Self = Self(19);
    /// No such entry.
    pub const NO_OBJECT: Self = Self(32);
    /// The name is none.
    pub const BAD_NAME: Self = Self(34);
    /// The entry has no password.
    pub const INAPPROPRIATE: Self = Self(48);
    /// Wrong password, or no such entry.
    pub const CREDENTIALS: Self = Self(49);
    /// Not allowed.
    pub const ACCESS: Self = Self(50);
    /// Too much to do.
    pub const BUSY: Self = Self(51);
    /// Going down, or a part is missing.
    pub const UNAVAILABLE: Self = Self(52);
    /// Does not want to.
    pub const UNWILLING: Self = Self(53);
}

impl fmt::Display for ResultCode {
    /// The name in RFC 4511 and the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "success",
            1 => "operationsError",
            2 => "protocolError",
            3 => "timeLimitExceeded",
            4 => "sizeLimitExceeded",
            5 => "compareFalse",
            6 => "compareTrue",
            7 => "authMethodNotSupported",
            8 => "strongerAuthRequired",
            10 => "referral",
            11 => "adminLimitExceeded",
            13 => "confidentialityRequired",
            16 => "noSuchAttribute",
            17 => "undefinedAttributeType",
            18 => "inappropriateMatching",
            19 => "constraintViolation",
            21 => "invalidAttributeSyntax",
            32 => "noSuchObject",
            34 => "invalidDNSyntax",
            48 => "inappropriateAuthentication",
            49 => "invalidCredentials",
            50 => "insufficientAccessRights",
            51 => "busy",
            52 => "unavailable",
            53 => "unwillingToPerform",
            80 => "other",
            _ => "result",
        };
        write!(f, "{name} ({})", self.0)
    }
}

impl Message {
    /// Reads a whole message, as [`frame_bytes`](super::frame_bytes) found its end.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(bytes);
        let mut message = Reader::new(outer.expect(SEQUENCE)?);
        if !outer.is_at_end() {
            return Err(Malformed::Encoding);
        }
        let id = message.number(INTEGER)?;
        let (tag, content) = message.element()?;
        // Controls may follow. So may what Active Directory puts there in a notice of disconnection.
        let mut body = Reader::new(content);
        let response = match tag {
            0x61 => Response::Bind(outcome(&mut body)?),
            0x64 => Response::Entry(entry(&mut body)?),
            0x73 => Response::Reference,
            0x65 => Response::SearchDone(outcome(&mut body)?),
            0x6f => Response::Compare(outcome(&mut body)?),
            0x78 => Response::Extended(outcome(&mut body)?),
            _ => Response::Other,
        };
        Ok(Self { id, response })
    }
}

fn outcome(body: &mut Reader<'_>) -> Result<Outcome, Malformed> {
    let code = ResultCode(body.number(ENUMERATED)?);
    body.expect(OCTETS)?;
    let text = body.expect(OCTETS)?;
    let text = &text[..text.len().min(TEXT_BYTES)];
    Ok(Outcome { code, text: String::from_utf8_lossy(text).into_owned() })
}

fn entry(body: &mut Reader<'_>) -> Result<Entry, Malformed> {
    let name = std::str::from_utf8(body.expect(OCTETS)?).map_err(|_| Malformed::Encoding)?;
    let mut attributes = Reader::new(body.expect(SEQUENCE)?);
    let mut values = Vec::new();
    while !attributes.is_at_end() {
        let mut attribute = Reader::new(attributes.expect(SEQUENCE)?);
        attribute.expect(OCTETS)?;
        let mut found = Reader::new(attribute.expect(SET)?);
        while !found.is_at_end() {
            values.push(Zeroizing::new(found.expect(OCTETS)?.to_vec()));
        }
    }
    Ok(Entry { name: name.to_owned(), values })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &[u8] = b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\0\x04\0\x04\0";
    const REFUSED: &[u8] = b"\x30\x10\x02\x01\x07\x61\x0b\x0a\x01\x31\x04\0\x04\x04data";

    fn entry_bytes() -> Vec<u8> {
        use super::super::ber::Writer;
        let mut out = Writer::with_capacity(128);
        let attribute = |out: &mut Writer| {
            out.bytes(OCTETS, b"userPassword");
            out.group(SET, |out| out.raw(b"\x04\x07{SSHA}x\x04\x08{CRYPT}y"));
        };
        let entry = |out: &mut Writer| {
            out.bytes(OCTETS, b"uid=a,dc=x");
            out.group(SEQUENCE, |out| out.group(SEQUENCE, attribute));
        };
        out.group(SEQUENCE, |out| {
            out.number(INTEGER, 2);
            out.group(0x64, entry);
        });
        out.into_bytes().to_vec()
    }

    #[test]
    fn reads_results_and_entries() {
        let found = Message::decode(&entry_bytes()).unwrap();
        let Response::Entry(entry) = found.response else { panic!("no entry") };
        assert_eq!((found.id, entry.name.as_str()), (2, "uid=a,dc=x"));
        assert_eq!(
            entry.values.iter().map(|value| &***value).collect::<Vec<_>>(),
            [&b"{SSHA}x"[..], b"{CRYPT}y"]
        );
        assert!(!format!("{entry:?}").contains("SSHA"));
        let done = Outcome { code: ResultCode::SUCCESS, text: String::new() };
        assert_eq!(
            Message::decode(DONE),
            Ok(Message { id: 2, response: Response::SearchDone(done) })
        );
        let refused = Outcome { code: ResultCode::CREDENTIALS, text: "data".to_owned() };
        assert_eq!(
            Message::decode(REFUSED),
            Ok(Message { id: 7, response: Response::Bind(refused) })
        );
        assert_eq!(ResultCode::CREDENTIALS.to_string(), "invalidCredentials (49)");
    }

    #[test]
    fn takes_a_notice_of_disconnection_also_as_active_directory_writes_it() {
        let notice = b"\x30\x0c\x02\x01\0\x78\x07\x0a\x01\x34\x04\0\x04\0";
        let message = Message::decode(notice).unwrap();
        assert!(matches!(message.response, Response::Extended(_)) && message.id == 0);
        let theirs = b"\x30\x0f\x02\x01\0\x78\x07\x0a\x01\x34\x04\0\x04\0\x8a\x011";
        assert_eq!(Message::decode(theirs), Ok(message));
    }

    #[test]
    fn refuses_every_truncation_and_survives_every_mutation() {
        for good in [entry_bytes().as_slice(), DONE, REFUSED] {
            for end in 0..good.len() {
                assert!(Message::decode(&good[..end]).is_err(), "{end}");
            }
            for at in 0..good.len() {
                for byte in 0..=255 {
                    let mut bad = good.to_vec();
                    bad[at] = byte;
                    let _ = Message::decode(&bad);
                }
            }
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        use super::super::ber::Writer;
        let mut out = Writer::with_capacity(4096);
        out.group(SEQUENCE, |out| {
            out.number(INTEGER, 1);
            out.group(0x61, |out| {
                out.number(ENUMERATED, 49);
                out.bytes(OCTETS, b"");
                out.bytes(OCTETS, &[b'x'; 2000]);
            });
        });
        let Response::Bind(outcome) = Message::decode(&out.into_bytes()).unwrap().response else {
            panic!("no bind")
        };
        assert_eq!(outcome.text.len(), TEXT_BYTES);
    }
}
