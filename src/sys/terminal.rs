//! Secrets from a terminal or a pipe, without echo and without copies.
//!
//! Reads the descriptor itself, byte by byte: the buffers of std would keep a
//! copy of the password that nobody wipes. The terminal is put back as it was,
//! also when the reader gives up. Called by the commands that set passwords.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::base::{MAX_SECRET_BYTES, Secret, SecretError};

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Ctrl-C, or Ctrl-D on an empty line.
    #[error("interrupted; nothing was changed")]
    Interrupted,
    /// More follows behind the line break.
    #[error("the password contains a line break: send one line")]
    ManyLines,
    /// It cannot be a secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The descriptor could not be read.
    #[error("the password could not be read: {0}")]
    Io(#[from] io::Error),
}

/// A terminal that echoes nothing until this is dropped.
pub struct Quiet<'fd> {
    terminal: BorrowedFd<'fd>,
    before: Termios,
}

impl<'fd> Quiet<'fd> {
    /// Turns echo, line editing and signal keys off: they are done here, so that
    /// Ctrl-C cannot leave a terminal without echo behind.
    ///
    /// # Errors
    /// What the terminal says; a descriptor that is none is `ENOTTY`.
    pub fn new(terminal: BorrowedFd<'fd>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
        // What was typed ahead is kept: an expect script may be quicker than we are.
        tcsetattr(terminal, SetArg::TCSANOW, &quiet)?;
        Ok(Self { terminal, before })
    }

    /// Reads one line of at most [`MAX_SECRET_BYTES`]. Backspace and Ctrl-U work.
    ///
    /// # Errors
    /// See [`InputError`].
    pub fn read_secret(&self) -> Result<Secret, InputError> {
        let mut line = Buffer::new();
        loop {
            match line.read_byte(self.terminal)? {
                Some(b'\n' | b'\r') => break,
                None | Some(END_OF_FILE) if line.0.is_empty() => {
                    return Err(InputError::Interrupted);
                }
                None | Some(END_OF_FILE) => break,
                Some(INTERRUPT) => return Err(InputError::Interrupted),
                Some(BACKSPACE | DELETE) => line.drop_character(),
                Some(KILL_LINE) => line.0.clear(),
                Some(byte) => line.push(byte)?,
            }
        }
        Ok(line.into_secret()?)
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // If it fails the terminal is gone, and there is nobody to tell.
        let _ = tcsetattr(self.terminal, SetArg::TCSANOW, &self.before);
    }
}

/// Reads one line of at most [`MAX_SECRET_BYTES`] from a pipe or file, up to a
/// line break or the end. The line break does not belong to it; a carriage
/// return does.
///
/// # Errors
/// See [`InputError`]; what is too long or goes on behind the line break is
/// refused, never cut.
pub fn read_secret_line(input: impl AsFd) -> Result<Secret, InputError> {
    let input = input.as_fd();
    let mut line = Buffer::new();
    let mut chunk = Zeroizing::new([0; 1024]);
    loop {
        let length = read(input, &mut chunk[..])?;
        for (at, byte) in chunk[..length].iter().enumerate() {
            match byte {
                b'\n' if at + 1 == length => return Ok(line.into_secret()?),
                b'\n' => return Err(InputError::ManyLines),
                byte => line.push(*byte)?,
            }
        }
        if length == 0 {
            return Ok(line.into_secret()?);
        }
    }
}

/// Never grows beyond what it was made with, so it is never copied elsewhere.
struct Buffer(Zeroizing<Vec<u8>>);

impl Buffer {
    fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(MAX_SECRET_BYTES)))
    }

    fn push(&mut self, byte: u8) -> Result<(), SecretError> {
        if self.0.len() == MAX_SECRET_BYTES {
            return Err(SecretError::TooLong);
        }
        self.0.push(byte);
        Ok(())
    }

    fn read_byte(&self, input: BorrowedFd<'_>) -> io::Result<Option<u8>> {
        let mut byte = Zeroizing::new([0; 1]);
        Ok((read(input, &mut byte[..])? == 1).then(|| byte[0]))
    }

    /// Drops the last character, which may be several bytes of UTF-8.
    fn drop_character(&mut self) {
        while self.0.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
    }

    fn into_secret(mut self) -> Result<Secret, SecretError> {
        Secret::new(std::mem::take(&mut *self.0))
    }
}

fn read(input: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match nix::unistd::read(input, buffer) {
            Ok(length) => return Ok(length),
            Err(nix::Error::EINTR) => {}
            // A pseudo-terminal whose other end is gone.
            Err(nix::Error::EIO) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    }
}

const INTERRUPT: u8 = 0x03;
const END_OF_FILE: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn piped(bytes: &[u8]) -> Result<Vec<u8>, InputError> {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(bytes).unwrap();
        drop(writer);
        read_secret_line(&reader).map(|secret| secret.expose().to_vec())
    }

    fn typed(bytes: &[u8]) -> Result<Vec<u8>, InputError> {
        let pty = nix::pty::openpty(None, None).unwrap();
        let quiet = Quiet::new(pty.slave.as_fd()).unwrap();
        nix::unistd::write(&pty.master, bytes).unwrap();
        quiet.read_secret().map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn takes_one_line_from_a_pipe() {
        assert_eq!(piped(b"s3cret\n").unwrap(), b"s3cret");
        assert_eq!(piped(b"s3cret").unwrap(), b"s3cret");
        assert_eq!(piped(b"s3cret\r\n").unwrap(), b"s3cret\r");
        assert_eq!(piped(b" \xff ").unwrap(), b" \xff ");
        assert_eq!(piped(b"").unwrap(), b"");
    }

    #[test]
    fn refuses_what_it_would_have_to_cut() {
        assert!(matches!(piped(b"one\ntwo\n"), Err(InputError::ManyLines)));
        assert!(matches!(piped(b"a\0b\n"), Err(InputError::Secret(SecretError::Nul))));
        assert_eq!(piped(&vec![b'x'; MAX_SECRET_BYTES]).unwrap().len(), MAX_SECRET_BYTES);
        let long = vec![b'x'; MAX_SECRET_BYTES + 1];
        assert!(matches!(piped(&long), Err(InputError::Secret(SecretError::TooLong))));
    }

    #[test]
    fn edits_a_typed_line() {
        assert_eq!(typed(b"s3cret\n").unwrap(), b"s3cret");
        assert_eq!(typed("gr\u{fc}\u{fc}\x7f\x7fx\r".as_bytes()).unwrap(), b"grx");
        assert_eq!(typed(b"wrong\x15right\n").unwrap(), b"right");
        assert!(matches!(typed(b"half\x03"), Err(InputError::Interrupted)));
        assert!(matches!(typed(b"\x04"), Err(InputError::Interrupted)));
    }

    #[test]
    fn puts_the_terminal_back() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let has_echo = || tcgetattr(&pty.slave).unwrap().local_flags.contains(LocalFlags::ECHO);
        assert!(has_echo());
        let quiet = Quiet::new(pty.slave.as_fd()).unwrap();
        assert!(!has_echo());
        drop(quiet);
        assert!(has_echo());
    }
}
