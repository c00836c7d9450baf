//! Mail clients that people use, as child processes: swaks, msmtp, curl,
//! Python's smtplib; and `openssl s_client`.
//!
//! Needs the packages swaks with libnet-ssleay-perl (TLS), msmtp, curl,
//! python3, openssl.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::process::{Finished, run};

/// A message in which dots, blank lines and bytes beyond ASCII stand where they can be lost.
pub(crate) const MESSAGE: &[u8] = b"Date: Fri, 20 Nov 2026 11:59:27 +0000\r\n\
    From: Alice <alice@client.test>\r\n\
    To: bob@gate.test\r\n\
    Message-ID: <1@client.test>\r\n\
    Subject: dots\r\n\
    \r\n\
    .one dot\r\n\
    ..two dots\r\n\
    .\r\n\
    \r\n\
    gr\xc3\xbcn, no blank line at the end\r\n";

/// How TLS starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls<'a> {
    /// Not at all.
    None,
    /// By STARTTLS, trusting this CA file.
    Starttls(&'a Path),
    /// At once, trusting this CA file.
    Implicit(&'a Path),
}

impl<'a> Tls<'a> {
    fn ca_file(self) -> Option<&'a Path> {
        match self {
            Self::None => None,
            Self::Starttls(ca) | Self::Implicit(ca) => Some(ca),
        }
    }
}

/// A user who logs in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    /// `PLAIN` or `LOGIN`.
    pub(crate) mechanism: &'a str,
}

/// One message for one client to submit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Submission<'a> {
    pub(crate) server: SocketAddr,
    pub(crate) tls: Tls<'a>,
    pub(crate) login: Option<Login<'a>>,
    pub(crate) from: &'a str,
    pub(crate) to: &'a [&'a str],
    /// The message with CRLF line ends, the last one included. Has Date, From
    /// and Message-ID, so that no client and no server adds them.
    pub(crate) message: &'a [u8],
}

/// A client by name, for loops over all of them.
pub(crate) type Client = fn(&Submission<'_>) -> Finished;

/// Every client, with its name.
pub(crate) const ALL: &[(&str, Client)] =
    &[("swaks", swaks), ("msmtp", msmtp), ("curl", curl), ("smtplib", smtplib)];

/// swaks (Perl).
pub(crate) fn swaks(submission: &Submission<'_>) -> Finished {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // swaks puts CRLF and the dot behind what it is given.
    let text = submission.message.strip_suffix(b"\r\n").expect("a final CRLF");
    fs::write(&data, text).unwrap();
    let mut command = Command::new("swaks");
    command
        .args(["--server", &submission.server.ip().to_string()])
        .args(["--port", &submission.server.port().to_string()])
        .args(["--ehlo", "client.test", "--timeout", "30s"])
        .args(["--from", submission.from, "--to", &submission.to.join(",")])
        .arg("--data")
        .arg(format!("@{}", data.display()));
    match submission.tls {
        Tls::None => {}
        Tls::Starttls(_) => drop(command.arg("--tls")),
        Tls::Implicit(_) => drop(command.arg("--tls-on-connect")),
    }
    if let Some(ca) = submission.tls.ca_file() {
        command.arg("--tls-verify").arg("--tls-ca-path").arg(ca);
    }
    if let Some(login) = submission.login {
        command.args(["--auth", login.mechanism, "--auth-user", login.user]);
        command.args(["--auth-password", login.password]);
    }
    run(&mut command, b"")
}

/// msmtp (C, GnuTLS).
pub(crate) fn msmtp(submission: &Submission<'_>) -> Finished {
    let dir = tempfile::tempdir().unwrap();
    let rc = dir.path().join("msmtprc");
    let mut text = format!(
        "defaults\naccount default\nhost {}\nport {}\nfrom {}\ndomain client.test\ntimeout 30\n",
        submission.server.ip(),
        submission.server.port(),
        submission.from
    );
    match submission.tls {
        Tls::None => text.push_str("tls off\n"),
        Tls::Starttls(_) => text.push_str("tls on\ntls_starttls on\n"),
        Tls::Implicit(_) => text.push_str("tls on\ntls_starttls off\n"),
    }
    if let Some(ca) = submission.tls.ca_file() {
        text.push_str(&format!("tls_trust_file {}\n", ca.display()));
    }
    if let Some(login) = submission.login {
        let mechanism = login.mechanism.to_ascii_lowercase();
        text.push_str(&format!("auth {mechanism}\nuser {}\n", login.user));
        text.push_str(&format!("password {}\n", login.password));
    }
    fs::write(&rc, text).unwrap();
    fs::set_permissions(&rc, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new("msmtp");
    command.arg("--debug").arg(format!("--file={}", rc.display())).arg("--").args(submission.to);
    // It takes LF line ends on standard input, as sendmail does.
    run(&mut command, &without_cr(submission.message))
}

/// curl (C, OpenSSL).
pub(crate) fn curl(submission: &Submission<'_>) -> Finished {
    let scheme = if matches!(submission.tls, Tls::Implicit(_)) { "smtps" } else { "smtp" };
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--verbose", "--max-time", "50", "--url"])
        .arg(format!("{scheme}://{}/client.test", submission.server))
        .args(["--mail-from", submission.from, "--upload-file", "-"]);
    for recipient in submission.to {
        command.args(["--mail-rcpt", recipient]);
    }
    if let Some(ca) = submission.tls.ca_file() {
        command.arg("--ssl-reqd").arg("--cacert").arg(ca);
    }
    if let Some(login) = submission.login {
        command.arg("--user").arg(format!("{}:{}", login.user, login.password));
        command.arg("--login-options").arg(format!("AUTH={}", login.mechanism));
    }
    run(&mut command, submission.message)
}

/// Python's smtplib.
pub(crate) fn smtplib(submission: &Submission<'_>) -> Finished {
    let mode = match submission.tls {
        Tls::None => "none",
        Tls::Starttls(_) => "starttls",
        Tls::Implicit(_) => "implicit",
    };
    let login = submission.login;
    let mut command = Command::new("python3");
    command
        .args(["-c", SMTPLIB])
        .args([&submission.server.ip().to_string(), &submission.server.port().to_string(), mode])
        .arg(submission.tls.ca_file().unwrap_or(Path::new("")))
        .args([login.map_or("", |l| l.user), login.map_or("", |l| l.password)])
        .args([login.map_or("", |l| l.mechanism), submission.from])
        .args(submission.to);
    run(&mut command, submission.message)
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, mode, ca, user, password, mechanism, sender = sys.argv[1:9]
context = ssl.create_default_context(cafile=ca) if ca else None
args = dict(host=host, port=int(port), local_hostname="client.test", timeout=30)
smtp = smtplib.SMTP_SSL(context=context, **args) if mode == "implicit" else smtplib.SMTP(**args)
smtp.set_debuglevel(1)
if mode == "starttls":
    smtp.starttls(context=context)
smtp.ehlo()
if user:
    smtp.user, smtp.password = user, password
    smtp.auth(mechanism, getattr(smtp, "auth_" + mechanism.lower()))
refused = smtp.sendmail(sender, sys.argv[9:], sys.stdin.buffer.read())
smtp.quit()
sys.exit(1 if refused else 0)
"#;

/// `openssl s_client` with further arguments, fed with `input`; `-quiet`-less,
/// so that its standard output describes the session.
pub(crate) fn openssl_s_client(server: SocketAddr, arguments: &[&str], input: &[u8]) -> Finished {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &server.to_string(), "-ign_eof"]).args(arguments);
    run(&mut command, input)
}

fn without_cr(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| *byte != b'\r').collect()
}
