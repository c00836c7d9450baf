//! What a `TLS_Clt:`, `TLS_Srv:` or `TLS_Rcpt:` key asks of a connection.
//!
//! ```text
//! [PERM+|TEMP+] (VERIFY[:bits] | ENCR:bits) [+CN | +CN:name | +CS:subject | +CI:issuer] [++...]
//! ```
//!
//! PERM is `503 5.7.0`, TEMP `403 4.7.0`, neither `454 4.7.0`, as sendmail 8.17.1.
//! `CITag:` and what is not known here is told of, and never met: a demand that
//! cannot be judged must not count as fulfilled.

use super::value::Refusal;

/// What is demanded of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demand {
    code: u16,
    status: &'static str,
    is_verified: bool,
    bits: u32,
    further: Vec<Further>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Further {
    /// The certificate's common name; `None` for the name of the other side.
    CommonName(Option<Box<str>>),
    Subject(Box<str>),
    Issuer(Box<str>),
    /// Cannot be judged here.
    Unknown(Box<str>),
}

/// What is known of a connection's TLS.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsFacts<'a> {
    /// sendmail's `{verify}`: `OK`, `NO`, `NOT`, `FAIL`; empty without TLS.
    pub verify: &'a str,
    /// Strength of the cipher in bits; 0 without TLS.
    pub bits: u32,
    /// Issuer of the other side's certificate, as sendmail writes it (`+XX`).
    pub issuer: &'a str,
    /// Its subject, as sendmail writes it.
    pub subject: &'a str,
    /// Its common name.
    pub common_name: &'a str,
}

impl TlsFacts<'_> {
    /// True if the other side has shown a certificate that was verified.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        matches!(self.verify, "OK" | "TRUSTED")
    }
}

impl Demand {
    /// Reads a demand; a second part says what of it can never be met.
    ///
    /// # Errors
    /// Says what is not understood. sendmail accepts any connection then.
    pub(super) fn parse(text: &str) -> Result<(Self, Option<String>), String> {
        let upper = text.to_ascii_uppercase();
        let (code, status, skipped) = if upper.starts_with("PERM+") {
            (503, "5.7.0", 5)
        } else if upper.starts_with("TEMP+") {
            (403, "4.7.0", 5)
        } else {
            (454, "4.7.0", 0)
        };
        let (base, extensions) = match text[skipped..].split_once('+') {
            Some((base, extensions)) => (base, Some(extensions)),
            None => (&text[skipped..], None),
        };
        let (word, number) = match base.split_once(':') {
            Some((word, number)) => (word, Some(number)),
            None => (base, None),
        };
        let bits = match number {
            Some(number) => {
                number.trim().parse().map_err(|_| format!("{number} is no strength"))?
            }
            None => 0,
        };
        let is_verified = match (word.trim().to_ascii_uppercase().as_str(), number) {
            ("VERIFY", _) => true,
            ("ENCR", Some(_)) => false,
            _ => return Err(format!("\"{text}\" is no demand: VERIFY[:bits] or ENCR:bits")),
        };
        let further: Vec<Further> =
            extensions.iter().flat_map(|list| list.split("++")).map(Further::parse).collect();
        let oddity = further.iter().find_map(Further::oddity);
        Ok((Self { code, status, is_verified, bits, further }, oddity))
    }

    /// Whether a connection to `other_side` with these facts is good enough; else the refusal.
    #[must_use]
    pub(super) fn judge(&self, tls: &TlsFacts<'_>, other_side: &str) -> Option<Refusal> {
        let text = self.shortcoming(tls, other_side)?;
        Some(Refusal::new(self.code, self.status, text))
    }

    fn shortcoming(&self, tls: &TlsFacts<'_>, other_side: &str) -> Option<String> {
        if self.is_verified && !tls.is_verified() {
            return Some(match tls.verify {
                "" => "authentication required".to_owned(),
                "FAIL" => "authentication failed".to_owned(),
                "NO" => "not authenticated".to_owned(),
                "NOT" => "no authentication requested".to_owned(),
                "NONE" => "other side does not support STARTTLS".to_owned(),
                other => format!("authentication failure {other}"),
            });
        }
        if tls.bits < self.bits {
            return Some(format!("encryption too weak {} less than {}", tls.bits, self.bits));
        }
        self.further.iter().find_map(|further| further.shortcoming(tls, other_side))
    }
}

impl Further {
    fn parse(text: &str) -> Self {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        match (word.to_ascii_uppercase().as_str(), rest) {
            ("CN", name) => Self::CommonName(name.map(Into::into)),
            ("CS", Some(subject)) => Self::Subject(subject.into()),
            ("CI", Some(issuer)) => Self::Issuer(issuer.into()),
            _ => Self::Unknown(text.into()),
        }
    }

    fn oddity(&self) -> Option<String> {
        let Self::Unknown(text) = self else { return None };
        Some(format!("\"+{text}\" cannot be judged here, so it is never met"))
    }

    fn shortcoming(&self, tls: &TlsFacts<'_>, other_side: &str) -> Option<String> {
        let (what, found, wanted) = match self {
            Self::CommonName(name) => {
                ("CN", tls.common_name, name.as_deref().unwrap_or(other_side))
            }
            Self::Subject(subject) => ("Cert Subject", tls.subject, &**subject),
            Self::Issuer(issuer) => ("Cert Issuer", tls.issuer, &**issuer),
            Self::Unknown(text) => return Some(format!("{text} cannot be judged")),
        };
        let is_met = found.eq_ignore_ascii_case(wanted);
        (!is_met).then(|| format!("{what} {found} does not match {wanted}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(demand: &str, tls: TlsFacts<'_>) -> String {
        match Demand::parse(demand).unwrap().0.judge(&tls, "client.test") {
            None => "OK".to_owned(),
            Some(refusal) => refusal.to_string(),
        }
    }

    const CLEAR: TlsFacts<'_> =
        TlsFacts { verify: "", bits: 0, issuer: "", subject: "", common_name: "" };

    #[test]
    fn demands_are_judged_as_sendmail_judges_them() {
        let tls = |verify| TlsFacts { verify, bits: 256, ..CLEAR };
        for (demand, facts, expected) in [
            ("VERIFY", CLEAR, "454 4.7.0 authentication required"),
            ("PERM+VERIFY", CLEAR, "503 5.7.0 authentication required"),
            ("TEMP+VERIFY", tls("FAIL"), "403 4.7.0 authentication failed"),
            ("verify", tls("NO"), "454 4.7.0 not authenticated"),
            ("VERIFY", tls("NOT"), "454 4.7.0 no authentication requested"),
            ("VERIFY:112", tls("OK"), "OK"),
            ("VERIFY:512", tls("OK"), "454 4.7.0 encryption too weak 256 less than 512"),
            ("PERM+ENCR:128", CLEAR, "503 5.7.0 encryption too weak 0 less than 128"),
            ("ENCR:128", tls("NO"), "OK"),
            ("ENCR:256", tls("FAIL"), "OK"),
        ] {
            assert_eq!(judge(demand, facts), expected, "{demand}");
        }
    }

    #[test]
    fn the_certificate_may_have_to_carry_names() {
        let facts = TlsFacts {
            verify: "OK",
            bits: 128,
            issuer: "/CN=Root+20CA",
            subject: "/CN=client.test",
            common_name: "client.test",
        };
        assert_eq!(judge("VERIFY+CN", facts), "OK");
        assert_eq!(judge("VERIFY:128+CS:/cn=CLIENT.test++CI:/CN=Root+20CA", facts), "OK");
        assert_eq!(
            judge("PERM+VERIFY+CN:other.test", facts),
            "503 5.7.0 CN client.test does not match other.test"
        );
        assert_eq!(
            judge("VERIFY+CI:/CN=x", facts),
            "454 4.7.0 Cert Issuer /CN=Root+20CA does not match /CN=x"
        );
    }

    #[test]
    fn what_is_no_demand_is_refused() {
        for text in ["", "ENCR", "ENCR:x", "VERIFY:", "OK", "PERM+", "\u{e4}"] {
            assert!(Demand::parse(text).is_err(), "{text}");
        }
        let (demand, oddity) = Demand::parse("VERIFY+CITag:x").unwrap();
        assert!(oddity.is_some());
        assert!(demand.judge(&TlsFacts { verify: "OK", ..CLEAR }, "x").is_some());
    }
}
