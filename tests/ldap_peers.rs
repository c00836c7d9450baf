//! The backend `ldap` with a real directory, OpenLDAP's slapd, and the original
//! saslauthd with the same file and the same directory beside it.
//!
//! Needs slapd, ldap-utils and sasl2-bin.
#![cfg(test)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::gate::{Ready, SASLGATE, Service};
use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{read_reply, request};
use support::slapd::{PASSWORD, READER, READER_PASSWORD, SCHEMES, Slapd, WRONG};

/// A saslauthd that asks a directory.
struct Asked {
    /// Ends before its directory does.
    service: Service,
    dir: tempfile::TempDir,
    is_original: bool,
}

impl Asked {
    /// Ours, with these lines in `[ldap]`.
    fn ours(ldap: &str) -> Self {
        Self::start(tempfile::tempdir().unwrap(), ldap)
    }

    fn start(dir: tempfile::TempDir, ldap: &str) -> Self {
        let place = dir.path().display();
        let config = dir.path().join("saslgate.toml");
        let text = format!(
            "[authd]\nsocket = \"{place}/mux\"\nbackends = [\"ldap\"]\nfloor = \"0s\"\n\
             default_realm = \"host.test\"\n[log]\nlevel = \"debug\"\n[ldap]\n{ldap}\n"
        );
        fs::write(&config, text).unwrap();
        let ready = Ready::Socket(dir.path().join("mux"));
        let service = Service::start("authd", &config, &[ready]);
        Self { service, dir, is_original: false }
    }

    /// Ours, with the original's file.
    fn ours_with(conf: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("saslauthd.conf");
        fs::write(&file, conf).unwrap();
        Self::start(dir, &format!("config = \"{}\"", file.display()))
    }

    /// The original, with its file.
    fn original(conf: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("saslauthd.conf");
        fs::write(&file, conf).unwrap();
        let mut command = Command::new("/usr/sbin/saslauthd");
        command.args(["-d", "-a", "ldap", "-n", "1", "-m"]).arg(dir.path()).arg("-O").arg(&file);
        // On its end the original in debug mode signals its whole process group.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let service = Service::spawn(&mut command, dir.path().join("log"));
        let socket = dir.path().join("mux");
        let is_up = wait_until(PATIENCE, || UnixStream::connect(&socket).is_ok());
        assert!(is_up, "the original did not start: {}", service.log());
        Self { service, dir, is_original: true }
    }

    fn exchange<F: AsRef<[u8]>>(&self, fields: &[F; 4]) -> &'static str {
        let mut stream = UnixStream::connect(self.dir.path().join("mux")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request(fields)).unwrap();
        match read_reply(&mut stream).as_slice() {
            b"\0\x02OK" => "OK",
            b"\0\x02NO" => "NO",
            b"" => "closed",
            other => panic!("{other:?}"),
        }
    }

    fn ask(&self, login: &str, password: &str, realm: &str) -> &'static str {
        self.exchange(&[login, password, "imap", realm])
    }

    fn log(&self) -> String {
        self.service.log()
    }

    /// Waits for `text` in the log, which is written behind the reply.
    fn wait_for_log(&self, text: &str) {
        let found = wait_until(PATIENCE, || self.log().contains(text));
        assert!(found, "{text:?} is not in the log:\n{}", self.log());
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_original && !thread::panicking() {
            let log = self.log();
            for secret in [PASSWORD, WRONG, READER_PASSWORD] {
                assert!(!log.contains(secret), "a password is in the log");
            }
        }
    }
}

/// Runs `cases` (login, password, realm, what ours says, what the original says) against both.
fn both(conf: &str, cases: &[(&str, &str, &str, &str, &str)]) {
    let ours = Asked::ours_with(conf);
    let original = Asked::original(conf);
    for (login, password, realm, expected, theirs) in cases {
        assert_eq!(ours.ask(login, password, realm), *expected, "ours: {login}: {}", ours.log());
        assert_eq!(original.ask(login, password, realm), *theirs, "the original: {login}: {conf}");
    }
}

fn people(slapd: &Slapd) -> String {
    format!("ldap_servers: {}\nldap_search_base: ou=people,dc=example,dc=org\n", slapd.url())
}

#[test]
fn search_and_bind_is_as_with_the_original() {
    let slapd = Slapd::start();
    both(
        &people(&slapd),
        &[
            ("alice", PASSWORD, "", "OK", "OK"),
            ("alice", PASSWORD, "any.test", "OK", "OK"),
            ("alice", WRONG, "", "NO", "NO"),
            ("nobody", PASSWORD, "", "NO", "NO"),
            ("*", PASSWORD, "", "NO", "NO"),
            ("al*", PASSWORD, "", "NO", "NO"),
            ("alice)(uid=*", PASSWORD, "", "NO", "NO"),
            ("a,b", PASSWORD, "", "OK", "OK"),
            // A program that does not split: %u is all of it.
            ("alice@example.test", PASSWORD, "", "NO", "NO"),
        ],
    );
}

#[test]
fn tokens_are_as_with_the_original_but_for_the_domain_of_a_split_login() {
    let slapd = Slapd::start();
    let conf = format!("{}ldap_filter: (mail=%U@%d)\n", people(&slapd));
    both(
        &conf,
        &[
            ("alice@example.test", PASSWORD, "", "OK", "OK"),
            ("alice@other.test", PASSWORD, "", "NO", "NO"),
            // The manual says that %d is the realm then; the code of the original forgot it.
            ("alice", PASSWORD, "example.test", "OK", "NO"),
            ("alice", PASSWORD, "other.test", "NO", "NO"),
        ],
    );
    let conf =
        format!("{}ldap_filter: (mail=%u%R)\nldap_default_realm: example.test\n", people(&slapd));
    both(
        &conf,
        &[
            ("alice", PASSWORD, "", "OK", "OK"),
            ("alice", PASSWORD, "example.test", "OK", "OK"),
            ("alice", PASSWORD, "other.test", "NO", "NO"),
        ],
    );
    let conf = format!(
        "ldap_servers: {}\nldap_search_base: ou=%2.%1,dc=example,dc=org\nldap_filter: (&(uid=%u)(!(cn=%s)))\n",
        slapd.url()
    );
    both(
        &conf,
        &[
            ("carol", PASSWORD, "example.test", "OK", "OK"),
            ("carol", PASSWORD, "mail.example.test", "OK", "OK"),
            ("carol", PASSWORD, "other.test", "NO", "NO"),
            ("carol", PASSWORD, "", "NO", "NO"),
        ],
    );
}

/// cyrusimap/cyrus-sasl#550: the original answers from the connection that it
/// has bound before, without asking, also when the password was changed.
#[test]
fn a_changed_password_counts_at_once() {
    let slapd = Slapd::start();
    let template = format!(
        "ldap_servers: {}\nldap_auth_method: fastbind\nldap_filter: uid=%u,ou=people,dc=example,dc=org\n",
        slapd.url()
    );
    for conf in [people(&slapd), template] {
        let is_template = conf.contains("fastbind");
        let ours = Asked::ours_with(&conf);
        let original = Asked::original(&conf);
        let of_both = |password| (ours.ask("bob", password, ""), original.ask("bob", password, ""));
        slapd.set_password("bob", PASSWORD);
        assert_eq!(of_both(PASSWORD), ("OK", "OK"));
        slapd.set_password("bob", "n3w-Zauberwort");
        assert_eq!(of_both(PASSWORD), ("NO", if is_template { "OK" } else { "NO" }));
        assert_eq!(of_both("n3w-Zauberwort"), ("OK", "OK"));
    }
}

#[test]
fn bind_by_template_is_as_with_the_original_but_for_names_that_are_escaped() {
    let slapd = Slapd::start();
    let conf = |template: &str| {
        format!(
            "ldap_servers: {}\nldap_auth_method: fastbind\nldap_filter: {template}\n",
            slapd.url()
        )
    };
    both(
        &conf("uid=%u,ou=people,dc=example,dc=org"),
        &[
            ("alice", PASSWORD, "", "OK", "OK"),
            ("alice", WRONG, "", "NO", "NO"),
            ("nobody", PASSWORD, "", "NO", "NO"),
            ("a,b", PASSWORD, "", "OK", "NO"),
        ],
    );
    // The original lets a login with a comma choose the branch of the tree.
    both(
        &conf("uid=%u,dc=example,dc=org"),
        &[("alice,ou=people", PASSWORD, "", "NO", "OK"), ("alice", PASSWORD, "", "NO", "NO")],
    );
}

/// The original takes a name that came out empty for a success.
#[test]
fn a_template_that_comes_out_empty_lets_nobody_in() {
    let slapd = Slapd::start();
    let conf =
        format!("ldap_servers: {}\nldap_auth_method: fastbind\nldap_filter: %r\n", slapd.url());
    both(&conf, &[("whoever", "whatever", "", "NO", "OK")]);
}

/// The root entry has the empty name, and binding as that is binding as nobody.
#[test]
fn an_entry_without_a_name_lets_nobody_in() {
    let slapd = Slapd::start();
    let conf =
        format!("ldap_servers: {}\nldap_scope: base\nldap_filter: (objectClass=*)\n", slapd.url());
    both(&conf, &[("whoever", "whatever", "", "closed", "NO")]);
}

#[test]
fn stored_hashes_are_compared_as_with_the_original() {
    let slapd = Slapd::start();
    let conf = format!(
        "{}ldap_auth_method: custom\nldap_bind_dn: {READER}\nldap_bind_pw: {READER_PASSWORD}\n",
        people(&slapd)
    );
    let mut cases = vec![("nobody", PASSWORD, "", "NO", "NO")];
    for (user, _) in SCHEMES {
        cases.push((user, PASSWORD, "", "OK", "OK"));
        cases.push((user, WRONG, "", "NO", "NO"));
    }
    both(&conf, &cases);
    // Without the right to read them there is nothing to compare.
    both(
        &format!("{}ldap_auth_method: custom\n", people(&slapd)),
        &[("ssha", PASSWORD, "", "NO", "NO")],
    );
}

#[test]
fn who_is_not_in_the_group_is_refused() {
    let slapd = Slapd::start();
    let cases = [
        ("alice", PASSWORD, "", "OK", "OK"),
        ("alice", WRONG, "", "NO", "NO"),
        ("bob", PASSWORD, "", "NO", "NO"),
        ("nobody", PASSWORD, "", "NO", "NO"),
    ];
    let groups = [
        "ldap_group_dn: cn=mail,ou=groups,dc=example,dc=org\n",
        "ldap_group_dn: cn=mail,ou=groups,dc=example,dc=org\nldap_auth_method: fastbind\n\
         ldap_filter: uid=%u,ou=people,dc=example,dc=org\n",
        "ldap_group_match_method: filter\nldap_group_filter: (&(cn=mail)(uniqueMember=%D))\n\
         ldap_group_search_base: dc=example,dc=org\n",
    ];
    for group in groups {
        let conf = format!("{}{group}", people(&slapd));
        both(&conf, &cases);
    }
    let ours = Asked::ours_with(&format!("{}{}", people(&slapd), groups[0]));
    assert_eq!(ours.ask("bob", PASSWORD, ""), "NO");
    ours.wait_for_log("[code=access-denied]");
}

#[test]
fn two_entries_for_one_login_let_nobody_in() {
    let slapd = Slapd::start();
    let conf = format!(
        "ldap_servers: {}\nldap_search_base: dc=example,dc=org\nldap_bind_dn: {READER}\nldap_bind_pw: {READER_PASSWORD}\n",
        slapd.url()
    );
    both(&conf, &[("twin", PASSWORD, "", "NO", "NO"), ("alice", PASSWORD, "", "OK", "OK")]);
}

#[test]
fn passwords_are_bytes() {
    let slapd = Slapd::start();
    let conf = people(&slapd);
    let password = b"p\xe4ssword";
    for asked in [Asked::ours_with(&conf), Asked::original(&conf)] {
        assert_eq!(asked.exchange(&[&b"latin"[..], password, b"imap", b""]), "OK");
        assert_eq!(
            asked.exchange(&[&b"latin"[..], "p\u{e4}ssword".as_bytes(), b"imap", b""]),
            "NO"
        );
    }
}

#[test]
fn tls_is_verified_unless_that_is_turned_off() {
    let (slapd, stranger) = (Slapd::start(), Slapd::start());
    let conf = |url: String, lines: &str| {
        format!("ldap_servers: {url}\nldap_search_base: ou=people,dc=example,dc=org\n{lines}\n")
    };
    let right = format!("ldap_tls_cacert_file: {}", slapd.ca().display());
    let wrong = format!("ldap_tls_cacert_file: {}", stranger.ca().display());
    let good = [("alice", PASSWORD, "", "OK", "OK"), ("alice", WRONG, "", "NO", "NO")];
    // To the original an outage is a wrong password.
    let outage = [("alice", PASSWORD, "", "closed", "NO")];
    let start_tls = |authority: &str| format!("ldap_start_tls: yes\n{authority}");
    both(&conf(slapd.tls_url(), &right), &good);
    both(&conf(slapd.named_url(), &start_tls(&right)), &good);
    both(&conf(slapd.tls_url(), &wrong), &outage);
    both(&conf(slapd.named_url(), &start_tls(&wrong)), &outage);
    let unverified = format!("ldap_tls_check_peer: no\n{wrong}");
    both(&conf(slapd.tls_url(), &unverified), &good);

    let ours = Asked::ours_with(&conf(slapd.tls_url(), &unverified));
    ours.wait_for_log("certificates of servers are not verified");
    // A directory of authorities, natively; and our own certificate shown.
    let authorities = slapd.path("authorities");
    fs::create_dir(&authorities).unwrap();
    fs::copy(slapd.ca(), authorities.join("one.crt")).unwrap();
    fs::write(authorities.join("README"), "not a certificate").unwrap();
    let native = format!(
        "servers = [\"{}\"]\nbase = \"ou=people,dc=example,dc=org\"\nstart_tls = \"always\"\n\
         ca_dir = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
        slapd.url(),
        authorities.display(),
        slapd.path("cert.pem").display(),
        slapd.path("key.pem").display(),
    );
    let ours = Asked::ours(&native);
    assert_eq!(ours.ask("alice", PASSWORD, ""), "OK", "{}", ours.log());
}

#[test]
fn a_socket_and_the_account_behind_it_do_for_the_search() {
    let slapd = Slapd::start();
    let base = "base = \"ou=hidden,dc=example,dc=org\"";
    let servers = format!("servers = [\"{}\"]", slapd.socket_url());
    // Nobody may search there; the account of the test may, as the reader.
    let nobody = Asked::ours(&format!("{servers}\n{base}"));
    assert_eq!(nobody.ask("twin", PASSWORD, ""), "closed");
    nobody.wait_for_log("bind_dn may not do this");
    let external = Asked::ours(&format!("{servers}\n{base}\nbind = \"external\""));
    assert_eq!(external.ask("twin", PASSWORD, ""), "OK", "{}", external.log());
    assert_eq!(external.ask("twin", WRONG, ""), "NO");
}

#[test]
fn the_password_of_bind_dn_is_read_from_a_file_and_followed() {
    let slapd = Slapd::start();
    let secret = slapd.path("secret");
    let write = |text: &str| {
        fs::write(&secret, text).unwrap();
        fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("not this one\n");
    let ours = Asked::ours(&format!(
        "servers = [\"{}\"]\nbase = \"ou=hidden,dc=example,dc=org\"\nbind_dn = \"{READER}\"\n\
         bind_password_file = \"{}\"\n",
        slapd.url(),
        secret.display()
    ));
    assert_eq!(ours.ask("twin", PASSWORD, ""), "closed");
    ours.wait_for_log("it refuses our own login (bind_dn)");
    write(&format!("{READER_PASSWORD}\n"));
    assert_eq!(ours.ask("twin", PASSWORD, ""), "OK", "{}", ours.log());
}

fn two(first: &str, second: &str, more: &str) -> String {
    format!(
        "servers = [\"{first}\", \"{second}\"]\nbase = \"ou=people,dc=example,dc=org\"\n{more}\n"
    )
}

#[test]
fn the_next_server_is_asked_when_one_dies_and_the_first_again_when_it_is_back() {
    let (mut first, mut second) = (Slapd::start(), Slapd::start());
    first.set_password("bob", "of-the-first");
    let ours = Asked::ours(&two(&first.url(), &second.url(), "retry_after = \"100ms\""));
    assert_eq!(ours.ask("bob", "of-the-first", ""), "OK");
    // Idle connections lead to it; nobody is told of it.
    first.kill();
    assert_eq!(ours.ask("bob", PASSWORD, ""), "OK", "{}", ours.log());
    assert_eq!(ours.ask("bob", WRONG, ""), "NO");
    second.kill();
    assert_eq!(ours.ask("bob", PASSWORD, ""), "closed", "an outage is no wrong password");
    second.restart();
    assert_eq!(ours.ask("bob", PASSWORD, ""), "OK", "{}", ours.log());
    first.restart();
    assert!(wait_until(PATIENCE, || ours.ask("bob", "of-the-first", "") == "OK"), "{}", ours.log());
    ours.wait_for_log("answers again");
}

#[test]
fn a_restart_of_the_only_server_is_noticed_by_nobody() {
    let mut slapd = Slapd::start();
    let conf = people(&slapd);
    let ours = Asked::ours_with(&conf);
    for _ in 0..5 {
        assert_eq!(ours.ask("alice", PASSWORD, ""), "OK", "{}", ours.log());
        assert_eq!(ours.ask("alice", WRONG, ""), "NO", "{}", ours.log());
        slapd.restart();
    }
}

/// A proxy that can be told to let nothing through any more.
struct Stalling {
    port: u16,
    is_stalled: Arc<AtomicBool>,
}

impl Stalling {
    fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let is_stalled = Arc::new(AtomicBool::new(false));
        let stalled = Arc::clone(&is_stalled);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                pump(client.try_clone().unwrap(), server.try_clone().unwrap(), &stalled);
                pump(server, client, &stalled);
            }
        });
        Self { port: own, is_stalled }
    }

    fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}/", self.port)
    }

    fn stall(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_stalled: &Arc<AtomicBool>) {
    let is_stalled = Arc::clone(is_stalled);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            // What comes while it is stalled is swallowed.
            if !is_stalled.load(Ordering::SeqCst) && to.write_all(&chunk[..count]).is_err() {
                return;
            }
        }
    });
}

#[test]
fn a_server_that_hangs_is_left_in_time_and_passed_over_then() {
    let slapd = Slapd::start();
    let proxy = Stalling::before(slapd.port());
    // Alone, it is an outage within the deadline.
    let alone = Asked::ours(&format!(
        "servers = [\"{}\"]\nbase = \"ou=people,dc=example,dc=org\"\ntimeout = \"1s\"\n",
        proxy.url()
    ));
    assert_eq!(alone.ask("alice", PASSWORD, ""), "OK");
    proxy.stall(true);
    assert_eq!(alone.ask("alice", PASSWORD, ""), "closed");
    alone.wait_for_log("it did not answer in time");
    // With another behind it, half of the time is left for that.
    let both =
        Asked::ours(&two(&proxy.url(), &slapd.url(), "timeout = \"2s\"\nretry_after = \"1h\""));
    for _ in 0..3 {
        assert_eq!(both.ask("alice", PASSWORD, ""), "OK", "{}", both.log());
    }
    // It was tried once.
    both.wait_for_log("it did not answer in time");
    assert_eq!(both.log().matches("it did not answer in time").count(), 1, "{}", both.log());
    proxy.stall(false);
    assert!(wait_until(PATIENCE, || alone.ask("alice", PASSWORD, "") == "OK"), "{}", alone.log());
}

#[test]
fn sixty_four_clients_share_four_connections_of_each_kind() {
    let slapd = Slapd::start();
    let ours = Asked::ours(&format!(
        "servers = [\"{}\"]\nbase = \"ou=people,dc=example,dc=org\"\nmax_connections = 4\n\
         timeout = \"60s\"\n",
        slapd.url()
    ));
    thread::scope(|scope| {
        for client in 0..64 {
            let ours = &ours;
            scope.spawn(move || {
                for _ in 0..5 {
                    let (password, expected) =
                        if client % 4 == 0 { (WRONG, "NO") } else { (PASSWORD, "OK") };
                    assert_eq!(ours.ask("alice", password, ""), expected);
                }
            });
        }
    });
    let open = connections_to(ours.service.pid(), slapd.port());
    assert!((1..=8).contains(&open), "{open} connections are open");
}

#[test]
fn whoever_is_one_too_many_in_the_queue_is_told_at_once() {
    let slapd = Slapd::start();
    let proxy = Stalling::before(slapd.port());
    proxy.stall(true);
    let ours = Asked::ours(&format!(
        "servers = [\"{}\"]\nbase = \"ou=people,dc=example,dc=org\"\nmax_connections = 1\n\
         max_waiting = 1\ntimeout = \"2s\"\n",
        proxy.url()
    ));
    let answers: Vec<&str> = thread::scope(|scope| {
        let asked: Vec<_> =
            (0..8).map(|_| scope.spawn(|| ours.ask("alice", PASSWORD, ""))).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(answers, ["closed"; 8]);
    let log = ours.log();
    assert!(log.contains("logins wait for the directory already"), "{log}");
}

/// Established connections of a process to a port.
fn connections_to(pid: u32, port: u16) -> usize {
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.to_owned();
            Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let remote = format!(":{port:04X}");
    table
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|fields| {
            fields.len() > 9
                && fields[2].ends_with(&remote)
                && sockets.contains(&fields[9].to_owned())
        })
        .count()
}

/// What is wrong with a file is said when the service starts, with line and
/// column; the original starts, and refuses everybody.
#[test]
fn a_file_that_cannot_be_used_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("saslauthd.conf");
    fs::write(&conf, "ldap_servers: ldap://127.0.0.1:1/\nldap_tls_ciphers: HIGH\n").unwrap();
    let config = dir.path().join("saslgate.toml");
    let text = |conf: &Path| {
        format!(
            "[authd]\nsocket = \"{}/mux\"\nbackends = [\"ldap\"]\n[ldap]\nconfig = \"{}\"\n",
            dir.path().display(),
            conf.display()
        )
    };
    let start = |conf: PathBuf| {
        fs::write(&config, text(&conf)).unwrap();
        process::run(Command::new(SASLGATE).arg("authd").arg("--config").arg(&config), b"")
    };
    let ended = start(conf.clone());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let place = format!("{}:2:19", conf.display());
    assert!(ended.stderr.contains(&place), "{}", ended.stderr);
    let checked = process::run(Command::new(SASLGATE).arg("check").arg(&config), b"");
    assert!(checked.stdout.contains(&place) && checked.code == Some(78), "{}", checked.stdout);
    fs::write(&conf, "ldap_server: ldap://x/\n").unwrap();
    let checked = process::run(Command::new(SASLGATE).arg("check").arg(&config), b"");
    assert!(checked.stdout.contains("did you mean ldap_servers?"), "{}", checked.stdout);
    assert_eq!(checked.code, Some(0));
    let ended = start(dir.path().join("not-there"));
    assert!(ended.stderr.contains("not-there") && ended.code == Some(1), "{}", ended.stderr);
}
