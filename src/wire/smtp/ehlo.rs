//! Capabilities: what an EHLO reply says, and what ours says (RFC 5321 §4.1.1.1).
//!
//! ```text
//! 250-mx.example.org Hello ...     the first line is no capability
//! 250-SIZE 52428800                keyword, blank, parameters
//! 250 PIPELINING
//! ```
//!
//! Only what the gate can pass on is known here. EXPN, VERB, ETRN, HELP,
//! DELIVERBY, CHUNKING and the rest are read over, so they are never offered.

use super::reply::Reply;

/// What one side of an SMTP connection can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870: the largest message in bytes; `Some(0)` is announced without a limit.
    pub size: Option<u64>,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 4954: mechanisms, upper case, in the order announced, none twice.
    pub auth: Vec<String>,
    /// What it takes with XCLIENT (see [`xclient`](crate::wire::xclient)), upper case; never offered by us.
    pub xclient: Vec<String>,
}

impl Capabilities {
    /// Reads the reply to EHLO. A reply other than 250 says nothing, so it gives nothing.
    #[must_use]
    pub fn parse(ehlo_reply: &Reply) -> Self {
        let mut found = Self::default();
        if ehlo_reply.code == 250 {
            for line in ehlo_reply.lines().skip(1) {
                found.learn(line);
            }
        }
        found
    }

    fn learn(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).to_ascii_uppercase();
        // "AUTH=LOGIN PLAIN" is how servers before RFC 2554 spelt it.
        let line = line.replacen("AUTH=", "AUTH ", 1);
        let mut words = line.split_ascii_whitespace();
        match words.next().unwrap_or_default() {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => self.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
            "8BITMIME" => self.eight_bit_mime = true,
            "DSN" => self.dsn = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "STARTTLS" => self.starttls = true,
            "XCLIENT" => self.xclient = words.map(str::to_owned).collect(),
            "AUTH" => {
                for name in words {
                    if !self.auth.iter().any(|known| known == name) {
                        self.auth.push(name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    /// What a gate with `own_limit` bytes a message (0 = none) can offer in
    /// front of this backend: what both can do, the smaller size, and neither
    /// STARTTLS nor AUTH, which are the gate's own and depend on the session.
    #[must_use]
    pub fn offered(&self, own_limit: u64) -> Self {
        let smaller = |theirs: u64| match (theirs, own_limit) {
            (0, limit) | (limit, 0) => limit,
            (theirs, own) => theirs.min(own),
        };
        Self {
            size: self.size.map(smaller),
            pipelining: self.pipelining,
            eight_bit_mime: self.eight_bit_mime,
            dsn: self.dsn,
            enhanced_status_codes: self.enhanced_status_codes,
            smtputf8: self.smtputf8,
            starttls: false,
            auth: Vec::new(),
            xclient: Vec::new(),
        }
    }

    /// The lines of our own EHLO reply behind the first, in the order sendmail
    /// has them. AUTH is left out while it has no mechanism.
    #[must_use]
    pub fn keywords(&self) -> Vec<String> {
        let size = match self.size {
            Some(0) => Some("SIZE".to_owned()),
            Some(limit) => Some(format!("SIZE {limit}")),
            None => None,
        };
        let auth = (!self.auth.is_empty()).then(|| format!("AUTH {}", self.auth.join(" ")));
        let plain = |is_on: bool, keyword: &str| is_on.then(|| keyword.to_owned());
        [
            plain(self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            plain(self.pipelining, "PIPELINING"),
            plain(self.eight_bit_mime, "8BITMIME"),
            size,
            plain(self.dsn, "DSN"),
            plain(self.smtputf8, "SMTPUTF8"),
            auth,
            plain(self.starttls, "STARTTLS"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sendmail() -> Reply {
        Reply::multiline(
            250,
            "",
            [
                "mx.gate.test Hello localhost [127.0.0.1], pleased to meet you",
                "ENHANCEDSTATUSCODES",
                "PIPELINING",
                "EXPN",
                "VERB",
                "8BITMIME",
                "SIZE 36700160",
                "DSN",
                "ETRN",
                "AUTH LOGIN PLAIN",
                "STARTTLS",
                "DELIVERBY",
                "HELP",
            ],
        )
    }

    fn announced(line: &str) -> Capabilities {
        Capabilities::parse(&Reply::multiline(250, "", ["host", line]))
    }

    #[test]
    fn reads_what_sendmail_says() {
        let expected = Capabilities {
            pipelining: true,
            size: Some(36_700_160),
            eight_bit_mime: true,
            dsn: true,
            enhanced_status_codes: true,
            smtputf8: false,
            starttls: true,
            auth: vec!["LOGIN".to_owned(), "PLAIN".to_owned()],
            xclient: Vec::new(),
        };
        assert_eq!(Capabilities::parse(&sendmail()), expected);
    }

    #[test]
    fn takes_odd_spellings_and_leaves_the_unknown() {
        assert_eq!(announced("size").size, Some(0));
        assert_eq!(announced("SIZE 0").size, Some(0));
        assert_eq!(announced("SIZE lots").size, Some(0));
        assert_eq!(announced("auth=login plain Login").auth, ["LOGIN", "PLAIN"]);
        assert_eq!(announced("SmtpUtf8 x"), Capabilities { smtputf8: true, ..Default::default() });
        assert_eq!(announced("CHUNKING"), Capabilities::default());
        assert_eq!(announced("\u{fffd}"), Capabilities::default());
    }

    #[test]
    fn what_goes_with_xclient_is_for_us_and_not_passed_on() {
        // Exim has two blanks there.
        let told = announced("XCLIENT  NAME ADDR login");
        assert_eq!(told.xclient, ["NAME", "ADDR", "LOGIN"]);
        assert_eq!(told.offered(0), Capabilities::default());
        assert!(told.keywords().is_empty());
    }

    #[test]
    fn the_first_line_and_refusals_announce_nothing() {
        let named_so = Reply::new(250, "", "PIPELINING is my host name");
        assert_eq!(Capabilities::parse(&named_so), Capabilities::default());
        let refusal = Reply::multiline(550, "", ["x", "PIPELINING"]);
        assert_eq!(Capabilities::parse(&refusal), Capabilities::default());
    }

    #[test]
    fn offers_what_both_can_do() {
        let backend = Capabilities::parse(&sendmail());
        assert_eq!(
            backend.offered(1000).keywords(),
            ["ENHANCEDSTATUSCODES", "PIPELINING", "8BITMIME", "SIZE 1000", "DSN"]
        );
        assert_eq!(backend.offered(u64::MAX).size, Some(36_700_160));
        assert_eq!(backend.offered(0).size, Some(36_700_160));
        assert_eq!(announced("SIZE").offered(7).size, Some(7));
        assert_eq!(announced("SIZE").offered(0).keywords(), ["SIZE"]);
        assert_eq!(announced("DSN").offered(7).size, None);
    }

    #[test]
    fn what_we_announce_reads_back() {
        let full = Capabilities { smtputf8: true, ..Capabilities::parse(&sendmail()) };
        let lines = [vec!["gate Hello".to_owned()], full.keywords()].concat();
        assert_eq!(Capabilities::parse(&Reply::multiline(250, "", lines)), full);
    }
}
