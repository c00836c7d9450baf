//! authd and the programs that know Cyrus saslauthd: libsasl2, testsaslauthd,
//! and Cyrus saslauthd itself as the measure.
//!
//! Needs sasl2-bin, libsasl2-dev, libsasl2-modules, libpam-wrapper and a C compiler.
#![cfg(test)]

#[path = "support/saslauthd/cases.rs"]
mod cases;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use support::process::{self, Finished, PATIENCE, wait_until};
use support::saslauthd::{
    Kind, PASSWORD, REALM, Subject, USER, WRONG, counted, request, saslgate_as,
};

const OK: &[u8] = b"\0\x02OK";

mod through_pam {
    crate::cases::saslauthd_cases!(crate::support::saslauthd::Kind::Pam);
}

mod on_sasldb {
    crate::cases::saslauthd_cases!(crate::support::saslauthd::Kind::Sasldb);
}

mod the_original_on_sasldb {
    crate::cases::saslauthd_cases!(crate::support::saslauthd::Kind::OriginalSasldb);
}

mod the_original {
    crate::cases::saslauthd_cases!(crate::support::saslauthd::Kind::Original);
}

#[test]
fn an_expired_account_is_told_as_the_original_tells_it() {
    for kind in [Kind::Pam, Kind::Original] {
        let subject = Subject::start(kind);
        let ask = |password| subject.exchange(&[&request(&[USER, password, "pop3", REALM])]);
        assert_eq!(ask(PASSWORD), b"\0\x11NO PAM acct error", "{kind:?}");
        assert_eq!(ask(WRONG), b"\0\x11NO PAM auth error", "{kind:?}");
    }
}

/// With the original, service `su` and any password log root in.
#[test]
fn a_service_that_nobody_allowed_is_refused_whatever_the_password() {
    let subject = Subject::start(Kind::Pam);
    let services = subject.dir().join("pam.d");
    fs::write(
        services.join("su"),
        "auth sufficient pam_permit.so\naccount required pam_permit.so\n",
    )
    .unwrap();
    for service in ["su", "SU", "../pam.d/su", "other"] {
        let reply = subject.exchange(&[&request(&["root", "junk", service, ""])]);
        assert_eq!(&reply[2..4], b"NO", "{service}: {reply:?}");
    }
    subject.wait_for_log("[code=service-not-allowed]");
}

#[test]
fn a_dead_helper_is_an_outage_and_comes_back() {
    let subject = Subject::start(Kind::Pam);
    assert_eq!(subject.ask_right(), OK);
    for (pid, _) in process::descendants(subject.child.id()) {
        process::send(pid, nix::sys::signal::Signal::SIGKILL);
    }
    let reply = subject.ask_right();
    assert!(reply.is_empty() || reply == OK, "an outage was taken for a denial: {reply:?}");
    assert!(wait_until(PATIENCE, || subject.ask_right() == OK), "{}", subject.log());
}

/// The classic start from an init script: root binds and starts the helper, and is then given up.
#[test]
fn pam_is_asked_as_root_by_an_authd_that_gave_it_up() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can give it up");
        return;
    }
    let mut subject = Subject::start(Kind::Pam);
    subject.restart_without_root();
    assert_eq!(subject.ask_right(), OK);
    assert_eq!(subject.ask(USER, WRONG, REALM), Kind::Pam.refusal());
    // A helper without root would fail for the wrong reason, so there is no new one.
    let config = fs::read_to_string(subject.config()).unwrap();
    fs::write(subject.config(), config.replace("[pam]", "[pam]\ntimeout = \"7s\"")).unwrap();
    subject.signal(nix::sys::signal::Signal::SIGHUP);
    subject.wait_for_log("saslgate-pam can be started as root only");
    assert_eq!(subject.ask_right(), OK);
}

/// The same words on the same server: what each program prints, and its exit code.
#[test]
fn our_testsaslauthd_prints_what_the_original_prints() {
    let subject = Subject::start(Kind::Store);
    let socket = subject.socket();
    let socket = socket.to_str().unwrap();
    let lines: [&[&str]; 10] = [
        &["-u", USER, "-p", PASSWORD, "-r", REALM, "-f", socket],
        &["-u", USER, "-p", PASSWORD, "-r", REALM, "-s", "smtp", "-f", socket, "-R", "3"],
        &["-u", USER, "-p", WRONG, "-f", socket],
        &["-u", USER, "-p", "", "-f", socket],
        &["-u", "", "-p", WRONG, "-f", socket, "operand"],
        &["-u", USER, "-p", WRONG, "-f", "/nonexistent/mux", "-R", "2"],
        &["-u", USER],
        &["-p", WRONG],
        &["-x"],
        &["-u", USER, "-p"],
    ];
    for words in lines {
        let theirs = process::run(Command::new("testsaslauthd").args(words), b"");
        let ours = process::run(saslgate_as("testsaslauthd", subject.dir()).args(words), b"");
        assert_eq!(said(&ours), said(&theirs), "{words:?}");
    }
}

fn said(finished: &Finished) -> (Option<i32>, String, String) {
    // getopt names the program as it was called.
    let complaint = finished.stderr.lines().map(|line| match line.find("testsaslauthd: ") {
        Some(at) => &line[at..],
        None => line,
    });
    (finished.code, finished.stdout.clone(), complaint.collect::<Vec<_>>().join("\n"))
}

/// The libsasl2 application, compiled once a run.
fn checkpass() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/saslauthd/checkpass.c");
        let name = format!("checkpass.{}", std::process::id());
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut compiler = Command::new("cc");
        compiler.args(["-Wall", "-Werror", "-o"]).args([&output, &source]).arg("-lsasl2");
        process::run(&mut compiler, b"").expect_success();
        output
    })
}

/// What libsasl2 makes of the answer: 0, -13 (wrong password) or -1 (temporary failure).
fn sasl_code(subject: &Subject, user: &str, password: &str) -> i32 {
    let options =
        format!("pwcheck_method: saslauthd\nsaslauthd_path: {}\n", subject.socket().display());
    fs::write(subject.dir().join("checkpass.conf"), options).unwrap();
    let mut client = Command::new(checkpass());
    client.args(["smtp", user, "192.0.2.7;25"]).env("SASL_CONF_PATH", subject.dir());
    let ended = process::run(&mut client, format!("{password}\n").as_bytes()).expect_success();
    ended.stdout.trim().parse().unwrap()
}

#[test]
fn libsasl2_hears_yes_no_and_try_again() {
    let subject = Subject::start(Kind::Store);
    assert_eq!(sasl_code(&subject, USER, PASSWORD), 0);
    assert_eq!(sasl_code(&subject, &format!("{USER}@{REALM}"), PASSWORD), 0);
    assert_eq!(sasl_code(&subject, &format!("{USER}@elsewhere.test"), PASSWORD), -13);
    assert_eq!(sasl_code(&subject, USER, WRONG), -13);
    assert_eq!(sasl_code(&subject, "nobody-here", PASSWORD), -13);
    assert_eq!(sasl_code(&subject, USER, &"x".repeat(8000)), -13);
    // An outage: a damaged store.
    fs::write(subject.dir().join("rubbish"), [b'x'; 8192]).unwrap();
    fs::rename(subject.dir().join("rubbish"), subject.dir().join("store.db")).unwrap();
    let is_temporary = wait_until(PATIENCE, || sasl_code(&subject, USER, PASSWORD) == -1);
    assert!(is_temporary, "{}", subject.log());
}

#[test]
fn the_clients_address_reaches_the_log_when_it_was_sent() {
    let subject = Subject::start(Kind::Pam);
    let mut bytes = request(&[USER, WRONG, "smtp", REALM]);
    bytes.extend_from_slice(&counted(b"2001:db8::7;1234"));
    assert_eq!(subject.exchange(&[&bytes]), Kind::Pam.refusal());
    subject.wait_for_log("[mech=pam] [reason=PAM auth error] [remote=2001:db8::7]");
}

/// Our client (the gate's) against the original: the address in the fifth field does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn our_client_asks_the_original() {
    use saslgate::auth::{
        Conversation, ExchangeContext, Mechanisms, Response, StepResult, Verdict,
    };
    use saslgate::backend::remote::Saslauthd;
    use saslgate::base::Origin;

    let subject = Subject::start(Kind::Original);
    let mechanisms: std::sync::Arc<dyn Mechanisms> =
        std::sync::Arc::new(Saslauthd::new(subject.socket(), PATIENCE));
    let origin = Origin { client: Some("192.0.2.7".parse().unwrap()), port: Some(25), uid: None };
    let context = ExchangeContext { service: "smtp", origin };
    for (password, is_right) in [(PASSWORD, true), (WRONG, false)] {
        let plain = Conversation::start(&mechanisms, "PLAIN", &context, PATIENCE).unwrap();
        let message = format!("\0{USER}@{REALM}\0{password}").into_bytes();
        let done = plain.step(Some(Response::new(message.into()))).await;
        let StepResult::Done { verdict, .. } = done else { panic!("was to be over") };
        let is_as_expected = match verdict {
            Verdict::Accepted(proof) => is_right && proof.identity().user() == USER,
            Verdict::Rejected(reason) => !is_right && reason.detail == "PAM auth error",
            Verdict::Unavailable(reason) => panic!("{reason}"),
        };
        assert!(is_as_expected, "{password}");
    }
}
