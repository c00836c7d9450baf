//! Texts with `%u` and its like: bases, filters and names made for one login.
//!
//! | token | stands for |
//! |---|---|
//! | `%u` | the login as the client sent it |
//! | `%U` | `%u` up to its first `@` |
//! | `%d` | `%u` behind its first `@`; without one, as `%r` |
//! | `%1` to `%9` | labels of `%d` from the right: `%1` of `mail.example.org` is `org` |
//! | `%r` | the realm, or `ldap.default_realm` |
//! | `%R` | `@` and the realm, or nothing |
//! | `%s` | the service |
//! | `%D` | the name of the user's entry, in what is about groups |
//! | `%%` | `%` |
//!
//! As the original has them, but that `%d` of a login without `@` is the realm,
//! as its manual says and its code does not, and that a token it does not know
//! is an error and not nothing. Pure.

use std::borrow::Cow;

use super::settings::{Settings, UserForm};
use crate::auth::{Attempt, RealmSource};
use crate::wire::ldap::{Filter, filter_value, name_value};

/// A text with tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Token(Token),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    User,
    Local,
    Domain,
    /// Label of the domain, 1 for the last.
    Label(usize),
    Realm,
    AtRealm,
    Service,
    Name,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A percent sign with something unknown behind it.
    #[error("`{0}` stands for nothing: there are %u %U %d %1 to %9 %r %R %s %D and %%")]
    Token(String),
    /// It makes no search filter.
    #[error("it is no search filter: {0}")]
    Filter(crate::wire::ldap::FilterError),
    /// `%D` where no entry is known yet.
    #[error("%D is known only when the password was right: it belongs to what is about groups")]
    NoName,
}

/// What the tokens of one login stand for.
pub(super) struct Facts<'a> {
    /// `%u`
    pub(super) login: Cow<'a, str>,
    /// `%r`
    pub(super) realm: &'a str,
    /// `%s`
    pub(super) service: &'a str,
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// [`TemplateError::Token`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                plain.push(c);
                continue;
            }
            let token = match rest.next() {
                Some('%') => {
                    plain.push('%');
                    continue;
                }
                Some('u') => Token::User,
                Some('U') => Token::Local,
                Some('d') => Token::Domain,
                Some('r') => Token::Realm,
                Some('R') => Token::AtRealm,
                Some('s') => Token::Service,
                Some('D') => Token::Name,
                Some(digit @ '1'..='9') => Token::Label(digit as usize - '0' as usize),
                Some(other) => return Err(TemplateError::Token(format!("%{other}"))),
                None => return Err(TemplateError::Token("%".to_owned())),
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Token(token));
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// As [`parse`](Self::parse), for what is made before an entry is known.
    ///
    /// # Errors
    /// [`TemplateError`], `%D` included.
    pub fn without_name(text: &str) -> Result<Self, TemplateError> {
        let template = Self::parse(text)?;
        if template.0.contains(&Part::Token(Token::Name)) {
            return Err(TemplateError::NoName);
        }
        Ok(template)
    }

    /// Checks that a search filter comes out, whoever logs in.
    ///
    /// # Errors
    /// [`TemplateError::Filter`].
    pub fn check_filter(&self) -> Result<(), TemplateError> {
        let facts = Facts { login: Cow::Borrowed("a@b.c"), realm: "b.c", service: "s" };
        self.filter(&facts, "cn=x").map(|_| ()).map_err(TemplateError::Filter)
    }

    /// True if nothing comes out, whoever logs in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the same comes out, whoever logs in.
    pub(super) fn is_fixed(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// A search filter; `name` is that of the user's entry.
    pub(super) fn filter(
        &self,
        facts: &Facts<'_>,
        name: &str,
    ) -> Result<Filter, crate::wire::ldap::FilterError> {
        Filter::parse(&self.expand(facts, |token, value| match token {
            Token::Name => filter_value(name),
            _ => filter_value(value),
        }))
    }

    /// A distinguished name. The name of the user's entry stands in it as it is.
    pub(super) fn name(&self, facts: &Facts<'_>, name: &str) -> String {
        self.expand(facts, |token, value| match token {
            Token::Name => name.to_owned(),
            _ => name_value(value),
        })
    }

    fn expand(&self, facts: &Facts<'_>, escaped: impl Fn(Token, &str) -> String) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Token(token) => out.push_str(&escaped(*token, &facts.value(*token))),
            }
        }
        out
    }
}

impl<'a> Facts<'a> {
    pub(super) fn of(attempt: &'a Attempt, settings: &'a Settings) -> Self {
        let identity = &attempt.identity;
        let is_full = match attempt.realm {
            RealmSource::Login => true,
            RealmSource::Claim => settings.user == UserForm::Full,
            RealmSource::Default => false,
        };
        let login =
            if is_full { Cow::Owned(identity.to_string()) } else { Cow::Borrowed(identity.user()) };
        let realm = match attempt.realm {
            RealmSource::Claim => identity.realm(),
            RealmSource::Login | RealmSource::Default => &settings.default_realm,
        };
        Self { login, realm, service: attempt.service.as_str() }
    }

    fn value(&self, token: Token) -> Cow<'_, str> {
        let (local, domain) = self.login.split_once('@').unwrap_or((&self.login, ""));
        let domain = if domain.is_empty() { self.realm } else { domain };
        match token {
            Token::User => Cow::Borrowed(&self.login),
            Token::Local => Cow::Borrowed(local),
            Token::Domain => Cow::Borrowed(domain),
            Token::Label(number) => {
                Cow::Borrowed(domain.rsplit('.').nth(number - 1).unwrap_or_default())
            }
            Token::Realm => Cow::Borrowed(self.realm),
            Token::AtRealm if self.realm.is_empty() => Cow::Borrowed(""),
            Token::AtRealm => Cow::Owned(format!("@{}", self.realm)),
            Token::Service => Cow::Borrowed(self.service),
            Token::Name => Cow::Borrowed(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(login: &'static str, realm: &'static str) -> Facts<'static> {
        Facts { login: Cow::Borrowed(login), realm, service: "imap" }
    }

    fn name(text: &str, facts: &Facts<'_>) -> String {
        Template::parse(text).unwrap().name(facts, "cn=x,dc=y")
    }

    #[test]
    fn every_token_stands_for_what_the_original_says() {
        let plain = facts("alice", "mail.example.org");
        let text = "%u|%U|%d|%1|%2|%3|%4|%r|%R|%s|%D|%%";
        assert_eq!(
            name(text, &plain),
            "alice|alice|mail.example.org|org|example|mail||mail.example.org|@mail.example.org|imap|cn=x,dc=y|%"
        );
        let unsplit = facts("alice@a.test", "other.test");
        assert_eq!(
            name(text, &unsplit),
            "alice@a.test|alice|a.test|test|a|||other.test|@other.test|imap|cn=x,dc=y|%"
        );
        assert_eq!(name("%d%r%R%1", &facts("alice", "")), "");
        assert_eq!(name("%U|%d", &facts("alice@", "r")), "alice|r");
        assert_eq!(name("%U|%d", &facts("a@b@c", "r")), "a|b@c");
    }

    #[test]
    fn names_and_filters_are_escaped_by_their_own_rules() {
        let sly = facts("x,ou=admins", "r");
        assert_eq!(name("uid=%u,dc=y", &sly), "uid=x\\2cou\\3dadmins,dc=y");
        let star = Template::parse("(uid=%u)").unwrap();
        let filter = star.filter(&facts("*)(uid=*", "r"), "").unwrap();
        assert_eq!(filter, Filter::parse("(uid=\\2a\\29\\28uid=\\2a)").unwrap());
        let member = Template::parse("(member=%D)").unwrap();
        let filter = member.filter(&sly, "cn=a\\2cb*,dc=y").unwrap();
        assert_eq!(filter, Filter::parse("(member=cn=a\\5c2cb\\2a,dc=y)").unwrap());
    }

    #[test]
    fn unknown_tokens_and_bad_filters_are_refused() {
        for text in ["%", "%x", "a%", "%0", "%\u{fc}"] {
            assert!(matches!(Template::parse(text), Err(TemplateError::Token(_))), "{text}");
        }
        assert_eq!(Template::without_name("%D"), Err(TemplateError::NoName));
        for text in ["(uid=%u", "(%u)", "", "(&(a=b)%r)"] {
            assert!(Template::parse(text).unwrap().check_filter().is_err(), "{text}");
        }
        for text in ["(uid=%u)", "uid=%u", "(&(mail=%u*)(|(o=%r)(dc=%1)))", "(%s=yes)"] {
            assert!(Template::parse(text).unwrap().check_filter().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_template_without_tokens_is_fixed() {
        assert!(Template::parse("dc=x,o=100%%").unwrap().is_fixed());
        assert!(!Template::parse("o=%r").unwrap().is_fixed());
        assert!(Template::parse("").unwrap().is_empty());
    }
}
