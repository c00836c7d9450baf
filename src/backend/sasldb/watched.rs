//! The table of a file that others change: always that of the file as it is now.
//!
//! ```text
//! each question   stat; the file as before: the table at hand
//!                 changed and small:        read at once, tens of microseconds
//!                 changed and large:        read on a thread of its own, one at a time
//! ```
//!
//! A table that was read of a fresh file (see `snapshot`) is good for the
//! questions that were asked before its reading began, and for no other.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::error::SasldbError;
use super::settings::Settings;
use super::snapshot::{self, Setback, Snapshot};
use super::table::{Sealer, Table};
use crate::sys::file_stamp::Stamp;

/// What was read last.
pub(super) struct Held {
    /// Of the file; `None` if there was none to be read.
    stamp: Option<Stamp>,
    /// The reading, counted from the start of the process.
    number: u64,
    /// The same as long as the content is the same.
    pub(super) revision: u64,
    /// Of the content; `None` where it could not be read.
    fingerprint: Option<u64>,
    /// Nothing tells whether the file has changed since.
    pub(super) is_fresh: bool,
    pub(super) table: Result<Arc<Table>, SasldbError>,
}

/// The file has to be read, and that would take too long here.
pub(super) struct Later;

/// A file, and its table.
pub(super) struct Watched {
    places: Vec<PathBuf>,
    max_bytes: u64,
    pub(super) sealer: Sealer,
    fingerprints: RandomState,
    readings: AtomicU64,
    revisions: AtomicU64,
    held: ArcSwap<Held>,
    /// Held by whoever reads a large file.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Watched {
    /// Reads the file for the first time. Where that fails, each question tries again.
    pub(super) fn open(settings: &Settings, sealer: Sealer) -> Self {
        let nothing = Held {
            stamp: None,
            number: 0,
            revision: 0,
            fingerprint: None,
            is_fresh: true,
            table: Err(SasldbError::Missing { path: PathBuf::new() }),
        };
        let watched = Self {
            places: settings.places(),
            max_bytes: settings.max_bytes,
            sealer,
            fingerprints: RandomState::new(),
            readings: AtomicU64::new(0),
            revisions: AtomicU64::new(0),
            held: ArcSwap::from_pointee(nothing),
            turn: Arc::default(),
        };
        let _ = watched.read();
        watched
    }

    /// A revision that nobody has been given yet.
    pub(super) fn next_revision(&self) -> u64 {
        self.revisions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How often the file was read.
    #[cfg(test)]
    pub(super) fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    /// What the file holds now.
    ///
    /// # Errors
    /// [`Later`] if that takes longer than an async thread may be kept.
    pub(super) fn look(&self) -> Result<Arc<Held>, Later> {
        let found = self.find();
        let size = match &found {
            Ok((_, stamp)) => {
                let held = self.held.load();
                if held.stamp == Some(*stamp) && !held.is_fresh {
                    return Ok(Arc::clone(&held));
                }
                stamp.size()
            }
            Err(_) => 0,
        };
        if size > SMALL {
            return Err(Later);
        }
        let (held, may_pass) = self.read();
        if may_pass { Err(Later) } else { Ok(held) }
    }

    /// What the file held at some moment after this was called.
    ///
    /// Takes as long as the disk; where nobody waits any more, the reading
    /// goes on, and the next one begins behind it.
    ///
    /// # Errors
    /// [`Lost`].
    pub(super) async fn look_later(self: Arc<Self>) -> Result<Arc<Held>, Lost> {
        let begun = self.readings.load(Ordering::Acquire);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let held = self.held.load_full();
        if held.number > begun {
            return Ok(held);
        }
        // The turn ends with the reading, not with the patience of whoever asked.
        let thread = tokio::task::spawn_blocking(move || {
            let held = self.read_patiently();
            drop(turn);
            held
        });
        thread.await.map_err(|_| Lost)
    }

    fn read_patiently(&self) -> Arc<Held> {
        let mut last = None;
        let settled = snapshot::patiently(|| {
            let (held, may_pass) = self.read();
            let error = held.table.as_ref().err().cloned();
            let held = last.insert(held);
            match error {
                None => Ok(Arc::clone(held)),
                Some(error) => Err(Setback { error, may_pass }),
            }
        });
        settled.ok().or(last).unwrap_or_else(|| self.held.load_full())
    }

    /// Reads the file now. Also says whether a failure may pass by itself.
    fn read(&self) -> (Arc<Held>, bool) {
        let number = self.readings.fetch_add(1, Ordering::AcqRel) + 1;
        let taken = self.find().and_then(|(path, _)| {
            snapshot::take(path, self.max_bytes).map(|snapshot| (path, snapshot))
        });
        let (held, may_pass) = match taken {
            Ok((path, snapshot)) => {
                let held = self.interpret(number, path, &snapshot);
                let may_pass = held.table.is_err() && held.is_fresh;
                (held, may_pass)
            }
            Err(error) => {
                let setback = Setback::from(error);
                let held = Held {
                    stamp: None,
                    number,
                    revision: self.next_revision(),
                    fingerprint: None,
                    is_fresh: true,
                    table: Err(setback.error),
                };
                (held, setback.may_pass)
            }
        };
        (self.keep(held, may_pass), may_pass)
    }

    fn interpret(&self, number: u64, path: &Path, snapshot: &Snapshot) -> Held {
        let fingerprint = self.fingerprints.hash_one(&*snapshot.bytes);
        let before = self.held.load();
        let (stamp, is_fresh) = (Some(snapshot.stamp), snapshot.is_fresh);
        let (revision, table) = if before.fingerprint == Some(fingerprint) {
            (before.revision, before.table.clone())
        } else {
            let table = Table::read(path, snapshot, &self.sealer).map(Arc::new);
            (self.next_revision(), table)
        };
        Held { stamp, number, revision, fingerprint: Some(fingerprint), is_fresh, table }
    }

    /// Keeps what was read, unless a later reading is there already; gives what was read.
    fn keep(&self, held: Held, may_pass: bool) -> Arc<Held> {
        let held = Arc::new(held);
        let before = self
            .held
            .rcu(|present| Arc::clone(if present.number < held.number { &held } else { present }));
        if before.number < held.number && !may_pass {
            report(&before, &held);
        }
        held
    }

    /// Which of the places is there.
    fn find(&self) -> Result<(&Path, Stamp), SasldbError> {
        let mut first = None;
        for path in &self.places {
            match snapshot::stamp_of(path) {
                Ok(stamp) => return Ok((path, stamp)),
                Err(error @ SasldbError::Missing { .. }) => first = first.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or(SasldbError::Missing { path: PathBuf::new() }))
    }
}

/// The thread that read has ended without a result: we are stopping.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost;

/// Says in the log what is new: once for each change, not for each login.
fn report(before: &Held, now: &Held) {
    match (&before.table, &now.table) {
        (Ok(old), Ok(new)) if old.malformed == new.malformed => {}
        (Err(old), Err(new)) if old == new => {}
        (_, Err(error)) => tracing::warn!("{error}; until then its users are unavailable"),
        (old, Ok(new)) => {
            if old.is_err() {
                tracing::info!("read {} users from sasldb2 ({})", new.users(), new.format);
            }
            if new.malformed > 0 {
                tracing::warn!(
                    "{} records of the sasldb2 are left out: their keys are not user, realm and \
                     property",
                    new.malformed
                );
            }
        }
    }
}

/// Largest file in bytes that is read without a thread of its own.
const SMALL: u64 = 64 << 10;
