//! A milter in threads of the test: lets everything pass, and notes the macros it is given.
//!
//! The protocol of libmilter, version 6: a length of four bytes, a command
//! letter, its data. Macros come in `D` packets before the command they are for.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What was told at each MAIL, macro by macro, and the address of the connection.
pub(crate) type Told = BTreeMap<String, String>;

/// A running milter; its threads end with the test program.
pub(crate) struct Milter {
    pub(crate) address: SocketAddr,
    mails: Arc<Mutex<Vec<Told>>>,
}

/// Macros wanted at MAIL (stage 2).
const WANTED: &[u8] = b"{auth_type} {auth_authen} {auth_author} {client_addr} {client_name} i";

impl Milter {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&mails);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(stream.unwrap(), &seen));
            }
        });
        Self { address, mails }
    }

    /// The line for sendmail.mc.
    pub(crate) fn mc(&self) -> String {
        let port = self.address.port();
        format!("INPUT_MAIL_FILTER(`notes', `S=inet:{port}@127.0.0.1, F=T')dnl\n")
    }

    /// What was told at each MAIL so far.
    pub(crate) fn mails(&self) -> Vec<Told> {
        self.mails.lock().unwrap().clone()
    }
}

/// Ends with its connection.
fn serve(mut stream: TcpStream, mails: &Mutex<Vec<Told>>) -> io::Result<()> {
    let mut macros = Told::new();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut packet)?;
        let (command, data) = packet.split_first().unwrap();
        match command {
            b'O' => {
                // Version 6, no changes, every step; then the macros for MAIL.
                let mut answer = Vec::new();
                for number in [6_u32, 0, 0, 2] {
                    answer.extend_from_slice(&number.to_be_bytes());
                }
                answer.extend_from_slice(WANTED);
                answer.push(0);
                reply(&mut stream, b'O', &answer)?;
            }
            b'D' => {
                let mut parts = data[1..].split(|byte| *byte == 0).map(String::from_utf8_lossy);
                while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                    macros.insert(name.trim_matches(['{', '}']).to_owned(), value.into_owned());
                }
            }
            b'M' => {
                mails.lock().unwrap().push(std::mem::take(&mut macros));
                reply(&mut stream, b'c', b"")?;
            }
            b'A' => macros.clear(),
            b'K' => {}
            b'Q' => return Ok(()),
            _ => reply(&mut stream, b'c', b"")?,
        }
    }
}

fn reply(stream: &mut TcpStream, code: u8, data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(1 + data.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &[code], data].concat())
}
