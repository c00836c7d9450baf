//! Reads a database of GDBM, the format of Fedora's sasldb2. Pure.
//!
//! ```text
//! header      i32 magic, i32 block size | 8 i64 directory, i32 its bytes | 20 i32 bits
//!             24 i32 bucket bytes, i32 elements of a bucket | 32 i64 end of the file
//! directory   i64 offset of a bucket, 2^bits times; neighbours may share a bucket
//! bucket      0 free space (not read) | 104 i32 bits, i32 used elements | 112 elements
//! element     i32 hash, -1 = free | 4 start of the key | 8 i64 record | 16 i32 key, i32 value
//! record      the bytes of the key, then those of the value
//! ```
//!
//! The layout is that of little-endian 64-bit machines; GDBM itself refuses
//! files of the other byte order, and so does this. Files with "numsync" have
//! 32 bytes more before the free list, which is not needed to read.

use super::image::{Fault, Image, Order, Outlet, Visit, damaged, foreign};

/// Tells of each record in `bytes`. Records were handed on also where a fault is found.
///
/// # Errors
/// [`Fault`].
pub(super) fn read(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
    let image = Image::new(bytes, Order::Little);
    check_magic(image.u32(0)?)?;
    let shape = Shape::of(&image)?;
    let mut outlet = Outlet::new(&image, visit);
    let mut free_from = 0;
    for share in shares(&image, &shape)? {
        if share.bucket < free_from {
            return damaged(share.named_at, "buckets that overlap");
        }
        free_from = share.bucket + shape.bucket_bytes;
        bucket(&image, &shape, &share, &mut outlet)?;
    }
    Ok(())
}

fn check_magic(magic: u32) -> Result<(), Fault> {
    match magic {
        MAGIC | MAGIC_NUMSYNC | MAGIC_OLD => Ok(()),
        MAGIC_32 | MAGIC_32_NUMSYNC => foreign("a GDBM file of a 32-bit program"),
        other if MAGICS.contains(&other.swap_bytes()) => {
            foreign("a GDBM file of a machine with the other byte order")
        }
        _ => damaged(0, "not the magic of GDBM"),
    }
}

/// What the header says.
struct Shape {
    directory: usize,
    directory_bits: u32,
    bucket_bytes: usize,
    elements: usize,
}

impl Shape {
    fn of(image: &Image<'_>) -> Result<Self, Fault> {
        let directory = image.index64(8)?;
        let directory_bits = image.u32(20)?;
        let bytes = image.index32(16)?;
        if directory_bits >= 32 || bytes != 8usize << directory_bits {
            return damaged(16, "a directory of an impossible size");
        }
        image.slice(directory, bytes)?;
        let (bucket_bytes, elements) = (image.index32(24)?, image.index32(28)?);
        let fitting = bucket_bytes.checked_sub(ELEMENTS_AT).map(|bytes| bytes / ELEMENT_BYTES);
        if fitting != Some(elements) {
            // Also what a file of another alignment looks like.
            return damaged(24, "buckets of an impossible size, or of a 32-bit program");
        }
        Ok(Self { directory, directory_bits, bucket_bytes, elements })
    }
}

/// A bucket, and how many slots of the directory lead to it.
struct Share {
    bucket: usize,
    slots: usize,
    /// Where the first of them is.
    named_at: usize,
}

/// The buckets, in the order of the file.
fn shares(image: &Image<'_>, shape: &Shape) -> Result<Vec<Share>, Fault> {
    let mut shares: Vec<Share> = Vec::new();
    for slot in 0..1usize << shape.directory_bits {
        let named_at = shape.directory + 8 * slot;
        let bucket = image.index64(named_at)?;
        match shares.last_mut() {
            Some(last) if last.bucket == bucket => last.slots += 1,
            _ => shares.push(Share { bucket, slots: 1, named_at }),
        }
    }
    shares.sort_unstable_by_key(|share| share.bucket);
    Ok(shares)
}

fn bucket(
    image: &Image<'_>,
    shape: &Shape,
    share: &Share,
    outlet: &mut Outlet<'_, '_>,
) -> Result<(), Fault> {
    image.slice(share.bucket, shape.bucket_bytes)?;
    let bits = image.u32(share.bucket + BITS_AT)?;
    let slots = shape.directory_bits.checked_sub(bits).map(|spare| 1usize << spare);
    if slots != Some(share.slots) {
        return damaged(
            share.bucket + BITS_AT,
            "a bucket that the directory does not share out so",
        );
    }
    let announced = image.index32(share.bucket + BITS_AT + 4)?;
    let mut used = 0;
    for index in 0..shape.elements {
        let element = share.bucket + ELEMENTS_AT + ELEMENT_BYTES * index;
        if image.i32(element)? == FREE {
            continue;
        }
        used += 1;
        record(image, element, outlet)?;
    }
    if used != announced {
        return damaged(share.bucket + BITS_AT + 4, "a wrong number of elements in a bucket");
    }
    Ok(())
}

fn record(image: &Image<'_>, element: usize, outlet: &mut Outlet<'_, '_>) -> Result<(), Fault> {
    let at = image.index64(element + 8)?;
    let (key_bytes, value_bytes) = (image.index32(element + 16)?, image.index32(element + 20)?);
    let record = image.slice(at, key_bytes.saturating_add(value_bytes))?;
    let (key, value) = record.split_at(key_bytes);
    let start = image.slice(element + 4, key.len().min(4))?;
    if !key.starts_with(start) {
        return damaged(element + 4, "a key that is not what its bucket says");
    }
    outlet.record(element, key, value)
}

const MAGIC: u32 = 0x1357_9acf;
const MAGIC_NUMSYNC: u32 = 0x1357_9ad1;
/// Of old versions; 64-bit ones wrote today's layout, and others do not pass the check of its sizes.
const MAGIC_OLD: u32 = 0x1357_9ace;
const MAGIC_32: u32 = 0x1357_9acd;
const MAGIC_32_NUMSYNC: u32 = 0x1357_9ad0;
pub(super) const MAGICS: &[u32] = &[MAGIC, MAGIC_NUMSYNC, MAGIC_OLD, MAGIC_32, MAGIC_32_NUMSYNC];

const BITS_AT: usize = 104;
const ELEMENTS_AT: usize = 112;
const ELEMENT_BYTES: usize = 24;
const FREE: i32 = -1;
