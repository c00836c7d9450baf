//! What stands on the other sides of the gate in a benchmark: a password daemon
//! that says yes, and a mail server that costs next to nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

/// A saslauthd that accepts everybody at once, so that a row shows the front and
/// not the hash. Serves until the process ends.
pub(crate) fn yes_saslauthd(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("the socket of the password daemon");
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666)).expect("its mode");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || say_yes(stream));
        }
    });
}

fn say_yes(mut stream: UnixStream) {
    // The client sends its request in one write.
    let mut request = [0; 8192];
    if stream.read(&mut request).is_ok_and(|count| count > 8) {
        let _ = stream.write_all(b"\0\x02OK");
    }
}

/// A mail server that takes and forgets: a thread a session.
pub(crate) fn sink() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the sink");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(forget(stream)));
        }
    });
    address
}

fn forget(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::with_capacity(256 * 1024, stream);
    output.write_all(b"220 sink.test ESMTP\r\n")?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.get(..4) {
            Some(b"EHLO") => {
                b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250 ENHANCEDSTATUSCODES\r\n"
            }
            Some(b"DATA") => {
                output.write_all(b"354 go\r\n")?;
                swallow(&mut input)?;
                b"250 2.0.0 taken\r\n"
            }
            Some(b"QUIT") => return output.write_all(b"221 2.0.0 bye\r\n"),
            _ => b"250 2.0.0 ok\r\n",
        };
        output.write_all(reply)?;
    }
}

/// Reads up to the line with the dot. The benchmark's content has no other.
fn swallow(input: &mut impl BufRead) -> std::io::Result<()> {
    let mut tail = [0; 5];
    loop {
        let block = input.fill_buf()?;
        if block.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let count = block.len();
        for byte in &block[count.saturating_sub(5)..] {
            tail.rotate_left(1);
            tail[4] = *byte;
        }
        input.consume(count);
        if &tail == b"\r\n.\r\n" {
            return Ok(());
        }
    }
}
