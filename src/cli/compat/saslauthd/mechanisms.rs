//! The mechanisms of `-a`: their names in the original, and what `-O` and `-r` mean for each.
//!
//! A name here is the name of the backend as well (`authd.backends`). A new
//! mechanism is a line in [`TABLE`], in the order in which the original lists
//! them for `-v`; what the original never had comes last.

use std::ffi::OsStr;

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
}

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
    /// Puts `-O` in its place; gives a line for the log where it means nothing.
    pub(super) fn apply(
        &self,
        option: &OsStr,
        _config: &mut Config,
    ) -> Result<Option<String>, String> {
        match self.option {
            Meaning::Ignored => Ok(Some(format!(
                "-O {}: the mechanism {} has no option, it is ignored",
                option.display(),
                self.name
            ))),
        }
    }

    /// What `-r` does: joins the realm where names are without one, and never doubles it.
    pub(super) fn join_realm(&self, config: &mut Config) {
        if let Some(join) = self.join {
            join(config);
        }
    }
}
