//! A saslauthd in a thread of the test: one user, and outages on demand.
//!
//! `alice@gate.test` has the password `s3cret`. A thread that waits in an
//! outage lives as long as its peer's connection.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use saslgate::wire::saslauthd::{Reply, RequestBuffer};

/// Who exists.
pub(crate) const LOGIN: &str = "alice@gate.test";
/// And the password.
pub(crate) const PASSWORD: &str = "s3cret";

/// How it behaves from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Says OK and NO.
    Well,
    /// Reads the request and closes without a word.
    Dies,
    /// Reads the request and says nothing until the peer leaves.
    Hangs,
    /// Says OK, in a reply that is cut after its first byte.
    Stutters,
}

/// A running fake; its threads end with the test program.
#[derive(Clone)]
pub(crate) struct FakeAuthd {
    mood: Arc<Mutex<Mood>>,
    /// Logins asked about, as `login@realm service`.
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeAuthd {
    /// Listens on the socket file `path`.
    pub(crate) fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let fake = Self { mood: Arc::new(Mutex::new(Mood::Well)), asked: Arc::default() };
        let serving = fake.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        fake
    }

    /// Changes its behaviour for requests to come.
    pub(crate) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn serve(&self, mut stream: UnixStream) {
        let mut buffer = RequestBuffer::new();
        let is_right = loop {
            match stream.read(buffer.spare()) {
                Ok(count) if count > 0 => buffer.advance(count),
                _ => return,
            }
            match buffer.decode() {
                Ok(None) => {}
                Ok(Some(request)) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let who = format!("{}@{}", text(request.login), text(request.realm));
                    self.asked.lock().unwrap().push(format!("{who} {}", text(request.service)));
                    break who == LOGIN && request.password.expose() == PASSWORD.as_bytes();
                }
                Err(_) => break false,
            }
        };
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => {
                let reply = if is_right { Reply::Ok } else { Reply::No };
                let _ = stream.write_all(&reply.encode());
            }
            Mood::Dies => {}
            Mood::Hangs => drop(stream.read_to_end(&mut Vec::new())),
            Mood::Stutters => drop(stream.write_all(&Reply::Ok.encode()[..3])),
        }
    }
}
