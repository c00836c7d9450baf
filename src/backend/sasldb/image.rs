//! A database file in memory, read at offsets that the file itself names.
//!
//! Nothing in such a file can be trusted: a writer may be half way through,
//! a disk may have lied. Every read is checked against the end, every number
//! is of the file's byte order, and what is wrong is said with its offset.
//! Pure. Called by the readers of the three formats.

/// What is wrong with a file, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The structure contradicts itself at this offset.
    Damaged {
        /// Byte of the file where the contradiction stands.
        offset: usize,
        /// What it is, as a noun phrase.
        what: &'static str,
    },
    /// The file is sound as far as can be seen, and of a kind that is not read.
    Foreign {
        /// The kind, as a noun phrase.
        what: &'static str,
    },
}

/// The fault at `offset`.
pub(super) fn damaged<T>(offset: usize, what: &'static str) -> Result<T, Fault> {
    Err(Fault::Damaged { offset, what })
}

/// Refuses a kind of file.
pub(super) fn foreign<T>(what: &'static str) -> Result<T, Fault> {
    Err(Fault::Foreign { what })
}

/// In which order the bytes of a number stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// The whole file.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    bytes: &'a [u8],
    order: Order,
}

impl<'a> Image<'a> {
    pub(super) fn new(bytes: &'a [u8], order: Order) -> Self {
        Self { bytes, order }
    }

    /// Size of the file in bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The `length` bytes at `offset`.
    pub(super) fn slice(&self, offset: usize, length: usize) -> Result<&'a [u8], Fault> {
        let end = offset.checked_add(length).filter(|end| *end <= self.bytes.len());
        match end.and_then(|end| self.bytes.get(offset..end)) {
            Some(slice) => Ok(slice),
            None => damaged(offset.min(self.bytes.len()), "a reference beyond the end of the file"),
        }
    }

    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(offset, N)?);
        if self.order == Order::Big {
            array.reverse();
        }
        Ok(array)
    }

    pub(super) fn u8(&self, offset: usize) -> Result<u8, Fault> {
        self.array(offset).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&self, offset: usize) -> Result<usize, Fault> {
        self.array(offset).map(|array| u16::from_le_bytes(array).into())
    }

    pub(super) fn u32(&self, offset: usize) -> Result<u32, Fault> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub(super) fn i32(&self, offset: usize) -> Result<i32, Fault> {
        self.array(offset).map(i32::from_le_bytes)
    }

    pub(super) fn u64(&self, offset: usize) -> Result<u64, Fault> {
        self.array(offset).map(u64::from_le_bytes)
    }

    /// A 32-bit number that counts or points.
    pub(super) fn index32(&self, offset: usize) -> Result<usize, Fault> {
        as_index(self.u32(offset)?.into(), offset)
    }

    /// The lower 48 bits of a 64-bit number.
    pub(super) fn index48(&self, offset: usize) -> Result<usize, Fault> {
        as_index(self.u64(offset)? & 0xffff_ffff_ffff, offset)
    }

    /// A 64-bit number that counts or points.
    pub(super) fn index64(&self, offset: usize) -> Result<usize, Fault> {
        as_index(self.u64(offset)?, offset)
    }
}

fn as_index(number: u64, offset: usize) -> Result<usize, Fault> {
    match usize::try_from(number) {
        Ok(index) => Ok(index),
        Err(_) => damaged(offset, "a reference beyond the end of the file"),
    }
}

/// Which parts of a file were read already: no sound file uses one twice, and
/// a damaged one could make the reader go round for ever.
pub(super) struct Once(Vec<bool>);

impl Once {
    pub(super) fn new(parts: usize) -> Self {
        Self(vec![false; parts])
    }

    /// Takes `part`, which the number at `offset` names.
    pub(super) fn take(&mut self, part: usize, offset: usize) -> Result<(), Fault> {
        match self.0.get_mut(part) {
            None => damaged(offset, "the number of a page beyond the end of the file"),
            Some(true) => damaged(offset, "a page that is in use twice"),
            Some(taken) => {
                *taken = true;
                Ok(())
            }
        }
    }
}

/// Where the records go: a key and its value at a time.
pub(super) type Visit<'a> = dyn FnMut(&[u8], &[u8]) + 'a;

/// Hands records on, as long as together they are no larger than the file:
/// a damaged one could name the same bytes a million times.
pub(super) struct Outlet<'a, 'v> {
    visit: &'a mut Visit<'v>,
    left: usize,
}

impl<'a, 'v> Outlet<'a, 'v> {
    pub(super) fn new(image: &Image<'_>, visit: &'a mut Visit<'v>) -> Self {
        Self { visit, left: image.len() }
    }

    /// Hands on the record that is found at `offset`.
    pub(super) fn record(&mut self, offset: usize, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        match self.left.checked_sub(key.len().saturating_add(value.len())) {
            Some(left) => self.left = left,
            None => return damaged(offset, "records that overlap"),
        }
        (self.visit)(key, value);
        Ok(())
    }
}
