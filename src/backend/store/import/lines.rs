//! Files with a user in each line: shadow(5), Dovecot's passwd-file, htpasswd.
//!
//! ```text
//! shadow        name:hash:changed:min:max:warn:inactive:expires:
//! passwd-file   name:password:uid:gid:gecos:home:shell:extra fields
//! htpasswd      name:hash
//! ```
//!
//! A name may hold its realm (`alice@example.org`). What the store cannot keep,
//! such as an address range of Dovecot's, makes a user be left out: to import
//! less of a restriction than there was would open a door.

use std::io::{self, BufRead, Read};

use zeroize::Zeroizing;

use super::candidate::{Candidate, Record, SourceError};
use super::schemes::{self, Password};
use crate::backend::store::record::{Moment, State};
use crate::base::Identity;

/// What the lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// shadow(5).
    Shadow,
    /// Dovecot's passwd-file; also what stands in passwd(5) of old.
    PasswdFile,
    /// Apache's.
    Htpasswd,
}

/// The users of such a file.
pub struct Lines<R> {
    input: R,
    /// As errors call it.
    name: String,
    format: LineFormat,
    /// For names without one.
    realm: String,
    place: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads `input`, which errors call `name`.
    pub fn new(input: R, name: String, format: LineFormat, realm: String) -> Self {
        Self { input, name, format, realm, place: 0 }
    }

    /// One line without its end; `None` at the end of the file.
    fn line(&mut self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut line = Zeroizing::new(Vec::with_capacity(256));
        let limit = MAX_LINE_BYTES as u64 + 1;
        if self.input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.len() > MAX_LINE_BYTES {
            self.input.skip_until(b'\n')?;
        }
        while line.last().is_some_and(|byte| b"\r\n".contains(byte)) {
            line.pop();
        }
        Ok(Some(line))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Record, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.line() {
                Ok(line) => line?,
                Err(error) => return Some(Err(SourceError::Io { name: self.name.clone(), error })),
            };
            self.place += 1;
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            let name = String::from_utf8_lossy(&name[..name.len().min(MAX_NAME_BYTES)]);
            let user = user(&line, self.format, &self.realm);
            return Some(Ok(Record { place: self.place, name: name.into_owned(), user }));
        }
    }
}

fn user(line: &[u8], format: LineFormat, realm: &str) -> Result<Candidate, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("the line is longer than {MAX_LINE_BYTES} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
    let (name, rest) =
        text.split_once(':').ok_or("there is no colon in the line: is it of another format?")?;
    let identity = Identity::parse(name, realm).map_err(|error| error.to_string())?;
    match format {
        LineFormat::Shadow => shadow(identity, rest),
        LineFormat::PasswdFile => passwd_file(identity, rest),
        LineFormat::Htpasswd => schemes::hash(rest).map(|it| candidate(identity, it)),
    }
}

fn candidate(identity: Identity, password: Password) -> Candidate {
    match password {
        Password::Plain(password) => Candidate::with_plain(identity, password),
        Password::Hash(hash) => Candidate::with_hash(identity, hash),
    }
}

fn shadow(identity: Identity, rest: &str) -> Result<Candidate, String> {
    let mut fields = rest.split(':');
    let field = fields.next().unwrap_or_default();
    // usermod -L and passwd -l put it in front of the hash.
    let hash = field.trim_start_matches('!');
    if hash.is_empty() && !field.is_empty() {
        return Err("it is locked, and there is no password".to_owned());
    }
    // Of the fields behind the hash the last but one: days since 1970.
    let end = fields.nth(5).and_then(|days| days.parse::<i64>().ok());
    if end.is_some_and(|days| days.saturating_mul(86_400) <= Moment::now().unix()) {
        return Err("the account has expired".to_owned());
    }
    let mut user = candidate(identity, schemes::hash(hash)?);
    if hash.len() < field.len() {
        user.state = State::Locked;
    }
    Ok(user)
}

fn passwd_file(identity: Identity, rest: &str) -> Result<Candidate, String> {
    // Dovecot lets a password hold no colon either.
    let (password, others) = rest.split_once(':').unwrap_or((rest, ""));
    let extra = others.splitn(6, ':').nth(5).unwrap_or_default();
    for word in extra.split_ascii_whitespace() {
        let key = word.split('=').next().unwrap_or_default();
        if RESTRICTIONS.contains(&key) {
            return Err(format!("it has {key}, which the store cannot keep"));
        }
    }
    Ok(candidate(identity, schemes::hash(password)?))
}

/// Extra fields of Dovecot that decide who may log in, and how.
const RESTRICTIONS: &[&str] = &[
    "allow_nets",
    "allow_real_nets",
    "nologin",
    "nopassword",
    "proxy",
    "proxy_maybe",
    "reason",
    "user",
    "username",
    "k5principals",
];
/// Ten times what any of the formats needs.
const MAX_LINE_BYTES: usize = 65_536;
const MAX_NAME_BYTES: usize = 300;
