//! Parameters of MAIL and RCPT: read, judged, written.
//!
//! ```text
//! MAIL  SIZE=n (RFC 1870)  BODY=7BIT|8BITMIME (RFC 6152)  SMTPUTF8 (RFC 6531)
//!       RET=FULL|HDRS  ENVID=xtext (RFC 3461)  AUTH=xtext (RFC 4954 §5)
//! RCPT  NOTIFY=NEVER|SUCCESS,FAILURE,DELAY  ORCPT=type;xtext (RFC 3461)
//! ```
//!
//! Each belongs to an extension. One whose extension is not offered is refused
//! ([`super::Mail::check`]), and one whose extension the backend lacks is not
//! written. AUTH= is never written: sendmail hands it to its milters as a fact
//! even when it does not trust the sender.

use super::super::ehlo::Capabilities;
use super::super::xtext;
use super::CommandError;

/// A parameter of MAIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// Announced size in bytes; [`u64::MAX`] for anything larger.
    Size(u64),
    /// What the content holds.
    Body(Body),
    /// What a failure report returns.
    Ret(Ret),
    /// Identifies the transaction in reports. xtext as sent, 1 to 100 bytes, printable when decoded.
    Envid(String),
    /// The transaction may hold UTF-8 in addresses and headers.
    SmtpUtf8,
    /// Who submitted the message, says the client. xtext as sent or `<>`. Never passed on.
    Auth(String),
}

/// A parameter of RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RcptParameter {
    /// When to report.
    Notify(Notify),
    /// The recipient before any rewriting: `type;address` as sent, 3 to 500 bytes.
    Orcpt(String),
}

/// Values of BODY=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// ASCII.
    SevenBit,
    /// Octets in lines.
    EightBitMime,
}

/// Values of RET=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its headers.
    Hdrs,
}

/// Values of NOTIFY=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// Never.
    Never,
    /// On any of these; at least one is true.
    On {
        /// When delivered.
        success: bool,
        /// When it cannot be delivered.
        failure: bool,
        /// When it takes long.
        delay: bool,
    },
}

const MAX_ENVID_BYTES: usize = 100;
const MAX_ORCPT_BYTES: usize = 500;
const MAX_AUTH_BYTES: usize = 500;

/// What the readers of MAIL's and RCPT's parameters have in common.
pub(super) trait Known: Sized {
    /// Reads one parameter; the keyword is upper case.
    fn parse(keyword: &str, value: Option<&str>) -> Result<Self, CommandError>;
    fn keyword(&self) -> &'static str;
    /// True if its extension is among `capabilities`.
    fn is_in(&self, capabilities: &Capabilities) -> bool;
}

/// Refuses the first parameter whose extension is not offered.
pub(super) fn check_all<P: Known>(found: &[P], offered: &Capabilities) -> Result<(), CommandError> {
    match found.iter().find(|parameter| !parameter.is_in(offered)) {
        Some(missing) => Err(CommandError::UnknownParameter(missing.keyword().to_owned())),
        None => Ok(()),
    }
}

/// Reads everything behind a path: nothing, or blanks and parameters.
pub(super) fn parse_all<P: Known>(
    text: &[u8],
    usage: &'static str,
) -> Result<Vec<P>, CommandError> {
    let syntax = CommandError::Syntax { usage };
    let Ok(text) = std::str::from_utf8(text) else { return Err(syntax) };
    if !text.is_empty() && !text.starts_with([' ', '\t']) {
        return Err(syntax);
    }
    let mut found: Vec<P> = Vec::new();
    for word in text.split_ascii_whitespace() {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        if !is_keyword(keyword) {
            return Err(syntax);
        }
        let parameter = P::parse(&keyword.to_ascii_uppercase(), value)?;
        if found.iter().any(|other| other.keyword() == parameter.keyword()) {
            return Err(CommandError::DuplicateParameter(parameter.keyword()));
        }
        found.push(parameter);
    }
    Ok(found)
}

/// RFC 5321 §4.1.2 esmtp-keyword, bounded because it is echoed.
fn is_keyword(word: &str) -> bool {
    word.len() <= 64
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl Known for Parameter {
    fn parse(keyword: &str, value: Option<&str>) -> Result<Self, CommandError> {
        match keyword {
            "SIZE" => parse_size(value).map(Self::Size),
            "BODY" => choose("BODY", "7BIT or 8BITMIME", value, |value| match value {
                "7BIT" => Some(Body::SevenBit),
                "8BITMIME" => Some(Body::EightBitMime),
                _ => None,
            })
            .map(Self::Body),
            "RET" => choose("RET", "FULL or HDRS", value, |value| match value {
                "FULL" => Some(Ret::Full),
                "HDRS" => Some(Ret::Hdrs),
                _ => None,
            })
            .map(Self::Ret),
            "ENVID" => parse_envid(value).map(Self::Envid),
            "SMTPUTF8" if value.is_none() => Ok(Self::SmtpUtf8),
            "SMTPUTF8" => Err(bad("SMTPUTF8", "without a value")),
            "AUTH" => parse_auth(value).map(Self::Auth),
            _ => Err(CommandError::UnknownParameter(keyword.to_owned())),
        }
    }

    fn keyword(&self) -> &'static str {
        match self {
            Self::Size(_) => "SIZE",
            Self::Body(_) => "BODY",
            Self::Ret(_) => "RET",
            Self::Envid(_) => "ENVID",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::Auth(_) => "AUTH",
        }
    }

    fn is_in(&self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Size(_) => capabilities.size.is_some(),
            Self::Body(_) => capabilities.eight_bit_mime,
            Self::Ret(_) | Self::Envid(_) => capabilities.dsn,
            Self::SmtpUtf8 => capabilities.smtputf8,
            // Whoever may send mail here has used AUTH.
            Self::Auth(_) => true,
        }
    }
}

impl Parameter {
    /// Appends a blank and the parameter, if the backend knows it and may see it.
    pub(super) fn write(&self, capabilities: &Capabilities, out: &mut Vec<u8>) {
        if !self.is_in(capabilities) {
            return;
        }
        let text = match self {
            Self::Size(bytes) => format!(" SIZE={bytes}"),
            Self::Body(Body::SevenBit) => " BODY=7BIT".to_owned(),
            Self::Body(Body::EightBitMime) => " BODY=8BITMIME".to_owned(),
            Self::Ret(Ret::Full) => " RET=FULL".to_owned(),
            Self::Ret(Ret::Hdrs) => " RET=HDRS".to_owned(),
            Self::Envid(id) => format!(" ENVID={id}"),
            Self::SmtpUtf8 => " SMTPUTF8".to_owned(),
            Self::Auth(_) => return,
        };
        out.extend_from_slice(text.as_bytes());
    }
}

impl Known for RcptParameter {
    fn parse(keyword: &str, value: Option<&str>) -> Result<Self, CommandError> {
        match keyword {
            "NOTIFY" => parse_notify(value).map(Self::Notify),
            "ORCPT" => parse_orcpt(value).map(Self::Orcpt),
            _ => Err(CommandError::UnknownParameter(keyword.to_owned())),
        }
    }

    fn keyword(&self) -> &'static str {
        match self {
            Self::Notify(_) => "NOTIFY",
            Self::Orcpt(_) => "ORCPT",
        }
    }

    fn is_in(&self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Notify(_) => capabilities.dsn,
            Self::Orcpt(address) => {
                capabilities.dsn && (capabilities.smtputf8 || address.is_ascii())
            }
        }
    }
}

impl RcptParameter {
    /// Appends a blank and the parameter, if the backend knows it.
    pub(super) fn write(&self, capabilities: &Capabilities, out: &mut Vec<u8>) {
        if !self.is_in(capabilities) {
            return;
        }
        let text = match self {
            Self::Notify(notify) => format!(" NOTIFY={}", notify.text()),
            Self::Orcpt(address) => format!(" ORCPT={address}"),
        };
        out.extend_from_slice(text.as_bytes());
    }
}

impl Notify {
    fn text(self) -> String {
        let Self::On { success, failure, delay } = self else { return "NEVER".to_owned() };
        let events = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let chosen: Vec<&str> =
            events.into_iter().filter_map(|(is_on, name)| is_on.then_some(name)).collect();
        chosen.join(",")
    }
}

fn bad(keyword: &'static str, expected: &'static str) -> CommandError {
    CommandError::BadParameter { keyword, expected }
}

/// Reads a value that is one of a few words, in any case.
fn choose<T>(
    keyword: &'static str,
    expected: &'static str,
    value: Option<&str>,
    meaning: impl Fn(&str) -> Option<T>,
) -> Result<T, CommandError> {
    let word = value.unwrap_or_default().to_ascii_uppercase();
    meaning(&word).ok_or_else(|| bad(keyword, expected))
}

/// 1 to 20 digits; what does not fit 64 bits is larger than any limit anyway.
fn parse_size(value: Option<&str>) -> Result<u64, CommandError> {
    let digits = value.unwrap_or_default();
    if !(1..=20).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("SIZE", "a number of bytes"));
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn parse_envid(value: Option<&str>) -> Result<String, CommandError> {
    let text = value.unwrap_or_default();
    let is_id = (1..=MAX_ENVID_BYTES).contains(&text.len()) && xtext::is_printable(text.as_bytes());
    if is_id { Ok(text.to_owned()) } else { Err(bad("ENVID", "xtext of at most 100 characters")) }
}

fn parse_auth(value: Option<&str>) -> Result<String, CommandError> {
    let text = value.unwrap_or_default();
    let is_xtext = xtext::decode(text.as_bytes()).is_some();
    if is_xtext && (1..=MAX_AUTH_BYTES).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(bad("AUTH", "an address as xtext, or <>"))
}

fn parse_notify(value: Option<&str>) -> Result<Notify, CommandError> {
    let wrong = bad("NOTIFY", "NEVER, or any of SUCCESS,FAILURE,DELAY");
    let text = value.unwrap_or_default().to_ascii_uppercase();
    if text == "NEVER" {
        return Ok(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in text.split(',') {
        let event = match word {
            "SUCCESS" => &mut success,
            "FAILURE" => &mut failure,
            "DELAY" => &mut delay,
            _ => return Err(wrong),
        };
        if std::mem::replace(event, true) {
            return Err(wrong);
        }
    }
    Ok(Notify::On { success, failure, delay })
}

/// `type;address`: the address is printable xtext, or, for type `utf-8`, what
/// RFC 6533 §3 allows there.
fn parse_orcpt(value: Option<&str>) -> Result<String, CommandError> {
    let text = value.unwrap_or_default();
    let wrong = bad("ORCPT", "type;address as xtext of at most 500 characters");
    let Some((kind, address)) = text.split_once(';') else { return Err(wrong) };
    let is_kind = is_keyword(kind);
    let is_address = if kind.eq_ignore_ascii_case("utf-8") {
        address.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '=' | '+'))
    } else {
        xtext::is_printable(address.as_bytes())
    };
    if !is_kind || !is_address || address.is_empty() || text.len() > MAX_ORCPT_BYTES {
        return Err(wrong);
    }
    Ok(text.to_owned())
}
