//! The bytes between authd and a PAM worker. Pure: no socket, no clock.
//!
//! ```text
//! frame     u32 length of the body | body                 (integers big endian)
//! request   u8 version | u64 id | u32 budget ms | service | user | password | rhost | ruser
//! response  u8 version | u8 kind
//!             kind 0  goodbye: no request was or will be read; ask somebody else
//!             kind 1  refused: u64 id; the service is not on the worker's list
//!             kind 2  report:  u64 id | u8 stage | u32 PAM code | u8 is_last | user | text
//!                              | u8 count | count messages
//! text      u16 length | UTF-8 bytes without NUL (the password: any bytes but NUL)
//! ```
//!
//! Called by `client` and `worker`. Both ends are of one release; the version
//! only makes a half-finished upgrade fail loudly. Every length is bounded and
//! a body must be used up to its last byte.

use std::net::IpAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::outcome::Stage;
use crate::base::{MAX_REALM_BYTES, MAX_SECRET_BYTES, MAX_USER_BYTES, Secret};

/// Longest request body in bytes.
pub(super) const MAX_REQUEST: usize =
    13 + 5 * 2 + MAX_SERVICE + 2 * MAX_NAME + MAX_SECRET_BYTES + MAX_ADDRESS;
/// Longest response body in bytes.
pub(super) const MAX_RESPONSE: usize =
    18 + MAX_NAME + MAX_TEXT + MAX_MESSAGES * (2 + MAX_TEXT) + 2 * 2;
/// Most messages of modules that are kept.
pub(super) const MAX_MESSAGES: usize = 8;
/// Longest text of libpam or a module in bytes; more is cut.
pub(super) const MAX_TEXT: usize = 200;

const VERSION: u8 = 1;
const MAX_SERVICE: usize = 64;
const MAX_NAME: usize = MAX_USER_BYTES + 1 + MAX_REALM_BYTES;
/// An IPv4-mapped IPv6 address with its longest zone-less text form.
const MAX_ADDRESS: usize = 45;

/// What a worker is asked, but for the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    /// Comes back in the response: an answer can never be taken for another's.
    pub(super) id: u64,
    /// Time the worker may take; whole milliseconds.
    pub(super) budget: Duration,
    /// PAM service, at most 64 bytes.
    pub(super) service: String,
    /// `PAM_USER`, 1 to 1,280 bytes.
    pub(super) user: String,
    /// `PAM_RHOST`.
    pub(super) rhost: Option<IpAddr>,
    /// `PAM_RUSER`, at most 1,280 bytes.
    pub(super) ruser: String,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Response {
    /// The worker leaves; it has read no request and will read none.
    Goodbye,
    /// The worker does not serve this PAM service.
    Refused {
        /// Of the request.
        id: u64,
    },
    /// libpam was asked.
    Report(Report),
}

/// How far libpam came, and with what result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// Of the request.
    pub(super) id: u64,
    /// The last step that was done.
    pub(super) stage: Stage,
    /// Its result, one of `PAM_*`.
    pub(super) code: i32,
    /// True if the worker leaves after this.
    pub(super) is_last: bool,
    /// `PAM_USER` as it stands after success; empty otherwise.
    pub(super) user: String,
    /// What `pam_strerror` says of the code.
    pub(super) text: String,
    /// What modules had to say.
    pub(super) messages: Vec<String>,
}

/// Bytes that are no frame, request or response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed message on the PAM socket")]
pub(super) struct Malformed;

/// Finds the frame at the start of `bytes`: the length of its body, once the
/// four bytes of it are there.
///
/// # Errors
/// [`Malformed`] if the body would be longer than `limit`.
pub(super) fn body_len(bytes: &[u8], limit: usize) -> Result<Option<usize>, Malformed> {
    let Some(head) = bytes.first_chunk::<4>() else { return Ok(None) };
    let len = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| Malformed)?;
    if len > limit { Err(Malformed) } else { Ok(Some(len)) }
}

/// Length of the header before a body.
pub(super) const HEADER: usize = 4;

/// Encodes a request as a whole frame, wiped on drop.
///
/// # Errors
/// [`Malformed`] if a field is longer than its limit.
pub(super) fn encode_request(
    ask: &Ask,
    password: &Secret,
) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    // Room for all of it, so that no reallocation leaves a copy of the password behind.
    let mut out = Zeroizing::new(Vec::with_capacity(HEADER + MAX_REQUEST));
    out.extend_from_slice(&[0; HEADER]);
    out.push(VERSION);
    out.extend_from_slice(&ask.id.to_be_bytes());
    let budget = u32::try_from(ask.budget.as_millis()).unwrap_or(u32::MAX);
    out.extend_from_slice(&budget.to_be_bytes());
    put(&mut out, ask.service.as_bytes(), MAX_SERVICE)?;
    put(&mut out, ask.user.as_bytes(), MAX_NAME)?;
    put(&mut out, password.expose(), MAX_SECRET_BYTES)?;
    let rhost = ask.rhost.map(|address| address.to_string()).unwrap_or_default();
    put(&mut out, rhost.as_bytes(), MAX_ADDRESS)?;
    put(&mut out, ask.ruser.as_bytes(), MAX_NAME)?;
    seal(&mut out)?;
    Ok(out)
}

/// Decodes the body of a request.
///
/// # Errors
/// [`Malformed`] if it is not exactly one request with a user.
pub(super) fn decode_request(body: &[u8]) -> Result<(Ask, Secret), Malformed> {
    let mut reader = Reader(body);
    reader.version()?;
    let id = reader.u64()?;
    let budget = Duration::from_millis(u64::from(reader.u32()?));
    let service = reader.text(MAX_SERVICE)?;
    let user = reader.text(MAX_NAME)?;
    let password = Secret::copied_from(reader.bytes(MAX_SECRET_BYTES)?).map_err(|_| Malformed)?;
    let rhost = match reader.text(MAX_ADDRESS)? {
        text if text.is_empty() => None,
        text => Some(text.parse().map_err(|_| Malformed)?),
    };
    let ruser = reader.text(MAX_NAME)?;
    reader.end()?;
    if user.is_empty() {
        return Err(Malformed);
    }
    Ok((Ask { id, budget, service, user, rhost, ruser }, password))
}

/// Encodes a response as a whole frame. Texts of a report that are too long are
/// cut; the user is not.
///
/// # Errors
/// [`Malformed`] if the user is longer than its limit.
pub(super) fn encode_response(response: &Response) -> Result<Vec<u8>, Malformed> {
    let mut out = vec![0; HEADER];
    out.push(VERSION);
    match response {
        Response::Goodbye => out.push(0),
        Response::Refused { id } => {
            out.push(1);
            out.extend_from_slice(&id.to_be_bytes());
        }
        Response::Report(report) => {
            out.push(2);
            put_report(&mut out, report)?;
        }
    }
    seal(&mut out)?;
    Ok(out)
}

fn put_report(out: &mut Vec<u8>, report: &Report) -> Result<(), Malformed> {
    out.extend_from_slice(&report.id.to_be_bytes());
    out.push(report.stage as u8);
    out.extend_from_slice(&report.code.to_be_bytes());
    out.push(u8::from(report.is_last));
    put(out, report.user.as_bytes(), MAX_NAME)?;
    put(out, cut(&report.text).as_bytes(), MAX_TEXT)?;
    let messages = &report.messages[..report.messages.len().min(MAX_MESSAGES)];
    out.push(u8::try_from(messages.len()).map_err(|_| Malformed)?);
    messages.iter().try_for_each(|text| put(out, cut(text).as_bytes(), MAX_TEXT))
}

/// Decodes the body of a response.
///
/// # Errors
/// [`Malformed`] if it is not exactly one response.
pub(super) fn decode_response(body: &[u8]) -> Result<Response, Malformed> {
    let mut reader = Reader(body);
    reader.version()?;
    let response = match reader.u8()? {
        0 => Response::Goodbye,
        1 => Response::Refused { id: reader.u64()? },
        2 => Response::Report(reader.report()?),
        _ => return Err(Malformed),
    };
    reader.end()?;
    Ok(response)
}

/// The longest prefix of `text` that fits and ends between two characters.
pub(super) fn cut(text: &str) -> &str {
    let fits = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(fits).unwrap_or(0);
    &text[..end]
}

fn put(out: &mut Vec<u8>, bytes: &[u8], limit: usize) -> Result<(), Malformed> {
    let len = u16::try_from(bytes.len()).map_err(|_| Malformed)?;
    if bytes.len() > limit || bytes.contains(&0) {
        return Err(Malformed);
    }
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Writes the length of the body into the header.
fn seal(out: &mut [u8]) -> Result<(), Malformed> {
    let len = u32::try_from(out.len() - HEADER).map_err(|_| Malformed)?;
    out[..HEADER].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// What is left of a body.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn version(&mut self) -> Result<(), Malformed> {
        if self.u8()? == VERSION { Ok(()) } else { Err(Malformed) }
    }

    fn bytes(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let len = usize::from(self.array().map(u16::from_be_bytes)?);
        let bytes = self.take(len)?;
        if len > limit || bytes.contains(&0) { Err(Malformed) } else { Ok(bytes) }
    }

    fn text(&mut self, limit: usize) -> Result<String, Malformed> {
        let text = std::str::from_utf8(self.bytes(limit)?).map_err(|_| Malformed)?;
        Ok(text.to_owned())
    }

    fn report(&mut self) -> Result<Report, Malformed> {
        let id = self.u64()?;
        let stage = Stage::from_wire(self.u8()?).ok_or(Malformed)?;
        let code = self.array().map(i32::from_be_bytes)?;
        let is_last = match self.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        let user = self.text(MAX_NAME)?;
        let text = self.text(MAX_TEXT)?;
        let count = usize::from(self.u8()?);
        if count > MAX_MESSAGES {
            return Err(Malformed);
        }
        let messages = (0..count).map(|_| self.text(MAX_TEXT)).collect::<Result<_, _>>()?;
        Ok(Report { id, stage, code, is_last, user, text, messages })
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> Ask {
        Ask {
            id: 7,
            budget: Duration::from_millis(1500),
            service: "smtp".to_owned(),
            user: "alice".to_owned(),
            rhost: Some("2001:db8::1".parse().unwrap()),
            ruser: "alice@example.org".to_owned(),
        }
    }

    fn report() -> Report {
        Report {
            id: 7,
            stage: Stage::Account,
            code: 13,
            is_last: true,
            user: "bob".to_owned(),
            text: "User account has expired".to_owned(),
            messages: vec!["one".to_owned(), "zw\u{f6}i".to_owned()],
        }
    }

    fn secret(bytes: &[u8]) -> Secret {
        Secret::copied_from(bytes).unwrap()
    }

    /// The body of the only frame in `bytes`.
    fn body(bytes: &[u8], limit: usize) -> &[u8] {
        let len = body_len(bytes, limit).unwrap().unwrap();
        assert_eq!(bytes.len(), HEADER + len);
        &bytes[HEADER..]
    }

    #[test]
    fn a_request_has_these_bytes() {
        let frame = encode_request(&ask(), &secret(b"s\xffcret")).unwrap();
        let expected = b"\x00\x00\x00\x42\x01\
            \x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x05\xdc\
            \x00\x04smtp\x00\x05alice\x00\x06s\xffcret\x00\x0b2001:db8::1\x00\x11alice@example.org";
        assert_eq!(frame.len(), HEADER + 0x42);
        assert_eq!(&frame[..], expected);
    }

    #[test]
    fn a_report_has_these_bytes() {
        let frame = encode_response(&Response::Report(report())).unwrap();
        let expected: &[u8] = b"\x00\x00\x00\x3c\x01\x02\
            \x00\x00\x00\x00\x00\x00\x00\x07\x02\x00\x00\x00\x0d\x01\
            \x00\x03bob\x00\x18User account has expired\x02\x00\x03one\x00\x05zw\xc3\xb6i";
        assert_eq!(&frame[..], expected);
        assert_eq!(encode_response(&Response::Goodbye).unwrap(), b"\x00\x00\x00\x02\x01\x00");
        assert_eq!(
            encode_response(&Response::Refused { id: 7 }).unwrap(),
            b"\x00\x00\x00\x0a\x01\x01\x00\x00\x00\x00\x00\x00\x00\x07"
        );
    }

    #[test]
    fn requests_come_back_as_they_went() {
        let bare = Ask { rhost: None, ruser: String::new(), service: String::new(), ..ask() };
        for ask in [ask(), bare] {
            for password in [&b""[..], b"s3cret", &[0xff; MAX_SECRET_BYTES]] {
                let frame = encode_request(&ask, &secret(password)).unwrap();
                let (asked, known) = decode_request(body(&frame, MAX_REQUEST)).unwrap();
                assert_eq!(asked, ask);
                assert_eq!(known.expose(), password);
            }
        }
    }

    #[test]
    fn responses_come_back_as_they_went() {
        let silent = Report { messages: Vec::new(), is_last: false, code: -1, ..report() };
        let longest = Report {
            user: "u".repeat(MAX_NAME),
            text: "t".repeat(MAX_TEXT),
            messages: vec!["m".repeat(MAX_TEXT); MAX_MESSAGES],
            ..report()
        };
        for response in [
            Response::Goodbye,
            Response::Refused { id: u64::MAX },
            Response::Report(report()),
            Response::Report(silent),
            Response::Report(longest),
        ] {
            let frame = encode_response(&response).unwrap();
            assert_eq!(decode_response(body(&frame, MAX_RESPONSE)), Ok(response));
        }
    }

    #[test]
    fn the_longest_request_fits_its_limit_and_one_byte_more_is_refused() {
        let longest = Ask {
            service: "s".repeat(MAX_SERVICE),
            user: "u".repeat(MAX_NAME),
            ruser: "r".repeat(MAX_NAME),
            ..ask()
        };
        let password = secret(&[b'x'; MAX_SECRET_BYTES]);
        let frame = encode_request(&longest, &password).unwrap();
        assert!(decode_request(body(&frame, MAX_REQUEST)).is_ok());
        let capacity = frame.capacity();
        assert_eq!(capacity, HEADER + MAX_REQUEST, "the buffer was reallocated");
        let longer = Ask { user: "u".repeat(MAX_NAME + 1), ..ask() };
        assert_eq!(encode_request(&longer, &password).err(), Some(Malformed));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let wordy = Report { text: "\u{20ac}".repeat(100), ..report() };
        let frame = encode_response(&Response::Report(wordy)).unwrap();
        let Ok(Response::Report(back)) = decode_response(body(&frame, MAX_RESPONSE)) else {
            unreachable!("a report went in")
        };
        assert_eq!(back.text, "\u{20ac}".repeat(66));
    }

    #[test]
    fn every_truncation_is_refused() {
        let request = encode_request(&ask(), &secret(b"s3cret")).unwrap();
        for end in HEADER..request.len() {
            assert_eq!(decode_request(&request[HEADER..end]).err(), Some(Malformed), "{end}");
        }
        let response = encode_response(&Response::Report(report())).unwrap();
        for end in HEADER..response.len() {
            assert_eq!(decode_response(&response[HEADER..end]), Err(Malformed), "{end}");
        }
    }

    #[test]
    fn every_trailing_byte_is_refused() {
        let mut request = encode_request(&ask(), &secret(b"s3cret")).unwrap().to_vec();
        request.push(0);
        assert_eq!(decode_request(&request[HEADER..]).err(), Some(Malformed));
        let mut response = encode_response(&Response::Goodbye).unwrap();
        response.push(0);
        assert_eq!(decode_response(&response[HEADER..]), Err(Malformed));
    }

    #[test]
    fn every_mutation_is_refused_or_is_another_valid_message() {
        let request = encode_request(&ask(), &secret(b"s3cret")).unwrap();
        for index in HEADER..request.len() {
            for value in 0..=255 {
                let mut bytes = request.to_vec();
                bytes[index] = value;
                if let Ok((asked, known)) = decode_request(&bytes[HEADER..]) {
                    let again = encode_request(&asked, &known).unwrap();
                    let (reasked, reknown) = decode_request(&again[HEADER..]).unwrap();
                    assert!(reasked == asked && reknown.matches(&known), "{index} {value}");
                }
            }
        }
    }

    #[test]
    fn every_mutation_of_a_report_is_refused_or_is_another_valid_one() {
        let response = encode_response(&Response::Report(report())).unwrap();
        for index in HEADER..response.len() {
            for value in 0..=255 {
                let mut bytes = response.clone();
                bytes[index] = value;
                if let Ok(decoded) = decode_response(&bytes[HEADER..]) {
                    assert_eq!(encode_response(&decoded).unwrap(), bytes, "{index}");
                }
            }
        }
    }

    #[test]
    fn a_frame_is_found_however_it_is_split() {
        let frame = encode_response(&Response::Report(report())).unwrap();
        for end in 0..=frame.len() {
            let found = body_len(&frame[..end], MAX_RESPONSE).unwrap();
            assert_eq!(found, (end >= HEADER).then_some(frame.len() - HEADER));
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_read() {
        assert_eq!(body_len(b"\xff\xff\xff\xff", MAX_REQUEST), Err(Malformed));
        assert_eq!(body_len(b"\x00\x00\x00\x05", 4), Err(Malformed));
        assert_eq!(body_len(b"\x00\x00\x00\x04", 4), Ok(Some(4)));
    }

    #[test]
    fn a_request_without_user_or_with_a_nul_is_refused() {
        let nobody = Ask { user: String::new(), ..ask() };
        let frame = encode_request(&nobody, &secret(b"x")).unwrap();
        assert_eq!(decode_request(&frame[HEADER..]).err(), Some(Malformed));
        let nul = Ask { user: "al\0ice".to_owned(), ..ask() };
        assert_eq!(encode_request(&nul, &secret(b"x")).err(), Some(Malformed));
    }
}
