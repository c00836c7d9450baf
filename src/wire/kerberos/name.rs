//! Principals: whom Kerberos knows (RFC 4120 §6).
//!
//! ```text
//! alice@EXAMPLE.ORG    alice/admin@EXAMPLE.ORG    host/mx.example.org@EXAMPLE.ORG
//! ```

use std::fmt;

use super::der::{self, Malformed, Reader, SEQUENCE};

/// Most components of a name; one that has more is no name of a person or service.
const MAX_PARTS: usize = 16;

/// What a name is the name of (RFC 4120 §6.2). Not part of its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A person, or anything: NT-PRINCIPAL.
    Principal = 1,
    /// The ticket-granting service: NT-SRV-INST.
    Instance = 2,
    /// A service on a host: NT-SRV-HST.
    Host = 3,
}

/// A name within a realm, as its components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Vec<String>);

impl Name {
    /// A name of these components.
    #[must_use]
    pub fn new(parts: &[&str]) -> Self {
        Self(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    /// Splits a login at its slashes, as krb5_parse_name(3) does. `None` for what that function
    /// reads otherwise (a backslash quotes, an `@` begins a realm) or refuses.
    #[must_use]
    pub fn of_login(login: &str) -> Option<Self> {
        let parts: Vec<String> = login.split('/').map(str::to_owned).collect();
        let is_plain = !login.contains(['\\', '@', '\0']) && !login.is_empty();
        (is_plain && parts.len() <= MAX_PARTS).then_some(Self(parts))
    }

    /// The components in a row, as they end a default salt (RFC 4120 §4).
    #[must_use]
    pub fn joined(&self) -> String {
        self.0.concat()
    }

    pub(super) fn encode(&self, kind: NameKind) -> Vec<u8> {
        let parts: Vec<Vec<u8>> = self.0.iter().map(|part| der::text(part)).collect();
        der::sequence(&[
            der::field(0, &der::integer(kind as i64)),
            der::field(1, &der::sequence(&parts)),
        ])
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut name = reader.expect(SEQUENCE)?;
        name.field(0)?.integer()?;
        let mut list = name.field(1)?.expect(SEQUENCE)?;
        let mut parts = Vec::new();
        while !list.is_at_end() {
            if parts.len() == MAX_PARTS {
                return Err(Malformed);
            }
            parts.push(list.text()?.to_owned());
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// A name in a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name.
    pub name: Name,
    /// The realm; capitals count.
    pub realm: String,
}

impl Principal {
    /// The ticket-granting service of a realm.
    #[must_use]
    pub fn granting(realm: &str) -> Self {
        Self { name: Name::new(&["krbtgt", realm]), realm: realm.to_owned() }
    }

    /// The salt of its password where the KDC names none (RFC 4120 §4).
    #[must_use]
    pub fn salt(&self) -> String {
        format!("{}{}", self.realm, self.name.joined())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.realm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_split_as_krb5_parse_name_splits() {
        let parts = |login: &str| Name::of_login(login).map(|name| name.0);
        assert_eq!(parts("alice"), Some(vec!["alice".to_owned()]));
        assert_eq!(parts("alice/mail"), Some(vec!["alice".to_owned(), "mail".to_owned()]));
        for odd in ["", "a\\/b", "a@b", &"/".repeat(MAX_PARTS)] {
            assert_eq!(parts(odd), None, "{odd}");
        }
    }

    #[test]
    fn names_are_written_and_read_back() {
        let name = Name::new(&["host", "mx.example.org"]);
        let bytes = name.encode(NameKind::Host);
        assert_eq!(Name::decode(&mut Reader::new(&bytes)), Ok(name.clone()));
        let principal = Principal { name, realm: "EXAMPLE.ORG".to_owned() };
        assert_eq!(principal.to_string(), "host/mx.example.org@EXAMPLE.ORG");
        assert_eq!(principal.salt(), "EXAMPLE.ORGhostmx.example.org");
    }
}
