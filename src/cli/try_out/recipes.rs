//! Lines to paste into a shell: swaks, curl and testsaslauthd against a running try.
//!
//! They hold the password, which is why this is for users of `saslgate try`
//! only. Tested as they are printed.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;

use super::users::User;

/// What the lines are made from.
pub(super) struct Facts<'a> {
    /// The STARTTLS port.
    pub(super) starttls: SocketAddr,
    /// The port with TLS from the first byte.
    pub(super) implicit: SocketAddr,
    /// The certificate to trust.
    pub(super) certificate: &'a Path,
    /// The saslauthd socket.
    pub(super) socket: &'a Path,
    /// Who logs in.
    pub(super) user: &'a User,
    /// The realm that need not be named.
    pub(super) default_realm: &'a str,
    /// Sender and recipient.
    pub(super) from: &'a str,
    pub(super) to: &'a str,
}

/// Submission over the STARTTLS port.
pub(super) fn swaks(facts: &Facts<'_>) -> String {
    let server = reachable(facts.starttls);
    format!(
        "swaks --server {} --port {} --tls --tls-verify --tls-ca-path {} --auth PLAIN \
         --auth-user {} --auth-password {} --from {} --to {}",
        server.ip(),
        server.port(),
        quoted(&facts.certificate.to_string_lossy()),
        quoted(&facts.user.login),
        quoted(&password(facts.user)),
        quoted(facts.from),
        quoted(facts.to),
    )
}

/// Submission over the implicit-TLS port.
pub(super) fn curl(facts: &Facts<'_>) -> String {
    format!(
        "printf '%s\\r\\n' {} {} 'Subject: try' '' hello | \
         curl --url smtps://{}/client.localhost --cacert {} --user {} \
         --login-options AUTH=PLAIN --mail-from {} --mail-rcpt {} --upload-file -",
        quoted(&format!("From: {}", facts.from)),
        quoted(&format!("To: {}", facts.to)),
        reachable(facts.implicit),
        quoted(&facts.certificate.to_string_lossy()),
        quoted(&format!("{}:{}", facts.user.login, password(facts.user))),
        quoted(facts.from),
        quoted(facts.to),
    )
}

/// A password check without mail, as sendmail asks.
pub(super) fn testsaslauthd(facts: &Facts<'_>) -> String {
    let identity = &facts.user.identity;
    let realm = if identity.realm() == facts.default_realm {
        String::new()
    } else {
        format!(" -r {}", quoted(identity.realm()))
    };
    format!(
        "testsaslauthd -u {} -p {}{realm} -s smtp -f {}",
        quoted(identity.user()),
        quoted(&password(facts.user)),
        quoted(&facts.socket.to_string_lossy()),
    )
}

fn password(user: &User) -> Cow<'_, str> {
    String::from_utf8_lossy(user.password.expose())
}

/// An address a client of this host can connect to: loopback for a wildcard.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener {
        SocketAddr::V4(it) if it.ip().is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(it) if it.ip().is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        other => other.ip(),
    };
    SocketAddr::new(ip, listener.port())
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Identity, Secret};

    fn user(identity: &str, password: &str) -> User {
        let identity = Identity::parse(identity, "localhost").unwrap();
        let login = identity.to_string();
        User { identity, login, password: Secret::copied_from(password.as_bytes()).unwrap() }
    }

    fn facts(user: &User) -> Facts<'_> {
        Facts {
            starttls: "127.0.0.1:10587".parse().unwrap(),
            implicit: "[::]:10465".parse().unwrap(),
            certificate: Path::new("/tmp/my try/cert.pem"),
            socket: Path::new("/tmp/mux"),
            user,
            default_realm: "localhost",
            from: "a@localhost",
            to: "b@localhost",
        }
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("a@b-c.test"), "a@b-c.test");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn lines_name_what_is_needed_and_no_more() {
        let demo = user("demo", "pass word");
        assert_eq!(
            testsaslauthd(&facts(&demo)),
            "testsaslauthd -u demo -p 'pass word' -s smtp -f /tmp/mux"
        );
        let other = user("bob@x.test", "p");
        assert_eq!(
            testsaslauthd(&facts(&other)),
            "testsaslauthd -u bob -p p -r x.test -s smtp -f /tmp/mux"
        );
        assert!(swaks(&facts(&other)).contains("--tls-ca-path '/tmp/my try/cert.pem' "));
        assert!(curl(&facts(&other)).contains("smtps://[::1]:10465/client.localhost "));
    }
}
