//! The gate's TLS against OpenSSL: names, certificates of clients, resumption,
//! stapling, and what is refused. `src/tls` has the cases that need no peer,
//! `tests/tls_scanners.rs` what scanners say.
//!
//! Needs openssl (see `tests/support`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use support::gate_world::{Options, World};
use support::pki::Authority;
use support::process::{PATIENCE, run, wait_until};
use support::scripted_backend::Backend;

/// What `openssl s_client` says; `words` are further options.
fn s_client(world: &World, ca: &Path, words: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &world.implicit.to_string(), "-CAfile"]).arg(ca);
    command.args(["-ign_eof", "-status", "-verify_return_error"]).args(words);
    let finished = run(&mut command, b"QUIT\r\n");
    finished.stdout + &finished.stderr
}

fn has(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

/// An authority in a directory, and the directory as text.
fn authority() -> (tempfile::TempDir, Authority, String) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "root");
    let place = dir.path().display().to_string();
    (dir, authority, place)
}

fn start(backend: &Backend, tls: String) -> World {
    World::start(backend.address, &Options { tls, ..Options::default() })
}

#[test]
fn each_name_has_its_certificate_and_its_response() {
    let backend = Backend::polite();
    let (_dir, authority, dir) = authority();
    authority.issue("first", 2, &["mail.example.org"], |_| ());
    authority.issue("wild", 3, &["*.example.org"], |_| ());
    authority.issue("given", 4, &["unused.test"], |_| ());
    authority.respond("staple", "wild", 3);
    let entry = |name: &str, more: &str| {
        format!(
            "[[tls.certificate]]\nfile = \"{dir}/{name}.pem\"\nkey = \"{dir}/{name}.key\"\n{more}\n"
        )
    };
    let tls = entry("first", "")
        + &entry("wild", &format!("staple = \"{dir}/staple.der\""))
        + &entry("given", "names = [\"given.test\"]");
    let mut world = start(&backend, tls);
    let ca = authority.file();
    for (name, subject) in [
        ("mail.example.org", "CN = first"),
        ("MAIL.example.org", "CN = first"),
        ("imap.example.org", "CN = wild"),
        ("given.test", "CN = given"),
        ("nobody.test", "CN = first"),
    ] {
        let text = s_client(&world, &ca, &["-servername", name]);
        has(&text, &[&format!("subject={subject}"), "Verification: OK", "221 2.0.0"]);
        let is_stapled = text.contains("OCSP Response Status: successful (0x0)");
        assert_eq!(is_stapled, subject == "CN = wild", "{name}:\n{text}");
    }
    let text = s_client(&world, &ca, &["-noservername"]);
    has(&text, &["subject=CN = first", "OCSP response: no response sent"]);

    // A response that is none changes nothing; a new one is taken.
    fs::write(authority.path("staple.der"), "nothing").unwrap();
    world.service.wait_for_log("cannot use the OCSP response");
    let text = s_client(&world, &ca, &["-servername", "imap.example.org"]);
    has(&text, &["OCSP Response Status: successful (0x0)"]);
}

#[test]
fn certificates_of_clients_are_recorded_in_sendmails_words() {
    let backend = Backend::polite();
    let (_dir, authority, dir) = authority();
    let other = Authority::new(Path::new(&dir), "other");
    authority.issue("good", 2, &[], |_| ());
    authority.issue("revoked", 3, &[], |_| ());
    authority.issue("expired", 4, &[], |params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    other.issue("stranger", 5, &[], |_| ());
    authority.revoke("crl.pem", &[3]);
    make_old_ones(&dir);
    let clients = |demand: &str| {
        format!(
            "client_certificates = \"{demand}\"\nclient_ca_file = \"{dir}/root.pem\"\n\
             client_crl_file = \"{dir}/crl.pem\"\n"
        )
    };
    let show = |world: &World, name: &str| {
        let [certificate, key] = ["pem", "key"].map(|ending| format!("{dir}/{name}.{ending}"));
        // Keys and versions as they were, for those who still have them.
        let words = ["-cert", &certificate, "-key", &key, "-cipher", "DEFAULT@SECLEVEL=0"];
        s_client(world, &world.ca(), &words)
    };

    let mut requesting = start(&backend, clients("request"));
    let text = s_client(&requesting, &requesting.ca(), &[]);
    has(&text, &["Acceptable client certificate CA names\nCN = root\n", "221 2.0.0"]);
    requesting.service.wait_for_log("version=TLSv1.3, verify=NO, cipher=");
    for (name, verify, message) in [
        ("good", "OK", "ok"),
        ("revoked", "FAIL", "certificate revoked"),
        ("expired", "FAIL", "certificate has expired"),
        ("stranger", "FAIL", "unable to get local issuer certificate"),
        ("version1", "FAIL", "it has a form or key that is not supported"),
        ("rsa1024", "FAIL", "it has a form or key that is not supported"),
    ] {
        let seen = requesting.service.log().len();
        let text = show(&requesting, name);
        has(&text, &["Verification: OK", "221 2.0.0"]);
        let wanted = format!("cert-subject=/CN={name}, cert-issuer=/CN=");
        requesting.service.wait_for_log(&wanted);
        let log = requesting.service.log().split_off(seen);
        has(&log, &[&format!("verify={verify}, "), &wanted, "fingerprint="]);
        has(&log, &[&format!("verifymsg={message}, ")]);
    }
    // The list is read again when it changes.
    authority.revoke("crl.pem", &[2, 3]);
    requesting.service.wait_for_log("certificates were read again");
    show(&requesting, "good");
    requesting
        .service
        .wait_for_log("cert-subject=/CN=good, cert-issuer=/CN=root, verifymsg=certificate");

    authority.revoke("crl.pem", &[3]);
    let mut requiring = start(&backend, clients("require"));
    has(&show(&requiring, "good"), &["221 2.0.0"]);
    for (name, alert) in [
        ("revoked", "certificate revoked"),
        ("expired", "certificate expired"),
        ("stranger", "unknown ca"),
        ("version1", "alert"),
    ] {
        let text = show(&requiring, name);
        has(&text, &[alert]);
        assert!(!text.contains("220 gate.test"), "{text}");
    }
    let text = s_client(&requiring, &requiring.ca(), &[]);
    has(&text, &["certificate required"]);
    requiring
        .service
        .wait_for_log("certificate was not accepted: none was shown, and one is required");
}

/// Certificates that cannot be verified here: of X.509 version 1, and with a short key.
fn make_old_ones(dir: &str) {
    for (name, bits, form) in [("version1", "2048", ""), ("rsa1024", "1024", "-extfile v3.cnf")] {
        let script = format!(
            "openssl req -new -newkey rsa:{bits} -nodes -keyout {name}.key -subj /CN={name} \
             -out {name}.csr && echo subjectAltName=DNS:old.test >v3.cnf && \
             openssl x509 -req -in {name}.csr -CA root.pem -CAkey root.key -set_serial {bits} \
             -days 3 {form} -out {name}.pem"
        );
        run(Command::new("sh").current_dir(dir).args(["-c", &script]), b"").expect_success();
    }
    let text = run(
        Command::new("openssl").current_dir(dir).args([
            "x509",
            "-in",
            "version1.pem",
            "-noout",
            "-text",
        ]),
        b"",
    );
    has(&text.stdout, &["Version: 1 "]);
}

#[test]
fn a_session_is_resumed_across_a_reload_and_a_new_certificate() {
    let backend = Backend::polite();
    let mut world = start(&backend, String::new());
    for version in ["-tls1_2", "-tls1_3"] {
        let old_ca = world.path("old-ca.pem");
        fs::copy(world.ca(), &old_ca).unwrap();
        let session = world.path("session").display().to_string();
        let text = s_client(&world, &old_ca, &[version, "-sess_out", &session]);
        has(&text, &["New, TLSv1.", "221 2.0.0"]);
        let reloads = |world: &World| world.service.log().matches("INFO reloaded").count();
        let before = reloads(&world);
        world.renew_certificate();
        world.service.signal(Signal::SIGHUP);
        assert!(wait_until(PATIENCE, || reloads(&world) > before), "{}", world.service.log());
        let text = s_client(&world, &old_ca, &[version, "-sess_in", &session]);
        has(&text, &["Reused, TLSv1.", "221 2.0.0"]);
        let text = s_client(&world, &old_ca, &[version]);
        has(&text, &["verify error"]);
    }
    world.service.wait_for_log("version=TLSv1.2, verify=NOT");
}

#[test]
fn old_versions_and_other_protocols_are_refused_with_an_alert() {
    let backend = Backend::polite();
    let mut world = start(&backend, String::new());
    let ca = world.ca();
    for version in ["-tls1", "-tls1_1"] {
        let text = s_client(&world, &ca, &[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
        has(&text, &["SSL alert number", "Cipher is (NONE)"]);
    }
    world.service.wait_for_log("no common ground: no version of TLS that is accepted here");
    let text = s_client(&world, &ca, &["-alpn", "http/1.1,h2"]);
    has(&text, &["no application protocol"]);
    world.service.wait_for_log("a protocol other than smtp (ALPN)");
    let text = s_client(&world, &ca, &["-alpn", "smtp"]);
    has(&text, &["ALPN protocol: smtp", "221 2.0.0"]);
    // No cipher without forward secrecy, or with CBC.
    for cipher in ["AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA", "DHE-RSA-AES128-GCM-SHA256"] {
        let text = s_client(&world, &ca, &["-tls1_2", "-cipher", cipher]);
        has(&text, &["handshake failure"]);
    }
    let strict = start(&backend, "minimum_version = \"1.3\"\n".to_owned());
    let text = s_client(&strict, &strict.ca(), &["-tls1_2"]);
    has(&text, &["alert protocol version"]);
    has(&s_client(&strict, &strict.ca(), &[]), &["New, TLSv1.3", "221 2.0.0"]);
}

#[test]
fn of_two_certificates_for_a_name_each_client_gets_the_one_it_can_verify() {
    let backend = Backend::polite();
    let (_dir, authority, dir) = authority();
    authority.issue("ecdsa", 2, &["mail.test"], |_| ());
    let script = "openssl req -new -newkey rsa:2048 -nodes -keyout rsa.key -subj /CN=rsa -out rsa.csr && \
                  echo subjectAltName=DNS:mail.test >v3.cnf && chmod 600 rsa.key && \
                  openssl x509 -req -in rsa.csr -CA root.pem -CAkey root.key -set_serial 9 -days 3 \
                  -extfile v3.cnf -out rsa.pem";
    run(Command::new("sh").current_dir(&dir).args(["-c", script]), b"").expect_success();
    let entry = |name: &str| {
        format!("[[tls.certificate]]\nfile = \"{dir}/{name}.pem\"\nkey = \"{dir}/{name}.key\"\n")
    };
    let world = start(&backend, entry("ecdsa") + &entry("rsa"));
    let ca = authority.file();
    for name in [&["-servername", "mail.test"][..], &["-noservername"]] {
        let ask = |words: &[&str]| s_client(&world, &ca, &[name, words].concat());
        has(&ask(&[]), &["subject=CN = ecdsa", "221 2.0.0"]);
        has(&ask(&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]), &["subject=CN = rsa"]);
        has(&ask(&["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"]), &["subject=CN = rsa", "221 2.0.0"]);
    }
}
