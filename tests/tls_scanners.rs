//! What testssl.sh and sslscan say of the gate: nothing that costs an A.
//!
//! Both look at the STARTTLS listener from outside, as an auditor would.
//! `tests/gate_tls.rs` has the single cases. Needs testssl.sh and sslscan (see
//! `tests/support`).

mod support;

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use support::gate_world::{Options, World};
use support::pki::Authority;
use support::process::run;
use support::scripted_backend::Backend;

/// A gate with a certificate of an authority, as a host on the Internet has it.
fn start(dir: &Path, backend: &Backend) -> World {
    let authority = Authority::new(dir, "root");
    authority.issue("gate", 0x1234_5678_9abc_def0, &["gate.test", "127.0.0.1"], |params| {
        let now = SystemTime::now();
        params.not_before = now.into();
        params.not_after = (now + std::time::Duration::from_secs(90 * 86_400)).into();
    });
    let dir = dir.display();
    let tls = format!("[[tls.certificate]]\nfile = \"{dir}/gate.pem\"\nkey = \"{dir}/gate.key\"\n");
    // Scanners open many connections at once.
    let gate = "max_sessions_per_address = 1000\n".to_owned();
    World::start(backend.address, &Options { tls, gate, ..Options::default() })
}

/// What testssl.sh finds and is not the gate's affair, or as it should be.
const EXPECTED: &[&str] = &[
    // This host's openssl.
    "engine_problem",
    // The client's order counts: all that is on offer is AEAD with forward
    // secrecy, and the client knows which of them its processor does itself.
    "cipher_order",
    // Its test wants a session of HTTP; tests/gate_tls.rs resumes with openssl.
    "sessionresumption_ticket",
    "sessionresumption_ID",
    // The certificate of this test: an authority that nobody knows, without a
    // place to ask for revocation, and no DNS.
    "cert_chain_of_trust",
    "cert_revocation",
    "DNS_CAArecord",
];

#[test]
fn testssl_finds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::polite();
    let world = start(dir.path(), &backend);
    let report = dir.path().join("report.json");
    let program = if is_there("testssl") { "testssl" } else { "testssl.sh" };
    let mut command = Command::new(program);
    command.args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "one"]);
    command.args(["-t", "smtp", "--jsonfile"]).arg(&report);
    // Protocols, ciphers, forward secrecy, defaults; then Heartbleed, CCS, Ticketbleed, CRIME,
    // POODLE, SWEET32, FREAK, DROWN, Logjam, BEAST, Lucky 13, RC4. Not renegotiation, which
    // is tried by waiting, and which rustls has not.
    command.args(["-p", "-s", "-f", "-S", "-H", "-I", "-T", "-C", "-O", "-W", "-F", "-D", "-J"]);
    command.args(["-A", "-L", "-4"]).arg(world.starttls.to_string());
    let finished = run(&mut command, b"");
    let text = std::fs::read_to_string(&report)
        .unwrap_or_else(|error| panic!("{error}:\n{}{}", finished.stdout, finished.stderr));
    let findings: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let word = |finding: &serde_json::Value, key: &str| {
        finding[key].as_str().unwrap_or_default().to_owned()
    };
    let ids: Vec<String> = findings.iter().map(|finding| word(finding, "id")).collect();
    // It has come to its end, and has really looked.
    for wanted in ["TLS1_1", "TLS1_3", "cipherlist_AVERAGE", "heartbleed", "RC4", "cert_keySize"] {
        assert!(ids.iter().any(|id| id == wanted), "{wanted} was not looked at:\n{text}");
    }
    let bad: Vec<String> = findings
        .iter()
        .filter(|finding| !["OK", "INFO", "DEBUG"].contains(&word(finding, "severity").as_str()))
        .filter(|finding| !EXPECTED.contains(&word(finding, "id").as_str()))
        .map(ToString::to_string)
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn sslscan_finds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::polite();
    let world = start(dir.path(), &backend);
    let mut command = Command::new("sslscan");
    command.args(["--starttls-smtp", "--no-colour", "--xml=-"]).arg(world.starttls.to_string());
    let text = run(&mut command, b"").expect_success().stdout;
    let elements: Vec<&str> = text.split('<').collect();
    let find = |parts: &[&str]| {
        let fits = |element: &&&str| parts.iter().all(|part| element.contains(part));
        elements.iter().filter(fits).count()
    };
    for (kind, version, enabled) in [
        ("ssl", "2", "0"),
        ("ssl", "3", "0"),
        ("tls", "1.0", "0"),
        ("tls", "1.1", "0"),
        ("tls", "1.2", "1"),
        ("tls", "1.3", "1"),
    ] {
        let [kind, version, enabled] = [
            format!("type=\"{kind}\""),
            format!("version=\"{version}\""),
            format!("enabled=\"{enabled}\""),
        ];
        assert_eq!(find(&["protocol ", &kind, &version, &enabled]), 1, "{kind} {version}:\n{text}");
    }
    assert_eq!(find(&["heartbleed ", "vulnerable=\"1\""]), 0, "{text}");
    let ciphers: Vec<&&str> =
        elements.iter().filter(|element| element.starts_with("cipher ")).collect();
    assert_eq!(ciphers.len(), 6, "{text}");
    for cipher in ciphers {
        let has = |parts: &[&str]| parts.iter().any(|part| cipher.contains(part));
        assert!(has(&["GCM", "CHACHA20"]) && has(&["\"TLS_", "\"ECDHE-"]), "{cipher}");
        assert!(has(&["strength=\"strong\"", "strength=\"acceptable\""]), "{cipher}");
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
