//! Message content on its way through the gate: unchanged, unsmuggled, and in
//! constant memory, whatever client and backend do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use support::gate_world::{Options, World};
use support::process::{PATIENCE, wait_until};
use support::scripted_backend::{Backend, below_trace, find};
use support::smtp_client::SmtpClient;

/// What a lenient server may take for the line end in front of, or behind, a lone dot.
const LINE_ENDS: &[&str] =
    &["\n", "\r", "\r\n", "\r\r\n", "\n\r\n", "\r\0\n", "\0\n", "\0\r\n", "\r\n\0", "\n\0", "\0"];

/// The message that a smuggler hides behind an end that is none.
const SMUGGLED: &str = "MAIL FROM:<evil@b.test>\r\nRCPT TO:<victim@d.test>\r\nDATA\r\n\
    Subject: smuggled\r\n\r\nsmuggled\r\n";

/// Every malformed end of data: the content up to the real end.
fn malformed() -> Vec<String> {
    let mut all = Vec::new();
    for before in LINE_ENDS {
        for behind in LINE_ENDS {
            if !(before.ends_with("\r\n") && behind.starts_with("\r\n")) {
                all.push(format!("Subject: bait\r\n\r\nbait{before}.{behind}{SMUGGLED}"));
            }
        }
    }
    assert!(all.len() > 100);
    all
}

/// Whether all line ends are CRLF, and no NUL and no lone dot is left.
fn is_clean(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content).replace("\r\n", "\u{1}");
    !text.contains(['\r', '\n', '\0']) && !text.contains("\u{1}.\u{1}")
}

#[test]
fn nothing_is_smuggled_where_stray_bytes_are_refused() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("max_sessions_per_address = 1000\n"));
    let forms = malformed();
    for content in &forms {
        let mut client = world.log_in();
        client.open_message();
        let reply = client.finish_message(content.as_bytes());
        assert_eq!(reply.code, 554, "{content:?}: {}", reply.text());
        // Where the end is in doubt the session is over; elsewhere it is in step.
        client.try_send(b"NOOP\r\n").unwrap_or_default();
        let rest = String::from_utf8_lossy(&match client.try_reply() {
            Ok(reply) => reply.lines.join(&b' '),
            Err(_) => Vec::new(),
        })
        .into_owned();
        assert!(rest.is_empty() || rest == "2.0.0 OK", "{content:?}: {rest}");
    }
    world.wait_for_messages(forms.len());
    backend.wait_until_quiet();
    backend.assert_rules();
    assert!(backend.messages().is_empty(), "{:?}", backend.messages());
    for seen in backend.sessions() {
        assert_eq!(
            seen.lines[1..],
            ["MAIL FROM:<a@client.test>", "RCPT TO:<bob@gate.test>", "DATA"]
        );
        let cut = seen.cut.unwrap_or_default();
        assert!(find(&cut, b"evil").is_none(), "{:?}", String::from_utf8_lossy(&cut));
        assert!(is_clean(&cut), "{:?}", String::from_utf8_lossy(&cut));
    }
}

#[test]
fn nothing_is_smuggled_where_stray_bytes_are_mended() {
    let backend = Backend::polite();
    let options = Options::gate("bare_newlines = \"normalize\"\nmax_sessions_per_address = 1000\n");
    let world = World::start(backend.address, &options);
    let forms = malformed();
    for content in &forms {
        let mut client = world.log_in();
        client.open_message();
        let reply = client.finish_message(content.as_bytes());
        assert_eq!(reply.code, 250, "{content:?}: {}", reply.text());
        client.expect("QUIT", 221);
    }
    world.wait_for_messages(forms.len());
    backend.wait_until_quiet();
    backend.assert_rules();
    let sessions = backend.sessions();
    assert_eq!(sessions.len(), forms.len());
    for seen in sessions {
        assert_eq!(seen.lines[1], "MAIL FROM:<a@client.test>");
        assert_eq!(seen.lines[2..], ["RCPT TO:<bob@gate.test>", "DATA", "QUIT"]);
        assert_eq!(seen.contents.len(), 1);
        let text = String::from_utf8_lossy(&seen.contents[0]).into_owned();
        assert!(is_clean(&seen.contents[0]), "{text:?}");
        assert!(text.contains("evil@b.test") && text.ends_with("\r\nsmuggled\r\n"), "{text:?}");
    }
}

#[test]
fn content_arrives_as_it_was_sent() {
    let long_line = [&[b'x'; 100_000][..], b"\r\n"].concat();
    let contents: &[&[u8]] = &[
        b"",
        b"\r\n",
        b"..\r\n",
        b"Subject: dots\r\n\r\n..one\r\n...two\r\n..\r\nx.\r\n.. \r\n",
        b"Subject: gr\xc3\xbcn\r\n\r\n\xff\xfe\x80 8-bit \x01\x7f\x1b[31m\t\r\n",
        &long_line,
        b"no header at all\r\n",
        b"Subject: x\r\n\r\nEHLO y\r\nQUIT\r\nDATA\r\n",
    ];
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    let mut client = world.log_in();
    for content in contents {
        client.open_message();
        assert_eq!(client.finish_message(content).code, 250);
    }
    // And once more, one byte a segment.
    for content in contents.iter().filter(|content| content.len() < 1000) {
        client.open_message();
        for byte in *content {
            client.send(&[*byte]);
        }
        assert_eq!(client.finish_message(b"").code, 250);
    }
    let got = backend.messages();
    let small = contents.iter().filter(|content| content.len() < 1000);
    for (got, sent) in got.iter().zip(contents.iter().chain(small)) {
        assert_eq!(String::from_utf8_lossy(below_trace(got)), String::from_utf8_lossy(sent));
        assert_eq!(below_trace(got), *sent);
    }
    assert_eq!(got.len(), 2 * contents.len() - 1);
    backend.assert_rules();
}

#[test]
fn the_trace_header_names_the_client_and_no_blind_copy() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    let mut client = world.log_in();
    client.open_message();
    assert_eq!(client.finish_message(b"x\r\n").code, 250);
    client.expect("MAIL FROM:<a@client.test>", 250);
    client.expect("RCPT TO:<bob@gate.test>", 250);
    client.expect("RCPT TO:<secret@gate.test>", 250);
    client.expect("DATA", 354);
    assert_eq!(client.finish_message(b"x\r\n").code, 250);
    let traces: Vec<String> = backend
        .messages()
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).replace("\r\n\t", " "))
        .collect();
    let start = "Received: from client.test ([127.0.0.1]) (authenticated bits=0) \
        by gate.test (saslgate) with ESMTPSA id ";
    for trace in &traces {
        assert!(trace.starts_with(start), "{trace}");
        assert!(trace.contains(" (version=TLSv1.3 cipher=TLS_"), "{trace}");
    }
    assert!(traces[0].contains(" for <bob@gate.test>; "), "{}", traces[0]);
    assert!(!traces[1].contains(" for "), "{}", traces[1]);
    for (trace, line) in traces.iter().zip(world.wait_for_messages(2)) {
        let (_, id) = trace.split_once(" id ").unwrap();
        let id = id.split_whitespace().next().unwrap().trim_end_matches(';');
        assert!(line.contains(&format!("id={id}")), "{line}");
    }
}

#[test]
fn content_that_looks_folded_does_not_continue_our_header() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    let mut client = world.log_in();
    for content in [" from elsewhere\r\n", "\tfrom elsewhere\r\n\r\nbody\r\n"] {
        client.open_message();
        assert_eq!(client.finish_message(content.as_bytes()).code, 250);
        let got = String::from_utf8_lossy(backend.messages().last().unwrap()).into_owned();
        assert!(got.ends_with(&format!(" +0000\r\n\r\n{content}")), "{got}");
    }
}

#[test]
fn a_transaction_pipelined_behind_content_is_served() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    let mut client = world.log_in();
    let content = b"0123456789abcdef0123456789abcdef\r\n".repeat(10_000);
    client.open_message();
    let next = b".\r\nMAIL FROM:<x@client.test>\r\nRCPT TO:<y@gate.test>\r\nDATA\r\n";
    client.send(&[&content[..], next].concat());
    for code in [250, 250, 250, 354] {
        assert_eq!(client.reply().code, code);
    }
    client.send(b"second\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n");
    for code in [250, 250, 250, 221] {
        assert_eq!(client.reply().code, code);
    }
    client.expect_closed();
    let got = backend.messages();
    assert_eq!(below_trace(&got[0]), content);
    assert_eq!(below_trace(&got[1]), b"second\r\n");
    backend.wait_until_quiet();
    backend.assert_rules();
}

/// A line of `/proc/PID/status`, in KiB.
fn status_kib(world: &World, key: &str) -> usize {
    let text = fs::read_to_string(format!("/proc/{}/status", world.service.pid())).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const MOST_GROWTH_KIB: usize = 16 * 1024;

/// 40 MB of lines.
fn forty_megabytes() -> Vec<u8> {
    b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(640_000)
}

#[test]
fn a_large_message_takes_no_memory() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    let mut client = world.log_in();
    client.open_message();
    assert_eq!(client.finish_message(b"warm\r\n").code, 250);
    let before = status_kib(&world, "VmHWM");
    let content = forty_megabytes();
    client.open_message();
    assert_eq!(client.finish_message(&content).code, 250);
    let grown = status_kib(&world, "VmHWM") - before;
    assert!(grown < MOST_GROWTH_KIB, "{grown} KiB more for 40 MB");
    let got = backend.messages();
    assert!(below_trace(&got[1]) == content, "40 MB arrived changed");
    let line = world.wait_for_messages(2).remove(1);
    assert!(line.contains(&format!("size={}", content.len())), "{line}");
}

/// A backend that stops at the first line that `starts_with` the word, until released.
fn patient(word: &'static str) -> (Backend, Sender<()>) {
    let (release, wait) = channel();
    let wait = Mutex::new(wait);
    let backend = Backend::start(move |_, link| {
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            if line.starts_with(word) {
                if word == "DATA" {
                    link.say(b"354 go on\r\n");
                }
                let _ = wait.lock().unwrap().recv();
                if word == "DATA" {
                    let is_whole = link.content().is_some();
                    link.say(if is_whole { b"250 2.0.0 ok\r\n" } else { b"451 4.0.0 no\r\n" });
                    continue;
                }
            }
            if !link.answer(&line) {
                return;
            }
        }
    });
    (backend, release)
}

/// Sends `bytes` from a thread; counts what the kernel took.
fn send_from_a_thread(
    mut client: SmtpClient,
    bytes: Vec<u8>,
) -> (Arc<AtomicUsize>, thread::JoinHandle<SmtpClient>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let sending = thread::spawn(move || {
        for chunk in bytes.chunks(16 * 1024) {
            client.send(chunk);
            count.fetch_add(chunk.len(), Ordering::SeqCst);
        }
        client
    });
    (sent, sending)
}

/// Waits until `sent` stands still; what it stands at.
fn wait_for_standstill(sent: &AtomicUsize) -> usize {
    let mut last = usize::MAX;
    let mut same = 0;
    wait_until(PATIENCE, || {
        let now = sent.load(Ordering::SeqCst);
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        same > 50
    });
    last
}

#[test]
fn a_backend_that_does_not_read_holds_the_client_back() {
    let (backend, release) = patient("DATA");
    let world = World::start(backend.address, &Options::default());
    let before = status_kib(&world, "VmHWM");
    let mut client = world.log_in();
    client.open_message();
    let (sent, sending) = send_from_a_thread(client, forty_megabytes());
    let stood = wait_for_standstill(&sent);
    assert!(stood < 36_000_000, "{stood} bytes were taken although nobody reads them");
    let grown = status_kib(&world, "VmHWM") - before;
    assert!(grown < MOST_GROWTH_KIB, "{grown} KiB more while the backend stood");
    release.send(()).unwrap();
    let mut client = sending.join().unwrap();
    client.send(b".\r\n");
    assert_eq!(client.reply().code, 250);
    assert!(below_trace(&backend.messages()[0]) == forty_megabytes(), "arrived changed");
}

#[test]
fn commands_pipelined_to_a_slow_backend_take_no_memory() {
    let (backend, release) = patient("RCPT");
    let world = World::start(backend.address, &Options::gate("max_commands = 10000000\n"));
    let before = status_kib(&world, "VmHWM");
    let mut client = world.log_in();
    client.expect("MAIL FROM:<a@client.test>", 250);
    client.send(b"RCPT TO:<bob@gate.test>\r\n");
    // Blanks make few replies of many bytes.
    let commands = [&b"NOOP"[..], &[b' '; 2000], b"\r\n"].concat().repeat(20_000);
    let (sent, sending) = send_from_a_thread(client, commands);
    let stood = wait_for_standstill(&sent);
    assert!(stood < 36_000_000, "{stood} bytes of commands were taken");
    let grown = status_kib(&world, "VmHWM") - before;
    assert!(grown < MOST_GROWTH_KIB, "{grown} KiB more while the backend stood");
    release.send(()).unwrap();
    let mut client = sending.join().unwrap();
    for _ in 0..20_001 {
        assert_eq!(client.reply().code, 250);
    }
    client.expect("QUIT", 221);
}

#[test]
fn replies_do_not_wait_for_a_slow_backend() {
    let (_backend, release) = patient("RCPT TO:<slow@");
    let world = World::start(_backend.address, &Options::default());
    let mut client = world.log_in();
    client.send(b"MAIL FROM:<a@client.test>\r\nRCPT TO:<bob@gate.test>\r\nRCPT TO:<slow@d.test>\r\nNOOP\r\n");
    // The backend answers the third only when the first two are here.
    assert_eq!(client.reply().code, 250);
    assert_eq!(client.reply().code, 250);
    release.send(()).unwrap();
    assert_eq!(client.reply().code, 250);
    assert_eq!(client.reply().code, 250);
}

#[test]
fn messages_of_many_clients_at_once_do_not_mix() {
    const CLIENTS: usize = 20;
    const EACH: usize = 5;
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    // A body that tells on every line whose it is, in blocks of several reads.
    let body = |client: usize, number: usize| {
        format!("client {client}, message {number}\r\n").repeat(5000).into_bytes()
    };
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (world, body) = (&world, &body);
            scope.spawn(move || {
                let mut connection = world.log_in();
                for number in 0..EACH {
                    connection.open_message();
                    assert_eq!(connection.finish_message(&body(client, number)).code, 250);
                }
            });
        }
    });
    let got = backend.messages();
    assert_eq!(got.len(), CLIENTS * EACH);
    for client in 0..CLIENTS {
        for number in 0..EACH {
            let wanted = body(client, number);
            let copies = got.iter().filter(|content| below_trace(content) == wanted).count();
            assert_eq!(copies, 1, "client {client}, message {number}");
        }
    }
    let lines = world.wait_for_messages(CLIENTS * EACH);
    assert!(lines.iter().all(|line| line.contains("outcome=accepted")));
    backend.wait_until_quiet();
    backend.assert_rules();
}

#[test]
fn a_client_that_leaves_within_content_leaves_no_message() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    let content = b"Subject: half\r\n\r\nhalf a message\r\n".repeat(10_000);
    // With FIN inside TLS, with FIN below it, with RST; at a line end and within the final dot.
    for ending in [&b""[..], b".", b".\r"] {
        for how in 0..3 {
            let mut client = world.log_in();
            client.open_message();
            client.send(&content);
            client.send(ending);
            match how {
                0 => client.half_close(),
                1 => client.socket().shutdown(std::net::Shutdown::Write).unwrap(),
                _ => client.reset(),
            }
        }
    }
    let lines = world.wait_for_messages(9);
    assert!(lines.iter().all(|line| line.contains("outcome=lost")), "{lines:#?}");
    backend.wait_until_quiet();
    assert!(backend.messages().is_empty());
    assert_eq!(backend.sessions().len(), 9);
    backend.assert_rules();
}

#[test]
fn a_client_that_leaves_right_behind_the_dot_has_sent_its_message() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    let mut client = world.log_in();
    client.open_message();
    client.send(b"x\r\n.\r\n");
    client.half_close();
    let lines = world.wait_for_messages(1);
    assert!(lines[0].contains("outcome=accepted"), "{lines:?}");
    assert_eq!(client.reply().code, 250);
    client.expect_closed();
    backend.wait_until_quiet();
    assert_eq!(backend.messages().len(), 1);
}

#[test]
fn a_message_over_the_limit_is_552_and_never_completed() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("max_message = \"64KiB\"\n"));
    let mut client = world.log_in();
    client.expect("MAIL FROM:<a@client.test> SIZE=65537", 552);
    client.open_message();
    assert_eq!(client.finish_message(&b"x\r\n".repeat(100_000)).code, 552);
    // The session is in step, and the next message goes over a new connection.
    client.open_message();
    let fits = [&[b'x'; 65_534][..], b"\r\n"].concat();
    assert_eq!(client.finish_message(&fits).code, 250);
    client.open_message();
    assert_eq!(client.finish_message(&[&fits[..], b"\r\n"].concat()).code, 552);
    client.expect("QUIT", 221);
    let lines = world.wait_for_messages(3);
    assert!(lines[0].contains("reply=\"552 5.3.4"), "{lines:#?}");
    backend.wait_until_quiet();
    assert_eq!(backend.messages().len(), 1);
    assert_eq!(below_trace(&backend.messages()[0]), fits);
}

#[test]
fn a_client_that_falls_silent_within_content_is_let_go() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("data_timeout = \"2s\"\n"));
    let mut client = world.log_in();
    client.open_message();
    client.send(b"Subject: half\r\n");
    assert_eq!(client.reply().code, 421);
    client.expect_closed();
    backend.wait_until_quiet();
    assert!(backend.messages().is_empty());
    assert!(world.wait_for_messages(1)[0].contains("outcome=tempfail"));
}

#[test]
fn a_client_that_trickles_content_does_not_outlive_the_session_timeout() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("session_timeout = \"4s\"\n"));
    let mut client = world.log_in();
    client.open_message();
    let has_ended = wait_until(PATIENCE, || {
        client.try_send(b"x").is_err() || !client.is_silent_for(Duration::from_millis(50))
    });
    assert!(has_ended, "the session goes on");
    assert_eq!(client.reply().code, 421);
    backend.wait_until_quiet();
    assert!(backend.messages().is_empty());
}
