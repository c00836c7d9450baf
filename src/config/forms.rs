//! Texts with a form: paths, modes, owners, addresses, names.
//!
//! Each form is a [`TextForm`] (what the manual and a problem say is expected)
//! and a function that turns the text into the value a domain wants, or says in
//! a few words what is wrong with it. Pure: nothing is looked up on the host.
//! Called by the setters in `keys`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::policy::block_list::Zone;
use crate::policy::pattern::Pattern;
use crate::server::metrics::Place;

/// How a text must look.
pub struct TextForm {
    /// One word for the manual: `path`, `mode`.
    pub name: &'static str,
    /// What is expected, to be read behind "expected".
    pub expected: &'static str,
}

/// Longest path of a Unix socket in bytes: `sun_path` less its NUL (unix(7)).
const SOCKET_PATH_BYTES: usize = 107;

/// Longest domain name in text (RFC 1035 §2.3.4).
const DOMAIN_BYTES: usize = 253;

/// Longest name of an account (useradd(8)).
const ACCOUNT_BYTES: usize = 32;

pub(super) const PATH: TextForm =
    TextForm { name: "path", expected: "an absolute path such as \"/var/lib/saslgate/users.db\"" };
pub(super) const OPTIONAL_PATH: TextForm =
    TextForm { name: "path", expected: "an absolute path, or \"\" for none" };
pub(super) const SOCKET: TextForm = TextForm {
    name: "path",
    expected: "the absolute path of a socket, at most 107 bytes, such as \"/run/saslauthd/mux\"",
};
pub(super) const OPTIONAL_SOCKET: TextForm = TextForm {
    name: "path",
    expected: "the absolute path of a socket, at most 107 bytes, or \"\" for none",
};
pub(super) const MODE: TextForm = TextForm {
    name: "mode",
    expected: "permission bits in octal, in quotes, from \"0000\" to \"0777\"",
};
pub(super) const OWNER: TextForm = TextForm {
    name: "owner",
    expected: "\"user\", \"user:group\", \":group\", or \"\" to leave it as created",
};
pub(super) const ACCOUNT: TextForm =
    TextForm { name: "account", expected: "the name of an account, or \"\" for none" };
pub(super) const BACKEND_NAME: TextForm = TextForm {
    name: "name",
    expected: "lower-case letters, digits and hyphens, up to 64, or \"\" for the address",
};
pub(super) const BANNER: TextForm =
    TextForm { name: "banner", expected: "one line of ASCII text, up to 200 characters, or \"\"" };
pub(super) const LISTENER_NAME: TextForm = TextForm {
    name: "name",
    expected: "lower-case letters, digits and hyphens, 1 to 64, such as \"imap\"",
};
pub(super) const SOCKET_NAME: TextForm = TextForm {
    name: "name",
    expected: "letters, digits and -_.@, up to 255, such as \"submission\", or \"\" for none",
};
pub(super) const OPTIONAL_USER: TextForm =
    TextForm { name: "user", expected: "a user name, up to 255 characters, or \"\" for none" };
/// Of a list, to be read behind "expected a list of".
pub(super) const ACCOUNTS: &str = "accounts, by name or number";
/// Of a list, to be read behind "expected a list of".
pub(super) const NETWORKS: &str = "networks such as \"192.0.2.0/24\", or addresses";
pub(super) const REALM: TextForm = TextForm {
    name: "realm",
    expected: "a realm such as \"example.org\", or \"\" for the name of this host",
};
pub(super) const OPTIONAL_REALM: TextForm =
    TextForm { name: "realm", expected: "a realm such as \"example.org\", or \"\" for none" };
pub(super) const KERBEROS_REALM: TextForm = TextForm {
    name: "realm",
    expected: "a Kerberos realm such as \"EXAMPLE.ORG\", or \"\" for the one of krb5.conf",
};
pub(super) const KERBEROS_SERVICE: TextForm = TextForm {
    name: "service",
    expected: "the first part of a service principal, such as \"host\" or \"smtp\"",
};
pub(super) const HOSTNAME: TextForm = TextForm {
    name: "host name",
    expected: "a host name such as \"mail.example.org\", or \"\" for the name of this host",
};
/// Of a list, to be read behind "expected a list of".
pub(super) const SERVED_NAMES: &str = "host names, or wildcards such as \"*.example.org\"";
pub(super) const SERVER_NAME: TextForm = TextForm {
    name: "host name",
    expected: "a host name such as \"mail.example.org\", or \"\" for the host of `address`",
};
pub(super) const ADDRESS: TextForm = TextForm {
    name: "host and port",
    expected: "\"host:port\", \"192.0.2.1:port\" or \"[2001:db8::1]:port\"",
};
pub(super) const SERVER: TextForm = TextForm {
    name: "host and port",
    expected: "\"host\", \"host:port\", \"[2001:db8::1]:port\", or \"\" for none",
};
pub(super) const DETAIL: TextForm = TextForm {
    name: "character",
    expected: "one character of !#$%&'*+-/=?^_`{|}~ such as \"+\", or \"\" for none",
};
pub(super) const LISTEN: TextForm = TextForm {
    name: "address and port",
    expected: "an IP address and a port such as \"0.0.0.0:587\" or \"[::]:587\"",
};
pub(super) const AUTH_SOURCE: TextForm = TextForm {
    name: "source",
    expected: "\"saslauthd:\" and the absolute path of a socket, at most 107 bytes",
};

pub(super) const METRICS: TextForm = TextForm {
    name: "address or path",
    expected: "an address such as \"127.0.0.1:9587\", the absolute path of a socket, or \"\"",
};
pub(super) const GROUP: TextForm =
    TextForm { name: "group", expected: "the name of a group, or \"\" for none" };

/// What a parser gives: the value, or what is wrong in a few words.
pub(super) type Parsed<T> = Result<T, String>;

/// An absolute path without NUL.
pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    if text.contains('\0') {
        return Err("it contains a NUL byte".to_owned());
    }
    if !text.starts_with('/') {
        return Err("it is not absolute".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// As [`path`]; `None` for the empty text.
pub(super) fn optional_path(text: &str) -> Parsed<Option<PathBuf>> {
    if text.is_empty() { Ok(None) } else { path(text).map(Some) }
}

/// An address with its port, or a path; `None` for the empty text.
pub(super) fn metrics_place(text: &str) -> Parsed<Option<Place>> {
    match text {
        "" => Ok(None),
        path if path.starts_with('/') => socket(path).map(|path| Some(Place::Unix(path))),
        address => listen(address).map(|address| Some(Place::Tcp(address))),
    }
}

/// As [`path`], short enough for `sun_path`.
pub(super) fn socket(text: &str) -> Parsed<PathBuf> {
    if text.len() > SOCKET_PATH_BYTES {
        return Err(format!("it is {} bytes long", text.len()));
    }
    if text.ends_with('/') {
        return Err("it names a directory".to_owned());
    }
    path(text)
}

/// As [`socket`]; `None` for the empty text.
pub(super) fn optional_socket(text: &str) -> Parsed<Option<PathBuf>> {
    if text.is_empty() { Ok(None) } else { socket(text).map(Some) }
}

/// `saslauthd:` and a socket path.
pub(super) fn auth_source(text: &str) -> Parsed<PathBuf> {
    let Some(rest) = text.strip_prefix("saslauthd:") else {
        return Err("it does not begin with \"saslauthd:\"".to_owned());
    };
    socket(rest).map_err(|reason| format!("behind \"saslauthd:\", {reason}"))
}

/// One to four octal digits, at most 0777.
pub(super) fn mode(text: &str) -> Parsed<u32> {
    let is_octal = (1..=4).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && mode <= 0o777 => Ok(mode),
        Ok(_) if is_octal => Err("it sets more than permission bits".to_owned()),
        _ => Err("it is not an octal number".to_owned()),
    }
}

/// `user`, `user:group`, `:group`; `None` for the empty text.
pub(super) fn owner(text: &str) -> Parsed<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    if text.ends_with(':') {
        return Err("the group is missing".to_owned());
    }
    for name in [user, group].into_iter().filter(|name| !name.is_empty()) {
        check_account(name)?;
    }
    Ok(Some(text.to_owned()))
}

/// Name of an account; `None` for the empty text.
pub(super) fn account(text: &str) -> Parsed<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    check_account(text)?;
    Ok(Some(text.to_owned()))
}

/// A name that fits `FileDescriptorName=` of systemd behind `saslauthd-`.
pub(super) fn listener_name(text: &str) -> Parsed<String> {
    if !(1..=64).contains(&text.len()) {
        return Err(format!("it has {} bytes", text.len()));
    }
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match text.chars().find(|c| !is_plain(*c)) {
        Some(odd) => Err(format!("{odd:?} cannot be in it")),
        None => Ok(text.to_owned()),
    }
}

/// The name of a user at another server; `None` for nothing.
pub(super) fn optional_user(text: &str) -> Parsed<Option<String>> {
    if text.len() > 255 {
        return Err(format!("it has {} bytes", text.len()));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(odd) => Err(format!("{odd:?} cannot be in it")),
        None => Ok((!text.is_empty()).then(|| text.to_owned())),
    }
}

/// What `FileDescriptorName=` may be, as far as anybody names sockets so; `None` for nothing.
pub(super) fn socket_name(text: &str) -> Parsed<Option<String>> {
    if text.len() > 255 {
        return Err(format!("it has {} bytes", text.len()));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.@".contains(*c)) {
        Some(odd) => Err(format!("{odd:?} cannot be in it")),
        None => Ok((!text.is_empty()).then(|| text.to_owned())),
    }
}

/// The name of a backend in logs, or nothing.
pub(super) fn backend_name(text: &str) -> Parsed<String> {
    if text.is_empty() { Ok(String::new()) } else { listener_name(text) }
}

/// What a greeting may say.
pub(super) fn banner(text: &str) -> Parsed<Option<String>> {
    const MOST: usize = 200;
    if text.len() > MOST {
        return Err(format!("it has {} bytes", text.len()));
    }
    match text.chars().find(|c| !(' '..='~').contains(c)) {
        Some(odd) => Err(format!("{odd:?} cannot be in it")),
        None => Ok((!text.is_empty()).then(|| text.to_owned())),
    }
}

/// The name or number of an account.
pub(super) fn some_account(text: &str) -> Parsed<()> {
    match account(text)? {
        Some(_) => Ok(()),
        None => Err("the name is missing".to_owned()),
    }
}

/// The rule of useradd(8), with the dot and the capital letters that directories have.
fn check_account(name: &str) -> Parsed<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.len() > ACCOUNT_BYTES {
        return Err(format!("a name is longer than {ACCOUNT_BYTES} bytes"));
    }
    if let Some(odd) = name.chars().find(|c| !is_plain(*c)) {
        return Err(format!("{odd:?} cannot be in the name of an account"));
    }
    if name.starts_with('-') {
        return Err("a name begins with a hyphen".to_owned());
    }
    Ok(())
}

/// What may stand behind the `@` of a login, lower case; `None` for the empty text.
pub(super) fn realm(text: &str) -> Parsed<Option<String>> {
    let (length, limit) = (text.len(), crate::base::MAX_REALM_BYTES);
    if length > limit {
        return Err(format!("it is {length} bytes long, at most {limit} are possible"));
    }
    if let Some(odd) = text.chars().find(|c| *c == '@' || c.is_whitespace() || c.is_control()) {
        return Err(format!("{odd:?} cannot be in a realm"));
    }
    Ok((!text.is_empty()).then(|| text.to_ascii_lowercase()))
}

/// As [`realm`], with its capitals as they are.
pub(super) fn kerberos_realm(text: &str) -> Parsed<Option<String>> {
    let folded = realm(text)?;
    if let Some(odd) = text.chars().find(|c| "/\\:".contains(*c)) {
        return Err(format!("{odd:?} cannot be in a Kerberos realm"));
    }
    Ok(folded.map(|_| text.to_owned()))
}

/// The name of a service: letters, digits, `-` and `_`, at most 64 of them.
pub(super) fn kerberos_service(text: &str) -> Parsed<String> {
    if text.is_empty() || text.len() > 64 {
        return Err(format!("it is {} bytes long", text.len()));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_".contains(*c)) {
        Some(odd) => Err(format!("{odd:?} cannot be in the name of a service")),
        None => Ok(text.to_owned()),
    }
}

/// A name of sendmail's class w or R: a word.
pub(super) fn class_name(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@/#".contains(c);
    match text.chars().find(|c| is_odd(*c)) {
        Some(c) => Err(format!("{c:?} is no part of a domain")),
        None => Ok(()),
    }
}

/// A network in CIDR notation, or a single address.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    let alone = |text: &str| text.parse::<IpAddr>().map(IpNet::from);
    let network: IpNet = text
        .parse()
        .or_else(|_| alone(text))
        .map_err(|_| "it is neither a network nor an address".to_owned())?;
    if network.trunc() == network {
        return Ok(network);
    }
    Err(format!("it has bits behind its prefix: the network is {}", network.trunc()))
}

/// A pattern of addresses or logins.
pub(super) fn address_pattern(text: &str) -> Parsed<Pattern> {
    Pattern::parse(text).map_err(|error| error.to_string())
}

/// A DNS block list, with the answers that count.
pub(super) fn block_list(text: &str) -> Parsed<Zone> {
    Zone::parse(text).map_err(|error| error.to_string())
}

/// A resolver: an IP address, with a port where it is not 53.
pub(super) fn resolver(text: &str) -> Parsed<SocketAddr> {
    let alone = |text: &str| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    let server: SocketAddr = text
        .parse()
        .or_else(|_| alone(text))
        .map_err(|_| "it is not an IP address, with or without a port".to_owned())?;
    if server.port() == 0 {
        return Err("nobody answers at port 0".to_owned());
    }
    Ok(server)
}

/// The character that separates a detail from a mailbox; `None` for the empty text.
pub(super) fn detail_separator(text: &str) -> Parsed<Option<char>> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Ok(None),
        // What may stand in a local part without quotes and is no letter (RFC 5322 §3.2.3).
        (Some(c), None) if "!#$%&'*+-/=?^_`{|}~".contains(c) => Ok(Some(c)),
        (Some(c), None) => Err(format!("{c:?} cannot separate anything there")),
        _ => Err("it is more than one character".to_owned()),
    }
}

/// A realm, or `*.` and one for all below it; lower case.
pub(super) fn realm_pattern(text: &str) -> Parsed<String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    if name.contains('*') {
        return Err("a star stands in front only, as \"*.\"".to_owned());
    }
    match realm(name)? {
        Some(_) => Ok(text.to_ascii_lowercase()),
        None => Err("the realm is missing".to_owned()),
    }
}

/// A domain name (RFC 1123 §2.1); `None` for the empty text.
pub(super) fn host_name(text: &str) -> Parsed<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    check_host(text)?;
    Ok(Some(text.to_ascii_lowercase()))
}

/// A name that a certificate is for: a host name, or `*.` and one.
pub(super) fn served_name(text: &str) -> Parsed<()> {
    check_host(text.strip_prefix("*.").unwrap_or(text))
}

fn check_host(name: &str) -> Parsed<()> {
    if name.len() > DOMAIN_BYTES {
        return Err(format!("the host name is longer than {DOMAIN_BYTES} bytes"));
    }
    if let Some(odd) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c)) {
        return Err(format!("{odd:?} cannot be in a host name"));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if !name.split('.').all(is_label) {
        return Err(
            "a part between the dots is empty, too long, or has a hyphen at its end".to_owned()
        );
    }
    Ok(())
}

/// `host:port` with a port from 1 on; given back as written.
pub(super) fn address(text: &str) -> Parsed<String> {
    let (host, port) = split_address(text)?;
    if port == 0 {
        return Err("port 0 cannot be connected to".to_owned());
    }
    if host.parse::<IpAddr>().is_err() {
        check_host(host)?;
    }
    Ok(text.to_owned())
}

/// Parts `host:port`, with the brackets of an IPv6 address taken off.
pub(super) fn split_address(text: &str) -> Parsed<(&str, u16)> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("the port is missing".to_owned());
    };
    // `parse` alone would take "+25".
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|_| is_number);
    let port = port.ok_or_else(|| "the port is not a number up to 65535".to_owned())?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => Ok((inner, port)),
        Some(_) => Err("what stands in brackets is not an IPv6 address".to_owned()),
        None if host.contains(':') => Err("an IPv6 address needs brackets".to_owned()),
        None if host.is_empty() => Err("the host is missing".to_owned()),
        None => Ok((host, port)),
    }
}

/// A host without brackets, and its port if it has one; an empty host for the empty text.
pub(super) fn server(text: &str) -> Parsed<(String, Option<u16>)> {
    let is_bare = !text.contains(':') || text.ends_with(']');
    let (host, port) = match is_bare {
        true => split_address(&format!("{text}:1")).map(|(host, _)| (host.to_owned(), None)),
        false => split_address(text).map(|(host, port)| (host.to_owned(), Some(port))),
    }
    .or_else(|problem| if text.is_empty() { Ok((String::new(), None)) } else { Err(problem) })?;
    if port == Some(0) {
        return Err("port 0 cannot be connected to".to_owned());
    }
    if !host.is_empty() && host.parse::<IpAddr>().is_err() {
        check_host(&host)?;
    }
    Ok((host.to_ascii_lowercase(), port))
}

/// An IP address and a port; port 0 lets the kernel choose one.
pub(super) fn listen(text: &str) -> Parsed<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, _) = split_address(text)?;
    if host.parse::<IpAddr>().is_err() {
        return Err("a listener needs an IP address, not a name".to_owned());
    }
    Err("it is not an address and a port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_sockets_short() {
        assert_eq!(path("/a/b"), Ok(PathBuf::from("/a/b")));
        assert!(path("a/b").is_err());
        assert!(path("").is_err());
        assert!(path("/a\0b").is_err());
        assert_eq!(optional_path(""), Ok(None));
        let longest = format!("/{}", "x".repeat(SOCKET_PATH_BYTES - 1));
        assert_eq!(socket(&longest), Ok(PathBuf::from(&longest)));
        assert!(socket(&format!("{longest}x")).is_err());
        assert!(socket("/run/").is_err());
        assert_eq!(optional_socket(""), Ok(None));
        assert_eq!(auth_source("saslauthd:/run/x"), Ok(PathBuf::from("/run/x")));
        assert!(auth_source("saslauthd:").is_err());
        assert!(auth_source("dovecot:/run/x").is_err());
    }

    #[test]
    fn modes_are_octal_permission_bits() {
        assert_eq!(mode("0777"), Ok(0o777));
        assert_eq!(mode("600"), Ok(0o600));
        assert_eq!(mode("0"), Ok(0));
        for text in ["", "8", "1777", "07777", "00600", "0o600", "+600", "rw-", "-1"] {
            assert!(mode(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn owners_have_a_user_or_a_group_or_both() {
        for text in ["mail", "mail:sasl", ":sasl", "svc.mail-1", "_smtpd"] {
            assert_eq!(owner(text), Ok(Some(text.to_owned())));
        }
        assert_eq!(owner(""), Ok(None));
        for text in [":", "mail:", "a:b:c", "a b", "-x", "m\u{fc}ller", &"x".repeat(33)] {
            assert!(owner(text).is_err(), "{text:?}");
        }
        assert_eq!(account("saslgate"), Ok(Some("saslgate".to_owned())));
        assert!(account("a:b").is_err());
        assert!(some_account("postfix").is_ok() && some_account("89").is_ok());
        assert!(some_account("").is_err());
    }

    #[test]
    fn listeners_have_names_that_systemd_takes() {
        assert_eq!(listener_name("imap-2"), Ok("imap-2".to_owned()));
        for text in ["", "a:b", "A", "a b", "a_b", "\u{e4}", &"x".repeat(65)] {
            assert!(listener_name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_of_hosts_and_realms_are_folded() {
        assert_eq!(host_name("Mail.Example.ORG"), Ok(Some("mail.example.org".to_owned())));
        assert_eq!(host_name(""), Ok(None));
        for text in ["a..b", ".a", "a.", "-a", "a-", "a b", "a/b", &"x".repeat(64)] {
            assert!(host_name(text).is_err(), "{text:?}");
        }
        assert_eq!(realm("Example.ORG"), Ok(Some("example.org".to_owned())));
        for text in ["a@b", "a b", "a\n", &"x".repeat(257)] {
            assert!(realm(text).is_err(), "{text:?}");
            assert!(realm_pattern(text).is_err(), "{text:?}");
        }
        assert_eq!(realm_pattern("*.Example.ORG"), Ok("*.example.org".to_owned()));
        assert_eq!(realm_pattern("EX.org"), Ok("ex.org".to_owned()));
        for text in ["", "*", "*.", "a.*", "*.*.org", "*org"] {
            assert!(realm_pattern(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in ["localhost:25", "192.0.2.1:587", "[2001:db8::1]:587", "a-b.example:65535"] {
            assert_eq!(address(text), Ok(text.to_owned()));
        }
        let bad = [
            "",
            ":25",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:+5",
            "::1:25",
            "[::1]",
            "[host]:25",
            "[::1:25",
            "a b:25",
            "host:25 ",
        ];
        for text in bad {
            assert!(address(text).is_err(), "{text:?}");
        }
        assert_eq!(split_address("[::1]:25"), Ok(("::1", 25)));
    }

    #[test]
    fn servers_have_a_host_and_perhaps_a_port() {
        let pair = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(server(""), pair("", None));
        assert_eq!(server("Imap.Example.org"), pair("imap.example.org", None));
        assert_eq!(server("localhost:1143"), pair("localhost", Some(1143)));
        assert_eq!(server("[::1]"), pair("::1", None));
        assert_eq!(server("[::1]:993"), pair("::1", Some(993)));
        for text in [":", ":143", "::1", "host:", "host:0", "host/143", "a b", "[host]", "[::1"] {
            assert!(server(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn networks_have_no_bits_behind_their_prefix() {
        for text in ["192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "::1", "0.0.0.0/0"] {
            assert!(network(text).is_ok(), "{text:?}");
        }
        for text in ["", "192.0.2.7/24", "2001:db8::1/32", "192.0.2.0/33", "host", "10.0.0/8"] {
            assert!(network(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_resolver_is_an_address_and_perhaps_a_port() {
        assert_eq!(resolver("127.0.0.1"), Ok(SocketAddr::from(([127, 0, 0, 1], 53))));
        assert_eq!(resolver("[::1]:5353").map(|server| server.port()), Ok(5353));
        assert_eq!(resolver("::1").map(|server| server.port()), Ok(53));
        for text in ["", "localhost", "127.0.0.1:", "127.0.0.1:0", "[::1]"] {
            assert!(resolver(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_detail_is_separated_by_one_character_that_needs_no_quotes() {
        assert_eq!(detail_separator(""), Ok(None));
        assert_eq!(detail_separator("+"), Ok(Some('+')));
        for text in ["a", "@", ".", "++", " ", "\u{e4}"] {
            assert!(detail_separator(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn listeners_have_an_ip_address_and_a_port() {
        assert_eq!(listen("0.0.0.0:587"), Ok(SocketAddr::from(([0, 0, 0, 0], 587))));
        assert_eq!(listen("[::]:0").map(|address| address.port()), Ok(0));
        for text in ["587", "localhost:587", ":587", "::1:587", "127.1:587", "0.0.0.0:99999"] {
            assert!(listen(text).is_err(), "{text:?}");
        }
    }
}
