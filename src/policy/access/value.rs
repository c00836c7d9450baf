//! What stands behind a key of the access map.
//!
//! ```text
//! OK  RELAY  REJECT  DISCARD  SKIP  SUBJECT  QUARANTINE:reason      in any case
//! ERROR:5.7.1:550 text    ERROR:"550 text"    550 text    any text
//! ```
//!
//! Code and enhanced code are made from what is there as sendmail 8.17.1 makes
//! them: a text without a code is `553 5.3.0`, a code without an enhanced one
//! gets `5.0.0` or `4.0.0`.

use std::fmt;

/// Longest text, so that a reply with an address in it is one line (RFC 5321 §4.5.3.1.5).
const MAX_TEXT: usize = 200;

/// A refusal in the words of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 400 to 599.
    pub code: u16,
    /// `5.7.1`: a class of 4 or 5, and two numbers.
    pub status: Box<str>,
    /// Printable ASCII, one line.
    pub text: Box<str>,
}

impl Refusal {
    pub(super) fn new(code: u16, status: &str, text: impl Into<Box<str>>) -> Self {
        Self { code, status: status.into(), text: text.into() }
    }
}

impl fmt::Display for Refusal {
    /// As it goes on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.status, self.text)
    }
}

/// The value of a key that is not about TLS or numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Relay,
    Reject,
    Discard,
    Skip,
    Subject,
    Quarantine(Box<str>),
    Error(Refusal),
}

impl Verdict {
    /// Reads a value; a second part says what is odd about it.
    pub(super) fn parse(text: &str) -> (Self, Option<String>) {
        let words: [(&str, Self); 6] = [
            ("OK", Self::Ok),
            ("RELAY", Self::Relay),
            ("REJECT", Self::Reject),
            ("DISCARD", Self::Discard),
            ("SKIP", Self::Skip),
            ("SUBJECT", Self::Subject),
        ];
        if let Some((_, verdict)) =
            words.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(text))
        {
            return (verdict, None);
        }
        if let Some(reason) = strip_word(text, "QUARANTINE:") {
            return (Self::Quarantine(reason.trim().into()), None);
        }
        let (refusal, oddity) = refusal(text);
        (Self::Error(refusal), oddity)
    }

    /// The value's own word, for those to whom it is an error text.
    pub(super) fn as_refusal(&self) -> Option<Refusal> {
        match self {
            Self::Error(refusal) => Some(refusal.clone()),
            Self::Skip => Some(plain("SKIP")),
            Self::Subject => Some(plain("SUBJECT")),
            _ => None,
        }
    }
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

fn refusal(text: &str) -> (Refusal, Option<String>) {
    let is_tagged = strip_word(text, "ERROR:");
    let (status, words) = match is_tagged {
        Some(rest) => match rest.split_once(':') {
            Some((status, words)) if is_status(status) => (Some(status), words),
            _ => (None, rest),
        },
        None => (None, text),
    };
    let words = unquoted(words.trim());
    let Some((code, words)) = split_code(words) else {
        let looks_like_a_word = is_tagged.is_none() && !words.contains([' ', '\t']);
        let oddity = looks_like_a_word
            .then(|| format!("\"{words}\" is no value, so it is the text of a refusal"));
        return (plain(words), oddity);
    };
    let (own, words) = match words.split_once(' ') {
        Some((own, rest)) if is_status(own) => (Some(own), rest.trim_start()),
        _ => (None, words),
    };
    if !(400..600).contains(&code) {
        let oddity = format!("{code} is no refusal: replies of 4xx and 5xx are; refused with 553");
        return (plain(words), Some(oddity));
    }
    let general = if code < 500 { "4.0.0" } else { "5.0.0" };
    let status = own.or(status).unwrap_or(general);
    (Refusal::new(code, status, printable(words)), None)
}

/// As sendmail where it finds no code.
fn plain(words: &str) -> Refusal {
    Refusal::new(553, "5.3.0", printable(words))
}

/// `550 text`; the blank and the text must be there.
fn split_code(words: &str) -> Option<(u16, &str)> {
    let (code, rest) = words.split_once(' ')?;
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| code.parse().ok()).flatten().map(|code| (code, rest.trim_start()))
}

/// `5.7.1`: RFC 3463 §2, with a class that sendmail lets pass.
fn is_status(text: &str) -> bool {
    let is_number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = text.split('.');
    let (Some(class), Some(subject), Some(detail), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    matches!(class, "2" | "4" | "5") && is_number(subject) && is_number(detail)
}

fn unquoted(words: &str) -> &str {
    words.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(words)
}

/// Replies are ASCII (RFC 5321 §4.2) and one line; never empty.
fn printable(words: &str) -> String {
    let text: String = words
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .take(MAX_TEXT)
        .collect();
    if text.is_empty() { "refused".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> String {
        match Verdict::parse(text).0 {
            Verdict::Error(refusal) => refusal.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// As sendmail 8.17.1 answered, each.
    #[test]
    fn error_texts_become_the_replies_that_sendmail_makes() {
        for (text, expected) in [
            ("ERROR:5.7.1:550 We take nothing", "550 5.7.1 We take nothing"),
            ("error:4.3.1:450 later", "450 4.3.1 later"),
            ("ERROR:5.1.2:451 mismatch", "451 5.1.2 mismatch"),
            ("ERROR:550 no dom", "550 5.0.0 no dom"),
            ("ERROR:\"550 quoted text\"", "550 5.0.0 quoted text"),
            ("ERROR:5.7.1:\"550 both\"", "550 5.7.1 both"),
            ("ERROR:550 5.7.3 enh in text", "550 5.7.3 enh in text"),
            ("ERROR:421 go away", "421 4.0.0 go away"),
            ("ERROR:5.1.2:no code here", "553 5.3.0 no code here"),
            ("ERROR:550", "553 5.3.0 550"),
            ("ERROR:5.7.1:550", "553 5.3.0 550"),
            ("ERROR:5.7.1:5500 five", "553 5.3.0 5500 five"),
            ("554 plain text here", "554 5.0.0 plain text here"),
            ("450 temp", "450 4.0.0 temp"),
            ("just words", "553 5.3.0 just words"),
        ] {
            assert_eq!(reply(text), expected, "{text}");
        }
    }

    #[test]
    fn words_count_in_any_case() {
        for (text, verdict) in [
            ("ok", Verdict::Ok),
            ("Relay", Verdict::Relay),
            ("REJECT", Verdict::Reject),
            ("discard", Verdict::Discard),
            ("SKIP", Verdict::Skip),
            ("subject", Verdict::Subject),
            ("quarantine: held", Verdict::Quarantine("held".into())),
        ] {
            assert_eq!(Verdict::parse(text), (verdict, None), "{text}");
        }
    }

    #[test]
    fn a_reply_that_refuses_nothing_is_no_refusal_and_is_told_of() {
        for text in ["ERROR:2.0.0:250 fine", "354 go on", "ERROR:600 x", "REJETC"] {
            let (verdict, oddity) = Verdict::parse(text);
            let refusal = verdict.as_refusal().unwrap();
            assert_eq!(refusal.code, 553, "{text}");
            assert!(oddity.is_some(), "{text}");
        }
    }

    #[test]
    fn texts_are_one_line_of_ascii_and_bounded() {
        let (verdict, _) = Verdict::parse("550 Gr\u{fc}\u{df}e\r\n250 x\u{0}");
        assert_eq!(&*verdict.as_refusal().unwrap().text, "Gr??e??250 x?");
        let (verdict, _) = Verdict::parse(&format!("550 {}", "x".repeat(5000)));
        assert_eq!(verdict.as_refusal().unwrap().text.len(), MAX_TEXT);
        let (verdict, _) = Verdict::parse("ERROR:");
        assert_eq!(&*verdict.as_refusal().unwrap().text, "refused");
    }
}
