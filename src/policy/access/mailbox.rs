//! A mailbox as the rulesets see it: folded, unquoted, its hosts laid open.
//!
//! sendmail reads `user%host@ours`, `host!user@ours` and `"user@host"@ours` as
//! mail for `host`, and will relay it there when a front has let it pass. So a
//! recipient is asked for every host that is in it. Called by `rules`.

/// A mailbox, folded to lower case; the local part without quotes where it needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mailbox {
    pub(super) user: String,
    /// Without a dot at its end; `None` for `<postmaster>`.
    pub(super) domain: Option<String>,
}

impl Mailbox {
    /// Reads an address without brackets. An empty one has an empty user.
    pub(super) fn read(address: &str) -> Self {
        let (local, domain) = match address.rsplit_once('@') {
            // The @ may be a part of a quoted local part that stands alone.
            Some((local, domain)) if !domain.ends_with('"') => (local, Some(domain)),
            _ => (address, None),
        };
        let domain = domain.map(|domain| domain.trim_end_matches('.').to_ascii_lowercase());
        Self { user: unquoted(local).to_ascii_lowercase(), domain }
    }

    /// The mailbox that is meant when `domain` is ours: what stands in the local
    /// part, if that is an address itself.
    pub(super) fn inner(&self) -> Option<Self> {
        let user = &self.user;
        let (user, domain) = if let Some((user, host)) = user.rsplit_once('@') {
            (user, host)
        } else if let Some((host, user)) = user.split_once('!') {
            (user, host)
        } else {
            user.rsplit_once('%')?
        };
        let domain = domain.trim_end_matches('.').to_owned();
        Some(Self { user: user.to_owned(), domain: Some(domain) })
    }

    /// Every text in the local part that some mail system may take for a host.
    /// Where readers differ, a host too many is named rather than one too few.
    pub(super) fn routed_hosts(&self) -> impl Iterator<Item = &str> {
        let user = &self.user;
        let last = user.split(SIGNS).count() - 1;
        // `user%host` has its user in front, `host!user` at the end.
        let user_at = match (user.contains(['@', '%']), user.contains('!'), user.contains(':')) {
            (_, false, false) => Some(0),
            (false, true, false) => Some(last),
            _ => None,
        };
        let pieces = user.split(SIGNS).enumerate();
        pieces
            .filter(move |(at, _)| last > 0 && Some(*at) != user_at)
            .map(|(_, piece)| piece.trim_end_matches('.'))
            .filter(|piece| !piece.is_empty())
    }
}

/// What parts hosts from users in local parts: ours, UUCP's, DECnet's.
const SIGNS: [char; 4] = ['@', '%', '!', ':'];

/// A quoted local part without its quotes and backslashes.
fn unquoted(local: &str) -> String {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return local.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(address: &str) -> Vec<String> {
        Mailbox::read(address).routed_hosts().map(str::to_owned).collect()
    }

    #[test]
    fn user_and_domain_are_folded_and_unquoted() {
        for (address, user, domain) in [
            ("Bob@Gate.Test", "bob", Some("gate.test")),
            ("bob@gate.test.", "bob", Some("gate.test")),
            ("\"b o\\\"b\"@gate.test", "b o\"b", Some("gate.test")),
            ("\"a@b\"@gate.test", "a@b", Some("gate.test")),
            ("Postmaster", "postmaster", None),
            ("\"a@b\"", "a@b", None),
            ("", "", None),
            ("x@[IPv6:2001:db8::1]", "x", Some("[ipv6:2001:db8::1]")),
        ] {
            let mailbox = Mailbox::read(address);
            assert_eq!((&*mailbox.user, mailbox.domain.as_deref()), (user, domain), "{address}");
        }
    }

    #[test]
    fn every_host_of_an_address_is_found() {
        for (address, expected) in [
            ("bob@ours", &[][..]),
            ("x%far.test@ours", &["far.test"]),
            ("x%far.test%b.test@ours", &["far.test", "b.test"]),
            ("far.test!x@ours", &["far.test"]),
            ("far.test!b.test!x@ours", &["far.test", "b.test"]),
            ("\"x@far.test\"@ours", &["far.test"]),
            ("\"far.test::x\"@ours", &["far.test", "x"]),
            ("far.test!x%b.test@ours", &["far.test", "x", "b.test"]),
            ("%far.test@ours", &["far.test"]),
            ("x%@ours", &[]),
        ] {
            assert_eq!(hosts(address), expected, "{address}");
        }
    }

    #[test]
    fn the_inner_mailbox_is_the_one_that_sendmail_would_mail() {
        let inner = |address: &str| {
            let inner = Mailbox::read(address).inner()?;
            Some(format!("{}@{}", inner.user, inner.domain?))
        };
        for (address, expected) in [
            ("x%far.test@ours", Some("x@far.test")),
            ("x%a%far.test@ours", Some("x%a@far.test")),
            ("far.test!x@ours", Some("x@far.test")),
            ("\"x@far.test\"@ours", Some("x@far.test")),
            ("x@ours", None),
        ] {
            assert_eq!(inner(address).as_deref(), expected, "{address}");
        }
    }
}
