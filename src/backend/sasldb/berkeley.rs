//! Reads a hash database of Berkeley DB, the format of Debian's sasldb2. Pure.
//!
//! ```text
//! page 0 (512 bytes)   12 magic 0x061561 | 16 version | 20 page size | 24 encryption | 25 type 8
//!                      26 flags: 1 checksums | 48 flags | 72 max bucket | 96 spares[32] | 492 checksum
//! other pages          8 number | 16 next, 0 = none | 20 u16 items | 22 u16 bytes | 25 type | 28 checksum
//! hash page            u16 offset for each item, growing up; items, growing down: key, value, ...
//! item                 1 bytes | 3 pad(3) u32 page, u32 length: a chain of overflow pages
//! ```
//!
//! Numbers are of the byte order of the machine that made the file. Bucket b
//! is at page `b + spares[bits of b]`, and goes on at its next page. A bucket
//! that was never written is all zero. The space between offsets and items
//! holds what was deleted: nothing looks there. Versions 7 to 9 (Berkeley DB
//! 3.1 to 5.3) are read. Cyrus SASL writes no duplicates, no sub-databases and
//! no encryption: those are refused, as is a B-tree.

use zeroize::Zeroizing;

use super::image::{Fault, Image, Once, Order, Outlet, Visit, damaged, foreign};

/// Tells of each record in `bytes`. Records were handed on also where a fault is found.
///
/// # Errors
/// [`Fault`].
pub(super) fn read(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
    let order = order(bytes)?;
    let mut reader = Reader::open(Image::new(bytes, order))?;
    let mut outlet = Outlet::new(&reader.image, visit);
    for bucket in 0..=reader.max_bucket {
        reader.bucket(bucket, &mut outlet)?;
    }
    Ok(())
}

/// The byte order of a file, by its magic.
fn order(bytes: &[u8]) -> Result<Order, Fault> {
    for order in [Order::Little, Order::Big] {
        match Image::new(bytes, order).u32(MAGIC_AT)? {
            HASH => return Ok(order),
            BTREE => return foreign("a Berkeley DB B-tree or a file of sub-databases"),
            QUEUE | HEAP => return foreign("a Berkeley DB queue or heap"),
            _ => {}
        }
    }
    damaged(MAGIC_AT, "not the magic of a Berkeley DB hash")
}

struct Reader<'a> {
    image: Image<'a>,
    page_size: usize,
    /// Bytes before the offsets of a page.
    overhead: usize,
    has_checksums: bool,
    max_bucket: u32,
    pages: Once,
    /// Of the item that is being put together from overflow pages.
    key: Zeroizing<Vec<u8>>,
    value: Zeroizing<Vec<u8>>,
}

/// An item of a hash page.
#[derive(Clone, Copy)]
enum Item<'a> {
    Here(&'a [u8]),
    /// `length` bytes on the pages from `page` on, as said at `offset`.
    Away {
        page: usize,
        length: usize,
        offset: usize,
    },
}

impl<'a> Reader<'a> {
    fn open(image: Image<'a>) -> Result<Self, Fault> {
        let meta = image.slice(0, META_BYTES)?;
        match image.u32(16)? {
            7..=9 => {}
            10.. => return foreign("a Berkeley DB hash of version 10 or later"),
            _ => return foreign("a Berkeley DB hash of a version before 7"),
        }
        if image.u8(24)? != 0 {
            return foreign("an encrypted Berkeley DB file");
        }
        let has_checksums = image.u8(26)? & META_CHECKSUMS != 0;
        if has_checksums && checksum(meta, META_CHECKSUM_AT) != image.u32(META_CHECKSUM_AT)? {
            return damaged(META_CHECKSUM_AT, "a wrong checksum of the first page");
        }
        if image.u8(26)? & !META_CHECKSUMS != 0 {
            return foreign("a partitioned Berkeley DB file");
        }
        if image.u32(48)? != 0 {
            return foreign("a Berkeley DB file with duplicates or sub-databases");
        }
        if image.u8(25)? != TYPE_META {
            return damaged(25, "not the type of a hash's first page");
        }
        let page_size = image.index32(20)?;
        if !page_size.is_power_of_two() || !(512..=65_536).contains(&page_size) {
            return damaged(20, "a page size that does not exist");
        }
        let count = image.len() / page_size;
        if !image.len().is_multiple_of(page_size) {
            return damaged(count * page_size, "the end of the file in the middle of a page");
        }
        let max_bucket = image.u32(72)?;
        if usize::try_from(max_bucket).map_or(true, |bucket| bucket >= count) {
            return damaged(72, "more buckets than pages");
        }
        let mut pages = Once::new(count);
        pages.take(0, 0)?;
        let overhead = if has_checksums { 32 } else { 26 };
        let (key, value) = (Zeroizing::default(), Zeroizing::default());
        Ok(Self { image, page_size, overhead, has_checksums, max_bucket, pages, key, value })
    }

    /// Reads a bucket: its page, and those behind it.
    fn bucket(&mut self, bucket: u32, outlet: &mut Outlet<'_, '_>) -> Result<(), Fault> {
        let bits = u32::BITS - bucket.leading_zeros();
        // `max_bucket` is below the number of pages: far from 2^31.
        let named_at = 96 + 4 * bits as usize;
        let spare = self.image.index32(named_at)?;
        let mut next = Some((spare.saturating_add(bucket as usize), named_at));
        while let Some((page, named_at)) = next {
            next = self.hash_page(page, named_at, outlet)?;
        }
        Ok(())
    }

    /// Reads a page of a bucket, and gives the next one and where it was named.
    fn hash_page(
        &mut self,
        page: usize,
        named_at: usize,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<Option<(usize, usize)>, Fault> {
        self.pages.take(page, named_at)?;
        let start = page * self.page_size;
        if self.image.u8(start + TYPE_AT)? == TYPE_NONE && self.is_blank(start)? {
            return Ok(None);
        }
        self.check(page)?;
        if !matches!(self.image.u8(start + TYPE_AT)?, TYPE_UNSORTED | TYPE_SORTED) {
            return damaged(start + TYPE_AT, "a page in a bucket that is no hash page");
        }
        let items = self.image.u16(start + 20)?;
        if items % 2 != 0 || items > (self.page_size - self.overhead) / 2 {
            return damaged(start + 20, "an impossible number of items");
        }
        let mut end = self.page_size;
        for index in (0..items).step_by(2) {
            let (key, key_start) = self.item(start, index, items, end)?;
            let (value, value_start) = self.item(start, index + 1, items, key_start)?;
            end = value_start;
            let key_bytes = self.bytes(key, Part::Key)?;
            let value_bytes = self.bytes(value, Part::Value)?;
            outlet.record(
                start + key_start,
                key_bytes.unwrap_or(&self.key),
                value_bytes.unwrap_or(&self.value),
            )?;
        }
        let next = self.image.index32(start + NEXT_AT)?;
        Ok((next != 0).then_some((next, start + NEXT_AT)))
    }

    /// Item `index` of the page at `start`, which ends where the one before it
    /// begins; and where it begins itself, counted from the page.
    fn item(
        &self,
        start: usize,
        index: usize,
        items: usize,
        end: usize,
    ) -> Result<(Item<'a>, usize), Fault> {
        let named_at = start + self.overhead + 2 * index;
        let begin = self.image.u16(named_at)?;
        if begin < self.overhead + 2 * items || begin >= end {
            return damaged(named_at, "an item that is not between its neighbours");
        }
        let at = start + begin;
        let content = self.image.slice(at + 1, end - begin - 1)?;
        let item = match self.image.u8(at)? {
            ITEM_HERE => Item::Here(content),
            ITEM_AWAY if content.len() == 11 => Item::Away {
                page: self.image.index32(at + 4)?,
                length: self.image.index32(at + 8)?,
                offset: at,
            },
            ITEM_AWAY => return damaged(at, "a reference to other pages of a wrong length"),
            2 | 4 => return foreign("a Berkeley DB file with duplicates"),
            _ => return damaged(at, "an item of an unknown type"),
        };
        Ok((item, begin))
    }

    /// The bytes of an item; `None` if they are in our buffer for this part, put together.
    fn bytes(&mut self, item: Item<'a>, part: Part) -> Result<Option<&'a [u8]>, Fault> {
        let (page, length, offset) = match item {
            Item::Here(bytes) => return Ok(Some(bytes)),
            Item::Away { page, length, offset } => (page, length, offset),
        };
        if length > self.image.len() {
            return damaged(offset + 8, "an item that is longer than the file");
        }
        let mut buffer = Zeroizing::new(Vec::with_capacity(length));
        let mut next = (page, offset + 4);
        while buffer.len() < length {
            let (content, following) = self.overflow_page(next.0, next.1)?;
            if content.is_empty() || content.len() > length - buffer.len() {
                return damaged(next.1, "other pages of a length that was not announced");
            }
            buffer.extend_from_slice(content);
            next = following;
        }
        if length > 0 && next.0 != 0 {
            return damaged(next.1, "other pages that go on behind the item");
        }
        match part {
            Part::Key => self.key = buffer,
            Part::Value => self.value = buffer,
        }
        Ok(None)
    }

    /// What an overflow page holds, and the next page and where it is named.
    fn overflow_page(
        &mut self,
        page: usize,
        named_at: usize,
    ) -> Result<(&'a [u8], (usize, usize)), Fault> {
        self.pages.take(page, named_at)?;
        self.check(page)?;
        let start = page * self.page_size;
        if self.image.u8(start + TYPE_AT)? != TYPE_OVERFLOW {
            return damaged(start + TYPE_AT, "a page of an item that is no overflow page");
        }
        let length = self.image.u16(start + 22)?;
        if length > self.page_size - self.overhead {
            return damaged(start + 22, "an overflow page with more bytes than it has");
        }
        let content = self.image.slice(start + self.overhead, length)?;
        Ok((content, (self.image.index32(start + NEXT_AT)?, start + NEXT_AT)))
    }

    fn is_blank(&self, start: usize) -> Result<bool, Fault> {
        Ok(self.image.slice(start, self.page_size)?.iter().all(|byte| *byte == 0))
    }

    /// Checks what every page but the first says of itself.
    fn check(&self, page: usize) -> Result<(), Fault> {
        let start = page * self.page_size;
        if self.image.index32(start + 8)? != page {
            return damaged(start + 8, "a page that says it is another one");
        }
        if self.has_checksums {
            let bytes = self.image.slice(start, self.page_size)?;
            if checksum(bytes, CHECKSUM_AT) != self.image.u32(start + CHECKSUM_AT)? {
                return damaged(start + CHECKSUM_AT, "a wrong checksum of a page");
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Part {
    Key,
    Value,
}

/// Berkeley DB's checksum without a password: times 33, over the page with the
/// four bytes of the checksum itself as zero.
fn checksum(page: &[u8], itself: usize) -> u32 {
    let step = |sum: u32, byte: u8| sum.wrapping_mul(33).wrapping_add(byte.into());
    page.iter().enumerate().fold(0, |sum, (at, byte)| {
        step(sum, if (itself..itself + 4).contains(&at) { 0 } else { *byte })
    })
}

pub(super) const HASH: u32 = 0x0006_1561;
pub(super) const BTREE: u32 = 0x0005_3162;
pub(super) const QUEUE: u32 = 0x0004_2253;
pub(super) const HEAP: u32 = 0x0007_4582;
pub(super) const MAGIC_AT: usize = 12;

const META_BYTES: usize = 512;
const META_CHECKSUMS: u8 = 1;
const META_CHECKSUM_AT: usize = 492;
const CHECKSUM_AT: usize = 28;
const NEXT_AT: usize = 16;
const TYPE_AT: usize = 25;
const TYPE_NONE: u8 = 0;
const TYPE_UNSORTED: u8 = 2;
const TYPE_OVERFLOW: u8 = 7;
const TYPE_META: u8 = 8;
const TYPE_SORTED: u8 = 13;
const ITEM_HERE: u8 = 1;
const ITEM_AWAY: u8 = 3;
