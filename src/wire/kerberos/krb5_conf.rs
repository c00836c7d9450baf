//! krb5.conf(5): the default realm, and where the KDCs of each realm are.
//!
//! ```text
//! [libdefaults]
//!     default_realm = EXAMPLE.ORG
//! [realms]
//!     EXAMPLE.ORG = {
//!         kdc = kdc1.example.org
//!         kdc = kdc2.example.org:88
//!     }
//! include FILE        includedir DIRECTORY        (outside of braces)
//! ```
//!
//! Nothing else counts here. Of a key that should stand once the first counts,
//! as in libkrb5, and lists go on from file to file. Which files are included
//! is told to the caller, who reads them. Pure: lines in, values out.

/// Most realms, and most KDCs of a realm, that are kept.
const MAX_REALMS: usize = 256;
const MAX_KDCS: usize = 16;

/// Port of a KDC (RFC 4120 §7.2.3).
const PORT: u16 = 88;

/// What the files say.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Krb5Conf {
    default_realm: Option<String>,
    realms: Vec<Realm>,
}

/// A realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// Its name, as it is written.
    pub name: String,
    /// Its KDCs, in their order.
    pub kdcs: Vec<Address>,
}

/// Where a KDC is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A line that asks for another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Include {
    /// That file.
    File(String),
    /// The files of that directory whose names are plain, in order; see [`is_included`].
    Directory(String),
}

/// Where a reading of one file is.
#[derive(Debug, Default)]
pub struct Reading {
    section: Section,
    /// Open braces.
    depth: usize,
    /// The realm whose braces are open, as its place in the list.
    realm: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Section {
    #[default]
    Other,
    Defaults,
    Realms,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Neither a section, nor `key = value`, nor a brace.
    #[error("expected [section], key = value, or }}")]
    Syntax,
    /// A `}` too many.
    #[error("this }} closes nothing")]
    Brace,
    /// More realms than are kept.
    #[error("there are more than {MAX_REALMS} realms")]
    Realms,
}

/// True if a file of that name in an `includedir` counts: letters, digits, `-`
/// and `_`, or an ending `.conf`, and no dot in front.
#[must_use]
pub fn is_included(name: &str) -> bool {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let ends_well = name.ends_with(".conf") && !name.starts_with('.');
    !name.is_empty() && (is_plain || ends_well)
}

impl Krb5Conf {
    /// The realm of names without one.
    #[must_use]
    pub fn default_realm(&self) -> Option<&str> {
        self.default_realm.as_deref()
    }

    /// The realm of that name, whatever its capitals; one with the same capitals first.
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<&Realm> {
        let exact = self.realms.iter().find(|realm| realm.name == name);
        exact.or_else(|| self.realms.iter().find(|realm| realm.name.eq_ignore_ascii_case(name)))
    }

    /// Takes the next line of a file.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn take(
        &mut self,
        reading: &mut Reading,
        line: &str,
    ) -> Result<Option<Include>, LineError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(None);
        }
        if reading.depth == 0 {
            if let Some(include) = include(line) {
                return Ok(Some(include));
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name.split(']').next().unwrap_or("").trim();
                reading.section = match name {
                    "libdefaults" => Section::Defaults,
                    "realms" => Section::Realms,
                    _ => Section::Other,
                };
                return Ok(None);
            }
        }
        if line.starts_with('}') {
            reading.depth = reading.depth.checked_sub(1).ok_or(LineError::Brace)?;
            if reading.depth == 0 {
                reading.realm = None;
            }
            return Ok(None);
        }
        // As libprofile: a module is loaded, not read.
        if line.starts_with("module ") {
            return Ok(None);
        }
        let (key, value) = line.split_once('=').ok_or(LineError::Syntax)?;
        self.relation(reading, key.trim().trim_end_matches('*'), value.trim())?;
        Ok(None)
    }

    fn relation(&mut self, reading: &mut Reading, key: &str, value: &str) -> Result<(), LineError> {
        if value.starts_with('{') {
            if reading.depth == 0 && reading.section == Section::Realms {
                reading.realm = Some(self.place_of(key)?);
            }
            reading.depth += 1;
            return Ok(());
        }
        let value = unquoted(value);
        match (reading.section, reading.depth, reading.realm) {
            (Section::Defaults, 0, _) if key == "default_realm" => {
                self.default_realm.get_or_insert_with(|| value.to_owned());
            }
            (Section::Realms, 1, Some(place)) if key == "kdc" => {
                let kdcs = &mut self.realms[place].kdcs;
                let found = address(value).filter(|it| kdcs.len() < MAX_KDCS && !kdcs.contains(it));
                kdcs.extend(found);
            }
            _ => {}
        }
        Ok(())
    }

    fn place_of(&mut self, name: &str) -> Result<usize, LineError> {
        if let Some(place) = self.realms.iter().position(|realm| realm.name == name) {
            return Ok(place);
        }
        if self.realms.len() == MAX_REALMS {
            return Err(LineError::Realms);
        }
        self.realms.push(Realm { name: name.to_owned(), kdcs: Vec::new() });
        Ok(self.realms.len() - 1)
    }
}

fn include(line: &str) -> Option<Include> {
    let (word, path) = line.split_once(char::is_whitespace)?;
    let path = path.trim().to_owned();
    match word {
        "include" => Some(Include::File(path)),
        "includedir" => Some(Include::Directory(path)),
        _ => None,
    }
}

fn unquoted(value: &str) -> &str {
    match value.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or(rest),
        None => value,
    }
}

/// `host`, `host:port`, `[v6]:port`, a bare v6 address. `None` for what is not spoken
/// here (`https://` proxies, sockets) and for no name at all.
fn address(value: &str) -> Option<Address> {
    let value = value.strip_prefix("tcp/").unwrap_or(value);
    if value.is_empty() || value.contains('/') || value.contains(char::is_whitespace) {
        return None;
    }
    let (host, port) = match value.strip_prefix('[') {
        Some(rest) => {
            let (host, tail) = rest.split_once(']')?;
            (host, tail.strip_prefix(':'))
        }
        None if value.matches(':').count() > 1 => (value, None),
        None => match value.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (value, None),
        },
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|port| *port != 0))?;
    (!host.is_empty()).then(|| Address { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Krb5Conf, Vec<Include>), LineError> {
        let (mut conf, mut reading, mut includes) =
            (Krb5Conf::default(), Reading::default(), Vec::new());
        for line in text.lines() {
            includes.extend(conf.take(&mut reading, line)?);
        }
        Ok((conf, includes))
    }

    const SAMPLE: &str = "\
# comment
include /etc/krb5.extra
includedir /etc/krb5.conf.d/
[libdefaults]
    default_realm = EXAMPLE.ORG
    default_realm = OTHER.ORG
    kdc = nowhere
[realms]
    EXAMPLE.ORG = {
        kdc = kdc1.example.org
        kdc = kdc2.example.org:750
        kdc = [2001:db8::1]:88
        kdc = 2001:db8::2
        kdc = https://proxy.example.org/KdcProxy
        kdc = kdc1.example.org
        v4_instance_convert = {
            kdc = not.me
        }
        admin_server = kdc1.example.org
    }
    Mixed.Case = {
        kdc = \"quoted.example.org\"
    }
[domain_realm]
    .example.org = EXAMPLE.ORG
";

    #[test]
    fn finds_the_kdcs_of_a_realm() {
        let (conf, includes) = read(SAMPLE).unwrap();
        assert_eq!(conf.default_realm(), Some("EXAMPLE.ORG"));
        let kdcs: Vec<String> =
            conf.realm("example.org").unwrap().kdcs.iter().map(ToString::to_string).collect();
        let expected =
            ["kdc1.example.org:88", "kdc2.example.org:750", "2001:db8::1:88", "2001:db8::2:88"];
        assert_eq!(kdcs, expected);
        assert_eq!(conf.realm("mixed.case").unwrap().name, "Mixed.Case");
        assert_eq!(conf.realm("MIXED.CASE").unwrap().kdcs[0].host, "quoted.example.org");
        assert_eq!(conf.realm("nowhere"), None);
        assert_eq!(
            includes,
            [
                Include::File("/etc/krb5.extra".to_owned()),
                Include::Directory("/etc/krb5.conf.d/".to_owned())
            ]
        );
    }

    #[test]
    fn lines_that_are_none_are_errors() {
        assert_eq!(read("[realms]\nX\n"), Err(LineError::Syntax));
        assert_eq!(read("[realms]\n}\n"), Err(LineError::Brace));
        let many: String = (0..=MAX_REALMS).map(|n| format!("R{n} = {{\n}}\n")).collect();
        assert_eq!(read(&format!("[realms]\n{many}")), Err(LineError::Realms));
    }

    #[test]
    fn names_of_included_files_are_those_of_libkrb5() {
        for name in ["crypto-policies", "a_1", "site.conf"] {
            assert!(is_included(name), "{name}");
        }
        for name in ["", ".hidden", ".x.conf", "old.conf~", "a.rpmsave"] {
            assert!(!is_included(name), "{name}");
        }
    }

    #[test]
    fn survives_every_truncation_and_every_changed_character() {
        for end in 0..SAMPLE.len() {
            let _ = read(&SAMPLE[..end]);
            for other in ["\n", "{", "}", "=", "[", "]", ":", "\"", "\u{fc}"] {
                let _ = read(&format!("{}{other}{}", &SAMPLE[..end], &SAMPLE[end + 1..]));
            }
        }
    }
}
