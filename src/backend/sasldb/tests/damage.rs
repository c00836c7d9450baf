//! No file can make a reader crash, go round or grow: cut anywhere, changed
//! anywhere, or random. The work is bounded by construction (each page once,
//! records no larger than the file together); here it is tried.

use proptest::prelude::*;

use super::super::format::Format;
use super::{read, sample};

/// Small ones of each format; the Berkeley one with several buckets and off-page items.
const SMALL: &[&str] = &[
    "berkeley/tiny512.db",
    "berkeley/mixed.db",
    "gdbm/tiny512.gdbm",
    "gdbm/mixed.gdbm",
    "lmdb/empty.lmdb",
];

/// The number of records, which are no larger than the file together.
fn bounded(bytes: &[u8]) -> usize {
    let mut total = 0;
    let mut count = 0;
    if let Some(format) = Format::of(bytes) {
        let _ = format.read(bytes, &mut |key, value| {
            total += key.len() + value.len();
            count += 1;
        });
    }
    assert!(total <= bytes.len());
    count
}

#[test]
fn a_file_cut_anywhere_is_never_taken_for_a_smaller_one() {
    for file in SMALL {
        let whole = sample(file);
        let records = read(&whole).unwrap();
        for length in (0..whole.len()).rev() {
            if Format::of(&whole[..length]).is_some()
                && let Ok(found) = read(&whole[..length])
            {
                // Only what nothing refers to was cut off.
                assert!(found == records, "{file} cut at {length}");
            }
        }
    }
}

#[test]
fn a_large_file_cut_at_any_page_is_refused_or_whole() {
    for file in ["berkeley/ps512.db", "gdbm/bs512.gdbm", "lmdb/real_saslpasswd2_head.lmdb"] {
        let whole = sample(file);
        let records = read(&whole).unwrap();
        for length in (512..whole.len()).step_by(512) {
            if let Ok(found) = read(&whole[..length]) {
                assert!(found == records, "{file} cut at {length}");
            }
        }
    }
}

#[test]
fn every_single_byte_may_change() {
    for file in SMALL {
        let mut image = sample(file);
        for at in 0..image.len() {
            let was = image[at];
            // Most of a file is free space: there one change will do.
            let changes: &[u8] = if was == 0 { &[0xff] } else { &[0x01, 0x80, 0xff] };
            for change in changes {
                image[at] = was ^ change;
                bounded(&image);
            }
            image[at] = was;
        }
    }
}

#[test]
fn the_structure_of_larger_files_may_change_too() {
    for file in ["berkeley/ps512.db", "gdbm/bs512.gdbm", "lmdb/std.lmdb"] {
        let mut image = sample(file);
        // Another stride for each file, so that every offset within a page comes up.
        for at in (0..image.len()).step_by(211) {
            let was = image[at];
            image[at] = !was;
            bounded(&image);
            image[at] = was;
        }
    }
}

#[test]
fn a_page_of_another_place_is_found_out() {
    // What a torn write or a confused disk leaves behind.
    for (file, size) in [("berkeley/ps512.db", 512), ("lmdb/real_saslpasswd2_head.lmdb", 4096)] {
        let whole = sample(file);
        let records = read(&whole).unwrap();
        let pages = whole.len() / size;
        for page in 2..pages {
            let mut image = whole.clone();
            let from = 2 + (page * 7) % (pages - 2);
            let is_blank = whole[from * size..(from + 1) * size].iter().all(|byte| *byte == 0);
            if is_blank {
                // The format's own empty bucket: nobody could tell.
                continue;
            }
            image.copy_within(from * size..(from + 1) * size, page * size);
            if let Ok(found) = read(&image) {
                assert!(found == records, "{file}: page {from} in the place of {page}");
            }
        }
    }
}

#[test]
fn a_changed_byte_behind_a_checksum_is_found_out() {
    let whole = sample("berkeley/chksum.db");
    let records = read(&whole).unwrap();
    for at in (512..whole.len()).step_by(97) {
        let mut image = whole.clone();
        image[at] ^= 0x20;
        if let Ok(found) = read(&image) {
            // In the unused part of the first page, or on a page without use.
            assert!(found == records, "byte {at}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_behind_a_magic_end_quickly(
        mut bytes in proptest::collection::vec(any::<u8>(), 512..8192),
        kind in 0..3,
    ) {
        match kind {
            0 => bytes[12..20].copy_from_slice(&[0x61, 0x15, 0x06, 0, 9, 0, 0, 0]),
            1 => bytes[..4].copy_from_slice(&[0xcf, 0x9a, 0x57, 0x13]),
            _ => bytes[16..24].copy_from_slice(&[0xde, 0xc0, 0xef, 0xbe, 1, 0, 0, 0]),
        }
        bounded(&bytes);
    }

    #[test]
    fn any_bytes_in_the_structure_of_a_sound_file_end_quickly(
        file in 0..SMALL.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16),
    ) {
        let mut image = sample(SMALL[file]);
        for (at, byte) in changes {
            let at = at.index(image.len());
            image[at] = byte;
        }
        bounded(&image);
    }
}
