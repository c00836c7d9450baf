//! Sets up logging: one line an event, to standard error or the journal.

/// Where log lines go and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Least severe level of diagnostics that is logged. Events are always logged.
    pub level: Level,
    /// Where lines go.
    pub target: Target,
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
}
