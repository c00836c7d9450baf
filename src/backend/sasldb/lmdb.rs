//! Reads a database of LMDB 0.9, the first choice of later Cyrus SASL. Pure.
//!
//! ```text
//! page          u64 number | 10 u16 flags: 1 branch, 2 leaf, 4 overflow, 8 meta
//!               12 u16 end of the offsets, u16 start of the nodes | overflow: 12 u32 pages
//! pages 0, 1    16 magic 0xbeefc0de, u32 version | 40 u32 page size | 88 the tree | 144 u64 transaction
//! the tree      4 u16 flags, u16 depth | 32 u64 records, u64 root, all ones = empty
//! branch, leaf  u16 offset for each node, from 16 on
//! node          u16 low, u16 high, u16 flags, u16 key bytes, key, data
//!   of a branch child page = low, high, flags
//!   of a leaf   data bytes = low, high; flags: 1 data is a u64 page of an overflow run
//! ```
//!
//! A commit writes new pages and then one of the two meta pages: the one with
//! the later transaction counts. The layout is that of little-endian 64-bit
//! machines. The lock file beside the database is neither needed nor touched.

use super::image::{Fault, Image, Once, Order, Outlet, Visit, damaged, foreign};

/// Tells of each record in `bytes`. Records were handed on also where a fault is found.
///
/// # Errors
/// [`Fault`].
pub(super) fn read(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
    let image = Image::new(bytes, Order::Little);
    let (mut reader, root) = Reader::open(image)?;
    let mut outlet = Outlet::new(&image, visit);
    let mut path = match root {
        Some(root) => vec![root],
        None => Vec::new(),
    };
    while let Some(place) = path.pop() {
        reader.page(&place, &mut path, &mut outlet)?;
    }
    if reader.records != 0 {
        return damaged(reader.count_at, "a wrong number of records");
    }
    Ok(())
}

/// A page still to be read.
struct Place {
    page: usize,
    /// How many levels of the tree are below it, itself included.
    levels: usize,
    /// Where its number stands.
    named_at: usize,
}

struct Reader<'a> {
    image: Image<'a>,
    page_size: usize,
    pages: Once,
    /// Announced records that were not met yet.
    records: u64,
    /// Where they were announced.
    count_at: usize,
}

impl<'a> Reader<'a> {
    /// Reads both meta pages; gives the root of the tree, if there is one.
    fn open(image: Image<'a>) -> Result<(Self, Option<Place>), Fault> {
        check_meta(&image, 0)?;
        let page_size = image.index32(TREES_AT)?;
        if !page_size.is_power_of_two() || !(512..=65_536).contains(&page_size) {
            return damaged(TREES_AT, "a page size that does not exist");
        }
        if !image.len().is_multiple_of(page_size) {
            let end = image.len() - image.len() % page_size;
            return damaged(end, "the end of the file in the middle of a page");
        }
        check_meta(&image, page_size)?;
        let is_second_later = image.u64(page_size + 144)? > image.u64(144)?;
        let meta = if is_second_later { page_size } else { 0 };
        let tree = meta + TREES_AT + TREE_BYTES;
        if image.u16(tree + 4)? != 0 {
            return foreign("an LMDB file with duplicates or numbers as keys");
        }
        let levels = image.u16(tree + 6)?;
        if levels > MAX_LEVELS {
            return damaged(tree + 6, "a tree of an impossible depth");
        }
        let mut pages = Once::new(image.len() / page_size);
        pages.take(0, 0)?;
        pages.take(1, page_size)?;
        let named_at = tree + 40;
        let root = match image.u64(named_at)? {
            u64::MAX => None,
            _ => Some(Place { page: image.index64(named_at)?, levels, named_at }),
        };
        let (count_at, records) = (tree + 32, image.u64(tree + 32)?);
        Ok((Self { image, page_size, pages, records, count_at }, root))
    }

    /// Reads a branch or a leaf. The children of a branch go to `path`.
    fn page(
        &mut self,
        place: &Place,
        path: &mut Vec<Place>,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fault> {
        let start = self.enter(place.page, place.named_at)?;
        let flags = self.image.u16(start + FLAGS_AT)?;
        let is_leaf = match flags & !DIRTY {
            BRANCH if place.levels > 1 => false,
            LEAF if place.levels == 1 => true,
            _ => return damaged(start + FLAGS_AT, "a page that is not what the tree needs there"),
        };
        let offsets_end = self.image.u16(start + 12)?;
        let nodes = match offsets_end.checked_sub(PAGE_HEAD) {
            Some(bytes) if bytes % 2 == 0 && offsets_end <= self.page_size => bytes / 2,
            _ => return damaged(start + 12, "an impossible number of nodes"),
        };
        for index in 0..nodes {
            // A branch backwards: `path` is taken from its end, and keys keep their order.
            let index = if is_leaf { index } else { nodes - 1 - index };
            let named_at = start + PAGE_HEAD + 2 * index;
            let begin = self.image.u16(named_at)?;
            if begin < offsets_end || begin > self.page_size - NODE_HEAD {
                return damaged(named_at, "a node outside its page");
            }
            let node = start + begin;
            if is_leaf {
                self.leaf(node, start + self.page_size, outlet)?;
            } else {
                let page = self.image.index48(node)?;
                path.push(Place { page, levels: place.levels - 1, named_at: node });
            }
        }
        Ok(())
    }

    /// Hands on the record of a leaf's node, which ends before `page_end`.
    fn leaf(
        &mut self,
        node: usize,
        page_end: usize,
        outlet: &mut Outlet<'_, '_>,
    ) -> Result<(), Fault> {
        let length = self.image.index32(node)?;
        let key = self.image.slice(node + NODE_HEAD, self.image.u16(node + 6)?)?;
        let at = node + NODE_HEAD + key.len();
        let (value, end) = match self.image.u16(node + 4)? {
            0 => (self.image.slice(at, length)?, at + length),
            NODE_AWAY => (self.overflow(self.image.index64(at)?, at, length)?, at + 8),
            flags if flags & !NODE_FLAGS == 0 => {
                return foreign("an LMDB file with duplicates or sub-databases");
            }
            _ => return damaged(node + 4, "a node with unknown flags"),
        };
        if end > page_end {
            return damaged(node, "a node that does not fit into its page");
        }
        let Some(left) = self.records.checked_sub(1) else {
            return damaged(self.count_at, "a wrong number of records");
        };
        self.records = left;
        outlet.record(node, key, value)
    }

    /// The `length` bytes of a run of overflow pages, which is named at `named_at`.
    fn overflow(&mut self, page: usize, named_at: usize, length: usize) -> Result<&'a [u8], Fault> {
        let start = self.enter(page, named_at)?;
        if self.image.u16(start + FLAGS_AT)? & !DIRTY != OVERFLOW {
            return damaged(start + FLAGS_AT, "a page of a value that is no overflow page");
        }
        let run = self.image.index32(start + 12)?;
        let bytes = run.saturating_mul(self.page_size);
        if bytes.checked_sub(PAGE_HEAD).is_none_or(|room| length > room) {
            return damaged(start + 12, "a value that is longer than its pages");
        }
        self.image.slice(start, bytes)?;
        for following in page + 1..page + run {
            self.pages.take(following, start + 12)?;
        }
        self.image.slice(start + PAGE_HEAD, length)
    }

    /// Takes a page: where it starts.
    fn enter(&mut self, page: usize, named_at: usize) -> Result<usize, Fault> {
        self.pages.take(page, named_at)?;
        let start = page * self.page_size;
        if self.image.index64(start)? != page {
            return damaged(start, "a page that says it is another one");
        }
        Ok(start)
    }
}

fn check_meta(image: &Image<'_>, start: usize) -> Result<(), Fault> {
    let magic = image.u32(start + MAGIC_AT)?;
    if start == 0 && magic == MAGIC.swap_bytes() {
        return foreign("an LMDB file of a machine with the other byte order");
    }
    if magic != MAGIC {
        return damaged(start + MAGIC_AT, "not the magic of LMDB");
    }
    if image.u32(start + 20)? != 1 {
        return foreign("an LMDB file of a version other than 0.9");
    }
    if image.u16(start + FLAGS_AT)? & META == 0 {
        return damaged(start + FLAGS_AT, "not the type of a meta page");
    }
    Ok(())
}

pub(super) const MAGIC: u32 = 0xbeef_c0de;
pub(super) const MAGIC_AT: usize = 16;

const FLAGS_AT: usize = 10;
const BRANCH: usize = 1;
const LEAF: usize = 2;
const OVERFLOW: usize = 4;
const META: usize = 8;
/// A page that was written in a transaction; nothing in a file.
const DIRTY: usize = 0x10;
const PAGE_HEAD: usize = 16;
const NODE_HEAD: usize = 8;
const NODE_AWAY: usize = 1;
const NODE_FLAGS: usize = 7;
const TREES_AT: usize = 40;
const TREE_BYTES: usize = 48;
/// As LMDB's own cursors (CURSOR_STACK).
const MAX_LEVELS: usize = 32;
