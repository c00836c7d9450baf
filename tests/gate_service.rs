//! The life of the gate as a service: stop, reload, an authentication daemon
//! that fails, and what is in the log.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use saslgate::daemon::gate;
use support::fake_authd::{Mood, PASSWORD};
use support::gate::{Ready, SASLGATE, Service};
use support::gate_world::{self, Options, World};
use support::pki::Authority;
use support::process::{PATIENCE, is_listening, run, wait_until};
use support::scripted_backend::Backend;
use support::smtp_client::{SmtpClient, base64, plain_response};
use tokio_util::sync::CancellationToken;

#[test]
fn a_stop_finishes_the_message_and_says_goodbye_to_the_idle() {
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Backend::start(move |_, link| {
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            if line == "DATA" {
                link.say(b"354 go on\r\n");
                link.content();
                let _ = wait.lock().unwrap().recv();
                link.say(b"250 2.0.0 q1 late but there\r\n");
            } else if !link.answer(&line) {
                return;
            }
        }
    });
    let mut world = World::start(backend.address, &Options::default());
    let mut greeted = SmtpClient::connect(world.starttls);
    assert_eq!(greeted.reply().code, 220);
    let mut idle = world.log_in();
    let mut shaking = SmtpClient::connect(world.implicit);
    let mut sending = world.log_in();
    sending.open_message();
    sending.send(b"Subject: half\r\n");

    world.service.signal(Signal::SIGTERM);
    for client in [&mut greeted, &mut idle] {
        assert_eq!(client.reply().code, 421);
        client.expect_closed();
    }
    shaking.expect_closed();
    assert!(wait_until(PATIENCE, || !is_listening(world.starttls)), "it still listens");

    sending.send(b"the other half\r\n.\r\n");
    release.send(()).unwrap();
    let reply = sending.reply();
    assert_eq!((reply.code, reply.text().as_str()), (250, "2.0.0 q1 late but there"));
    assert_eq!(sending.reply().code, 421);
    sending.expect_closed();
    let has_ended = wait_until(PATIENCE, || world.service.has_ended());
    assert!(has_ended, "it did not end:\n{}", world.service.log());
    assert_eq!(world.service.stop(), Some(0));
    assert!(world.message_lines()[0].contains("outcome=accepted"));
}

#[test]
fn what_is_open_at_the_end_of_a_drain_is_told_421_and_not_completed() {
    let backend = Backend::start(|_, link| {
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            if line == "DATA" {
                link.say(b"354 go on\r\n");
                link.content();
                // The verdict on a complete message never comes.
                return link.wait_for_end();
            }
            link.answer(&line);
        }
    });
    let (dir, _authd) = gate_world::lay_out(backend.address, &Options::default());
    let config = saslgate::config::load(&dir.path().join("saslgate.toml"), "gate.test").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stop = CancellationToken::new();
    let running = runtime.block_on(async { gate::start(&config, stop.clone()).unwrap() });
    let connect = || {
        let ca = dir.path().join("cert.pem");
        let mut client = SmtpClient::connect_implicit(running.listeners[1], &ca);
        client.log_in();
        client
    };
    let mut half = connect();
    half.open_message();
    half.send(b"Subject: half\r\n");
    let mut whole = connect();
    whole.open_message();
    whole.send(b"Subject: whole\r\n.\r\n");
    let mut open = connect();
    open.expect("MAIL FROM:<a@client.test>", 250);
    assert!(wait_until(PATIENCE, || backend.messages().len() == 1));
    stop.cancel();
    runtime.block_on(running.drain(Duration::from_millis(200)));
    for client in [&mut half, &mut whole, &mut open] {
        assert_eq!(client.reply().code, 421);
        client.expect_closed();
    }
    backend.wait_until_quiet();
    assert_eq!(backend.messages().len(), 1, "the half message was completed");
}

#[test]
fn a_new_certificate_is_for_new_sessions_and_drops_no_old_one() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    let old_ca = world.path("old-ca.pem");
    fs::copy(world.ca(), &old_ca).unwrap();
    let mut old = world.log_in();
    old.open_message();
    world.renew_certificate();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("INFO reloaded");
    assert!(SmtpClient::connect(world.implicit).handshake(&old_ca).is_err());
    world.log_in().expect("NOOP", 250);
    assert_eq!(old.finish_message(b"x\r\n").code, 250);
    old.open_message();
    assert_eq!(old.finish_message(b"x\r\n").code, 250);
}

#[test]
fn a_certificate_that_changes_on_disk_is_taken_without_a_word_and_a_bad_one_is_not() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    let old_ca = world.path("old-ca.pem");
    fs::copy(world.ca(), &old_ca).unwrap();
    let mut old = world.log_in();
    old.open_message();

    let good = fs::read(world.ca()).unwrap();
    fs::write(world.ca(), "half a file").unwrap();
    world.service.wait_for_log("changed certificate files are not used, the old ones stay");
    world.service.wait_for_log("no certificate in the certificate");
    fs::write(world.ca(), good).unwrap();
    world.log_in().expect("NOOP", 250);

    fs::remove_file(world.ca()).unwrap();
    world.service.wait_for_log("cert.pem is gone: what was read from it stays in force");
    world.renew_certificate();
    let is_new = || SmtpClient::connect(world.implicit).handshake(&world.ca()).is_ok();
    assert!(wait_until(PATIENCE, is_new), "{}", world.service.log());
    assert!(SmtpClient::connect(world.implicit).handshake(&old_ca).is_err());
    assert_eq!(old.finish_message(b"x\r\n").code, 250);
    old.expect("NOOP", 250);
}

#[test]
fn a_configuration_that_changes_on_disk_counts_unless_that_is_turned_off() {
    let backend = Backend::polite();
    let refuses_a_second = |world: &World| {
        let mut client = world.log_in();
        client.expect("MAIL FROM:<a@client.test>", 250);
        client.expect("RCPT TO:<bob@gate.test>", 250);
        client.command("RCPT TO:<carol@gate.test>").code == 452
    };
    let mut world = World::start(backend.address, &Options::default());
    let path = world.path("saslgate.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("[gate]", "[gate]\nmax_recipients = \"one\"")).unwrap();
    world.service.wait_for_log("reload refused, the old configuration stays in force");
    assert!(!refuses_a_second(&world));
    fs::write(&path, config.replace("[gate]", "[gate]\nmax_recipients = 1")).unwrap();
    world.service.wait_for_log("INFO reloaded");
    assert!(refuses_a_second(&world));

    let mut world = World::start(backend.address, &Options::gate("watch_config = false\n"));
    let path = world.path("saslgate.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("[gate]", "[gate]\nmax_recipients = 1")).unwrap();
    // The certificate is watched in any case: when that is seen, the file would have been, too.
    world.renew_certificate();
    world.service.wait_for_log("certificates were read again");
    assert!(!world.service.log().contains("the configuration file has changed"));
    assert!(!refuses_a_second(&world));
}

#[test]
fn a_certificate_near_its_end_is_told_of_at_the_start() {
    let backend = Backend::polite();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "root");
    let now = SystemTime::now();
    let within = |days: u64| now + Duration::from_secs(days * 86_400 + 3600);
    authority.issue("near", 2, &["mail.test"], |params| params.not_after = within(6).into());
    authority.issue("far", 3, &["far.test"], |params| params.not_after = within(60).into());
    let entry = |name: &str| {
        let dir = dir.path().display();
        format!("[[tls.certificate]]\nfile = \"{dir}/{name}.pem\"\nkey = \"{dir}/{name}.key\"\n")
    };
    let tls = entry("near") + &entry("far");
    let mut world = World::start(backend.address, &Options { tls, ..Options::default() });
    world.service.wait_for_log("near.pem, names=mail.test, not-before=");
    world.service.wait_for_log("state=expires, days=6");
    // A reload repeats nothing.
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("INFO reloaded");
    authority.issue("far", 4, &["far.test"], |params| params.not_after = within(60).into());
    world.service.wait_for_log("certificates were read again");
    let log = world.service.log();
    assert_eq!(log.matches("state=expires").count(), 1, "{log}");
    assert!(!log.contains("far.pem"), "{log}");
}

#[test]
fn a_reload_that_cannot_work_changes_nothing_and_says_so() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    let config = fs::read_to_string(world.path("saslgate.toml")).unwrap();
    let certificate = fs::read(world.ca()).unwrap();
    let old_ca = world.path("old-ca.pem");
    fs::write(&old_ca, &certificate).unwrap();
    let mut held = world.log_in();

    // A key that does not exist; a certificate that is none; a key of another pair.
    fs::write(world.path("saslgate.toml"), config.replace("hostname", "hostnam")).unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("hostnam");
    fs::write(world.path("saslgate.toml"), &config).unwrap();
    fs::write(world.ca(), "half a file").unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("no certificate in the certificate");
    world.renew_certificate();
    fs::write(world.ca(), &certificate).unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("does not belong to the first certificate");

    let log = world.service.log();
    let refusals = log.matches("reload refused, the old configuration stays in force").count();
    assert_eq!(refusals, 3, "{log}");
    held.expect("NOOP", 250);
    let mut client = SmtpClient::connect_implicit(world.implicit, &old_ca);
    client.log_in().open_message();
    assert_eq!(client.finish_message(b"x\r\n").code, 250);
}

#[test]
fn a_reload_brings_new_limits_and_another_backend_to_new_sessions() {
    let (first, second) = (Backend::polite(), Backend::polite());
    let mut world = World::start(first.address, &Options::gate("max_recipients = 5\n"));
    let mut old = world.log_in();
    let config = fs::read_to_string(world.path("saslgate.toml")).unwrap();
    let config = config
        .replace("max_recipients = 5", "max_recipients = 1")
        .replace(&first.address.to_string(), &second.address.to_string());
    fs::write(world.path("saslgate.toml"), config).unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("INFO reloaded");
    let mut new = world.log_in();
    for (client, code) in [(&mut old, 250), (&mut new, 452)] {
        client.expect("MAIL FROM:<a@client.test>", 250);
        client.expect("RCPT TO:<b@d.test>", 250);
        client.expect("RCPT TO:<c@d.test>", code);
    }
    assert_eq!((first.sessions().len(), second.sessions().len()), (1, 1));
}

#[test]
fn an_authentication_daemon_that_fails_is_454_and_never_a_refusal() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("auth_timeout = \"2s\"\n"));
    let mut client = world.connect();
    client.reply();
    client.expect("EHLO client.test", 250);
    for mood in [Mood::Dies, Mood::Hangs, Mood::Stutters] {
        world.authd.be(mood);
        // More often than a wrong password may be tried, where that takes no time.
        for _ in 0..if mood == Mood::Hangs { 1 } else { 4 } {
            client.expect(&format!("AUTH PLAIN {}", plain_response()), 454);
        }
        client.expect("AUTH LOGIN", 334);
        client.expect(&base64(b"alice@gate.test"), 334);
        client.expect(&base64(PASSWORD.as_bytes()), 454);
        client.expect("MAIL FROM:<a@client.test>", 530);
    }
    world.authd.be(Mood::Well);
    client.expect(&format!("AUTH PLAIN {}", plain_response()), 235);
    assert!(world.authd.asked().iter().all(|asked| asked == "alice@gate.test smtp"));
    fs::remove_file(world.path("mux")).unwrap();
    let mut client = world.connect();
    client.reply();
    client.expect("EHLO client.test", 250);
    client.expect(&format!("AUTH PLAIN {}", plain_response()), 454);
    assert!(world.service.log().contains("generic failure (-1)"), "{}", world.service.log());
}

/// A real `saslgate authd` with alice in its store.
fn start_authd(dir: &Path) -> Service {
    let config = dir.join("authd.toml");
    let text = format!(
        "[authd]\nbackends = [\"store\"]\nsocket = \"{0}/mux\"\ndefault_realm = \"gate.test\"\n\
         [store]\npath = \"{0}/users.db\"\n",
        dir.display()
    );
    fs::write(&config, text).unwrap();
    if !dir.join("users.db").exists() {
        let mut add = Command::new(SASLGATE);
        add.args(["user", "add", "alice", "--config"]).arg(&config);
        run(&mut add, format!("{PASSWORD}\n").as_bytes()).expect_success();
    }
    Service::start("authd", &config, &[Ready::Socket(dir.join("mux"))])
}

#[test]
fn an_authd_that_is_killed_in_the_middle_of_auth_is_454_and_works_when_it_is_back() {
    let backend = Backend::polite();
    let dir = tempfile::tempdir().unwrap();
    let authd = start_authd(dir.path());
    let options = Options { auth: Some(dir.path().join("mux")), ..Options::default() };
    let world = World::start(backend.address, &options);
    let mut client = world.connect();
    client.reply();
    client.expect("EHLO client.test", 250);
    // Held still, it has the request and does not answer: that is the middle.
    authd.signal(Signal::SIGSTOP);
    client.send(format!("AUTH PLAIN {}\r\n", plain_response()).as_bytes());
    assert!(client.is_silent_for(Duration::from_millis(200)));
    authd.signal(Signal::SIGKILL);
    assert_eq!(client.reply().code, 454);
    client.expect("MAIL FROM:<a@client.test>", 530);
    drop(authd);
    let authd = start_authd(dir.path());
    client.expect(&format!("AUTH PLAIN {}", plain_response()), 235);
    client.open_message();
    assert_eq!(client.finish_message(b"x\r\n").code, 250);
    assert!(!authd.log().contains(PASSWORD));
}

#[test]
fn no_password_is_ever_logged() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("max_auth_failures = 100\n"));
    let mut client = world.connect();
    client.reply();
    client.expect("EHLO client.test", 250);
    // Right, wrong, in the wrong place, cut, with a stray byte, in the name's place.
    client.expect(&format!("AUTH PLAIN {}", base64(b"\0alice@gate.test\0hunter2")), 535);
    client.expect(&format!("AUTH PLAIN {}", base64(b"alice@gate.test\0hunter2")), 535);
    client.expect(&format!("AUTH PLAIN {}!", base64(b"\0alice@gate.test\0hunter2")), 501);
    client.expect(&format!("AUTH PLAIN {} x", base64(b"\0alice@gate.test\0hunter2")), 501);
    client.expect(&format!("AUTH PLAIN\t{}\x01", base64(b"\0alice@gate.test\0hunter2")), 500);
    client.expect(&base64(b"hunter2"), 500);
    client.expect("hunter2", 500);
    client.expect("AUTH LOGIN", 334);
    client.expect(&base64(b"alice@gate.test"), 334);
    client.expect(&base64(b"hunter2"), 535);
    client.expect("AUTH PLAIN", 334);
    client.expect(&plain_response(), 235);
    client.expect("QUIT", 221);
    world.wait_for_sessions(1);
    let log = world.service.log();
    let secrets = ["hunter2", PASSWORD].map(|secret| {
        // As text, and in base64 at each of the three places it can have in a group of three.
        let shifted = (0..3).map(|pad| {
            let text = base64(&[&vec![b'x'; pad][..], secret.as_bytes()].concat());
            text[4 * pad.min(1)..text.len() - 4].to_owned()
        });
        shifted.chain([secret.to_owned(), base64(secret.as_bytes())]).collect::<Vec<_>>()
    });
    for secret in secrets.iter().flatten() {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
    // Two wrong passwords, a message without its NUL, and base64 that is none.
    assert_eq!(log.matches("AUTH failure (").count(), 4, "{log}");
    assert_eq!(
        log.matches("AUTH=server, relay=[127.0.0.1], authid=alice@gate.test, mech=PLAIN, bits=0")
            .count(),
        1
    );
}

#[test]
fn the_log_has_sendmails_line_for_tls() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    world.log_in();
    world.service.wait_for_log(
        "STARTTLS=server, relay=[127.0.0.1], version=TLSv1.3, verify=NOT, cipher=TLS_",
    );
}
