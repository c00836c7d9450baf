//! Who sends as whom, and how much, through the built gate: senders, From:
//! headers, limits, sessions, accounts that look stolen.

mod support;

use std::fs;

use nix::sys::signal::Signal;
use support::gate_world::{Options, World};
use support::process::{PATIENCE, wait_until};
use support::scripted_backend::Backend;
use support::smtp_client::SmtpClient;

fn world(backend: &Backend, sections: &str) -> World {
    let options = Options { sections: sections.to_owned(), ..Options::default() };
    World::start(backend.address, &options)
}

/// `CODE X.Y.Z text`, the reply to a line.
fn told(client: &mut SmtpClient, line: &str) -> String {
    let reply = client.command(line);
    format!("{} {}", reply.code, reply.text())
}

/// Mails that the backend heard of.
fn senders(backend: &Backend) -> Vec<String> {
    let seen = backend.all();
    let lines = seen.iter().flat_map(|link| link.lines.clone());
    lines.filter(|line| line.starts_with("MAIL FROM:")).collect()
}

#[test]
fn a_user_sends_as_himself_and_as_the_map_says() {
    let backend = Backend::polite();
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("senders");
    fs::write(&map, "alice@gate.test: sales@gate.test,\n  @alice.test\n").unwrap();
    let sections = format!("[policy.sender]\nallow = [\"own\"]\nmap = \"{}\"\n", map.display());
    let mut world = world(&backend, &sections);
    let mut client = world.log_in();
    for sender in ["alice@gate.test", "ALICE+list@gate.test", "sales@gate.test", "x@alice.test", ""]
    {
        client.expect(&format!("MAIL FROM:<{sender}>"), 250);
        client.expect("RSET", 250);
    }
    assert_eq!(
        told(&mut client, "MAIL FROM:<bob@gate.test>"),
        "553 5.7.1 <bob@gate.test>: Sender address rejected: not owned by user alice@gate.test"
    );
    assert!(!senders(&backend).iter().any(|line| line.contains("bob@")));
    world.service.wait_for_log("from=<bob@gate.test>");

    // A faulty map keeps the old one, and says which line.
    fs::write(&map, "alice@gate.test: bob@gate.test\nnonsense\n").unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log(&format!("{}, line 2: ", map.display()));
    let mut client = world.log_in();
    client.expect("MAIL FROM:<sales@gate.test>", 250);
    client.expect("RSET", 250);
    client.expect("MAIL FROM:<bob@gate.test>", 553);

    fs::write(&map, "alice@gate.test: bob@gate.test\n").unwrap();
    world.service.signal(Signal::SIGHUP);
    let is_new = || {
        let mut client = world.log_in();
        client.command("MAIL FROM:<bob@gate.test>").code == 250
    };
    assert!(wait_until(PATIENCE, is_new), "the new map does not count");
}

#[test]
fn a_gate_does_not_start_with_a_faulty_map() {
    let backend = Backend::polite();
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("senders");
    fs::write(&map, "alice a@b\n").unwrap();
    let sections = format!("[policy.sender]\nallow = [\"own\"]\nmap = \"{}\"\n", map.display());
    let options = Options { sections, ..Options::default() };
    let (dir, _authd) = support::gate_world::lay_out(backend.address, &options);
    let output = std::process::Command::new(support::gate::SASLGATE)
        .arg("gate")
        .arg("--config")
        .arg(dir.path().join("saslgate.toml"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("{}, line 1: ", map.display())), "{text}");
}

#[test]
fn the_from_header_counts_where_it_is_checked() {
    let backend = Backend::polite();
    let world = world(&backend, "[policy.sender]\nallow = [\"own\"]\ncheck_from = true\n");
    let mut client = world.log_in();
    let mut submit = |content: &str| {
        client.expect("MAIL FROM:<alice@gate.test>", 250);
        client.expect("RCPT TO:<c@d.test>", 250);
        client.expect("DATA", 354);
        let reply = client.finish_message(content.as_bytes());
        format!("{} {}", reply.code, reply.text())
    };
    for good in [
        "From: Alice <alice@gate.test>\r\n\r\nhello\r\n",
        "Subject: x\r\nFrom:\r\n =?utf-8?q?bob=40gate.test?=\r\n <alice+x@gate.test>\r\n\r\nhello\r\n",
        "Subject: no From at all\r\n\r\nFrom: bob@gate.test\r\n",
        "",
    ] {
        assert_eq!(&submit(good)[..3], "250", "{good:?}");
    }
    let refusal = "550 5.7.1 <bob@gate.test>: Sender address rejected: \
                   From: header not owned by user alice@gate.test";
    for foreign in [
        "From: bob@gate.test\r\n\r\nhello\r\n",
        "From: Alice <alice@gate.test>, bob@gate.test\r\n\r\nhello\r\n",
        "From: \"alice@gate.test\" <bob@gate.test>\r\n\r\nhello\r\n",
        // Without a body, and behind a megabyte of other fields.
        "From: bob@gate.test\r\n",
        &format!("{}From: bob@gate.test\r\n\r\nhello\r\n", "X-Long: x\r\n".repeat(100_000)),
    ] {
        assert_eq!(submit(foreign), refusal, "{:?}", &foreign[..40.min(foreign.len())]);
    }
    for unreadable in [
        "From: alice@gate.test\r\nFrom: bob@gate.test\r\n\r\n",
        "From: alice@gate.test <bob@gate.test>\r\n\r\n",
    ] {
        let told = submit(unreadable);
        assert!(told.starts_with("550 5.7.1 From: header rejected: "), "{told}");
    }
    assert_eq!(backend.messages().len(), 4, "a message that was refused was completed");
    assert_eq!(&submit("From: alice@gate.test\r\n\r\nstill in step\r\n")[..3], "250");
}

#[test]
fn beyond_a_soft_limit_a_client_hears_when_to_come_back() {
    let backend = Backend::polite();
    let mut world = world(
        &backend,
        "[[policy.rate]]\nof = \"login\"\ncount = \"recipients\"\nlimit = 3\n\
         [[policy.rate]]\nof = \"address\"\ncount = \"messages\"\nlimit = 2\nper = \"24h\"\n",
    );
    let mut client = world.log_in();
    client.expect("MAIL FROM:<a@b.test>", 250);
    for number in 0..3 {
        client.expect(&format!("RCPT TO:<r{number}@d.test>"), 250);
    }
    assert_eq!(
        told(&mut client, "RCPT TO:<r3@d.test>"),
        "451 4.7.1 Too much mail: at most 3 recipients an hour for this login, \
         try again in 20 minutes"
    );
    // What was taken before goes its way.
    client.expect("DATA", 354);
    assert_eq!(client.finish_message(b"Subject: x\r\n\r\nx\r\n").code, 250);
    client.expect("MAIL FROM:<a@b.test>", 250);
    client.expect("RSET", 250);
    // Another session of the same address; and the whole transaction pipelined.
    let mut other = world.log_in();
    other.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
    let reply = other.reply();
    assert_eq!(
        (reply.code, reply.text().as_str()),
        (
            451,
            "4.7.1 Too much mail: at most 2 messages a day for this address, \
             try again in 12 hours"
        )
    );
    assert_eq!([other.reply().code, other.reply().code], [503, 503]);
    // A reload that does not touch the limits forgets nothing.
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("reloaded");
    world.log_in().expect("MAIL FROM:<a@b.test>", 451);
}

#[test]
fn an_account_that_goes_beyond_a_hard_limit_is_locked_until_a_reload() {
    let backend = Backend::polite();
    let mut world = world(
        &backend,
        "[policy.account]\nlock = \"2h\"\n\
         [[policy.rate]]\nof = \"login\"\ncount = \"recipients\"\nlimit = 2\nhard = 4\n",
    );
    let mut client = world.log_in();
    client.expect("MAIL FROM:<a@b.test>", 250);
    let codes: Vec<u16> = (0..6).map(|_| client.command("RCPT TO:<c@d.test>").code).collect();
    assert_eq!(codes, [250, 250, 451, 451, 554, 554]);
    world.service.wait_for_log(
        "account: login=alice@gate.test, state=suspicious, sign=hard-limit, relay=[127.0.0.1], \
         locked=7200, detail=\"4 attempts, where the limit is 2 recipients an hour for this login\"",
    );
    let mut locked = world.log_in();
    let text = told(&mut locked, "MAIL FROM:<a@b.test>");
    assert!(text.starts_with("554 5.7.1 This account may send nothing for another 2"), "{text}");
    assert_eq!(world.service.log().matches("state=suspicious").count(), 1);
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("account: login=alice@gate.test, state=released, left=");
    let is_free = || world.log_in().command("MAIL FROM:<a@b.test>").code == 250;
    assert!(wait_until(PATIENCE, is_free), "{}", world.service.log());
}

#[test]
fn content_is_paid_for_by_the_next_message() {
    let backend = Backend::polite();
    let world = world(
        &backend,
        "[[policy.rate]]\nof = \"login\"\ncount = \"mebibytes\"\nlimit = 1\nper = \"24h\"\n",
    );
    let mut client = world.log_in();
    let line = format!("{}\r\n", "x".repeat(998));
    let content = line.repeat(1100);
    assert_eq!(client.submit(content.as_bytes()).code, 250);
    let reply = client.submit(b"x\r\n");
    assert_eq!(reply.code, 451);
    assert!(reply.text().contains("at most 1 MiB a day for this login"), "{}", reply.text());
}

#[test]
fn sessions_of_a_login_are_bounded_and_their_places_come_free() {
    let backend = Backend::polite();
    let mut world = world(&backend, "[policy.account]\nmax_sessions = 2\n");
    let mut first = world.log_in();
    let mut second = world.log_in();
    let log_in = || {
        let mut client = world.connect();
        assert_eq!(client.reply().code, 220);
        client.expect("EHLO client.test", 250);
        let response = support::smtp_client::plain_response();
        client.command(&format!("AUTH PLAIN {response}")).code
    };
    assert_eq!(log_in(), 454);
    first.expect("QUIT", 221);
    assert!(wait_until(PATIENCE, || log_in() == 235), "the place is not given back");
    second.expect("NOOP", 250);
    world.service.wait_for_log("this login has 2 sessions");
}
