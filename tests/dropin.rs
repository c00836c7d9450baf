//! The drop-ins that let saslauthd.service run saslgate: their command lines, with
//! the settings of `/etc/default/saslauthd` or `/etc/sysconfig/saslauthd`, run.
//!
//! Needs bash. Nothing of the host is written.
#![cfg(test)]

mod support;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::process::{self, Finished, PATIENCE, wait_until};

/// What a command line of Debian's drop-in gives to bash, as bash gets it from systemd.
fn script(setting: &str) -> String {
    let path = "systemd/debian/saslauthd.service.d/saslgate.conf";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let text = text.replace("\\\n", " ");
    let quoted = text
        .lines()
        .filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='))
        .find_map(|value| value.trim_start_matches('+').strip_prefix("/bin/bash -c '"))
        .unwrap_or_else(|| panic!("no {setting}= with bash in {path}"));
    // systemd.service(5): a dollar sign is doubled.
    quoted.strip_suffix('\'').unwrap().replace("$$", "$")
}

/// bash with this script and nothing but these settings.
fn bash(script: &str, settings: &[(&str, &str)]) -> Command {
    let mut bash = Command::new("/bin/bash");
    bash.args(["-c", script]).env_clear().env("PATH", "/usr/bin:/bin");
    bash.envs(settings.iter().copied());
    bash
}

/// `ExecStart=` with the program of this build.
fn start(settings: &[(&str, &str)]) -> Command {
    let script = script("ExecStart").replace("/usr/bin/saslgate", env!("CARGO_BIN_EXE_saslgate"));
    bash(&script, settings)
}

/// Debian's, with `-m` of a directory of its own: whether it serves.
fn serves(mechanism: &str, option: &str) -> Result<(), Finished> {
    let folder = tempfile::tempdir().unwrap();
    let options = format!("-c -m {}", folder.path().display());
    let settings = [
        ("MECHANISMS", mechanism),
        ("MECH_OPTIONS", option),
        ("OPTIONS", &options),
        ("THREADS", "5"),
    ];
    comes_up(&mut start(&settings), folder.path())
}

/// Waits until the daemon listens in `folder`, and ends it, or has ended.
fn comes_up(daemon: &mut Command, folder: &Path) -> Result<(), Finished> {
    let (log, file) = (folder.join("log"), folder.join("saslgate.toml"));
    // Not the file of the host.
    fs::write(&file, "").unwrap();
    daemon.env("SASLGATE_CONFIG", file).stdin(Stdio::null()).stdout(Stdio::null());
    let mut daemon = daemon.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut code = None;
    let is_over = wait_until(PATIENCE, || {
        code = daemon.try_wait().unwrap().and_then(|status| status.code());
        // The socket is bound before the files of the mechanism are read.
        let said = fs::read_to_string(&log).unwrap_or_default();
        code.is_some() || said.contains("listening on socket")
    });
    let _ = daemon.kill();
    daemon.wait().unwrap();
    assert!(is_over, "neither serves nor ends");
    let stderr = fs::read_to_string(&log).unwrap();
    match code {
        None => Ok(()),
        Some(_) => Err(Finished { code, stdout: String::new(), stderr }),
    }
}

/// Fedora's has no shell: systemd puts the settings in, those without braces as words.
#[test]
fn fedoras_settings_are_the_flags() {
    let path = "systemd/fedora/saslauthd.service.d/saslgate.conf";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let line = text.lines().filter_map(|line| line.strip_prefix("ExecStart=@")).next().unwrap();
    let serves = |mechanism: &str, flags: &str| {
        let folder = tempfile::tempdir().unwrap();
        let line = line
            .replace("${SOCKETDIR}", folder.path().to_str().unwrap())
            .replace("${MECH}", mechanism)
            .replace("$FLAGS", flags);
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("/usr/bin/saslgate"));
        let mut daemon = Command::new(env!("CARGO_BIN_EXE_saslgate"));
        daemon.arg0(words.next().unwrap()).args(words);
        comes_up(&mut daemon, folder.path())
    };
    serves("sasldb", "").unwrap();
    serves("sasldb,getpwent", "-r -c -t 60").unwrap();
    let ended = serves("httpform", "-O /nowhere.conf").unwrap_err();
    assert!(ended.stderr.contains("/nowhere.conf"), "{ended:?}");
}

/// Debian 12 has the value of `-O` in MECH_OPTIONS, Debian 13 the flag with it.
#[test]
fn the_option_of_a_mechanism_counts_in_both_spellings() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.conf");
    fs::write(
        &good,
        "httpform_host: 127.0.0.1\nhttpform_port: 80\nhttpform_uri: /\nhttpform_data: u=%u&p=%p\n",
    )
    .unwrap();
    for option in [good.display().to_string(), format!("-O {}", good.display())] {
        serves("httpform", &option).unwrap_or_else(|ended| panic!("{option}: {ended:?}"));
    }
    let bad = folder.path().join("missing.conf");
    for option in [bad.display().to_string(), format!("-O {}", bad.display())] {
        let ended = serves("httpform", &option).unwrap_err();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("missing.conf"), "{ended:?}");
    }
}

#[test]
fn several_mechanisms_and_none_of_an_option_are_taken() {
    serves("sasldb,getpwent", "").unwrap();
    let ended = serves("sasldb,pamm", "").unwrap_err();
    assert!(ended.stderr.contains("unknown authentication mechanism: pamm"), "{ended:?}");
}

/// As root of the host it would be `chown saslgate`; here it is whoever we are.
#[test]
fn the_directory_of_the_options_is_made_and_cleared_of_locks() {
    let us = nix::unistd::geteuid().to_string();
    let folder = tempfile::tempdir().unwrap();
    let prepare = script("ExecStartPre")
        .replace("chown saslgate", &format!("chown {us}"))
        .replace("-user root", &format!("-user {us}"));
    for (options, name) in [("-c -m DIR", "a"), ("-mDIR -t 5", "b"), ("-n 2 -m DIR -c", "c")] {
        let directory = folder.path().join(name).join("run");
        let options = options.replace("DIR", directory.to_str().unwrap());
        process::run(&mut bash(&prepare, &[("OPTIONS", &options)]), b"").expect_success();
        assert!(directory.is_dir(), "{options}");
        fs::write(directory.join("mux.lock"), "").unwrap();
        fs::write(directory.join("saslauthd.pid"), "").unwrap();
        process::run(&mut bash(&prepare, &[("OPTIONS", &options)]), b"").expect_success();
        assert!(!directory.join("mux.lock").exists(), "{options}");
        assert!(directory.join("saslauthd.pid").exists(), "only locks are in the way");
    }
}
