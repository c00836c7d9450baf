//! What keeps a sasldb2 from being read, in words an administrator can act on.
//!
//! None of them means "no": on the verifying side each becomes *unavailable*.

use std::io;
use std::path::{Path, PathBuf};

use super::format::Format;
use super::image::Fault;
use crate::base::{Reason, ReasonCode};

/// Largest file in bytes that a command reads, and that `sasldb.max_size` can be.
pub(super) const LARGEST_BYTES: u64 = 1 << 30;

/// Why a sasldb2 could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SasldbError {
    /// There is no file.
    #[error(
        "the sasldb2 {} does not exist: name the right file (Debian has /etc/sasldb2, Fedora \
         /etc/sasl2/sasldb2)", .path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The operating system does not let us.
    #[error(
        "no permission to read the sasldb2 {path} as {us} ({theirs}): give the file a group of \
         that account, with \"chgrp GROUP {path}\" and \"chmod g+r {path}\"",
        path = .path.display()
    )]
    Denied {
        /// The file.
        path: PathBuf,
        /// Who we are: `uid 998`.
        us: String,
        /// Whose it is: `owner 0, group 45, mode 0660`; or that a directory is closed.
        theirs: String,
    },
    /// A directory, a device, a pipe.
    #[error("{} is no regular file, so it is no sasldb2: name the right file", .path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// More than we hold in memory.
    #[error(
        "the sasldb2 {} has {size} bytes, and {limit} is the limit: {}",
        .path.display(), way_out(*.size)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The largest one that is read.
        limit: u64,
    },
    /// None of the three formats.
    #[error("{} is no sasldb2: {what}", .path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        what: &'static str,
    },
    /// The format is known, and this kind of it is not read.
    #[error(
        "the sasldb2 {} is {what}, which Cyrus SASL does not write and saslgate does not read",
        .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file contradicts itself.
    #[error(
        "the sasldb2 {} ({format}) is damaged at byte {offset}: {what}; restore it from a backup, \
         or save what can be read with \"{}\"", .path.display(), .format.salvage()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What its magic says.
        format: Format,
        /// Where.
        offset: usize,
        /// What stands there.
        what: &'static str,
    },
    /// It changed each time we read it.
    #[error(
        "the sasldb2 {} is being written all the time: look for a program that changes it \
         without end", .path.display()
    )]
    Unsettled {
        /// The file.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("reading the sasldb2 {} failed ({detail}): look at the system log for disk errors", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        detail: String,
    },
}

impl SasldbError {
    /// What this means for somebody who wanted a password checked: a reason for *unavailable*.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Unsettled { .. } => ReasonCode::Busy,
            Self::Missing { .. }
            | Self::Denied { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. } => ReasonCode::BackendDown,
            _ => ReasonCode::Damaged,
        };
        Reason::new(code, self.to_string())
    }

    pub(super) fn from_fault(path: &Path, format: Format, fault: Fault) -> Self {
        let path = path.to_owned();
        match fault {
            Fault::Damaged { offset, what } => Self::Damaged { path, format, offset, what },
            Fault::Foreign { what } => Self::Foreign { path, what },
        }
    }

    pub(super) fn from_io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Self::Missing { path: path.to_owned() }
            }
            io::ErrorKind::PermissionDenied => Self::denied(path),
            _ => Self::Io { path: path.to_owned(), detail: error.to_string() },
        }
    }

    fn denied(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;

        let theirs = match path.metadata() {
            Ok(meta) => format!(
                "owner {}, group {}, mode {:04o}",
                meta.uid(),
                meta.gid(),
                meta.mode() & 0o7777
            ),
            Err(_) => "one of its directories is closed".to_owned(),
        };
        let us = format!("uid {}", nix::unistd::geteuid());
        Self::Denied { path: path.to_owned(), us, theirs }
    }
}

/// What to do about a file of `size` bytes that is beyond a limit. None of the
/// three formats gives space back by itself, so that a file may be mostly holes.
fn way_out(size: u64) -> &'static str {
    if size <= LARGEST_BYTES {
        return "raise sasldb.max_size, or import its users with \"saslgate user import\"";
    }
    "saslgate reads none beyond 1 GiB; rewrite it without what was deleted (db_dump and db_load, \
     gdbmtool reorganize or mdb_copy -c), or bring its users along as CSV with \
     \"saslgate user import --csv\""
}
