//! Writes log lines on a thread of their own, many at a time.
//!
//! A line for each login, written by the thread that answers the login, costs a
//! system call each, and when whoever reads standard error stalls (a journal
//! that syncs, a full pipe), the logins stall with it. So lines are put into a
//! bounded buffer, and a thread writes what has gathered.
//!
//! A line is written within a millisecond or two; a warning or an error
//! at once. Beyond the bound lines are lost, and the log says how many, once it
//! can. What a `kill -9` takes with it are the lines of that millisecond; an
//! orderly end and a panic write everything first.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait to be written, in bytes: at 100 logins a second minutes of a stall.
const LIMIT: usize = 4 << 20;
/// How long lines may gather before they are written.
const GATHER: Duration = Duration::from_millis(1);
/// How long an end waits for whoever reads the log.
const FLUSH: Duration = Duration::from_secs(2);
/// A buffer that has grown beyond this in a burst gives its memory back.
const USUAL: usize = 256 << 10;

/// A buffer, and the thread that writes what is in it.
pub(in crate::ops) struct Spool {
    state: Mutex<State>,
    /// There are lines, or there is haste.
    news: Condvar,
    /// All is written.
    done: Condvar,
    limit: usize,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Lines for which there was no room, and nobody has been told yet.
    lost: u64,
    /// Somebody waits for what is in the buffer.
    is_urgent: bool,
    /// The thread is writing what it took.
    is_writing: bool,
    /// Nothing is put any more.
    is_over: bool,
}

/// How soon a line is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Haste {
    /// With others.
    Soon,
    /// As soon as possible.
    Now,
}

impl Spool {
    /// Starts a thread that writes to `output`, and tells by `told` (one line) of lines it lost.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(in crate::ops) fn start(
        output: impl Write + Send + 'static,
        told: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        Self::with_limit(LIMIT, output, told)
    }

    fn with_limit(
        limit: usize,
        output: impl Write + Send + 'static,
        told: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let spool = Arc::new(Self {
            state: Mutex::default(),
            news: Condvar::new(),
            done: Condvar::new(),
            limit,
        });
        let writer = Arc::clone(&spool);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_on(output, told))?;
        Ok(spool)
    }

    /// Takes a line, with its line feed. Does not wait for it to be written.
    pub(in crate::ops) fn put(&self, line: &[u8], haste: Haste) {
        let mut state = self.state();
        if state.lines.len() + line.len() > self.limit {
            state.lost += 1;
            return;
        }
        let is_first = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        let is_haste_new = haste == Haste::Now && !state.is_urgent;
        state.is_urgent |= is_haste_new;
        drop(state);
        if is_first || is_haste_new {
            self.news.notify_one();
        }
    }

    /// Waits until all is written that was put, but not for ever.
    pub(in crate::ops) fn flush(&self) {
        self.settle(self.state());
    }

    /// As [`flush`](Self::flush); the thread ends with that.
    pub(in crate::ops) fn end(&self) {
        let mut state = self.state();
        state.is_over = true;
        self.news.notify_one();
        self.settle(state);
    }

    /// As [`flush`](Self::flush), from a thread that may hold anything.
    pub(in crate::ops) fn flush_in_panic(&self) {
        match self.state.try_lock() {
            Ok(state) => self.settle(state),
            Err(TryLockError::Poisoned(state)) => self.settle(state.into_inner()),
            // It may be this very thread that holds it.
            Err(TryLockError::WouldBlock) => {}
        }
    }

    fn settle(&self, mut state: MutexGuard<'_, State>) {
        let deadline = Instant::now() + FLUSH;
        while !state.lines.is_empty() || state.is_writing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state.is_urgent = true;
            self.news.notify_one();
            let waited = self.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The thread: writes until the process ends, or the spool.
    fn write_on(&self, mut output: impl Write, told: impl Fn(u64) -> String) {
        let mut taken = Vec::new();
        while let Some(mut lost) = self.take(&mut taken) {
            if output.write_all(&taken).is_err() {
                // A full disk, for instance. What part of it was written nobody knows.
                lost += memchr::memchr_iter(b'\n', &taken).count() as u64;
            }
            if lost > 0 && output.write_all(told(lost).as_bytes()).is_err() {
                self.state().lost += lost;
            }
            let _ = output.flush();
            taken.clear();
            taken.shrink_to(USUAL);
        }
    }

    /// Waits for lines and takes them all; gives how many were lost behind them.
    /// `None`: there will be none.
    fn take(&self, taken: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.state();
        state.is_writing = false;
        self.done.notify_all();
        while state.lines.is_empty() {
            if state.is_over {
                return None;
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_urgent && !state.is_over {
            let gathered = self.news.wait_timeout_while(state, GATHER, |state| !state.is_urgent);
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut state.lines, taken);
        state.is_urgent = false;
        state.is_writing = true;
        Some(std::mem::take(&mut state.lost))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole lines only, whatever happened to who put them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Says what is written to it, and writes only when it may.
    struct Output {
        written: Sender<String>,
        may: Receiver<()>,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(String::from_utf8_lossy(bytes).into_owned()).unwrap();
            self.may.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn spool(limit: usize) -> (Arc<Spool>, Receiver<String>, Sender<()>) {
        let (written, lines) = channel();
        let (go, may) = channel();
        let told = |lost| format!("{lost} lost\n");
        (Spool::with_limit(limit, Output { written, may }, told).unwrap(), lines, go)
    }

    #[test]
    fn what_gathers_while_one_write_lasts_is_the_next_write() {
        let (spool, lines, go) = spool(LIMIT);
        spool.put(b"a\n", Haste::Now);
        assert_eq!(lines.recv().unwrap(), "a\n");
        spool.put(b"b\n", Haste::Soon);
        spool.put(b"c\n", Haste::Now);
        go.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), "b\nc\n");
    }

    #[test]
    fn a_line_without_haste_is_written_too() {
        let (spool, lines, _go) = spool(LIMIT);
        spool.put(b"a\n", Haste::Soon);
        assert_eq!(lines.recv().unwrap(), "a\n");
    }

    #[test]
    fn a_flush_waits_for_what_is_in_the_buffer_and_in_the_write() {
        let (spool, lines, go) = spool(LIMIT);
        spool.put(b"a\n", Haste::Now);
        assert_eq!(lines.recv().unwrap(), "a\n");
        spool.put(b"b\n", Haste::Soon);
        let flushing = Arc::clone(&spool);
        let flush = thread::spawn(move || flushing.flush());
        go.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), "b\n");
        go.send(()).unwrap();
        flush.join().unwrap();
        assert!(!spool.state().is_writing);
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_stopped_and_the_lost_lines_are_counted() {
        let (spool, lines, go) = spool(8);
        spool.put(b"a\n", Haste::Now);
        assert_eq!(lines.recv().unwrap(), "a\n");
        for _ in 0..10 {
            spool.put(b"bcd\n", Haste::Soon);
        }
        go.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), "bcd\nbcd\n");
        go.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), "8 lost\n");
        go.send(()).unwrap();
        spool.put(b"e\n", Haste::Now);
        assert_eq!(lines.recv().unwrap(), "e\n");
    }

    /// A disk that is full at first.
    struct Disk(Sender<String>, u32);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1 > 0 {
                self.1 -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.send(String::from_utf8_lossy(bytes).into_owned()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_refused_are_counted() {
        let (written, lines) = channel();
        let told = |lost| format!("{lost} lost\n");
        let spool = Spool::with_limit(LIMIT, Disk(written, 2), told).unwrap();
        spool.put(b"a\nb\n", Haste::Now);
        spool.flush();
        spool.put(b"c\n", Haste::Now);
        assert_eq!(lines.recv().unwrap(), "c\n");
        assert_eq!(lines.recv().unwrap(), "2 lost\n");
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let (spool, lines, go) = spool(LIMIT);
        let line = vec![b'x'; 1 << 20];
        for _ in 0..3 {
            spool.put(&line, Haste::Now);
            lines.recv().unwrap();
            go.send(()).unwrap();
        }
        spool.flush();
        assert!(spool.state().lines.capacity() <= USUAL + (1 << 20));
    }
}
