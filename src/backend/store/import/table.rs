//! CSV (RFC 4180) with a header line, in any order of columns.
//!
//! ```text
//! user,realm,password          clear text
//! user,hash,state              as schemes reads them; active or locked
//! ```
//!
//! A record is bounded, so that a quote that nobody closes does not take the
//! rest of the file into memory.
//!
//! The reader of the format keeps its buffers unwiped: a command that ends, not
//! a daemon, holds them.

use std::io::{self, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::candidate::{Candidate, Record, SourceError};
use super::schemes::{self, Password};
use crate::backend::store::record::State;
use crate::base::{Identity, Secret};

/// The users of such a table.
pub struct Table<R> {
    reader: Reader<Rationed<R>>,
    /// As errors call it.
    name: String,
    /// For users without one.
    realm: String,
    columns: Columns,
}

/// Input of which only so many bytes may be read before it is refilled.
struct Rationed<R> {
    input: R,
    left: usize,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.left);
        if most == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = self.input.read(&mut buffer[..most])?;
        self.left -= count;
        Ok(count)
    }
}

/// Where what stands.
#[derive(Default)]
struct Columns {
    user: usize,
    realm: Option<usize>,
    password: Option<usize>,
    hash: Option<usize>,
    state: Option<usize>,
}

impl<R: Read> Table<R> {
    /// Reads the header of `input`, which errors call `name`.
    ///
    /// # Errors
    /// `Io`, or `Format` for a header that does not say what is needed.
    pub fn new(input: R, name: String, realm: String) -> Result<Self, SourceError> {
        let input = Rationed { input, left: MAX_RECORD_BYTES };
        let mut reader =
            ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER_BYTES).from_reader(input);
        let header = reader.byte_headers().map_err(|error| failed(&name, 1, error))?.clone();
        let columns = Columns::of(&header)
            .map_err(|detail| SourceError::Format { name: name.clone(), detail })?;
        Ok(Self { reader, name, realm, columns })
    }

    fn user(&self, row: &ByteRecord) -> Result<Candidate, String> {
        let text = |at: usize| std::str::from_utf8(row.get(at).unwrap_or_default());
        let named = |at: Option<usize>| at.map_or(Ok(""), text);
        let not_text = |_| "it is not UTF-8".to_owned();
        let name = text(self.columns.user).map_err(not_text)?;
        let realm = named(self.columns.realm).map_err(not_text)?;
        let identity = match realm {
            "" => Identity::parse(name, &self.realm),
            realm => Identity::new(name, realm),
        }
        .map_err(|error| error.to_string())?;
        let plain = self.columns.password.and_then(|at| row.get(at)).unwrap_or_default();
        let hash = named(self.columns.hash).map_err(not_text)?;
        let mut user = match (plain, hash) {
            ([], "") => return Err("there is no password".to_owned()),
            (plain, "") => {
                let password = Secret::copied_from(plain).map_err(|error| error.to_string())?;
                Candidate::with_plain(identity, password)
            }
            ([], hash) => match schemes::hash(hash)? {
                Password::Plain(password) => Candidate::with_plain(identity, password),
                Password::Hash(hash) => Candidate::with_hash(identity, hash),
            },
            _ => return Err("there are both a password and a hash".to_owned()),
        };
        user.state = match named(self.columns.state).map_err(not_text)? {
            "" => State::Active,
            word => State::from_word(word)
                .ok_or_else(|| "its state is neither active nor locked".to_owned())?,
        };
        Ok(user)
    }
}

impl<R: Read> Iterator for Table<R> {
    type Item = Result<Record, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = ByteRecord::new();
        self.reader.get_mut().left = MAX_RECORD_BYTES;
        let line = self.reader.position().line();
        match self.reader.read_byte_record(&mut row) {
            Ok(false) => None,
            Err(error) => Some(Err(failed(&self.name, line, error))),
            Ok(true) => {
                let name = row.get(self.columns.user).unwrap_or_default();
                let record = Record {
                    place: row.position().map_or(0, csv::Position::line),
                    name: String::from_utf8_lossy(&name[..name.len().min(300)]).into_owned(),
                    user: self.user(&row),
                };
                Some(Ok(record))
            }
        }
    }
}

impl Columns {
    fn of(header: &ByteRecord) -> Result<Self, String> {
        let (mut columns, mut user) = (Self::default(), None);
        for (at, field) in header.iter().enumerate() {
            let word = String::from_utf8_lossy(field).trim().to_ascii_lowercase();
            let place = match word.trim_start_matches('\u{feff}') {
                "user" => &mut user,
                "realm" => &mut columns.realm,
                "password" => &mut columns.password,
                "hash" => &mut columns.hash,
                "state" => &mut columns.state,
                // It may be a password, where somebody forgot the header.
                _ => return Err(format!("column {} is unknown: {HEADER}", at + 1)),
            };
            if place.replace(at).is_some() {
                return Err(format!("column {} is there twice: {HEADER}", at + 1));
            }
        }
        columns.user = user.ok_or_else(|| format!("there is no column user: {HEADER}"))?;
        if columns.password.is_none() && columns.hash.is_none() {
            return Err(format!("there is neither a column password nor one hash: {HEADER}"));
        }
        Ok(columns)
    }
}

/// Ten times what a name and a password can need; the reader's own buffer comes on top.
const MAX_RECORD_BYTES: usize = 128 * 1024;
const HEADER: &str =
    "the first line names the columns: user, password or hash, and if you like realm and state";

/// As small as lines are read: see the command, which counts what was read.
const BUFFER_BYTES: usize = 4 * 1024;

/// `line` is where the record begins.
fn failed(name: &str, line: u64, error: csv::Error) -> SourceError {
    let name = name.to_owned();
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let detail = format!(
                "the record that begins in line {line} is longer than {MAX_RECORD_BYTES} bytes: \
                 does a field begin with a quote that is never closed?"
            );
            SourceError::Format { name, detail }
        }
        csv::ErrorKind::Io(error) => SourceError::Io { name, error },
        // Its text could repeat what stands there.
        _ => SourceError::Format { name, detail: "it is no CSV".to_owned() },
    }
}
