//! A disk that is really full: a small tmpfs in a mount namespace of its own.
//!
//! Needs root or user namespaces; where neither is allowed this says so and is
//! skipped. The hermetic form is `store_disk_full.rs`.
#![cfg(test)]

mod support;

use std::process::Command;

use support::process::run;
use support::site::Site;

/// Runs in the namespace: fills the disk but for `$2` KiB, changes the password, frees it again.
/// Prints the exit code of the change, and leaves a copy of the store beside the mount.
const SCRIPT: &str = r#"
set -e
site=$1 spare=$2; shift 2
mkdir "$site/disk"
mount -t tmpfs -o size=1m,mode=700 tmpfs "$site/disk"
cp -p "$site/users.db" "$site/disk/users.db"
head -c "$((spare * 1024))" /dev/zero > "$site/disk/spare"
head -c 2m /dev/zero > "$site/disk/filler" 2>/dev/null || true
rm "$site/disk/spare"
code=0
printf 'new' | "$@" || code=$?
rm "$site/disk/filler"
cp "$site/disk/users.db" "$site/after.db"
chmod 600 "$site/after.db"
if [ -s "$site/disk/users.db-wal" ]; then cp -p "$site/disk/users.db-wal" "$site/after.db-wal"; fi
echo "code $code"
"#;

fn namespace() -> Option<Command> {
    let flags: &[&str] = if nix::unistd::geteuid().is_root() { &["-m"] } else { &["-r", "-m"] };
    let mut probe = Command::new("unshare");
    let output = run(probe.args(flags).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]), b"");
    if output.code != Some(0) {
        eprintln!("SKIPPED: no mount namespace here: {}", output.stderr);
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(flags).args(["sh", "-c", SCRIPT, "sh"]);
    Some(command)
}

#[test]
fn a_change_on_a_full_disk_is_acknowledged_or_leaves_the_old_password() {
    let (mut refused, mut acknowledged) = (0, 0);
    for spare_kib in (0..=60).step_by(4) {
        let Some(mut command) = namespace() else { return };
        let site = Site::with_alice("old");
        let config = site.config(&site.path("disk/users.db"));
        std::fs::write(site.path("saslgate.toml"), config).unwrap();
        command
            .arg(site.path("."))
            .arg(spare_kib.to_string())
            .args([env!("CARGO_BIN_EXE_saslgate"), "--config"])
            .arg(site.path("saslgate.toml"))
            .args(["user", "passwd", "alice"]);
        let output = run(&mut command, b"");
        let (stdout, stderr) = (output.stdout, output.stderr);
        // The same store, off the full disk.
        std::fs::rename(site.path("after.db"), site.path("users.db")).unwrap();
        drop(std::fs::rename(site.path("after.db-wal"), site.path("users.db-wal")));
        let (is_old, is_new) = (site.accepts("old"), site.accepts("new"));
        match stdout.as_str() {
            "code 74\n" => {
                refused += 1;
                assert!(stderr.contains("is full: nothing was changed"), "{stderr}");
                assert!(is_old && !is_new, "{spare_kib} KiB spare");
            }
            "alice@example.org has a new password\ncode 0\n" => {
                acknowledged += 1;
                assert!(is_new && !is_old, "{spare_kib} KiB spare");
            }
            other => panic!("{spare_kib} KiB spare: {other}{stderr}"),
        }
    }
    assert!(refused >= 5 && acknowledged >= 1, "{refused} refused, {acknowledged} acknowledged");
}
