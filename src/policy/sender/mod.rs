//! Which login may use which sender (RFC 6409 §6.1).
//!
//! Several rules can be on; what one of them grants is granted:
//!
//! | rule | grants |
//! |---|---|
//! | `own` | the address that the login is; with a detail, too: `alice+list@` |
//! | `domain` | every address in the login's realm |
//! | `map` | what the file says ([`SenderMap`]) |
//! | `any` | everything |
//!
//! The null sender is always granted: receipts and other reports have no other
//! (RFC 8098 §3), and nobody can be deceived by it. Addresses are compared as
//! patterns are (see `policy::pattern`). A domain in UTF-8 and its `xn--` form
//! are not the same here: list both.

mod map;

use std::sync::Arc;

pub use self::map::{Fault, MapError, SenderMap};
use super::pattern::{Pattern, unquoted};

/// Who may use which sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SenderSettings {
    /// Everybody may use everything.
    pub any: bool,
    /// A login may use the address that it is.
    pub own: bool,
    /// A login may use every address in its realm.
    pub domain: bool,
    /// What separates a detail from the mailbox in an own address, one of ASCII; `None` for none.
    pub detail: Option<char>,
    /// Whether the addresses in the `From:` of the message count as well.
    pub check_from: bool,
}

/// The rights as they are now. A reload makes new ones.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    /// As configured.
    pub settings: SenderSettings,
    /// The map, where there is one.
    pub map: Option<Arc<SenderMap>>,
}

impl Rights {
    /// True if the login `user@realm` may use `sender`, which is without brackets.
    /// `granted` is what the login's own record allows it besides.
    #[must_use]
    pub fn allow(&self, login: &str, granted: &[Pattern], sender: &str) -> bool {
        let settings = &self.settings;
        settings.any
            || sender.is_empty()
            || (settings.own && self.is_own(login, sender))
            || (settings.domain && is_in_domain(login, sender))
            || granted.iter().any(|pattern| pattern.matches(sender))
            || self.map.as_ref().is_some_and(|map| map.allows(login, sender))
    }

    /// True if the `From:` of a message of ours must be read.
    #[must_use]
    pub fn read_from(&self) -> bool {
        self.settings.check_from && !self.settings.any
    }

    fn is_own(&self, login: &str, sender: &str) -> bool {
        let (Some((user, realm)), Some((local, domain))) =
            (login.rsplit_once('@'), sender.rsplit_once('@'))
        else {
            return false;
        };
        let local = unquoted(local);
        let is_user = |name: &str| name.eq_ignore_ascii_case(user);
        let mailbox = || local.split_once(self.settings.detail?).map(|(mailbox, _)| mailbox);
        domain.eq_ignore_ascii_case(realm) && (is_user(&local) || mailbox().is_some_and(is_user))
    }
}

fn is_in_domain(login: &str, sender: &str) -> bool {
    let domain = |text: &str| text.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
    let realm = domain(login).filter(|realm| !realm.is_empty());
    realm.is_some() && realm == domain(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: SenderSettings =
        SenderSettings { any: false, own: false, domain: false, detail: None, check_from: false };

    fn rights(settings: SenderSettings) -> Rights {
        Rights { settings, map: None }
    }

    #[test]
    fn own_is_the_address_that_the_login_is() {
        let rights = rights(SenderSettings { own: true, detail: Some('+'), ..NOTHING });
        for sender in [
            "alice@example.org",
            "Alice@EXAMPLE.org",
            "\"alice\"@example.org",
            "alice+list@example.org",
            "alice+a+b@example.org",
            "",
        ] {
            assert!(rights.allow("alice@example.org", &[], sender), "{sender}");
        }
        for sender in [
            "bob@example.org",
            "alice@example.com",
            "alice@sub.example.org",
            "alicia@example.org",
            "+alice@example.org",
            "bob+alice@example.org",
            "\"alice@example.org\"@evil.example",
        ] {
            assert!(!rights.allow("alice@example.org", &[], sender), "{sender}");
        }
        // A user who is called so keeps the whole name.
        assert!(rights.allow("a+b@example.org", &[], "a+b@example.org"));
        assert!(!rights.allow("alice", &[], "alice@example.org"));
    }

    #[test]
    fn without_a_detail_only_the_address_itself() {
        let rights = rights(SenderSettings { own: true, ..NOTHING });
        assert!(!rights.allow("alice@example.org", &[], "alice+list@example.org"));
    }

    #[test]
    fn domain_is_everybody_there() {
        let rights = rights(SenderSettings { domain: true, ..NOTHING });
        assert!(rights.allow("alice@example.org", &[], "bob@Example.Org"));
        assert!(!rights.allow("alice@example.org", &[], "bob@sub.example.org"));
        assert!(!rights.allow("alice@", &[], "bob@"));
        assert!(!rights.allow("alice", &[], "bob@example.org"));
    }

    #[test]
    fn rules_add_up() {
        let map = SenderMap::parse("alice: sales@example.com", "example.org").unwrap();
        let settings = SenderSettings { own: true, ..NOTHING };
        let rights = Rights { settings, map: Some(Arc::new(map)) };
        let granted = [Pattern::parse("@granted.example").unwrap()];
        for sender in ["alice@example.org", "sales@example.com", "x@granted.example"] {
            assert!(rights.allow("alice@example.org", &granted, sender), "{sender}");
        }
        assert!(!rights.allow("bob@example.org", &[], "sales@example.com"));
        assert!(!rights.allow("bob@example.org", &[], "alice@example.org"));
    }

    #[test]
    fn nothing_on_is_nothing_allowed_and_any_is_all() {
        assert!(!rights(NOTHING).allow("alice@example.org", &[], "alice@example.org"));
        let rights = rights(SenderSettings { any: true, check_from: true, ..NOTHING });
        assert!(rights.allow("alice@example.org", &[], "x@y"));
        assert!(!rights.read_from());
    }
}
