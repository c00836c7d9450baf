//! The backend `ldap` with a real directory, OpenLDAP's slapd, and the original
//! saslauthd with the same file and the same directory beside it.
//!
//! Needs slapd, ldap-utils and sasl2-bin.
#![cfg(test)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::gate::SASLGATE;
use support::ldap::{Asked, both, people};
use support::process;
use support::slapd::{PASSWORD, READER, READER_PASSWORD, SCHEMES, Slapd, WRONG};

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
