//! The readers against files of the real libraries, and against all that can become of those.

mod damage;
mod samples;
mod verifying;

use std::path::PathBuf;

use super::format::Format;
use super::image::Fault;

/// A key and its value.
type Record = (Vec<u8>, Vec<u8>);

/// Keys and values of a file, sorted; or what is wrong with it.
fn read(bytes: &[u8]) -> Result<Vec<Record>, Fault> {
    let format = Format::of(bytes).expect("a magic");
    let mut found = Vec::new();
    format.read(bytes, &mut |key, value| found.push((key.to_vec(), value.to_vec())))?;
    found.sort();
    Ok(found)
}

fn path(sample: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples/sasldb").join(sample)
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
