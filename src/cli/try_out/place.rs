//! The directory of `saslgate try`: private, and gone at the end unless it was named.
//!
//! ```text
//! saslgate.toml   the configuration everything runs with
//! cert.pem key.pem
//! users.db        the password store
//! mux             the saslauthd socket
//! Maildir/        what the sink delivered
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::certificate::Pair;
use crate::config;

/// A directory, removed with all that is in it when this is dropped, unless it is kept.
pub(super) struct Place {
    dir: PathBuf,
    is_kept: bool,
}

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the directory {}: {source}", dir.display())]
pub(super) struct PlaceError {
    dir: PathBuf,
    source: io::Error,
}

impl Place {
    /// Makes (0700) or takes the directory `named`, which is kept; without a
    /// name makes a new one among the temporary files.
    pub(super) fn prepare(named: Option<&Path>) -> Result<Self, PlaceError> {
        let (dir, made) = match named {
            Some(dir) => (dir.to_owned(), make_or_take(dir)),
            None => {
                let dir = std::env::temp_dir().join(format!("saslgate-try-{:08x}", random()));
                let made = DirBuilder::new().mode(0o700).create(&dir);
                (dir, made)
            }
        };
        // Absolute: it stands in the configuration and in the lines to paste.
        let absolute = made.and_then(|()| fs::canonicalize(&dir));
        match absolute {
            Ok(dir) => Ok(Self { dir, is_kept: named.is_some() }),
            Err(source) => Err(PlaceError { dir, source }),
        }
    }

    /// The path of a file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn make_or_take(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Only keeps two runs apart: the directory is made, never taken.
fn random() -> u32 {
    getrandom::u32().unwrap_or_else(|_| std::process::id())
}

/// What the configuration is made from.
pub(super) struct Plan<'a> {
    pub(super) place: &'a Place,
    pub(super) pair: &'a Pair,
    pub(super) starttls: SocketAddr,
    pub(super) implicit: SocketAddr,
    /// `host:port` of the MTA.
    pub(super) backend: &'a str,
    pub(super) hostname: &'a str,
}

impl Plan<'_> {
    /// Writes `saslgate.toml`, 0600, and gives its path.
    pub(super) fn write(&self) -> io::Result<PathBuf> {
        let path = self.place.path("saslgate.toml");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(self.text().as_bytes())?;
        Ok(path)
    }

    fn text(&self) -> String {
        let path = |name: &str| toml_string(&self.place.path(name).to_string_lossy());
        // In clear to loopback only; anywhere else with a certificate that the host trusts.
        let backend_tls = if config::is_local(self.backend) { "none" } else { "starttls" };
        format!(
            "# Written by \"saslgate try\", anew at each start. Port 0: the kernel chooses.\n\
             \n\
             [authd]\n\
             backends = [\"store\"]\n\
             socket = {mux}\n\
             socket_mode = \"0600\"\n\
             default_realm = {hostname}\n\
             \n\
             [store]\n\
             path = {store}\n\
             \n\
             [tls]\n\
             certificate = {certificate}\n\
             key = {key}\n\
             \n\
             [gate]\n\
             hostname = {hostname}\n\
             auth = {auth}\n\
             \n\
             control = \"\"\n\
             [[gate.listener]]\n\
             address = {starttls}\n\
             kind = \"submission\"\n\
             \n\
             [[gate.listener]]\n\
             address = {implicit}\n\
             kind = \"submissions\"\n\
             \n\
             [[gate.backend]]\n\
             address = {backend}\n\
             tls = \"{backend_tls}\"\n\
             \n\
             [log]\n\
             target = \"stderr\"\n",
            mux = path("mux"),
            store = path("users.db"),
            certificate = toml_string(&self.pair.certificate.to_string_lossy()),
            key = toml_string(&self.pair.key.to_string_lossy()),
            hostname = toml_string(self.hostname),
            auth = toml_string(&format!("saslauthd:{}", self.place.path("mux").display())),
            starttls = toml_string(&self.starttls.to_string()),
            implicit = toml_string(&self.implicit.to_string()),
            backend = toml_string(self.backend),
        )
    }
}

/// `text` as a TOML basic string: JSON's escapes are all TOML's, too, and a DEL
/// is left to the configuration's own check.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::gate::BackendTls;

    fn plan<'a>(place: &'a Place, pair: &'a Pair, backend: &'a str) -> Plan<'a> {
        Plan {
            place,
            pair,
            starttls: "127.0.0.1:0".parse().unwrap(),
            implicit: "[::1]:10465".parse().unwrap(),
            backend,
            hostname: "localhost",
        }
    }

    #[test]
    fn the_configuration_passes_its_own_check() {
        let outer = tempfile::tempdir().unwrap();
        // A name that would break a careless writer of TOML.
        let place = Place::prepare(Some(&outer.path().join("a \"b\" \\c"))).unwrap();
        let pair = Pair::in_dir(place.dir()).unwrap();
        let file = plan(&place, &pair, "127.0.0.1:10587").write().unwrap();
        let config = config::load(&file, "host.test").unwrap_or_else(|all| panic!("{all}"));
        assert_eq!(config.store.path, place.path("users.db"));
        assert_eq!(config.auth.default_realm, "localhost");
        assert_eq!(config.gate.listeners.len(), 2);
        assert_eq!(config.gate.backends[0].tls, BackendTls::None);

        let file = plan(&place, &pair, "mx.example.org:587").write().unwrap();
        let config = config::load(&file, "host.test").unwrap_or_else(|all| panic!("{all}"));
        assert_eq!(config.gate.backends[0].tls, BackendTls::Starttls);
    }

    #[test]
    fn a_made_up_directory_is_private_and_goes_and_a_named_one_stays() {
        let place = Place::prepare(None).unwrap();
        let dir = place.dir().to_owned();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(place.path("x"), "").unwrap();
        drop(place);
        assert!(!dir.exists());

        let outer = tempfile::tempdir().unwrap();
        let named = outer.path().join("state");
        drop(Place::prepare(Some(&named)).unwrap());
        assert_eq!(fs::metadata(&named).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(Place::prepare(Some(&outer.path().join("no/\0"))).is_err());
    }
}
