//! The hash threads: the only place in a daemon where passwords are hashed.
//!
//! A fixed number of threads, each with its own memory, and a bounded queue.
//! A job that nobody waits for any more is dropped before it costs anything.
//! Called by backends; never on an async thread.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::argon2id::{Cost, HashError, Hasher, Verifier};
use super::crypt::{CryptError, CryptHash};
use super::foreign::ForeignHash;
use crate::base::Secret;

/// Threads that hash.
pub(in crate::backend) struct HashPool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Refused {
    /// As many wait as may.
    Busy,
    /// The pool was stopped.
    Stopping,
}

/// What a job works with.
pub(in crate::backend) struct Worker<'a> {
    hasher: &'a mut Hasher,
    hashes: &'a AtomicU64,
}

impl Worker<'_> {
    /// Computes one hash; see [`Hasher::matches`].
    pub(in crate::backend) fn matches(
        &mut self,
        verifier: &Verifier,
        password: &Secret,
    ) -> Result<bool, HashError> {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        self.hasher.matches(verifier, password)
    }

    /// Computes one hash that we would not make; see [`ForeignHash::matches`].
    pub(in crate::backend) fn matches_foreign(
        &mut self,
        hash: &ForeignHash,
        password: &Secret,
    ) -> Result<bool, CryptError> {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        hash.matches(password)
    }

    /// Makes the hash of a new password; see [`Hasher::verifier`].
    pub(in crate::backend) fn verifier(
        &mut self,
        cost: Cost,
        password: &Secret,
    ) -> Result<String, HashError> {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        self.hasher.verifier(cost, password)
    }

    /// Computes one hash of crypt(3); see [`CryptHash::matches`].
    pub(in crate::backend) fn matches_crypt(
        &mut self,
        hash: &CryptHash,
        password: &Secret,
    ) -> Result<bool, CryptError> {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        hash.matches(password)
    }
}

struct Shared {
    queue: Mutex<Queue>,
    work_or_stop: Condvar,
    hashes: AtomicU64,
    max_waiting: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    /// Threads that wait for a job; each may have been given one it has not taken yet.
    idle: usize,
    is_stopping: bool,
}

/// A job and whom to tell.
trait Job: Send {
    fn run(self: Box<Self>, worker: &mut Worker<'_>);
}

struct Task<F, T> {
    work: F,
    answer: oneshot::Sender<T>,
}

impl<T: Send, F: FnOnce(&mut Worker<'_>) -> T + Send> Job for Task<F, T> {
    fn run(self: Box<Self>, worker: &mut Worker<'_>) {
        let Self { work, answer } = *self;
        if !answer.is_closed() {
            // The asker may give up while we hash; then the answer is for nobody.
            drop(answer.send(work(worker)));
        }
    }
}

impl HashPool {
    /// Starts `threads` threads, one a core for 0. At most `max_waiting` jobs
    /// wait for one. Each keeps the memory that `cost` needs, from its first
    /// argon2id on.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub(in crate::backend) fn start(
        threads: usize,
        max_waiting: usize,
        cost: Cost,
    ) -> io::Result<Self> {
        let count = NonZeroUsize::new(threads)
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work_or_stop: Condvar::new(),
            hashes: AtomicU64::new(0),
            max_waiting,
        });
        let pool = Self { shared: Arc::clone(&shared), threads: Mutex::default() };
        for number in 0..count {
            let shared = Arc::clone(&shared);
            let started = thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || shared.work(&mut Hasher::new(cost)))?;
            pool.threads.lock().unwrap_or_else(PoisonError::into_inner).push(started);
        }
        Ok(pool)
    }

    /// Queues `work`. The receiver ends without a value if the pool is stopped first.
    ///
    /// # Errors
    /// [`Refused`]; the work was not and will not be done.
    pub(in crate::backend) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker<'_>) -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, Refused> {
        let (answer, receiver) = oneshot::channel();
        let mut queue = self.shared.lock();
        if queue.is_stopping {
            return Err(Refused::Stopping);
        }
        if queue.jobs.len() >= queue.idle + self.shared.max_waiting {
            return Err(Refused::Busy);
        }
        queue.jobs.push_back(Box::new(Task { work, answer }));
        drop(queue);
        self.shared.work_or_stop.notify_one();
        Ok(receiver)
    }

    /// Hashes begun since the start.
    #[cfg(test)]
    pub(in crate::backend) fn hashes(&self) -> u64 {
        self.shared.hashes.load(Ordering::Relaxed)
    }

    /// Drops what waits, lets what runs end, and ends the threads.
    pub(in crate::backend) fn stop(&self) {
        let mut queue = self.shared.lock();
        queue.is_stopping = true;
        let waiting = std::mem::take(&mut queue.jobs);
        drop(queue);
        drop(waiting);
        self.shared.work_or_stop.notify_all();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has nothing left to say.
            drop(thread.join());
        }
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, hasher: &mut Hasher) {
        while let Some(job) = self.next() {
            job.run(&mut Worker { hasher: &mut *hasher, hashes: &self.hashes });
        }
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let mut queue = self.lock();
        queue.idle += 1;
        while queue.jobs.is_empty() && !queue.is_stopping {
            queue = self.work_or_stop.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.idle -= 1;
        queue.jobs.pop_front()
    }
}
