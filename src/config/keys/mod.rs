//! The table of keys: every key exists here and nowhere else.
//!
//! A row says what a key is called, what it may hold and where it lands, its
//! default as TOML, and what an administrator should know about it. The reader,
//! the checks, the annotated example, `saslgate config` and the manual are all
//! made from it. One file a domain; order here is order in the manual.

mod authd;
mod cache;
mod gate;
mod gate_listener;
mod gate_transcript;
mod handover;
mod httpform;
mod identity;
mod kerberos5;
pub(super) mod ldap;
mod ldap_service;
mod limits;
mod listener;
mod log;
mod metrics;
mod pam;
mod policy;
mod policy_access;
mod policy_dns;
mod policy_rate;
mod policy_sender;
mod rimap;
mod route;
mod sasldb;
mod shadow;
mod store;
mod throttle;
mod tls;

use super::Config;
pub use super::kind::{Choice, Kind};

/// A section of the file.
pub struct Section {
    /// Its name between the brackets: `gate`, `gate.listener`.
    pub name: &'static str,
    /// Whether it stands once or is repeated.
    pub form: Form,
    /// What it is about, one paragraph.
    pub text: &'static str,
    /// Its keys, in the order of the manual.
    pub keys: &'static [Key],
}

/// Whether a section stands once or is repeated.
pub enum Form {
    /// `[name]`, once.
    Once,
    /// `[[name]]`, an entry each.
    Repeated(Repeated),
}

/// How a `[[name]]` section becomes a list.
pub struct Repeated {
    /// Entries at most.
    pub most: usize,
    /// Forgets the default entries; called before the first one of the file.
    pub clear: fn(&mut Config),
    /// Makes room for one entry; its keys are set after that.
    pub begin: fn(&mut Config),
    /// The entries where the file has none, each as TOML lines.
    pub defaults: &'static [&'static str],
}

/// A key of a section.
pub struct Key {
    /// Its name: lower case, words joined by `_`, unique in its section.
    pub name: &'static str,
    /// What it may hold and where it lands.
    pub kind: Kind,
    /// Default as TOML; `None` where the key must be given.
    pub default: Option<&'static str>,
    /// What it does, in which unit, and when to change it. One paragraph.
    pub text: &'static str,
}

/// Every section, in the order of the manual.
pub static SECTIONS: &[Section] = &[
    authd::SECTION,
    route::SECTION,
    listener::SECTION,
    handover::SECTION,
    cache::SECTION,
    throttle::SECTION,
    pam::SECTION,
    store::SECTION,
    ldap::SECTION,
    kerberos5::SECTION,
    sasldb::SECTION,
    shadow::SECTION,
    rimap::SECTION,
    httpform::SECTION,
    gate::SECTION,
    gate::LISTENER,
    gate::BACKEND,
    policy::SECTION,
    policy_access::SECTION,
    policy_sender::SECTION,
    policy_rate::RATE,
    policy_rate::ACCOUNT,
    policy_dns::SECTION,
    tls::SECTION,
    tls::CERTIFICATE,
    log::SECTION,
    metrics::SECTION,
];

impl Section {
    /// Its header as it stands in the file: `[gate]`, `[[gate.listener]]`.
    #[must_use]
    pub fn header(&self) -> String {
        match self.form {
            Form::Once => format!("[{}]", self.name),
            Form::Repeated(_) => format!("[[{}]]", self.name),
        }
    }

    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The section of that name.
#[must_use]
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// Section and key of a full name such as `gate.max_message`.
#[must_use]
pub fn find(path: &str) -> Option<(&'static Section, &'static Key)> {
    let (name, key) = path.rsplit_once('.')?;
    let section = section(name)?;
    Some((section, section.key(key)?))
}

/// Every key with its section, in the order of the manual.
pub fn all() -> impl Iterator<Item = (&'static Section, &'static Key)> {
    SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)))
}

/// Bounds that many keys share.
mod bounds {
    use std::time::Duration;

    /// Shortest limit on a wait: below it, ordinary scheduling would exceed it.
    pub(super) const SHORTEST: Duration = Duration::from_millis(100);
    /// Longest limit on a wait.
    pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);
    /// Longest time that a local answer may take.
    pub(super) const LONGEST_LOCAL: Duration = Duration::from_secs(600);
}
