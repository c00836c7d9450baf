//! What is wrong with a configuration, with line, column and caret.
//!
//! A [`Problem`] is data: which class, which key, where, what was found, what
//! helps. [`Problems`] is all of them with the source, and renders them: plain
//! by `Display` (for logs and tests), coloured on a terminal. Built by `file`,
//! `reader` and `rules`; shown by the command line and the daemons.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// One thing that is wrong, or that looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the configuration from being used.
    pub severity: Severity,
    /// Full name of the key or section it is about, where there is one: `gate.max_message`.
    pub key: Option<String>,
    /// What is wrong, one line.
    pub title: String,
    /// Where, in bytes of the source, and what to say there (what was found,
    /// what was expected). `None` for the file as a whole.
    pub place: Option<Place>,
    /// Another place that has to do with it.
    pub other: Option<Place>,
    /// What to do, one line.
    pub help: Option<String>,
}

/// Whether a [`Problem`] stops the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Refused.
    Error,
    /// Worth a look: what a file of the host says may differ when the service runs.
    Warning,
}

/// A stretch of the source and what to say there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the source.
    pub span: Range<usize>,
    /// Stands behind the caret; may be empty.
    pub label: String,
}

impl Problem {
    /// An error titled `title`.
    pub(super) fn error(title: impl Into<String>) -> Self {
        Self::new(Severity::Error, title.into())
    }

    /// A warning titled `title`.
    #[must_use]
    pub fn warning(title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, title.into())
    }

    fn new(severity: Severity, title: String) -> Self {
        Self { severity, key: None, title, place: None, other: None, help: None }
    }

    /// About the key or section of that name.
    #[must_use]
    pub fn about(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// At that place.
    #[must_use]
    pub fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.place = Some(Place { span, label: label.into() });
        self
    }

    /// With a second place.
    pub(super) fn and(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.other = Some(Place { span, label: label.into() });
        self
    }

    /// With what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn start(&self) -> usize {
        self.place.as_ref().map_or(0, |place| place.span.start)
    }
}

/// Every problem found in one file, in the order of the file.
/// `Display` renders them all, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    path: PathBuf,
    source: String,
    problems: Vec<Problem>,
}

/// How problems are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// ASCII only.
    Plain,
    /// With the colours of a terminal.
    Coloured,
}

impl Problems {
    /// Problems of the file at `path` that holds `source` (empty if it could not be read).
    #[must_use]
    pub fn new(path: &Path, source: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::start);
        Self { path: path.to_owned(), source: source.to_owned(), problems }
    }

    /// The file they are in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Each of them, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.problems.iter()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Line and column of `problem`, both from 1 on, the column in characters;
    /// `None` if it is about the file as a whole.
    #[must_use]
    pub fn position(&self, problem: &Problem) -> Option<(usize, usize)> {
        let place = problem.place.as_ref()?;
        let before = self.source.get(..place.span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        Some((line, before[line_start..].chars().count() + 1))
    }

    /// All of them as text, an empty line between two.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let renderer = match look {
            Look::Plain => Renderer::plain(),
            Look::Coloured => Renderer::styled(),
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let rendered: Vec<String> = self
            .problems
            .iter()
            .map(|problem| trimmed(&renderer.render(&[self.report(problem)])))
            .collect();
        rendered.join("\n")
    }

    fn report<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(problem.title.as_str()));
        let path = self.path.to_string_lossy();
        let group = match &problem.place {
            None => group.element(Origin::path(path)),
            Some(place) => {
                let mark = |kind: AnnotationKind, place: &'a Place| {
                    kind.span(self.visible(&place.span)).label(place.label.as_str())
                };
                let other = problem.other.as_ref();
                group.element(
                    Snippet::source(self.source.as_str())
                        .path(path)
                        .annotation(mark(AnnotationKind::Primary, place))
                        .annotations(other.map(|place| mark(AnnotationKind::Context, place))),
                )
            }
        };
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }

    /// Keeps a mark on one line: what is reported is where it begins.
    fn visible(&self, span: &Range<usize>) -> Range<usize> {
        let end = self.source.len();
        let start = span.start.min(end);
        let line_end = self.source[start..].find(['\n', '\r']).map_or(end, |length| start + length);
        start..span.end.clamp(start, line_end.max(start))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Look::Plain))
    }
}

/// Without blanks at the ends of lines, with one newline at the end.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
