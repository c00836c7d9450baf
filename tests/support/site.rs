//! A password store in a private place, and the program that works on it.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use saslgate::auth::{Answer, Attempt, RealmSource, Service, Verification, Verify};
use saslgate::backend::store::{Access, PasswordStore, Policy, Scram, Settings, Store};
use saslgate::base::{Identity, Origin, Secret};

use super::gate::SASLGATE;

/// A directory of its own, with `saslgate.toml` for cheap hashes and realm `example.org`.
pub(crate) struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(site.path("saslgate.toml"), site.config(&site.path("users.db"))).unwrap();
        site
    }

    /// A site whose store has `alice` with this password.
    pub(crate) fn with_alice(password: &str) -> Self {
        let site = Self::new();
        let mut store = Store::open(&site.settings(), Access::Create).unwrap();
        store.add(&id("alice"), Some(&secret(password))).unwrap();
        site
    }

    pub(crate) fn config(&self, store: &Path) -> String {
        format!(
            "[store]\npath = \"{}\"\nmemory = \"64KiB\"\niterations = 1\nhash_threads = 1\n\
             [authd]\ndefault_realm = \"example.org\"\n",
            store.display()
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            path: self.path("users.db"),
            memory_kib: 64,
            iterations: 1,
            lanes: 1,
            hash_threads: 1,
            max_waiting: 16,
            policy: Policy::default(),
            scram: Scram::Omitted,
        }
    }

    /// `saslgate --config ... user ARGUMENTS`.
    pub(crate) fn user(&self, arguments: &[&str]) -> Command {
        let mut command = program("saslgate");
        command.arg("--config").arg(self.path("saslgate.toml")).arg("user").args(arguments);
        command
    }

    /// True if the store accepts this password of alice; panics if it cannot tell.
    pub(crate) fn accepts(&self, password: &str) -> bool {
        accepts(&PasswordStore::start(&self.settings()).unwrap(), "alice", password)
    }
}

/// The built program, called by this name.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(SASLGATE);
    command.arg0(name);
    command
}

pub(crate) fn id(name: &str) -> Identity {
    Identity::parse(name, "example.org").unwrap()
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::copied_from(text.as_bytes()).unwrap()
}

pub(crate) fn answer(store: &Arc<PasswordStore>, name: &str, password: &str) -> Answer {
    ask(store, id(name), RealmSource::Claim, password)
}

/// Asks any backend, and waits for its answer.
pub(crate) fn ask<V: Verify + 'static>(
    backend: &Arc<V>,
    identity: Identity,
    realm: RealmSource,
    password: &str,
) -> Answer {
    let attempt = Attempt {
        identity,
        realm,
        password: secret(password),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin::default(),
    };
    match Arc::clone(backend).verify(Arc::new(attempt)) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(answer),
    }
}

/// True if accepted, false if the password is wrong; panics on everything else.
pub(crate) fn accepts(store: &Arc<PasswordStore>, name: &str, password: &str) -> bool {
    match answer(store, name, password) {
        Answer::Accepted(_) => true,
        Answer::Rejected(_) => false,
        other => panic!("{name}: {other:?}"),
    }
}
