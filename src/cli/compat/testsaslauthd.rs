//! The face of Cyrus testsaslauthd 2.1.28: asks a saslauthd socket, ours or the original's.
//!
//! Flags, output and exit codes are the original's, which scripts grep: 0 for
//! `OK`, 255 for anything else, 1 for usage; `-R` and operands as lenient as
//! there. Where we differ:
//!
//! - `-p -` reads the password from standard input, so that `ps` does not show it;
//! - `-a ip;port` sends the mail client's address, as unreleased versions do;
//! - what is longer than the protocol can carry is refused (the original
//!   smashes its stack), and a server that says nothing is given up on.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;

use super::getopt::{Argument, Getopt};
use crate::base::Secret;
use crate::cli::user::password;
use crate::wire::saslauthd::{ClientAddress, Credentials, MAX_REPLY_BYTES, ReplyWord, ServerReply};

const NAME: &str = "testsaslauthd";

pub(super) const USAGE: &str = "testsaslauthd: usage: testsaslauthd -u username -p password
              [-r realm] [-s servicename]
              [-f socket path] [-R repeatnum]
";

/// What libsasl2 has compiled in, under `/var/run` or here, which are one place.
const DEFAULT_SOCKET: &str = "/run/saslauthd/mux";

const DEFAULT_SERVICE: &str = "imap";

/// How long a server may say nothing: longer than any request of a saslauthd takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Exit code of the original for everything but `OK` and usage.
const FAILED: u8 = 255;
const BAD_USAGE: u8 = 1;

/// Runs it with the words behind the program name.
pub(super) fn run(words: Vec<OsString>) -> ExitCode {
    let flags = match Flags::parse(words) {
        Ok(flags) => flags,
        Err(problem) => {
            eprint!("{problem}{USAGE}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    let password = match flags.secret() {
        Ok(password) => password,
        Err(problem) => {
            eprintln!("{NAME}: {problem}");
            return ExitCode::from(FAILED);
        }
    };
    let mut code = FAILED;
    // Once in any case, as the original.
    for number in 0..flags.repeat.max(1) {
        print!("{number}: ");
        let _ = io::stdout().flush();
        code = flags.ask(&password);
    }
    ExitCode::from(code)
}

struct Flags {
    user: Vec<u8>,
    password: OsString,
    realm: Vec<u8>,
    service: Vec<u8>,
    socket: PathBuf,
    repeat: u32,
    client: Option<ClientAddress>,
}

impl Flags {
    /// Parses as getopt does. The error is a text to print before the usage.
    fn parse(words: Vec<OsString>) -> Result<Self, String> {
        let (mut user, mut password) = (None, None);
        let mut flags = Self {
            user: Vec::new(),
            password: OsString::new(),
            realm: Vec::new(),
            service: DEFAULT_SERVICE.into(),
            socket: DEFAULT_SOCKET.into(),
            repeat: 1,
            client: None,
        };
        let mut words = Getopt::new(NAME, "u:p:r:s:f:R:a:", words);
        let mut is_wrong = false;
        for argument in words.by_ref() {
            match argument {
                Argument::Valued(b'u', value) => user = Some(value.into_vec()),
                Argument::Valued(b'p', value) => password = Some(value),
                Argument::Valued(b'r', value) => flags.realm = value.into_vec(),
                Argument::Valued(b's', value) => flags.service = value.into_vec(),
                Argument::Valued(b'f', value) => flags.socket = value.into(),
                Argument::Valued(b'R', value) => flags.repeat = number(&value),
                Argument::Valued(_, value) => flags.client = Some(address(&value)?),
                // The original ignores operands.
                Argument::Operand(_) => {}
                Argument::Flag(_) | Argument::Wrong => is_wrong = true,
            }
        }
        if is_wrong {
            return Err(words.complaints());
        }
        let (Some(user), Some(password)) = (user, password) else { return Err(String::new()) };
        Ok(Self { user, password, ..flags })
    }

    fn secret(&self) -> Result<Secret, String> {
        if self.password == "-" {
            return password::read_line().map_err(|error| error.to_string());
        }
        Secret::copied_from(self.password.as_bytes()).map_err(|error| error.to_string())
    }

    /// Asks once, prints the outcome behind the number, and gives the exit code.
    fn ask(&self, password: &Secret) -> u8 {
        match self.exchange(password) {
            Ok(ReplyWord::Ok) => {
                println!("OK \"Success.\"");
                0
            }
            // libsasl2 takes every other word for NO.
            Ok(ReplyWord::No | ReplyWord::Other) => {
                println!("NO \"authentication failed\"");
                FAILED
            }
            Err(problem) => {
                eprintln!("{problem}");
                FAILED
            }
        }
    }

    /// One request and its reply; the error is the original's text.
    fn exchange(&self, password: &Secret) -> Result<ReplyWord, String> {
        let credentials = Credentials {
            login: &self.user,
            password,
            service: &self.service,
            realm: &self.realm,
            client: self.client,
            wants_token: false,
        };
        let request = credentials.encode().map_err(|error| error.to_string())?;
        let mut stream = UnixStream::connect(&self.socket)
            .map_err(|error| format!("connect() : {}", describe(&error)))?;
        let bounded = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        bounded.map_err(|error| describe(&error))?;
        // A server that refuses early may not read it all; its reply is there all the same.
        let _ = stream.write_all(&request);
        read_reply(&stream)
    }
}

/// As atoi: what is no number is 0.
fn number(value: &OsString) -> u32 {
    value.to_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn address(value: &OsString) -> Result<ClientAddress, String> {
    ClientAddress::from_wire(value.as_bytes())
        .ok_or_else(|| format!("{NAME}: -a wants an address and a port: 192.0.2.7;25\n"))
}

fn read_reply(mut stream: impl Read) -> Result<ReplyWord, String> {
    let mut received = Vec::new();
    let mut chunk = [0; 2 + MAX_REPLY_BYTES];
    loop {
        match ServerReply::decode(&received) {
            Ok(Some(reply)) => return Ok(reply.word),
            Ok(None) => {}
            Err(_) => return Err("bad response from saslauthd".to_owned()),
        }
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => received.extend_from_slice(&chunk[..count]),
            Ok(_) | Err(_) if received.len() < 2 => return Err("size read failed".to_owned()),
            Ok(_) | Err(_) => return Err("read failed".to_owned()),
        }
    }
}

/// The text of strerror(3).
fn describe(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Flags, String> {
        Flags::parse(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn takes_the_flags_of_the_original_as_getopt_does() {
        let flags = parse(&["-u", "a", "junk", "-pb", "-r", "", "-R", "3"]).ok().unwrap();
        assert_eq!((flags.user.as_slice(), flags.password.to_str()), (&b"a"[..], Some("b")));
        assert_eq!((flags.service.as_slice(), flags.repeat), (&b"imap"[..], 3));
        assert_eq!(flags.socket, PathBuf::from("/run/saslauthd/mux"));
        // Other parsers take the first = for their own.
        let flags = parse(&["-ua", "-p=b"]).ok().unwrap();
        assert_eq!(flags.password.to_str(), Some("=b"));
        assert_eq!(parse(&["-u", "a", "-p", "b", "-R", "abc"]).ok().unwrap().repeat, 0);
    }

    #[test]
    fn complains_as_getopt_does() {
        let complaint = |words: &[&str]| parse(words).err().unwrap();
        assert_eq!(complaint(&["-u", "a"]), "");
        assert_eq!(complaint(&["-x"]), "testsaslauthd: invalid option -- 'x'\n");
        assert_eq!(complaint(&["-u"]), "testsaslauthd: option requires an argument -- 'u'\n");
        assert!(complaint(&["-u", "a", "-p", "b", "-a", "junk"]).contains("-a wants an address"));
    }

    #[test]
    fn reads_replies_with_the_words_of_the_original() {
        let read = |bytes: &[u8]| read_reply(bytes);
        assert_eq!(read(b"\0\x02OK"), Ok(ReplyWord::Ok));
        assert_eq!(read(b"\0\x11NO PAM auth error"), Ok(ReplyWord::No));
        assert_eq!(read(b""), Err("size read failed".to_owned()));
        assert_eq!(read(b"\0"), Err("size read failed".to_owned()));
        assert_eq!(read(b"\0\x02O"), Err("read failed".to_owned()));
        assert_eq!(read(b"\0\x01O"), Err("bad response from saslauthd".to_owned()));
    }
}
