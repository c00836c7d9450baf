//! Bytes of a peer that are taken from the front, and wiped as they go.
//!
//! ```text
//! [ taken: zeros | waiting: what arrived and nobody took yet | spare ]
//!                ^ head
//! ```
//!
//! A client's bytes hold passwords (AUTH), so no copy of them may stay behind
//! in a buffer that lives as long as the session: taken bytes are zeroed at
//! once, growth wipes the old allocation, and dropping wipes the rest. Taking
//! costs the bytes taken, not the bytes that wait, so a client that pipelines
//! thousands of short lines costs no more than one that sends one long line.
//!
//! Not for output, and not bounded by itself: whoever reads from the socket
//! stops reading while enough waits here.

use std::ops::Deref;

use zeroize::{Zeroize, Zeroizing};

/// Bytes that wait to be taken from the front.
pub trait Front: Deref<Target = [u8]> {
    /// Removes the first `count` bytes (all, if fewer wait) and wipes them.
    fn consume(&mut self, count: usize);

    /// Removes the first `count` bytes (all, if fewer wait), wipes them, and gives a copy.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let copy = self[..count.min(self.len())].to_vec();
        self.consume(count);
        copy
    }
}

// Each `consume` moves the rest down: for buffers that hold little.
impl Front for Vec<u8> {
    fn consume(&mut self, count: usize) {
        let taken = count.min(self.len());
        let rest = self.len() - taken;
        self.copy_within(taken.., 0);
        // What was taken or moved down left a copy of itself here.
        self[rest..].zeroize();
        self.truncate(rest);
    }
}

/// A buffer whose front can be taken in amortised constant time a byte. Reads as `&[u8]`.
#[derive(Default)]
pub struct Input {
    /// `head <= bytes.len()`; everything before `head` is zero.
    bytes: Zeroizing<Vec<u8>>,
    head: usize,
}

impl Input {
    /// Bytes of memory that it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// An empty buffer without an allocation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what arrived at the end.
    pub fn extend_from_slice(&mut self, arrived: &[u8]) {
        if self.bytes.capacity() - self.bytes.len() < arrived.len() {
            self.make_room(arrived.len());
        }
        self.bytes.extend_from_slice(arrived);
    }

    /// Moves to an allocation that holds `arrived_bytes` more. `Vec` would leave
    /// its old allocation unwiped, so the move is made by hand; the new one is
    /// at least half empty, so moves are rare.
    fn make_room(&mut self, arrived_bytes: usize) {
        let waiting = self.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity((waiting + arrived_bytes) * 2));
        bytes.extend_from_slice(self);
        self.bytes = bytes;
        self.head = 0;
    }
}

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.head..]
    }
}

impl Front for Input {
    fn consume(&mut self, count: usize) {
        let end = self.head + count.min(self.len());
        self.bytes[self.head..end].zeroize();
        self.head = end;
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.head = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_bytes_in_order_and_forgets_them() {
        let mut input = Input::new();
        input.extend_from_slice(b"user ");
        input.extend_from_slice(b"password");
        assert_eq!(input.take(5), b"user ");
        assert_eq!(&input[..], b"password");
        assert_eq!(input.bytes[..5], [0; 5], "taken bytes stay readable");
        assert_eq!(input.take(100), b"password");
        assert!(input.is_empty());
        assert_eq!((input.head, input.bytes.len()), (0, 0));
    }

    #[test]
    fn growing_keeps_what_waits() {
        let mut input = Input::new();
        for byte in 0..=255 {
            input.extend_from_slice(&[byte; 7]);
            assert_eq!(input.take(3), [byte; 3]);
            assert_eq!(input.take(4), [byte; 4]);
        }
        input.extend_from_slice(&[1; 10]);
        input.consume(4);
        input.extend_from_slice(&[2; 5000]);
        assert_eq!(input.len(), 5006);
        assert_eq!(input[..6], [1; 6]);
        assert_eq!(input[6..], [2; 5000]);
    }

    #[test]
    fn a_vector_is_consumed_from_the_front() {
        let mut input = b"abcdef".to_vec();
        assert_eq!(input.take(2), b"ab");
        assert_eq!(input, b"cdef");
        input.consume(9);
        assert!(input.is_empty());
    }
}
