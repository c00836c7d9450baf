//! The files in `systemd/`, `pam.d/` and `packaging/`, checked with the programs that read them.
//!
//! Needs systemd-analyze, systemd-sysusers, systemd-tmpfiles and python3 (`make
//! test` installs them). Nothing here touches the units or accounts of the host:
//! everything is copied to a private directory first.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const UNITS: &[&str] = &[
    "saslgate-authd.service",
    "saslgate-authd.socket",
    "saslgate-gate.service",
    "saslgate-gate.socket",
    "saslgate-pam.service",
    "saslgate-pam.socket",
];

/// Fedora's saslauthd.service.
const FEDORA_SASLAUTHD: &str = "\
[Unit]
Description=SASL authentication daemon.

[Service]
Type=forking
PIDFile=/run/saslauthd/saslauthd.pid
EnvironmentFile=/etc/sysconfig/saslauthd
ExecStart=/usr/sbin/saslauthd -m $SOCKETDIR -a $MECH $FLAGS
RuntimeDirectory=saslauthd

[Install]
WantedBy=multi-user.target
";

/// Debian 13's saslauthd.service.
const DEBIAN_13_SASLAUTHD: &str = "\
[Unit]
Description=SASL Authentication Daemon

[Service]
Type=forking
Group=sasl
PIDFile=/var/run/saslauthd/saslauthd.pid
EnvironmentFile=/etc/default/saslauthd
ExecStart=/usr/sbin/saslauthd -a $MECHANISMS $MECH_OPTIONS $OPTIONS -n $THREADS
RuntimeDirectory=saslauthd

[Install]
WantedBy=multi-user.target
";

/// What systemd-sysv-generator makes of Debian 12's init script.
const DEBIAN_12_SASLAUTHD: &str = "\
[Unit]
Description=LSB: saslauthd startup script
SourcePath=/etc/init.d/saslauthd

[Service]
Type=forking
Restart=no
TimeoutSec=5min
IgnoreSIGPIPE=no
KillMode=process
GuessMainPID=no
RemainAfterExit=yes
SuccessExitStatus=5 6
ExecStart=/bin/true start
ExecStop=/bin/true stop
";

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Units in a private directory, starting the programs this build made.
struct Stage {
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        for unit in UNITS {
            stage.put(unit, &read(&format!("systemd/{unit}")));
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a unit or drop-in. `systemd-analyze verify` looks whether what a
    /// unit starts is there, so it is pointed at the built programs.
    fn put(&self, name: &str, text: &str) {
        let built = Path::new(env!("CARGO_BIN_EXE_saslgate")).parent().unwrap();
        let text = text.replace("/usr/bin/saslgate", &format!("{}/saslgate", built.display()));
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds what `distribution` lays over the units.
    fn overlay(&self, distribution: &str) {
        let root = project("systemd").join(distribution);
        for folder in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()) {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            if !name.ends_with(".d") || name.starts_with("saslauthd") {
                continue;
            }
            for file in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                let inner = file.file_name().unwrap().to_string_lossy().into_owned();
                self.put(&format!("{name}/{inner}"), &fs::read_to_string(&file).unwrap());
            }
        }
    }

    fn analyze(&self, verb: &str, options: &[&str], units: &[&str]) -> Output {
        Command::new("systemd-analyze")
            .arg(verb)
            .args(options)
            .args(units.iter().map(|unit| self.path(unit)))
            // A trailing colon appends the system's own units: targets and slices.
            .env("SYSTEMD_UNIT_PATH", format!("{}:", self.folder.path().display()))
            .env("LC_ALL", "C")
            .output()
            .expect("systemd-analyze: `make test` installs it")
    }

    /// What `systemd-analyze verify` says of our units; empty if nothing.
    fn complaints(&self, units: &[&str]) -> String {
        let output = self.analyze("verify", &["--man=no"], units);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Units of the host that ours are ordered against may have flaws of their own.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("sasl")).collect();
        if ours.is_empty() && !output.status.success() {
            return said;
        }
        ours.join("\n")
    }

    /// Exposure of a service, 0 (safe) to 10, as `systemd-analyze security` sees it.
    fn exposure(&self, unit: &str) -> f64 {
        let output = self.analyze("security", &["--offline=true", "--no-pager"], &[unit]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict =
            text.lines().find(|line| line.contains("Overall exposure level")).unwrap_or_else(
                || panic!("no verdict in: {text}{}", String::from_utf8_lossy(&output.stderr)),
            );
        let number = verdict.rsplit(": ").next().unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    }
}

#[test]
fn systemd_accepts_every_unit() {
    let stage = Stage::new();
    assert_eq!(stage.complaints(UNITS), "");
}

#[test]
fn systemd_accepts_the_units_with_each_distributions_overlay() {
    for distribution in ["debian", "fedora"] {
        let stage = Stage::new();
        stage.overlay(distribution);
        assert_eq!(stage.complaints(UNITS), "", "{distribution}");
    }
}

#[test]
fn verification_sees_a_wrong_unit() {
    let stage = Stage::new();
    stage.put("saslgate-gate.service", "[Service]\nTyp=notify\nExecStart=/nowhere/saslgate\n");
    let said = stage.complaints(&["saslgate-gate.service"]);
    assert!(said.contains("Typ") && said.contains("/nowhere/saslgate"), "{said}");
}

#[test]
fn the_dropin_turns_the_hosts_saslauthd_unit_into_ours() {
    let bases = [
        ("fedora", FEDORA_SASLAUTHD),
        ("debian", DEBIAN_13_SASLAUTHD),
        ("debian", DEBIAN_12_SASLAUTHD),
    ];
    for (distribution, base) in bases {
        let stage = Stage::new();
        stage.put("saslauthd.service", base);
        let dropin = read(&format!("systemd/{distribution}/saslauthd.service.d/saslgate.conf"));
        stage.put("saslauthd.service.d/saslgate.conf", &dropin);
        assert_eq!(stage.complaints(&["saslauthd.service"]), "", "{distribution}: {base}");
        for name in
            ["Type", "ExecStart", "ExecStartPre", "ExecReload", "PIDFile", "EnvironmentFile"]
        {
            assert!(
                resets_or_replaces(&dropin, name),
                "{distribution}: {name}= of the original stays"
            );
        }
    }
}

/// Whether the drop-in empties the setting first (for lists), or has a single value for it.
fn resets_or_replaces(dropin: &str, name: &str) -> bool {
    let values: Vec<&str> =
        dropin.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect();
    let is_list = name.starts_with("Exec") || name == "EnvironmentFile";
    if is_list { values.len() > 1 && values[0].is_empty() } else { values.len() == 1 }
}

/// The swap lets every mechanism through, and so must the drop-in: the settings
/// file may name another one tomorrow.
#[test]
fn the_dropins_let_every_mechanism_reach_its_server() {
    for distribution in ["debian", "fedora"] {
        let dropin = read(&format!("systemd/{distribution}/saslauthd.service.d/saslgate.conf"));
        assert!(dropin.contains("\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n"));
        assert!(!dropin.contains("IPAddressDeny"), "{distribution}");
    }
}

#[test]
fn systemd_accepts_what_widens_the_sandboxes() {
    let stage = Stage::new();
    stage.put("saslgate-authd.service.d/network.conf", &read("systemd/authd-network.conf"));
    stage.put("saslgate-authd.service.d/rights.conf", &read("systemd/saslauthd-rights.conf"));
    assert_eq!(stage.complaints(UNITS), "");
    // Wider, and still a sandbox.
    let exposure = stage.exposure("saslgate-authd.service");
    assert!(exposure <= 3.0, "{exposure}");
}

/// The right counts only if systemd reads its file behind the one that takes all away.
#[test]
fn the_right_to_read_is_behind_the_dropin_that_takes_all_rights() {
    let script = read("packaging/saslauthd.sh");
    let name = "saslgate.rights.conf";
    assert!(script.contains(&format!("\"$folder/{name}\"")), "another name is installed");
    let stage = Stage::new();
    stage.put("saslauthd.service", FEDORA_SASLAUTHD);
    let dropin = read("systemd/fedora/saslauthd.service.d/saslgate.conf");
    stage.put("saslauthd.service.d/saslgate.conf", &dropin);
    let tight = stage.exposure("saslauthd.service");
    let rights = read("systemd/saslauthd-rights.conf");
    stage.put(&format!("saslauthd.service.d/{name}"), &rights);
    let wider = stage.exposure("saslauthd.service");
    assert!(wider > tight && wider <= 3.0, "{tight} without it, {wider} with it");
}

#[test]
fn the_sandboxes_are_as_tight_as_promised() {
    let stage = Stage::new();
    stage.put("saslauthd.service", FEDORA_SASLAUTHD);
    let dropin = read("systemd/fedora/saslauthd.service.d/saslgate.conf");
    stage.put("saslauthd.service.d/saslgate.conf", &dropin);
    for (unit, limit) in [
        ("saslgate-gate.service", 1.5),
        ("saslgate-authd.service", 2.5),
        ("saslauthd.service", 2.5),
        // PAM modules are given what they are known to need; still no open house.
        ("saslgate-pam.service", 5.0),
    ] {
        let exposure = stage.exposure(unit);
        assert!(exposure <= limit, "{unit}: exposure {exposure}, at most {limit} promised");
    }
}

#[test]
fn the_gate_is_kept_from_passwords_and_the_helper_from_others() {
    let gate = read("systemd/saslgate-gate.service");
    assert!(gate.contains("InaccessiblePaths=-/var/lib/saslgate -/run/saslgate"));
    assert!(gate.contains("User=saslgate-gate\n"));
    let helper = read("systemd/saslgate-pam.socket");
    assert!(helper.contains("SocketUser=saslgate\nSocketMode=0600\n"));
}

/// Whoever enables the socket unit and configures nothing gets what the gate listens on by itself.
#[test]
fn the_gates_socket_unit_opens_its_default_listeners() {
    let unit = read("systemd/saslgate-gate.socket");
    let opened: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    let example = read("packaging/saslgate.toml");
    let (_, listeners) = example.split_once("[[gate.listener]]").unwrap();
    let (listeners, _) = listeners.split_once("[[gate.backend]]").unwrap();
    let configured: Vec<&str> =
        listeners.split("address = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(opened, configured);
}

#[test]
fn accounts_and_directories_can_be_made() {
    for distribution in ["debian", "fedora"] {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let option = format!("--root={}", root.path().display());
        let folder = project("systemd").join(distribution);

        let output = Command::new("systemd-sysusers")
            .arg(&option)
            .arg(folder.join("sysusers.conf"))
            .output()
            .expect("systemd-sysusers: `make test` installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
        let group = fs::read_to_string(root.path().join("etc/group")).unwrap();
        assert!(passwd.contains("saslgate:x:") && passwd.contains("saslgate-gate:x:"), "{passwd}");
        assert!(group.contains(":saslgate,saslgate-gate"), "neither is in the sasl group: {group}");

        let output = Command::new("systemd-tmpfiles")
            .args(["--create", &option])
            .arg(folder.join("tmpfiles.conf"))
            .env("LC_ALL", "C")
            .output()
            .expect("systemd-tmpfiles: `make test` installs it");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Only root can give a directory away; nothing else may be wrong.
        let wrong: Vec<&str> =
            said.lines().filter(|line| !line.contains("Operation not permitted")).collect();
        assert!(wrong.is_empty(), "{distribution}: {wrong:?}");
        assert!(root.path().join("var/lib/saslgate").is_dir());
    }
}

#[test]
fn each_distribution_has_its_pam_includes() {
    let fedora = read("pam.d/fedora/saslgate");
    assert!(fedora.contains("auth       include      password-auth\n"), "{fedora}");
    assert!(fedora.contains("account    include      password-auth\n"), "{fedora}");
    let debian = read("pam.d/debian/saslgate");
    assert!(debian.ends_with("@include common-auth\n@include common-account\n"), "{debian}");
}

/// Applies the fail2ban filter with Python's `re`, as fail2ban does; prints the
/// address found in each line, or `-`.
const MATCHER: &str = r#"
import configparser, re, sys
filter = configparser.RawConfigParser()
filter.read(sys.argv[1])
address = r"(?P<host>(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+)"
rules = [rule.replace("%(__prefix_line)s", r"(?:\S+\[\d+\]: )").replace("<ADDR>", address)
         for rule in filter["Definition"]["failregex"].splitlines() if rule]
for line in sys.stdin.read().splitlines():
    found = [match for match in (re.search(rule, line) for rule in rules) if match]
    print(found[0]["host"] if found else "-")
"#;

fn addresses_banned(lines: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, lines.join("\n")).unwrap();
    let output = Command::new("python3")
        .args(["-c", MATCHER])
        .arg(project("packaging/fail2ban/saslgate.conf"))
        .stdin(fs::File::open(&log).unwrap())
        .output()
        .expect("python3: `make test` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The sample lines are those in the tests of `ops::event`.
#[test]
fn the_fail2ban_filter_finds_the_client_in_both_kinds_of_lines() {
    let lines = [
        "saslauthd[7]: auth failure: [user=alice] [service=smtp] [realm=example.org] [mech=pam] \
         [reason=PAM auth error] [remote=192.0.2.7] [verdict=rejected] [code=bad-credentials] \
         [uid=89] [ms=12]",
        "saslauthd[7]: auth failure: [user=a\\x5b] [service=] [realm=] [mech=store] \
         [reason=Unknown] [remote=2001:db8::1] [verdict=rejected] [code=malformed] [uid=] [ms=0]",
        "saslgate[8]: AUTH failure (PLAIN): authentication failure (-13) SASL(-13): \
         authentication failure: Password verification failed, user=alice, relay=[192.0.2.9]",
        "saslgate[8]: AUTH failure (LOGIN): authentication failure (-13) SASL(-13): \
         authentication failure: checkpass failed, user=[x], relay=mx.example.org [192.0.2.9]",
        "saslgate[8]: AUTH failure (LOGIN): authentication failure (-13) SASL(-13): \
         authentication failure: checkpass failed, user=, relay=[IPv6:2001:db8::7]",
    ];
    let expected = ["192.0.2.7", "2001:db8::1", "192.0.2.9", "192.0.2.9", "2001:db8::7"];
    assert_eq!(addresses_banned(&lines), expected);
}

#[test]
fn the_fail2ban_filter_leaves_outages_successes_and_bystanders_alone() {
    let lines = [
        // No address in the request: nobody to ban.
        "saslauthd[7]: auth failure: [user=alice] [service=smtp] [realm=] [mech=pam] \
         [reason=PAM auth error] [remote=] [verdict=rejected] [code=bad-credentials] [uid=0] [ms=3]",
        "saslauthd[7]: auth success: [user=alice] [service=smtp] [realm=] [mech=pam] \
         [remote=192.0.2.7] [verdict=accepted] [uid=89] [ms=12]",
        "saslauthd[7]: auth unavailable: [user=alice] [service=smtp] [realm=] [mech=pam] \
         [reason=Unknown] [remote=192.0.2.7] [verdict=unavailable] [code=timeout] [uid=] [ms=12]",
        "saslgate[8]: AUTH failure (PLAIN): generic failure (-1) SASL(-1): generic failure: \
         backend-down, user=alice, relay=[192.0.2.9]",
        // User names in the shape of what follows them, escaped as the log does it.
        "saslgate[8]: AUTH failure (PLAIN): authentication failure (-13) SASL(-13): \
         authentication failure: checkpass failed, user=a,+20relay+3D[198.51.100.1], relay=[192.0.2.9]",
        "saslauthd[7]: auth failure: [user=a\\x5d \\x5bremote=198.51.100.1\\x5d] [service=smtp] \
         [realm=] [mech=pam] [reason=PAM auth error] [remote=] [verdict=rejected] \
         [code=bad-credentials] [uid=0] [ms=3]",
    ];
    assert_eq!(addresses_banned(&lines), ["-", "-", "-", "-", "192.0.2.9", "-"]);
}
