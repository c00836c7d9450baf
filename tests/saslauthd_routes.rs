//! Who is asked, and who may ask: routes by realm and service, sockets with
//! permissions and backends of their own. A backend that is down stands for "another one".
#![cfg(test)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{Kind, PASSWORD, REALM, Subject, USER, counted, read_reply, request};

const OK: &[u8] = b"\0\x02OK";
const NO: &[u8] = b"\0\x02NO";
/// Nobody could be asked: the connection is closed without a reply.
const UNAVAILABLE: &[u8] = b"";

/// A store behind `authd.backends`, and "pam", which is down; then `sections`,
/// where `DIR` stands for the directory of the subject.
fn start(sections: &str) -> Subject {
    let mut subject = Subject::start(Kind::Store);
    process::stop(&mut subject.child);
    let dir = subject.dir().display().to_string();
    let text = fs::read_to_string(subject.config()).unwrap();
    let text = text.replace("[pam]\n", &format!("[pam]\nsocket = \"{dir}/nobody\"\n"));
    fs::write(subject.config(), format!("{text}\n{}", sections.replace("DIR", &dir))).unwrap();
    subject.restart();
    subject
}

/// Asks at the socket file `name` for the user that exists, or one of another realm or service.
fn ask(subject: &Subject, name: &str, service: &str, realm: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(subject.dir().join(name)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let bytes = request(&[USER, PASSWORD, service, realm]);
    std::io::Write::write_all(&mut stream, &bytes).unwrap();
    read_reply(&mut stream)
}

#[test]
fn realm_and_service_choose_who_is_asked_and_a_dead_backend_harms_only_its_own() {
    let subject = start(
        "[[authd.route]]\nrealm = [\"*.down.test\", \"down.test\"]\nbackends = [\"pam\"]\n\
         [[authd.route]]\nservice = [\"imap\"]\nbackends = [\"pam\"]\n",
    );
    for round in 0..3 {
        assert_eq!(ask(&subject, "mux", "smtp", "mail.down.test"), UNAVAILABLE, "{round}");
        assert_eq!(ask(&subject, "mux", "smtp", "DOWN.test"), UNAVAILABLE, "{round}");
        assert_eq!(ask(&subject, "mux", "imap", REALM), UNAVAILABLE, "{round}");
        assert_eq!(ask(&subject, "mux", "smtp", REALM), OK, "{round}");
    }
    subject.wait_for_log(
        "auth unavailable: [user=alice] [service=imap] [realm=example.org] [mech=pam]",
    );
}

#[test]
fn each_socket_has_its_own_mode_backends_and_guests() {
    let stranger = nix::unistd::geteuid().as_raw() + 1;
    let us = nix::unistd::geteuid();
    let subject = start(&format!(
        "[[authd.listener]]\nname = \"down\"\nsocket = \"DIR/down.mux\"\nbackends = [\"pam\"]\n\
         [[authd.listener]]\nname = \"closed\"\nsocket = \"DIR/closed.mux\"\n\
         socket_mode = \"0600\"\nallowed_users = [\"{stranger}\"]\n\
         [[authd.listener]]\nname = \"ours\"\nsocket = \"DIR/ours.mux\"\n\
         allowed_users = [\"{stranger}\", \"{us}\"]\n"
    ));
    assert_eq!(ask(&subject, "mux", "smtp", REALM), OK);
    assert_eq!(ask(&subject, "down.mux", "smtp", REALM), UNAVAILABLE);
    assert_eq!(ask(&subject, "ours.mux", "smtp", REALM), OK);
    assert_eq!(ask(&subject, "closed.mux", "smtp", REALM), NO);
    let mode =
        |name: &str| fs::metadata(subject.dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("closed.mux"), mode("ours.mux")), (0o600, 0o777));
    subject.wait_for_log(&format!(
        "[verdict=rejected] [code=peer-not-allowed] [uid={us}] [ms=0] [detail=the peer's uid is \
         {us}, which is not among allowed_users of the listener closed]"
    ));
    subject.signal(Signal::SIGTERM);
    let is_gone = |name: &str| !subject.dir().join(name).exists();
    let are_gone = || ["mux", "down.mux", "closed.mux", "ours.mux"].into_iter().all(is_gone);
    assert!(wait_until(PATIENCE, are_gone), "{}", subject.log());
}

#[test]
fn a_reload_takes_over_routes_guests_and_backends_and_keeps_the_sockets() {
    let listener = "[[authd.listener]]\nname = \"own\"\nsocket = \"DIR/own.mux\"\n";
    let subject = start(listener);
    assert_eq!(ask(&subject, "own.mux", "smtp", REALM), OK);
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(subject.socket()).unwrap());
    let before = inode();
    let base = fs::read_to_string(subject.config()).unwrap();
    let mut reloads = 0;
    let mut reload = |text: String, said: &str| {
        fs::write(subject.config(), text).unwrap();
        subject.signal(Signal::SIGHUP);
        reloads += 1;
        let is_done = || subject.log().matches("reloaded").count() == reloads;
        assert!(wait_until(PATIENCE, is_done), "{}", subject.log());
        assert!(subject.log().contains(said), "{}", subject.log());
    };
    reload(format!("{base}backends = [\"pam\"]\n"), "reloaded");
    assert_eq!(ask(&subject, "own.mux", "smtp", REALM), UNAVAILABLE);
    let stranger = nix::unistd::geteuid().as_raw() + 1;
    reload(format!("{base}allowed_users = [\"{stranger}\"]\n"), "reloaded");
    assert_eq!(ask(&subject, "own.mux", "smtp", REALM), NO);
    let place = subject.dir().display().to_string();
    let gone = base.replace(&listener.replace("DIR", &place), "");
    assert_ne!(gone, base);
    let route = "[[authd.route]]\nservice = [\"imap\"]\nbackends = [\"pam\"]\n";
    reload(gone + route, "what changed here only comes with a restart: [[authd.listener]]");
    assert_eq!(ask(&subject, "own.mux", "smtp", REALM), UNAVAILABLE, "nobody may be asked there");
    assert_eq!(ask(&subject, "mux", "smtp", REALM), OK);
    assert_eq!(ask(&subject, "mux", "imap", REALM), UNAVAILABLE);
    assert_eq!(inode(), before);
    subject.wait_for_log("[detail=this socket is no longer configured");
}

#[test]
fn systemd_opens_sockets_by_name() {
    let mut subject = start(
        "[[authd.listener]]\nname = \"down\"\nsocket = \"DIR/down.mux\"\nbackends = [\"pam\"]\n",
    );
    process::stop(&mut subject.child);
    let bind = |name: &str| -> (UnixListener, PathBuf) {
        let path = subject.dir().join(name);
        (UnixListener::bind(&path).unwrap(), path)
    };
    let (down, default) = (bind("given-down").0, bind("given").0);
    let script = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ \
                  LISTEN_FDNAMES=saslauthd-down:saslauthd exec \"$0\" --config \"$1\" authd";
    let mut managed = Command::new("/bin/sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_saslgate")])
        .arg(subject.config())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(down)))
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(default)))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(ask(&subject, "given", "smtp", REALM), OK);
    assert_eq!(ask(&subject, "given-down", "smtp", REALM), UNAVAILABLE);
    assert!(!subject.dir().join("down.mux").exists(), "what was given is not made again");
    assert_eq!(process::stop(&mut managed), Some(0));
}

#[test]
fn the_fifth_field_and_the_peer_are_in_the_event() {
    let subject = Subject::start(Kind::Store);
    let mut bytes = request(&[USER, PASSWORD, "smtp", REALM]);
    bytes.extend_from_slice(&counted(b"2001:db8::7;1234"));
    assert_eq!(subject.exchange(&[&bytes]), OK);
    let uid = nix::unistd::geteuid();
    subject.wait_for_log(&format!("[remote=2001:db8::7] [verdict=accepted] [uid={uid}]"));
}
