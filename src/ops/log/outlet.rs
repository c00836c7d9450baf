//! Where lines go: standard error, at once or through the spool.
//!
//! The one place with process-wide state of logging: a process has one standard
//! error and one subscriber.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::Shape;
use super::spool::{Haste, Spool};

/// The thread, once there is one.
static SPOOL: OnceLock<Arc<Spool>> = OnceLock::new();
/// How the lines look; unset where they do not go to standard error.
static SHAPE: OnceLock<Shape> = OnceLock::new();
/// Whether lines go to it.
static IS_SPOOLED: AtomicBool = AtomicBool::new(false);

/// From now on a thread writes the lines, so that nobody waits for who reads
/// them; until the result is dropped, which waits for what is unwritten. A panic
/// writes it, too. For a service that answers many; not for a process that forks.
///
/// # Errors
/// The system refuses a thread.
pub fn in_background() -> io::Result<Background> {
    // Lines to syslog bound their wait themselves.
    let Some(shape) = SHAPE.get().copied() else { return Ok(Background(())) };
    if SPOOL.get().is_none() {
        let lost = move |count| {
            shape.warning(format_args!(
                "{count} log lines were lost: who reads them does not keep up"
            ))
        };
        let spool = Spool::start(io::stderr(), lost)?;
        if SPOOL.set(Arc::clone(&spool)).is_ok() {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                spool.flush_in_panic();
                before(panic);
            }));
        }
    }
    IS_SPOOLED.store(true, Ordering::Release);
    Ok(Background(()))
}

/// Lines are written by a thread as long as this lives.
pub struct Background(());

impl Drop for Background {
    fn drop(&mut self) {
        IS_SPOOLED.store(false, Ordering::Release);
        if let Some(spool) = SPOOL.get() {
            spool.flush();
        }
    }
}

/// Standard error, directly or by way of the thread.
pub(super) struct Outlet(());

impl Outlet {
    /// For lines of this shape.
    pub(super) fn new(shape: Shape) -> Self {
        // A second one fails as a whole, in `init`.
        let _ = SHAPE.set(shape);
        Self(())
    }
}

/// Takes the lines of one event.
pub(super) enum Sink {
    Direct(io::Stderr),
    Spooled(&'static Spool, Haste),
}

impl<'a> MakeWriter<'a> for Outlet {
    type Writer = Sink;

    fn make_writer(&'a self) -> Sink {
        match SPOOL.get().filter(|_| IS_SPOOLED.load(Ordering::Acquire)) {
            Some(spool) => Sink::Spooled(spool, Haste::Now),
            None => Sink::Direct(io::stderr()),
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Sink {
        match self.make_writer() {
            Sink::Spooled(spool, _) if *metadata.level() >= tracing::Level::INFO => {
                Sink::Spooled(spool, Haste::Soon)
            }
            sink => sink,
        }
    }
}

impl io::Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Direct(stderr) => stderr.write(line),
            Self::Spooled(spool, haste) => {
                spool.put(line, *haste);
                Ok(line.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
