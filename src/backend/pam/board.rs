//! The board: one page that the supervisor shares with its workers.
//!
//! A worker notes when its request must be over, and for whom it is; the
//! supervisor looks, and kills who is late. Noting costs no system call. A
//! crashed module may have scribbled on the board, so what is read from it is
//! only ever used as a deadline of that worker and as escaped text in the log.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// How much of a user name a slot keeps.
const NAME_BYTES: usize = 128;
/// How much of a service name a slot keeps.
const SERVICE_BYTES: usize = 64;

/// One worker's place. All-zero is a worker without a request.
#[repr(C)]
struct Slot {
    /// Milliseconds after the epoch at which the request must be over; 0: no request.
    deadline: AtomicU64,
    service: [AtomicU8; SERVICE_BYTES],
    user: [AtomicU8; NAME_BYTES],
}

/// The shared memory. Both sides of a fork see the same bytes.
pub(super) struct Board {
    memory: NonNull<Slot>,
    slots: usize,
    /// Zero of the deadlines; copied by fork, and the clock is the system's.
    epoch: Instant,
}

/// What a worker is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// As [`Board::now`] counts.
    pub(super) deadline: Duration,
    /// PAM service; cut at 64 bytes.
    pub(super) service: Vec<u8>,
    /// User; cut at 128 bytes.
    pub(super) user: Vec<u8>,
}

impl Board {
    /// Makes a board of `slots` places, all idle.
    ///
    /// # Errors
    /// The system has no memory for it.
    pub(super) fn new(slots: usize) -> nix::Result<Self> {
        let bytes = NonZeroUsize::new(slots.saturating_mul(size_of::<Slot>()))
            .ok_or(nix::errno::Errno::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing of ours.
        let memory = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_SHARED) }?;
        Ok(Self { memory: memory.cast(), slots, epoch: Instant::now() })
    }

    /// Time since the epoch, the same in every process of this board.
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Notes the start of a request; of texts, as much as fits.
    pub(super) fn begin(&self, slot: usize, task: &Task) {
        let slot = &self.slots()[slot];
        store(&slot.service, &task.service);
        store(&slot.user, &task.user);
        let millis = u64::try_from(task.deadline.as_millis()).unwrap_or(u64::MAX).max(1);
        slot.deadline.store(millis, Ordering::Release);
    }

    /// Notes that there is no request any more.
    pub(super) fn end(&self, slot: usize) {
        self.slots()[slot].deadline.store(0, Ordering::Release);
    }

    /// What the worker of `slot` is at; `None` if it has no request.
    pub(super) fn task(&self, slot: usize) -> Option<Task> {
        let slot = &self.slots()[slot];
        let deadline = match slot.deadline.load(Ordering::Acquire) {
            0 => return None,
            millis => Duration::from_millis(millis),
        };
        Some(Task { deadline, service: load(&slot.service), user: load(&slot.user) })
    }

    fn slots(&self) -> &[Slot] {
        // SAFETY: `new` mapped `slots` zeroed slots, page-aligned, until Drop; all fields are atomic.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.slots) }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`; nothing borrows from it beyond `self`. It cannot
        // fail for a mapping that exists, and a leak would be harmless.
        let _ = unsafe { munmap(self.memory.cast(), self.slots * size_of::<Slot>()) };
    }
}

/// Stores `text`, cut to the place and filled up with NULs.
fn store(place: &[AtomicU8], text: &[u8]) {
    let bytes = text.iter().copied().chain(std::iter::repeat(0));
    place.iter().zip(bytes).for_each(|(cell, byte)| cell.store(byte, Ordering::Relaxed));
}

fn load(place: &[AtomicU8]) -> Vec<u8> {
    let bytes = place.iter().map(|cell| cell.load(Ordering::Relaxed));
    bytes.take_while(|byte| *byte != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(deadline: u64, user: &[u8]) -> Task {
        let deadline = Duration::from_millis(deadline);
        Task { deadline, service: b"smtp".to_vec(), user: user.to_vec() }
    }

    #[test]
    fn tells_who_is_at_what_until_it_is_over() {
        let board = Board::new(3).unwrap();
        assert_eq!(board.task(1), None);
        board.begin(1, &task(1500, b"alice"));
        assert_eq!(board.task(1), Some(task(1500, b"alice")));
        assert_eq!(board.task(0), None);
        board.begin(1, &task(1600, b"al"));
        assert_eq!(board.task(1), Some(task(1600, b"al")));
        board.end(1);
        assert_eq!(board.task(1), None);
    }

    #[test]
    fn cuts_what_does_not_fit() {
        let board = Board::new(1).unwrap();
        board.begin(0, &task(1, &[b'u'; 1000]));
        assert_eq!(board.task(0), Some(task(1, &[b'u'; NAME_BYTES])));
    }

    #[test]
    fn a_board_without_places_is_refused() {
        assert!(Board::new(0).is_err());
    }
}
