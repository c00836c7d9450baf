//! What we ask: the messages of a client (RFC 4511 §4.2 to §4.14).

use zeroize::Zeroizing;

use super::ber::{BOOLEAN, ENUMERATED, INTEGER, OCTETS, SEQUENCE, Writer};
use super::filter::Filter;

/// OID of StartTLS (RFC 4511 §4.14.1).
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// A request. Holds a password: no `Debug`.
pub enum Request<'a> {
    /// Simple bind. Neither part is empty: a server takes an empty one for
    /// somebody anonymous, and says *success* (RFC 4513 §5.1.2).
    SimpleBind {
        /// Whom to be: a distinguished name, or what else the server takes (Active Directory).
        name: &'a str,
        /// The password.
        password: &'a [u8],
    },
    /// SASL EXTERNAL: as whom the connection makes us, with a client certificate or on `ldapi://`.
    ExternalBind,
    /// Searches.
    Search(Search<'a>),
    /// Asks whether an entry has a value.
    Compare {
        /// Name of the entry.
        entry: &'a str,
        /// The attribute.
        attribute: &'a str,
        /// The value.
        value: &'a str,
    },
    /// TLS begins behind the answer.
    StartTls,
    /// We leave. Has no answer.
    Unbind,
}

/// A search.
pub struct Search<'a> {
    /// Where it begins.
    pub base: &'a str,
    /// How far it goes.
    pub scope: Scope,
    /// What becomes of aliases.
    pub deref: Deref,
    /// Entries at most; 0 for no limit of ours.
    pub size_limit: u32,
    /// Seconds at most; 0 for no limit of ours.
    pub time_limit: u32,
    /// Which entries.
    pub filter: &'a Filter,
    /// Which attributes; none of them if this is empty.
    pub attributes: &'a [&'a str],
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The base alone.
    Base,
    /// What is right below the base.
    One,
    /// The base and all below.
    Sub,
}

/// What becomes of aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deref {
    /// They are entries like others.
    Never,
    /// Followed below the base.
    Searching,
    /// Followed on the way to the base.
    Finding,
    /// Followed.
    Always,
}

impl Request<'_> {
    /// The message, numbered `id`, with `1 <= id < 2^31`.
    #[must_use]
    pub fn encode(&self, id: u32) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(self.capacity());
        out.group(SEQUENCE, |out| {
            out.number(INTEGER, id);
            self.operation(out);
        });
        out.into_bytes()
    }

    /// More than the message takes, so that the buffer never grows.
    fn capacity(&self) -> usize {
        64 + match self {
            Self::SimpleBind { name, password } => name.len() + password.len(),
            Self::Search(search) => {
                let attributes: usize = search.attributes.iter().map(|name| name.len() + 8).sum();
                64 + search.base.len() + search.filter.encoded().len() + attributes
            }
            Self::Compare { entry, attribute, value } => {
                entry.len() + attribute.len() + value.len()
            }
            Self::ExternalBind | Self::StartTls | Self::Unbind => 64,
        }
    }

    fn operation(&self, out: &mut Writer) {
        match self {
            Self::SimpleBind { name, password } => bind(out, name, |out| out.bytes(0x80, password)),
            Self::ExternalBind => bind(out, "", |out| {
                out.group(0xa3, |out| {
                    out.bytes(OCTETS, b"EXTERNAL");
                    // Empty, and there: as whom the connection makes us. Without it slapd would ask.
                    out.bytes(OCTETS, b"");
                });
            }),
            Self::Search(search) => out.group(0x63, |out| search.write(out)),
            Self::Compare { entry, attribute, value } => out.group(0x6e, |out| {
                out.bytes(OCTETS, entry.as_bytes());
                out.group(SEQUENCE, |out| {
                    out.bytes(OCTETS, attribute.as_bytes());
                    out.bytes(OCTETS, value.as_bytes());
                });
            }),
            Self::StartTls => out.group(0x77, |out| out.bytes(0x80, START_TLS.as_bytes())),
            Self::Unbind => out.bytes(0x42, b""),
        }
    }
}

fn bind(out: &mut Writer, name: &str, credentials: impl FnOnce(&mut Writer)) {
    out.group(0x60, |out| {
        out.number(INTEGER, 3);
        out.bytes(OCTETS, name.as_bytes());
        credentials(out);
    });
}

impl Search<'_> {
    fn write(&self, out: &mut Writer) {
        out.bytes(OCTETS, self.base.as_bytes());
        let scope = match self.scope {
            Scope::Base => 0,
            Scope::One => 1,
            Scope::Sub => 2,
        };
        let deref = match self.deref {
            Deref::Never => 0,
            Deref::Searching => 1,
            Deref::Finding => 2,
            Deref::Always => 3,
        };
        out.number(ENUMERATED, scope);
        out.number(ENUMERATED, deref);
        out.number(INTEGER, self.size_limit);
        out.number(INTEGER, self.time_limit);
        out.boolean(BOOLEAN, false);
        out.raw(self.filter.encoded());
        out.group(SEQUENCE, |out| {
            for name in self.attributes {
                out.bytes(OCTETS, name.as_bytes());
            }
            if self.attributes.is_empty() {
                // No attribute has this name (RFC 4511 §4.5.1.8); an empty list would be all.
                out.bytes(OCTETS, b"1.1");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five bytes of length are cut to one, to compare with what other clients send.
    fn short(request: &Request<'_>, id: u32) -> Vec<u8> {
        fn rewrite(bytes: &[u8]) -> Vec<u8> {
            let mut reader = super::super::ber::Reader::new(bytes);
            let mut out = Vec::new();
            while !reader.is_at_end() {
                let (tag, content) = reader.element().unwrap();
                let content = if tag & 0x20 == 0 { content.to_vec() } else { rewrite(content) };
                out.extend([tag, u8::try_from(content.len()).unwrap()]);
                out.extend(content);
            }
            out
        }
        rewrite(&request.encode(id))
    }

    #[test]
    fn a_simple_bind_is_what_ldapwhoami_sends() {
        // ldapwhoami -x -D cn=admin -w secre
        let expected = b"\x30\x19\x02\x01\x01\x60\x14\x02\x01\x03\x04\x08cn=admin\x80\x05secre";
        let request = Request::SimpleBind { name: "cn=admin", password: b"secre" };
        assert_eq!(short(&request, 1), expected);
    }

    #[test]
    fn the_other_requests_are_as_rfc_4511_has_them() {
        assert_eq!(
            short(&Request::ExternalBind, 2),
            b"\x30\x18\x02\x01\x02\x60\x13\x02\x01\x03\x04\0\xa3\x0c\x04\x08EXTERNAL\x04\0"
        );
        assert_eq!(
            short(&Request::StartTls, 1),
            b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
        );
        assert_eq!(short(&Request::Unbind, 3), b"\x30\x05\x02\x01\x03\x42\0");
        assert_eq!(
            short(&Request::Compare { entry: "cn=g", attribute: "member", value: "cn=u" }, 4),
            b"\x30\x1b\x02\x01\x04\x6e\x16\x04\x04cn=g\x30\x0e\x04\x06member\x04\x04cn=u"
        );
        let filter = Filter::parse("(uid=a)").unwrap();
        let search = Search {
            base: "dc=x",
            scope: Scope::Sub,
            deref: Deref::Always,
            size_limit: 2,
            time_limit: 5,
            filter: &filter,
            attributes: &[],
        };
        assert_eq!(
            short(&Request::Search(search), 5),
            b"\x30\x2b\x02\x01\x05\x63\x26\x04\x04dc=x\x0a\x01\x02\x0a\x01\x03\x02\x01\x02\
              \x02\x01\x05\x01\x01\0\xa3\x08\x04\x03uid\x04\x01a\x30\x05\x04\x031.1"
        );
    }

    #[test]
    fn the_buffer_of_a_password_never_grows() {
        let (name, password) = ("x".repeat(5000), vec![b'y'; 8162]);
        let request = Request::SimpleBind { name: &name, password: &password };
        let bytes = request.encode(0x7fff_ffff);
        assert!(bytes.capacity() <= request.capacity() + 1, "it was given a larger one");
        assert!(bytes.len() <= request.capacity());
    }
}
