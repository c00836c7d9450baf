//! In which realms a user is looked for. Pure.
//!
//! saslauthd looks under the realm it is given, and without one under
//! `gethostname()`, which is also what `saslpasswd2 -c alice` writes. Our
//! default realm is the full name of the host, or what the configuration says.
//!
//! | the client names | looked for, until found |
//! |---|---|
//! | no realm | `alice` in the default realm, in `gethostname()`, in the full name of the host |
//! | no realm, and the default realm is the host's full name | `alice` in `gethostname()`, in the full name |
//! | `example.org` in the login (Exim) | `alice@example.org` in `gethostname()`, in the full name; `alice` in `example.org` |
//! | `example.org` in the realm field | `alice` in `example.org` |
//!
//! The original does not split logins: it finds `alice@example.org` under the
//! realm of the host, and nowhere else.

use super::table::{Seal, Table};
use crate::auth::RealmSource;
use crate::base::Identity;

/// What this host is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNames {
    /// As `gethostname(2)` says it.
    pub name: String,
    /// The fully qualified name, in lower case.
    pub fqdn: String,
}

impl HostNames {
    /// Finds `identity` in `table`; `source` says whether the client named its realm.
    pub(super) fn find<'t>(
        &self,
        table: &'t Table,
        identity: &Identity,
        source: RealmSource,
    ) -> Option<&'t [Seal]> {
        let (user, realm) = (identity.user(), identity.realm());
        let in_realm = || table.find(user, realm);
        let of_host =
            |user: &str| table.find(user, &self.name).or_else(|| table.find(user, &self.fqdn));
        match source {
            RealmSource::Claim => in_realm(),
            RealmSource::Login => of_host(&identity.to_string()).or_else(in_realm),
            RealmSource::Default if realm == self.fqdn => of_host(user),
            RealmSource::Default => in_realm().or_else(|| of_host(user)),
        }
    }
}
