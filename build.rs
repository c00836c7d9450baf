//! How the programs are linked.
//!
//! Pointers in read-only data are packed (`DT_RELR`): the table that the loader
//! goes through at start, all of which stays resident, is 9 KiB and not 470.
//!
//! The loader must know the format. glibc does since 2.36, and an older one
//! refuses such a program, so it is done where the host builds for itself and
//! has a glibc that new. Linkers that do not know the option ignore it.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if builds_for_itself() && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

fn builds_for_itself() -> bool {
    env::var_os("HOST").is_some_and(|host| env::var_os("TARGET") == Some(host))
}

/// Version of the host's glibc; `None` if it has another library.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
