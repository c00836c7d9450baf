//! The password store with 1,000,000 users: `cargo bench --bench store`.
//!
//! `import` takes that many hashed users in, from lines in no order, with the
//! library that `saslgate user import` uses; the others ask the store that this
//! has made. `SASLGATE_USERS` names another number.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends where it fails, and prints its figures"
)]

use std::fmt::Write;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use divan::{Bencher, black_box};
use saslgate::auth::Verify;
use saslgate::backend::store::import::{Importer, LineFormat, Lines, Mode};
use saslgate::backend::store::{PasswordStore, Policy, Scram, Settings};
use saslgate::base::Identity;
use tempfile::TempDir;

fn main() {
    let begun = Instant::now();
    store();
    println!("{} users imported in {:.1} s", users(), begun.elapsed().as_secs_f64());
    divan::main();
}

fn users() -> usize {
    let number = std::env::var("SASLGATE_USERS").ok().and_then(|text| text.parse().ok());
    number.unwrap_or(1_000_000)
}

/// A store of hashed users, made once.
fn store() -> &'static Arc<PasswordStore> {
    static STORE: OnceLock<(TempDir, Arc<PasswordStore>)> = OnceLock::new();
    let (_, store) = STORE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            path: directory.path().join("users.db"),
            memory_kib: 19_456,
            iterations: 2,
            lanes: 1,
            hash_threads: 0,
            max_waiting: 1024,
            policy: Policy::default(),
            scram: Scram::Omitted,
        };
        fill(&settings);
        let store = PasswordStore::start(&settings).unwrap();
        (directory, store)
    });
    store
}

fn fill(settings: &Settings) {
    let mut importer = Importer::open(settings, Mode::default()).unwrap();
    for batch in 0..users().div_ceil(BATCH) {
        let mut text = String::new();
        for number in (batch * BATCH..users()).take(BATCH) {
            writeln!(text, "{}:{HASH}", name(number * STRIDE % users())).unwrap();
        }
        let (name, realm) = ("bench".to_owned(), "example.org".to_owned());
        let lines = Lines::new(text.as_bytes(), name, LineFormat::PasswdFile, realm);
        let users: Vec<_> = lines.map(|record| record.unwrap().user.ok().unwrap()).collect();
        importer.take(&users).unwrap();
    }
}

fn name(number: usize) -> String {
    format!("user{number}")
}

/// Looks another user up at each call, across the whole store.
#[divan::bench]
fn look_up(bencher: Bencher) {
    let store = store();
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number = (number + STRIDE) % users();
            Identity::new(&name(number), "example.org").unwrap()
        })
        .bench_local_values(|identity| assert!(store.grounds(black_box(&identity)).is_some()));
}

#[divan::bench]
fn look_up_of_nobody(bencher: Bencher) {
    let store = store();
    let nobody = Identity::new("nobody", "example.org").unwrap();
    bencher.bench_local(|| store.grounds(black_box(&nobody)));
}

/// What each answer from the cache costs beside.
#[divan::bench]
fn revision(bencher: Bencher) {
    let store = store();
    bencher.bench_local(|| store.revision());
}

const BATCH: usize = 20_000;
/// A prime, so that the order is not that of the tree.
const STRIDE: usize = 7_919;
/// Of no password: its tag is drawn.
const HASH: &str = "$6$abcdefgh12345678$UjoGbMRyuXBwoAxUUoOJcpuHAnXZQNKJL3oAWzEvkVBd9v8cVvE2Ww5Q1n9d\
                    3OVpbAu5BtlyhFZLkCmYVYhmb/";
