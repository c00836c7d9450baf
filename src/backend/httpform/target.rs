//! The URL that a form is sent to.

use std::fmt;

use hyper::Uri;

/// A URL of http or https, without user or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    is_tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// Reads a URL such as `https://login.example.org/check`.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "it is no URL")?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it begins with neither http:// nor https://"),
        };
        let authority = uri.authority().ok_or("the host is missing")?;
        if authority.as_str().contains('@') {
            return Err("it names a user: only the form carries credentials");
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            return Err("the host is missing");
        }
        let usual = if is_tls { 443 } else { 80 };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let has_port = authority.as_str().len() > host.len();
        let port = match authority.port_u16() {
            Some(0) => return Err("port 0 cannot be connected to"),
            Some(port) => port,
            None if has_port => return Err("the port is not a number up to 65535"),
            None => usual,
        };
        Ok(Self { is_tls, host: bare.to_ascii_lowercase(), port, path: path.to_owned() })
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as they stand in the request line.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as the `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let brackets = if self.host.contains(':') { ["[", "]"] } else { ["", ""] };
        let usual = if self.is_tls { 443 } else { 80 };
        let name = format!("{}{}{}", brackets[0], self.host, brackets[1]);
        if self.port == usual { name } else { format!("{name}:{}", self.port) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls() {
        for (text, host, port, path) in [
            ("http://localhost/cgi/login", "localhost", 80, "/cgi/login"),
            ("https://Login.Example.org:8443/a?b=c", "login.example.org", 8443, "/a?b=c"),
            ("https://[2001:db8::1]", "2001:db8::1", 443, "/"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.host(), target.port(), target.path()), (host, port, path));
            assert_eq!(target.is_tls(), text.starts_with("https"));
            assert_eq!(Target::parse(&target.to_string()), Ok(target));
        }
    }

    #[test]
    fn refuses_what_cannot_be_asked() {
        for text in [
            "",
            "/x",
            "localhost/x",
            "ftp://localhost/",
            "http:///x",
            "http://user:pw@localhost/",
            "http://localhost:0/",
            "http://localhost:99999/",
            "http://localhost:/",
            "http://a b/",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
