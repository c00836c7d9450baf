//! A line of an IMAP server.

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// `+`: go on.
    Continue,
    /// `* OK`, `* BYE`, ...: about the connection, or the greeting.
    Status(Reply),
    /// `* CAPABILITY ...`: the words, upper case.
    Capabilities(Vec<String>),
    /// Any other line that begins with `*`.
    Other,
    /// The answer to the command.
    Done(Reply),
}

/// OK and its opposites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
    /// The server leaves.
    Bye,
    /// A greeting that takes us for somebody already.
    Preauth,
}

/// A condition with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which one.
    pub condition: Condition,
    /// The code in brackets, upper case (RFC 5530): `AUTHENTICATIONFAILED`. Empty without one.
    pub code: String,
    /// What stands behind the code in its brackets.
    pub argument: String,
    /// For people, as the server wrote it.
    pub text: String,
}

/// A line that is no response, or none that we can expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the line is no IMAP response")]
pub struct Malformed;

impl Response {
    /// Reads a line, which has no CR, LF or NUL. `tag` is that of our command.
    ///
    /// # Errors
    /// [`Malformed`]: another tag, no known condition, or a literal, which no
    /// answer to our commands has.
    pub fn parse(line: &[u8], tag: &str) -> Result<Self, Malformed> {
        let text = String::from_utf8_lossy(line);
        if announces_literal(&text) {
            return Err(Malformed);
        }
        let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match first {
            "+" => Ok(Self::Continue),
            "*" => Ok(untagged(rest)),
            _ if first == tag => match Reply::parse(rest) {
                Some(reply) if !matches!(reply.condition, Condition::Bye | Condition::Preauth) => {
                    Ok(Self::Done(reply))
                }
                _ => Err(Malformed),
            },
            _ => Err(Malformed),
        }
    }
}

impl Reply {
    fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let condition = match word.to_ascii_uppercase().as_str() {
            "OK" => Condition::Ok,
            "NO" => Condition::No,
            "BAD" => Condition::Bad,
            "BYE" => Condition::Bye,
            "PREAUTH" => Condition::Preauth,
            _ => return None,
        };
        let bracket = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (inside, text) = bracket.unwrap_or(("", rest));
        let (code, argument) = inside.split_once(' ').unwrap_or((inside, ""));
        Some(Self {
            condition,
            code: code.to_ascii_uppercase(),
            argument: argument.to_owned(),
            text: text.trim().to_owned(),
        })
    }

    /// The capabilities that came along, upper case; `None` if none did.
    #[must_use]
    pub fn capabilities(&self) -> Option<Vec<String>> {
        (self.code == "CAPABILITY").then(|| words(&self.argument))
    }
}

fn untagged(rest: &str) -> Response {
    if let Some(reply) = Reply::parse(rest) {
        return Response::Status(reply);
    }
    match rest.split_once(' ') {
        Some((word, list)) if word.eq_ignore_ascii_case("CAPABILITY") => {
            Response::Capabilities(words(list))
        }
        _ => Response::Other,
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_ascii_uppercase).collect()
}

/// True for `... {12}` and `... {12+}`: bytes follow that are no line.
fn announces_literal(text: &str) -> bool {
    let inside = text.strip_suffix('}').and_then(|text| text.rsplit_once('{'));
    inside.is_some_and(|(_, number)| {
        let digits = number.strip_suffix('+').unwrap_or(number);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Response, Malformed> {
        Response::parse(line.as_bytes(), "1")
    }

    fn reply(condition: Condition, code: &str, argument: &str, text: &str) -> Reply {
        let [code, argument, text] = [code, argument, text].map(str::to_owned);
        Reply { condition, code, argument, text }
    }

    #[test]
    fn reads_the_lines_of_a_login() {
        let greeting = parse("* OK [CAPABILITY IMAP4rev1 LoginDisabled] ready").unwrap();
        let Response::Status(greeting) = greeting else { panic!("{greeting:?}") };
        assert_eq!(greeting.capabilities().unwrap(), ["IMAP4REV1", "LOGINDISABLED"]);
        assert_eq!(parse("+ go on"), Ok(Response::Continue));
        assert_eq!(parse("+"), Ok(Response::Continue));
        assert_eq!(parse("* capability A b"), Ok(Response::Capabilities(words("A B"))));
        assert_eq!(parse("* 5 EXISTS"), Ok(Response::Other));
        assert_eq!(
            parse("1 no [AuthenticationFailed] sorry"),
            Ok(Response::Done(reply(Condition::No, "AUTHENTICATIONFAILED", "", "sorry")))
        );
        assert_eq!(parse("1 OK"), Ok(Response::Done(reply(Condition::Ok, "", "", ""))));
        assert_eq!(
            parse("* BYE [x y] z"),
            Ok(Response::Status(reply(Condition::Bye, "X", "y", "z")))
        );
        assert_eq!(
            parse("1 BAD [open"),
            Ok(Response::Done(reply(Condition::Bad, "", "", "[open")))
        );
    }

    #[test]
    fn refuses_what_answers_nothing_of_ours() {
        for line in ["", " ", "2 OK", "1", "1 ", "1 OKAY", "1 BYE", "1 PREAUTH", "OK", "11 OK"] {
            assert_eq!(parse(line), Err(Malformed), "{line}");
        }
        for line in ["* X {12}", "1 OK {0}", "1 NO {3+}"] {
            assert_eq!(parse(line), Err(Malformed), "{line}");
        }
        assert!(parse("* OK {}").is_ok() && parse("* OK {a}").is_ok());
    }

    #[test]
    fn no_truncation_or_mutation_makes_a_no_an_ok() {
        let line = b"1 NO [AUTHENTICATIONFAILED] no such user";
        for end in 0..line.len() {
            assert!(!is_ok(&line[..end]));
        }
        for at in 0..line.len() {
            for byte in 0..=255u8 {
                let mut changed = line.to_vec();
                changed[at] = byte;
                assert!(!is_ok(&changed), "{}", String::from_utf8_lossy(&changed));
            }
        }
    }

    fn is_ok(line: &[u8]) -> bool {
        matches!(Response::parse(line, "1"), Ok(Response::Done(reply)) if reply.condition == Condition::Ok)
    }
}
