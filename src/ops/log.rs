//! Sets up logging: one line an event, to standard error, the journal or syslog.
//!
//! ```text
//! on a terminal or pipe   2026-11-20T14:02:27.123Z INFO auth success: [user=alice] ...
//! as JSON                 see [`json`]
//! to the journal          <6>auth success: [user=alice] ...
//! to syslog               see [`syslog`](super::syslog)
//! ```
//!
//! The journal takes `<N>` at the head of a line for its priority (sd-daemon(3)) and
//! notes the time itself. Control characters come out as `\xNN`, so that an
//! event is one line whatever a peer sent. Lines are written by who logs them,
//! or, [`in_background`], by a thread. Not here: what events say (`ops::event`).

pub(super) mod json;
mod outlet;
pub(super) mod spool;

use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::str::FromStr;

use tracing::field::{Field, Visit};
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt as fmt_layer};

use super::syslog::{Program, Syslog};
use outlet::Outlet;
pub use outlet::{Background, in_background};

/// Where log lines go and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Least severe level of diagnostics that is logged. Events are always logged.
    pub level: Level,
    /// Where lines go.
    pub target: Target,
    /// What they look like.
    pub format: Format,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// In the words of saslauthd and sendmail.
    Text,
    /// An object each.
    Json,
}

/// Severity of diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A human must act.
    Error,
    /// Degraded.
    Warn,
    /// Life cycle.
    Info,
    /// The rest.
    Debug,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The journal if standard error is connected to it, else standard error.
    Auto,
    /// Standard error, with time and level.
    Stderr,
    /// Standard error with `<N>` priorities, which the journal reads (sd-daemon(3)).
    Journal,
    /// The host's syslog daemon.
    Syslog,
}

/// A word that names no level or target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is none of {1}")]
pub struct UnknownWord(String, &'static str);

impl Level {
    /// The word in configuration and arguments.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Error, Self::Warn, Self::Info, Self::Debug]
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned(), "error, warn, info, debug"))
    }
}

impl Format {
    /// The word in configuration and arguments.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl FromStr for Format {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Text, Self::Json]
            .into_iter()
            .find(|format| format.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned(), "text, json"))
    }
}

impl Target {
    /// The word in configuration and arguments.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Stderr => "stderr",
            Self::Journal => "journal",
            Self::Syslog => "syslog",
        }
    }
}

impl FromStr for Target {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Auto, Self::Stderr, Self::Journal, Self::Syslog]
            .into_iter()
            .find(|target| target.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned(), "auto, stderr, journal, syslog"))
    }
}

/// The tracing target of events: they pass whatever the level is.
pub(super) const EVENT: &str = "saslgate::event";

/// Starts logging for the whole process; `program` is its name in syslog. Each line is
/// written by the thread that logs it.
///
/// # Errors
/// If it has been started before.
pub fn init(settings: Settings, program: Program) -> Result<(), SetGlobalDefaultError> {
    let Settings { level, target, format } = settings;
    let head = match (target, format) {
        (Target::Journal, _) => Head::Priority,
        (Target::Auto, _) if is_journal() => Head::Priority,
        (Target::Syslog, _) => {
            // The priority at the head of a line is what the writer reads.
            let shape = Shape { head: Head::Priority, format };
            let subscriber = subscriber(level, shape, Syslog::new(program));
            return tracing::subscriber::set_global_default(subscriber);
        }
        (Target::Stderr | Target::Auto, Format::Text) => Head::Date,
        (Target::Stderr | Target::Auto, Format::Json) => Head::Nothing,
    };
    let shape = Shape { head, format };
    let subscriber = subscriber(level, shape, Outlet::new(shape));
    tracing::subscriber::set_global_default(subscriber)
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    head: Head,
    format: Format,
}

/// How it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Time and level.
    Date,
    /// `<N>`, for the journal and for syslog.
    Priority,
    /// With what it says.
    Nothing,
}

fn subscriber<W>(level: Level, shape: Shape, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let least = match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
    };
    let wanted = move |of: &Metadata<'_>| {
        // Libraries chatter below warnings; their debug output is for their authors.
        let is_ours = of.target().starts_with("saslgate");
        let least = if is_ours { least } else { least.min(tracing::Level::WARN) };
        of.target() == EVENT || *of.level() <= least
    };
    let lines = fmt_layer::layer().with_writer(writer).event_format(Lines(shape));
    tracing_subscriber::registry().with(lines.with_filter(filter_fn(wanted)))
}

/// True if standard error is the stream that the service manager connected to
/// the journal: `JOURNAL_STREAM` names its device and inode (systemd.exec(5)).
fn is_journal() -> bool {
    let stderr = std::io::stderr();
    if stderr.is_terminal() {
        return false;
    }
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(stderr.as_fd())
        .is_ok_and(|there| named == format!("{}:{}", there.st_dev, there.st_ino))
}

/// Formats one event as one line.
struct Lines(Shape);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Shape { head, format } = self.0;
        head.write(&mut line, *event.metadata().level())?;
        if format == Format::Json {
            json::write(&mut line, event)?;
            return writeln!(line);
        }
        let mut text = Text { line: &mut line, result: Ok(()), is_first: true };
        event.record(&mut text);
        text.result?;
        writeln!(line)
    }
}

impl Head {
    fn write(self, line: &mut impl fmt::Write, level: tracing::Level) -> fmt::Result {
        match self {
            Self::Date => write!(line, "{:.3} {level} ", jiff::Timestamp::now()),
            Self::Priority => write!(line, "<{}>", priority(level)),
            Self::Nothing => Ok(()),
        }
    }
}

impl Shape {
    /// A warning of our own, as a line.
    fn warning(self, message: fmt::Arguments<'_>) -> String {
        let (mut line, level) = (String::new(), tracing::Level::WARN);
        // A String takes everything.
        let _ = self.head.write(&mut line, level);
        let _ = match self.format {
            Format::Text => writeln!(line, "{message}"),
            Format::Json => json::warning(&mut line, message),
        };
        line
    }
}

/// Priority as syslog(3) numbers it.
fn priority(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => 3,
        tracing::Level::WARN => 4,
        tracing::Level::INFO => 6,
        _ => 7,
    }
}

/// Writes the message and then the other fields as ` name=value`.
struct Text<'a, 'w> {
    line: &'a mut Writer<'w>,
    result: fmt::Result,
    is_first: bool,
}

impl Text<'_, '_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == json::FIELD {
            return;
        }
        let blank = if std::mem::take(&mut self.is_first) { "" } else { " " };
        let mut line = Escaped(self.line);
        let written = match field.name() {
            "message" => write!(line, "{blank}{value}"),
            name => write!(line, "{blank}{name}={value}"),
        };
        self.result = self.result.and(written);
    }
}

impl Visit for Text<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, format_args!("{value}"));
    }
}

/// Keeps a line a line: control characters come out as `\xNN`.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all that is logged; events come in many small pieces.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        for piece in text.split_inclusive(char::is_control) {
            match piece.chars().next_back() {
                Some(last) if last.is_control() => {
                    self.0.write_str(&piece[..piece.len() - last.len_utf8()])?;
                    write!(self.0, "\\x{:02x}", u32::from(last))?;
                }
                _ => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

/// What is logged while a test runs, for every module that logs.
#[cfg(test)]
pub(crate) mod capture {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Format, Head, Level, Shape, subscriber};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs `work` and gives the lines it logged on this thread, as the journal would get them.
    pub(crate) fn journal(level: Level, work: impl FnOnce()) -> String {
        lines(Format::Text, level, work)
    }

    /// The same in this format.
    pub(crate) fn lines(format: Format, level: Level, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let sink = lines.clone();
        let shape = Shape { head: Head::Priority, format };
        let logging = subscriber(level, shape, move || sink.clone());
        tracing::subscriber::with_default(logging, work);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_each_line_with_its_priority() {
        let logged = capture::journal(Level::Debug, || {
            tracing::error!("broken");
            tracing::warn!("degraded");
            tracing::info!("started");
            tracing::debug!(answer = 42, "detail");
        });
        assert_eq!(logged, "<3>broken\n<4>degraded\n<6>started\n<7>detail answer=42\n");
    }

    #[test]
    fn leaves_out_what_is_below_the_level_but_never_an_event() {
        let logged = capture::journal(Level::Error, || {
            tracing::warn!("degraded");
            tracing::info!(target: EVENT, "auth success: [user=alice]");
            tracing::error!(target: "some_library", "broken");
        });
        assert_eq!(logged, "<6>auth success: [user=alice]\n<3>broken\n");
    }

    #[test]
    fn words_name_levels_and_targets_and_nothing_else() {
        for word in ["error", "warn", "info", "debug"] {
            assert_eq!(word.parse::<Level>().map(Level::as_str), Ok(word));
        }
        for word in ["auto", "stderr", "journal", "syslog"] {
            assert_eq!(word.parse::<Target>().map(Target::as_str), Ok(word));
        }
        let error = "loud".parse::<Level>().unwrap_err().to_string();
        assert_eq!(error, "\"loud\" is none of error, warn, info, debug");
        assert!("printer".parse::<Target>().is_err());
        assert_eq!("json".parse::<Format>().map(Format::as_str), Ok("json"));
        assert_eq!("text".parse(), Ok(Format::Text));
    }

    #[test]
    fn keeps_a_line_a_line() {
        let name = "al\nice\x1b[31m\u{85}";
        let logged = capture::journal(Level::Info, || tracing::info!("user {name}"));
        assert_eq!(logged, "<6>user al\\x0aice\\x1b[31m\\x85\n");
    }
}
