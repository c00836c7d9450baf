//! Who may log in to `saslgate try`: one made-up user, or those of a file.
//!
//! ```text
//! user:password            in the default realm
//! user:password:realm      in that realm
//! ```
//!
//! One user a line; empty lines and lines that begin with `#` are skipped, so
//! neither name nor password can hold a colon. For tests and load only: a file
//! with passwords in clear has no place on a host that serves mail.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::base::{Identity, IdentityError, Secret, SecretError};

/// The user that is made up where no file is given.
const USER: &str = "demo";

/// Letters and digits that are not taken for each other on a screen; a power
/// of two less one, see [`random_password`].
const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// 20 of 31 characters are 99 bits.
const PASSWORD_CHARS: usize = 20;

/// Somebody who may log in.
pub(super) struct User {
    /// Who it is.
    pub(super) identity: Identity,
    /// What is typed as user name: without the realm where that is the default one.
    pub(super) login: String,
    /// The password, in clear: it is printed in the lines to try.
    pub(super) password: Secret,
}

/// Why there are no users.
#[derive(Debug, thiserror::Error)]
pub(super) enum UsersError {
    /// The file cannot be read.
    #[error("cannot read the users file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that names no user.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it. Carries no password.
        problem: LineProblem,
    },
    /// No line with a user.
    #[error("{}: no user in it; write lines \"user:password\" or \"user:password:realm\"", .0.display())]
    Empty(PathBuf),
    /// The default realm is none.
    #[error("cannot name a user: {0}")]
    Name(#[from] IdentityError),
    /// The kernel gave no random bytes.
    #[error("cannot make a password: no random bytes from the kernel ({0})")]
    NoRandomness(getrandom::Error),
}

/// What is wrong with a line of the users file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineProblem {
    /// Not two or three fields.
    #[error("expected \"user:password\" or \"user:password:realm\", found {0} fields")]
    Fields(usize),
    /// A name that cannot be one.
    #[error("{0}")]
    Name(#[from] IdentityError),
    /// A password that cannot be one.
    #[error("{0}")]
    Password(#[from] SecretError),
    /// Nothing where the password should be.
    #[error("the password is empty")]
    EmptyPassword,
    /// The realm field is there and empty.
    #[error("the realm is empty; leave the last colon out for the default realm")]
    EmptyRealm,
    /// The user stood in an earlier line.
    #[error("{0} is in line {1} already")]
    Twice(Identity, usize),
}

/// Reads the users of `file`; at least one.
pub(super) fn read(file: &Path, default_realm: &str) -> Result<Vec<User>, UsersError> {
    let text = fs::read(file)
        .map(Zeroizing::new)
        .map_err(|source| UsersError::Unreadable { path: file.to_owned(), source })?;
    let users = parse(&text, default_realm).map_err(|(line, problem)| UsersError::Line {
        path: file.to_owned(),
        line,
        problem,
    })?;
    if users.is_empty() {
        return Err(UsersError::Empty(file.to_owned()));
    }
    Ok(users)
}

/// One user with a random password.
pub(super) fn made_up(default_realm: &str) -> Result<User, UsersError> {
    let password = random_password().map_err(UsersError::NoRandomness)?;
    let identity = Identity::new(USER, default_realm)?;
    Ok(User { identity, login: USER.to_owned(), password })
}

fn parse(text: &[u8], default_realm: &str) -> Result<Vec<User>, (usize, LineProblem)> {
    let mut users = Vec::new();
    let mut seen: HashMap<Identity, usize> = HashMap::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let user = parse_line(line, default_realm).map_err(|problem| (number, problem))?;
        if let Some(earlier) = seen.insert(user.identity.clone(), number) {
            return Err((number, LineProblem::Twice(user.identity, earlier)));
        }
        users.push(user);
    }
    Ok(users)
}

fn parse_line(line: &[u8], default_realm: &str) -> Result<User, LineProblem> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let (name, password, realm) = match fields[..] {
        [name, password] => (name, password, &b""[..]),
        [_, _, []] => return Err(LineProblem::EmptyRealm),
        [name, password, realm] => (name, password, realm),
        _ => return Err(LineProblem::Fields(fields.len())),
    };
    let identity = Identity::from_wire(name, realm, default_realm)?;
    let password = Secret::copied_from(password)?;
    if password.is_empty() {
        return Err(LineProblem::EmptyPassword);
    }
    let login = if identity.realm() == default_realm {
        identity.user().to_owned()
    } else {
        identity.to_string()
    };
    Ok(User { identity, login, password })
}

fn random_password() -> Result<Secret, getrandom::Error> {
    let mut password = Zeroizing::new(Vec::with_capacity(PASSWORD_CHARS));
    while password.len() < PASSWORD_CHARS {
        let mut byte = [0];
        getrandom::fill(&mut byte)?;
        // 32 values for 31 characters: the last is drawn again, so all are equally likely.
        if let Some(character) = ALPHABET.get(usize::from(byte[0] & 31)) {
            password.push(*character);
        }
    }
    // Neither too long nor with a NUL; the unspecified error is never made.
    Secret::copied_from(&password).map_err(|_| getrandom::Error::UNSUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<(String, String)>, (usize, LineProblem)> {
        parse(text.as_bytes(), "host.test").map(|users| {
            users.into_iter().map(|user| (user.login, user.identity.to_string())).collect()
        })
    }

    fn pair(login: &str, identity: &str) -> (String, String) {
        (login.to_owned(), identity.to_owned())
    }

    #[test]
    fn reads_users_with_and_without_a_realm() {
        let text = "# users\nalice:secret\r\n\nbob:pass word:Example.org\ncarol@x.test:p\n";
        assert_eq!(
            names(text),
            Ok(vec![
                pair("alice", "alice@host.test"),
                pair("bob@example.org", "bob@example.org"),
                pair("carol@x.test", "carol@x.test"),
            ])
        );
        let users = parse(text.as_bytes(), "host.test").unwrap();
        assert_eq!(users[0].password.expose(), b"secret");
        assert_eq!(users[1].password.expose(), b"pass word");
    }

    #[test]
    fn says_which_line_is_wrong_and_why() {
        assert_eq!(names("a:b\nalice\n"), Err((2, LineProblem::Fields(1))));
        assert_eq!(names("a:b:c:d"), Err((1, LineProblem::Fields(4))));
        assert_eq!(names("\n\n:b"), Err((3, LineProblem::Name(IdentityError::EmptyUser))));
        assert_eq!(names("a:"), Err((1, LineProblem::EmptyPassword)));
        assert_eq!(names("a:b:"), Err((1, LineProblem::EmptyRealm)));
        assert_eq!(names("a:b\0c"), Err((1, LineProblem::Password(SecretError::Nul))));
        let twice = Identity::new("a", "host.test").unwrap();
        assert_eq!(names("a:1\na:2:HOST.test"), Err((2, LineProblem::Twice(twice, 1))));
    }

    #[test]
    fn an_error_names_file_and_line_and_never_the_password() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        fs::write(&file, "alice:ok\nbob:hunter2:x:y\n").unwrap();
        let text = read(&file, "host.test").err().unwrap().to_string();
        assert!(
            text.ends_with(
                "users:2: expected \"user:password\" or \"user:password:realm\", found 4 fields"
            ),
            "{text}"
        );
        assert!(!text.contains("hunter2"));
        fs::write(&file, "# none\n").unwrap();
        assert!(matches!(read(&file, "host.test"), Err(UsersError::Empty(_))));
    }

    #[test]
    fn made_up_passwords_are_long_and_differ() {
        let one = made_up("localhost").unwrap();
        let other = made_up("localhost").unwrap();
        assert_eq!(one.identity.to_string(), "demo@localhost");
        assert_eq!(one.password.expose().len(), PASSWORD_CHARS);
        assert!(one.password.expose().iter().all(|byte| ALPHABET.contains(byte)));
        assert!(!one.password.matches(&other.password));
    }
}
