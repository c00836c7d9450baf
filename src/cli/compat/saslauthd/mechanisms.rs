//! The mechanisms of `-a`: their names in the original, and what `-O` and `-r` mean for each.
//!
//! A name here is the name of the backend as well (`authd.backends`). A new
//! mechanism is a line in [`TABLE`], in the order in which the original lists
//! them for `-v`; what the original never had comes last.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::backend::ldap;
use crate::backend::pam::UserForm;
use crate::config::Config;

/// One mechanism.
pub(super) struct Mechanism {
    /// Its name, lower case.
    pub(super) name: &'static str,
    /// What `-O` means.
    option: Meaning,
    /// Makes `user@realm` of a login whose realm was named: `-r`. `None`: it knows realms
    /// anyway, or has no names with one.
    join: Option<fn(&mut Config)>,
    /// Whether it reads what only root (or group shadow) may read.
    pub(super) needs_root: bool,
}

/// What `-O` means for a mechanism.
enum Meaning {
    /// Nothing: the original does not look at it either.
    Ignored,
    /// The original's file of settings, [`FILE`] where no other is named.
    File(fn(&mut Config) -> &mut Option<PathBuf>),
}

/// Where the original looks for the settings of its mechanisms.
const FILE: &str = "/etc/saslauthd.conf";

/// All of them.
pub(super) const TABLE: &[Mechanism] = &[
    Mechanism { name: "sasldb", option: Meaning::Ignored, join: None, needs_root: false },
    Mechanism { name: "getpwent", option: Meaning::Ignored, join: None, needs_root: true },
    Mechanism {
        name: "pam",
        option: Meaning::Ignored,
        join: Some(|config| config.pam.user = UserForm::Claimed),
        needs_root: false,
    },
    Mechanism { name: "shadow", option: Meaning::Ignored, join: None, needs_root: true },
    Mechanism {
        name: "ldap",
        option: Meaning::File(|config| &mut config.ldap.original),
        join: Some(|config| config.ldap.user = ldap::UserForm::Full),
        needs_root: false,
    },
    Mechanism { name: "store", option: Meaning::Ignored, join: None, needs_root: false },
];

/// The mechanism called `name`.
pub(super) fn find(name: &str) -> Option<&'static Mechanism> {
    TABLE.iter().find(|mechanism| mechanism.name == name)
}

/// Their names as `-v` lists them.
pub(super) fn names() -> String {
    let names: Vec<&str> = TABLE.iter().map(|mechanism| mechanism.name).collect();
    names.join(" ")
}

impl Mechanism {
    /// Puts `-O` in its place, or what the original does without one; gives a line for the log
    /// where it means nothing.
    pub(super) fn apply(&self, option: Option<&OsStr>, config: &mut Config) -> Option<String> {
        match (&self.option, option) {
            (Meaning::Ignored, None) => None,
            (Meaning::Ignored, Some(option)) => {
                let (option, name) = (option.display(), self.name);
                Some(format!("-O {option}: the mechanism {name} has no option, it is ignored"))
            }
            (Meaning::File(place), Some(path)) => {
                *place(config) = Some(PathBuf::from(path));
                None
            }
            (Meaning::File(place), None) => {
                let place = place(config);
                // Where there is none, our own file has the settings.
                if place.is_none() && Path::new(FILE).exists() {
                    *place = Some(PathBuf::from(FILE));
                }
                None
            }
        }
    }

    /// What `-r` does: joins the realm where names are without one, and never doubles it.
    pub(super) fn join_realm(&self, config: &mut Config) {
        if let Some(join) = self.join {
            join(config);
        }
    }
}
