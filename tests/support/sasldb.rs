//! Databases that Cyrus's own tools write, in private places.

use std::path::Path;
use std::process::Command;

use super::process::{Finished, run};

/// A tool of Cyrus SASL; panics if it is not installed.
pub(crate) fn cyrus(name: &str) -> Command {
    let path = ["/usr/sbin", "/usr/bin"]
        .iter()
        .map(|directory| format!("{directory}/{name}"))
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| panic!("{name} is not installed: apt-get install sasl2-bin"));
    Command::new(path)
}

/// `saslpasswd2 -f FILE ...`, with a password on its standard input.
pub(crate) fn saslpasswd2(file: &Path, arguments: &[&str], password: &str) -> Finished {
    let mut command = cyrus("saslpasswd2");
    command.arg("-f").arg(file).args(arguments);
    run(&mut command, password.as_bytes())
}

/// Sets a password, as an administrator would.
pub(crate) fn set(file: &Path, user: &str, realm: &str, password: &str) {
    saslpasswd2(file, &["-c", "-p", "-u", realm, user], password).expect_success();
}
