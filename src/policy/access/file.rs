//! The access file: lines to entries.
//!
//! ```text
//! # a comment, in the first column only
//! key <blanks or tabs> value
//! ```
//!
//! As makemap(8) reads it: keys are folded to lower case, the first of two equal
//! keys counts, a line that begins with a blank or has no value is left out. All
//! that is left out is told of; so are keys that can never be met. Limits: lines
//! of 4,096 bytes, 200 problems told of.

use super::demand::Demand;
use super::search::{Entry, TAGS, Tables, Tag, Value};
use super::value::Verdict;

/// Longest line; makemap's is shorter.
const MAX_LINE_BYTES: usize = 4096;
/// Problems told of; further ones are not.
const MAX_PROBLEMS: usize = 200;

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    /// From 1 on.
    pub line: u32,
    /// One line, lower case.
    pub text: String,
}

/// Tags of sendmail that are not for a front to decide.
const FOREIGN: [&str; 11] = [
    "AuthInfo",
    "Clt_Features",
    "GreetPause",
    "Spam",
    "Srv_Features",
    "TLS_Clt_Features",
    "TLS_Srv_Features",
    "Try_TLS",
    "XConnect",
    "CITag",
    "DefaultAuthInfo",
];

/// Reads all lines; gives what was wrong with some.
pub(super) fn read(text: &[u8]) -> (Tables, Vec<LineProblem>) {
    let mut tables = Tables::default();
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let mut tell = |text: String| {
            if problems.len() < MAX_PROBLEMS {
                problems.push(LineProblem { line: number, text });
            }
        };
        if let Err(text) = take(&mut tables, number, line, &mut tell) {
            tell(text);
        }
    }
    (tables, problems)
}

/// Takes one line. An error leaves it out; what is told of beside is only odd.
fn take(
    tables: &mut Tables,
    number: u32,
    line: &[u8],
    tell: &mut impl FnMut(String),
) -> Result<(), String> {
    let line = line.trim_ascii_end();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(());
    }
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("longer than {MAX_LINE_BYTES} bytes, left out"));
    }
    if line[0].is_ascii_whitespace() {
        return Err("begins with a blank, left out".to_owned());
    }
    let (key, value) = split(line)?;
    let (tag, key) = tag(&key)?;
    if let Some(oddity) = key_oddity(tag, key) {
        tell(oddity);
    }
    let (value, oddity) = read_value(tag, &value)
        .map(|(value, text, oddity)| (Entry { line: number, value, text: text.into() }, oddity))?;
    if let Some(oddity) = oddity {
        tell(oddity);
    }
    tables.insert(tag, key, value).map_err(|first| {
        format!("the key stands in line {first} already, which counts; this one is left out")
    })
}

/// Folded key, and value.
fn split(line: &[u8]) -> Result<(String, String), String> {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let key = std::str::from_utf8(&line[..end])
        .map_err(|_| "the key is not UTF-8, left out".to_owned())?;
    let value = line[end..].trim_ascii();
    if value.is_empty() {
        return Err(format!("there is no value behind \"{key}\", left out"));
    }
    // Texts of refusals may be in any charset: they lose letters, not their force.
    Ok((key.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()))
}

/// The tag of a folded key, and the rest.
fn tag(key: &str) -> Result<(Tag, &str), String> {
    for (tag, text) in &TAGS[1..] {
        if let Some((head, rest)) = key.split_at_checked(text.len())
            && head.eq_ignore_ascii_case(text)
        {
            return Ok((*tag, rest));
        }
    }
    match key.split_once(':') {
        Some((word, _)) if FOREIGN.iter().any(|known| known.eq_ignore_ascii_case(word)) => {
            Err(format!("\"{word}:\" is for the mail server, not for the gate; left out"))
        }
        Some((word, _)) if word != "ipv6" && word != "[ipv6" && !word.contains('@') => {
            Err(format!("there is no tag \"{word}:\", left out"))
        }
        _ => Ok((Tag::Bare, key)),
    }
}

/// Why a key can never be met, if so.
fn key_oddity(tag: Tag, key: &str) -> Option<String> {
    if matches!(tag, Tag::CertIssuer | Tag::CertSubject) {
        return None;
    }
    let key = key.trim_start_matches('[').trim_end_matches(']');
    if key.contains('/') {
        return Some(format!(
            "\"{key}\" is never met: networks are written as their whole octets (192.0.2), not with /"
        ));
    }
    let groups = key.strip_prefix("ipv6:")?;
    let is_padded = groups.split(':').any(|group| group.len() > 1 && group.starts_with('0'));
    (groups.contains("::") || is_padded).then(|| {
        format!(
            "\"{key}\" is never met: IPv6 is written with all its groups, without leading zeros"
        )
    })
}

/// A value as the tag wants it, its text, and what is odd about it.
fn read_value(tag: Tag, text: &str) -> Result<(Value, &str, Option<String>), String> {
    match tag {
        Tag::TlsClient | Tag::TlsServer | Tag::TlsRecipient => {
            let (demand, oddity) =
                Demand::parse(text).map_err(|problem| format!("{problem}; left out"))?;
            Ok((Value::Demand(demand), text, oddity))
        }
        Tag::ClientRate | Tag::ClientConn => {
            let limit = text.parse().map_err(|_| format!("\"{text}\" is no number; left out"))?;
            Ok((Value::Limit(limit), text, None))
        }
        _ => {
            let (verdict, mut oddity) = Verdict::parse(text);
            if matches!(verdict, Verdict::Quarantine(_)) {
                oddity = Some(
                    "a front cannot quarantine: such mail is passed on, and logged".to_owned(),
                );
            }
            Ok((Value::Verdict(verdict), text, oddity))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let (_, problems) = read(text.as_bytes());
        problems.into_iter().map(|problem| format!("{}: {}", problem.line, problem.text)).collect()
    }

    #[test]
    fn comments_and_empty_lines_are_no_entries() {
        let (tables, problems) = read(b"# a\n\n   \n\t\r\n#From:x@y\tREJECT\n");
        assert_eq!((tables.len(), problems.len()), (0, 0));
    }

    #[test]
    fn every_line_that_is_left_out_is_told_of_and_the_others_count() {
        let text = "Connect:192.0.2\tREJECT\n leading.test REJECT\nFrom:nokey@x\n\
                    from:dup@x OK\nFROM:DUP@x REJECT\nConect:x REJECT\nSrv_Features: S\n\
                    TLS_Clt:x nonsense\nClientRate:x many\nTo:last@x REJECT";
        let (tables, _) = read(text.as_bytes());
        assert_eq!(tables.len(), 3);
        assert_eq!(
            problems(text),
            [
                "2: begins with a blank, left out",
                "3: there is no value behind \"From:nokey@x\", left out",
                "5: the key stands in line 4 already, which counts; this one is left out",
                "6: there is no tag \"conect:\", left out",
                "7: \"srv_features:\" is for the mail server, not for the gate; left out",
                "8: \"nonsense\" is no demand: VERIFY[:bits] or ENCR:bits; left out",
                "9: \"many\" is no number; left out",
            ]
        );
    }

    #[test]
    fn keys_that_can_never_be_met_are_told_of() {
        let told = problems(
            "Connect:192.0.2.0/24 REJECT\nConnect:IPv6:2001:0db8 REJECT\n\
             [IPv6:2001:db8::1] REJECT\nIPv6:2001:db8 REJECT\nCERTIssuer:/C=DE/CN=x RELAY\n",
        );
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("1: ") && told[2].starts_with("3: "), "{told:?}");
    }

    #[test]
    fn bytes_of_any_charset_leave_a_refusal_a_refusal() {
        let (tables, problems) = read(b"From:x@y\tERROR:550 Gr\xfc\xdfe\n\xff@z\tREJECT\n");
        assert_eq!(tables.len(), 1);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, 2);
    }

    #[test]
    fn a_damaged_file_is_read_whatever_it_holds() {
        let good =
            b"Connect:192.0.2\tREJECT\nFrom:a@b\tERROR:5.7.1:550 no\nTLS_Clt:x\tPERM+VERIFY:112\n";
        for end in 0..good.len() {
            let (tables, _) = read(&good[..end]);
            assert!(tables.len() <= 3);
        }
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut text = good.to_vec();
                text[at] = byte;
                let (tables, problems) = read(&text);
                assert!(tables.len() + problems.len() <= 8);
            }
        }
    }
}
