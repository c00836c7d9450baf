//! Which PAM services may be asked for.
//!
//! A saslauthd client names the service freely, and libpam opens any file of
//! that name: with `su` or `chsh` (pam_rootok) a root process would accept any
//! password. So only listed names pass. Checked by the client and again by the
//! worker, each from its own settings.

/// Service tried when a request names none (Exim).
const DEFAULT_SERVICE: &str = "smtp";

/// The services that may be asked for.
#[derive(Debug, Clone)]
pub(super) struct AllowList(Vec<String>);

impl AllowList {
    /// Takes the names of `pam.services`.
    pub(super) fn new(services: &[String]) -> Self {
        Self(services.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Gives the listed name for what a client asked for, or `None`.
    ///
    /// Lower-cases, as libpam does. libpam would also cut a path to its last
    /// part; here a slash is no part of any listed name. An empty name means
    /// `smtp` if that is listed, else the first of the list.
    pub(super) fn select(&self, asked: &str) -> Option<&str> {
        let Self(names) = self;
        if asked.is_empty() {
            let default = names.iter().find(|name| *name == DEFAULT_SERVICE);
            return default
                .or_else(|| names.first())
                .filter(|name| is_fit(name))
                .map(String::as_str);
        }
        let asked = asked.to_ascii_lowercase();
        let listed = names.iter().find(|name| **name == asked)?;
        is_fit(listed).then_some(listed.as_str())
    }
}

/// A plain file name: `[a-z0-9._-]`, 1 to 64 bytes, not starting with a dot.
fn is_fit(name: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> AllowList {
        AllowList::new(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn passes_listed_names_in_any_case() {
        let list = list(&["IMAP", "smtp"]);
        assert_eq!(list.select("smtp"), Some("smtp"));
        assert_eq!(list.select("SMTP"), Some("smtp"));
        assert_eq!(list.select("imap"), Some("imap"));
    }

    #[test]
    fn refuses_what_is_not_listed_and_every_path() {
        let list = list(&["smtp"]);
        for name in ["su", "../pam.d/smtp", "/etc/pam.d/smtp", "x/smtp", "smtp/", "smtp ", "."] {
            assert_eq!(list.select(name), None, "{name}");
        }
    }

    #[test]
    fn refuses_a_listed_name_that_is_no_plain_file_name() {
        for name in ["../su", "/etc/shadow", "..", ".smtp", "sm tp", "grün", ""] {
            assert_eq!(list(&[name]).select(name), None, "{name}");
        }
    }

    #[test]
    fn an_empty_name_means_smtp_or_the_first() {
        assert_eq!(list(&["imap", "smtp"]).select(""), Some("smtp"));
        assert_eq!(list(&["imap", "pop"]).select(""), Some("imap"));
        assert_eq!(list(&[]).select(""), None);
    }
}
