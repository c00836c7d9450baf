//! `saslgate user import`: users and passwords from the files of other programs.
//!
//! Reads the source record by record and hands them on in batches, so memory
//! is bounded whatever comes. Ctrl-C or kill -9 leaves whole users: what was
//! reported as progress is there, and a second run does the rest.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::CommandError;
use super::report::{Report, Source as Described, Style};
use crate::backend::store::import::{
    Candidate, Importer, LineFormat, Lines, Mode, Outcome, Record, SourceError, Table, Transfers,
    sasldb,
};
use crate::config::Config;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Realm of names without one; the configured default otherwise.
    #[arg(long, value_name = "REALM")]
    realm: Option<String>,
    /// Give users who are there already the password and state of the source.
    #[arg(long)]
    overwrite: bool,
    /// Say what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON lines: one for each user who was skipped, and a summary.
    #[arg(long)]
    json: bool,
}

/// Where from; FILE may be - for standard input, but for --sasldb.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SourceArgs {
    /// A sasldb2 of Cyrus SASL: clear text, which becomes argon2id.
    #[arg(long, value_name = "FILE")]
    sasldb: Option<PathBuf>,
    /// shadow(5): hashes of the system's accounts.
    #[arg(long, value_name = "FILE")]
    shadow: Option<PathBuf>,
    /// Dovecot's passwd-file, with its schemes.
    #[arg(long, value_name = "FILE")]
    passwd_file: Option<PathBuf>,
    /// Apache's htpasswd.
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,
    /// CSV; its first line names the columns user, password or hash, realm, state.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// What saslgate user export --with-hashes has written.
    #[arg(long, value_name = "FILE")]
    json_lines: Option<PathBuf>,
}

/// The users of a source, one after the other.
type Records = Box<dyn Iterator<Item = Result<Record, SourceError>>>;

/// An open source.
struct Source {
    records: Records,
    /// Bytes read, of how many; `None` for a pipe.
    read: Arc<AtomicU64>,
    described: Described,
}

pub(super) fn run(args: &Args, config: &Config) -> Result<(), CommandError> {
    let realm = args.realm.clone().unwrap_or_else(|| config.auth.default_realm.clone());
    let mut source = args.source.open(&realm)?;
    let mode = Mode { overwrite: args.overwrite, dry_run: args.dry_run };
    let mut importer = Importer::open(&config.store, mode)?;
    let style = if args.json { Style::Json } else { Style::Text };
    let mut report = Report::new(style, mode, &source.described);
    report.progress(0);
    let (mut batch, mut places) = (Vec::new(), Vec::new());
    let (mut has_plain, mut weight) = (false, 0);
    loop {
        let record = source.records.next().transpose();
        // What was read before a source broke off is good, and stays.
        if let Ok(Some(record)) = record {
            match record.user {
                Err(reason) => report.skip(record.place, &record.name, &reason)?,
                Ok(user) => {
                    has_plain |= user.is_plain();
                    weight += user.weight().max(1);
                    batch.push(user);
                    places.push((record.place, record.name));
                }
            }
            let most = if has_plain { PLAIN_BATCH } else { HASHED_BATCH };
            if weight < most {
                continue;
            }
            take(&mut importer, &mut report, &mut batch, &mut places)?;
            report.progress(source.read.load(Ordering::Relaxed));
            (has_plain, weight) = (false, 0);
        } else {
            take(&mut importer, &mut report, &mut batch, &mut places)?;
            let outcome = record.map(drop);
            report.finish(outcome.is_ok())?;
            return Ok(outcome?);
        }
    }
}

fn take(
    importer: &mut Importer,
    report: &mut Report,
    batch: &mut Vec<Candidate>,
    places: &mut Vec<(u64, String)>,
) -> Result<(), CommandError> {
    let outcomes = importer.take(batch)?;
    batch.clear();
    for (outcome, (place, name)) in outcomes.into_iter().zip(places.drain(..)) {
        match outcome {
            Outcome::Exists => report.skip(place, &name, EXISTS)?,
            outcome => report.count(outcome),
        }
    }
    Ok(())
}

impl SourceArgs {
    fn open(&self, realm: &str) -> Result<Source, CommandError> {
        let realm = realm.to_owned();
        if let Some(path) = &self.sasldb {
            let records = sasldb(path)?;
            let described = Described { place: "record", size: Some(records.len() as u64) };
            let read = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&read);
            let records = records.inspect(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            });
            return Ok(Source { records: Box::new(records), read, described });
        }
        let formats = [
            (&self.shadow, LineFormat::Shadow),
            (&self.passwd_file, LineFormat::PasswdFile),
            (&self.htpasswd, LineFormat::Htpasswd),
        ];
        let lines = formats.into_iter().find_map(|(path, format)| Some((path.as_ref()?, format)));
        if let Some((path, format)) = lines {
            let input = Input::open(path)?;
            let (read, described) = (Arc::clone(&input.read), input.described());
            let (name, input) = (input.name.clone(), BufReader::with_capacity(BUFFER_BYTES, input));
            let records = Box::new(Lines::new(input, name, format, realm));
            return Ok(Source { records, read, described });
        }
        // clap has seen to it that there is one.
        let path = self.csv.as_ref().or(self.json_lines.as_ref()).cloned().unwrap_or_default();
        let input = Input::open(&path)?;
        let (read, described) = (Arc::clone(&input.read), input.described());
        let name = input.name.clone();
        let records: Records = if self.csv.is_some() {
            Box::new(Table::new(input, name, realm)?)
        } else {
            Box::new(Transfers::new(BufReader::with_capacity(BUFFER_BYTES, input), name))
        };
        Ok(Source { records, read, described })
    }
}

/// A file or standard input, and how much of it was read.
struct Input {
    bytes: Box<dyn Read>,
    name: String,
    size: Option<u64>,
    read: Arc<AtomicU64>,
}

impl Input {
    fn open(path: &PathBuf) -> Result<Self, SourceError> {
        let read = Arc::new(AtomicU64::new(0));
        if path.as_os_str() == "-" {
            let (bytes, name) = (Box::new(io::stdin()), "standard input".to_owned());
            return Ok(Self { bytes, name, size: None, read });
        }
        let name = path.display().to_string();
        let on_error = |error| SourceError::Io { name: name.clone(), error };
        let file = File::open(path).map_err(on_error)?;
        let meta = file.metadata().map_err(on_error)?;
        let size = meta.is_file().then_some(meta.len());
        Ok(Self { bytes: Box::new(file), name, size, read })
    }

    fn described(&self) -> Described {
        Described { place: "line", size: self.size }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

const EXISTS: &str = "is in the store already; --overwrite replaces it";
/// Credentials in a transaction that are hashes: some megabytes of memory.
const HASHED_BATCH: usize = 20_000;
/// Users in a transaction whose passwords are hashed here: about a second of work.
const PLAIN_BATCH: usize = 64;
/// How far a file was read is what progress goes by: where each user costs a hash,
/// a large buffer would be "100 %" for minutes.
const BUFFER_BYTES: usize = 4 * 1024;
