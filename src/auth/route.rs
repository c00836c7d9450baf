//! Which chain of backends a login is asked of: by its realm and its service.
//!
//! The first route that fits decides; where none does, the chain of the
//! socket or the default one. Pure. A realm is what the login claims and a
//! service is what the client calls itself, so a route chooses who is asked,
//! and keeps nobody out: that is what sockets with `allowed_users` are for.

/// A chain of backends for some logins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// Realms in lower case; `*.example.org` stands for all below example.org. Empty: any.
    pub realms: Vec<String>,
    /// Services, byte for byte. Empty: any.
    pub services: Vec<String>,
    /// Names of the backends, in the order they are asked.
    pub backends: Vec<String>,
}

impl Route {
    /// True if logins of `realm` (lower case) for `service` go this way.
    #[must_use]
    pub fn takes(&self, realm: &str, service: &str) -> bool {
        let has_realm =
            self.realms.is_empty() || self.realms.iter().any(|pattern| fits(pattern, realm));
        has_realm && (self.services.is_empty() || self.services.iter().any(|name| name == service))
    }
}

fn fits(pattern: &str, realm: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => realm
            .strip_suffix(parent)
            .and_then(|child| child.strip_suffix('.'))
            .is_some_and(|child| !child.is_empty()),
        None => pattern == realm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(realms: &[&str], services: &[&str]) -> Route {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Route { realms: owned(realms), services: owned(services), backends: Vec::new() }
    }

    #[test]
    fn a_star_stands_for_everything_below_and_not_for_the_realm_itself() {
        let below = route(&["*.ex.org"], &[]);
        for (realm, is_taken) in [
            ("mail.ex.org", true),
            ("a.b.ex.org", true),
            ("ex.org", false),
            (".ex.org", false),
            ("notex.org", false),
            ("mail.ex.org.evil.test", false),
            ("", false),
        ] {
            assert_eq!(below.takes(realm, "smtp"), is_taken, "{realm:?}");
        }
        assert!(route(&["ex.org", "*.ex.org"], &[]).takes("ex.org", ""));
    }

    #[test]
    fn realm_and_service_must_both_fit() {
        let both = route(&["ex.org"], &["smtp", "imap"]);
        assert!(both.takes("ex.org", "imap"));
        assert!(!both.takes("ex.org", "ldap"));
        assert!(!both.takes("other.org", "smtp"));
        assert!(!both.takes("ex.org", "SMTP"));
        assert!(route(&[], &["smtp"]).takes("whatever", "smtp"));
        assert!(route(&[], &[]).takes("whatever", ""));
    }
}
