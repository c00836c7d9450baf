//! The control socket: tells who is here, and ends sessions.
//!
//! Root and the gate's own account may ask, and where `gate.control_group` names
//! a group, who the file's mode lets in. One request a connection, bounded in
//! size and time. The lines are `wire::control`'s; called by `daemon`.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backends::Backend;
use super::driver::Gate;
use super::probe::Availability;
use super::roster::Seat;
use crate::listen::{Permit, Slots, UnixSocket, serve_unix};
use crate::sys::local_socket;
use crate::wire::control::{self, End, Line, MAX_REQUEST_BYTES, MAX_SESSIONS, Request};

/// Where the control socket is and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlSettings {
    /// The socket file; `None` for none.
    pub socket: Option<PathBuf>,
    /// The group whose members may ask, too.
    pub group: Option<String>,
}

/// Requests at once.
const MAX_REQUESTS: usize = 8;
/// How long a request may take, and its answer to be read.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// Root, and whoever we are.
    Own,
    /// Whom the file's mode lets in.
    ByMode,
}

/// Answers on `socket` for the gate in `shared` until `stop`.
///
/// # Errors
/// If the runtime cannot watch the socket.
pub async fn serve(
    socket: UnixSocket,
    guests: Guests,
    shared: Arc<ArcSwap<Gate>>,
    stop: CancellationToken,
    tasks: TaskTracker,
) -> io::Result<()> {
    let slots = Slots::new(MAX_REQUESTS, None);
    let started = Instant::now();
    let begin = move |stream: StdStream, permit: Permit| {
        let uid = local_socket::peer(&stream).map(|peer| peer.uid);
        let gate = shared.load_full();
        Some(async move {
            let answer = async {
                let stream = UnixStream::from_std(stream)?;
                converse(stream, &gate, uid.filter(|uid| may_ask(*uid, guests)), started).await
            };
            if !matches!(timeout(PATIENCE, answer).await, Ok(Ok(()))) {
                tracing::debug!("control: a client did not wait for its answer");
            }
            drop(permit);
        })
    };
    serve_unix(socket, slots, stop, tasks, begin).await
}

fn may_ask(uid: u32, guests: Guests) -> bool {
    guests == Guests::ByMode || uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

async fn converse(
    mut stream: UnixStream,
    gate: &Gate,
    uid: Option<u32>,
    started: Instant,
) -> io::Result<()> {
    let mut line = Vec::new();
    let (reader, mut writer) = stream.split();
    let limit = MAX_REQUEST_BYTES as u64;
    BufReader::new(reader).take(limit).read_until(b'\n', &mut line).await?;
    let request = if line.ends_with(b"\n") {
        Request::parse(&line)
    } else {
        Err("no whole request line came".to_owned())
    };
    match (uid, request) {
        (None, _) => tell(&mut writer, &Line::Error("not allowed".to_owned())).await,
        (Some(_), Err(why)) => tell(&mut writer, &Line::Error(why)).await,
        (Some(_), Ok(Request::Status)) => {
            let seats = gate.roster.seats();
            let own = control::Gate {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                seconds: started.elapsed().as_secs(),
                sessions: seats.len() as u64,
            };
            tell(&mut writer, &Line::Gate(own)).await?;
            for backend in &gate.backends {
                tell(&mut writer, &Line::Backend(describe(backend))).await?;
            }
            tell_seats(&mut writer, &seats).await
        }
        (Some(uid), Ok(Request::Kick { who })) => {
            let seats = gate.roster.kick(&who);
            tracing::info!("control: uid {uid} ended {} sessions of {who:?}", seats.len());
            tell_seats(&mut writer, &seats).await
        }
    }
}

async fn tell_seats(
    writer: &mut (impl AsyncWriteExt + Unpin),
    seats: &[Arc<Seat>],
) -> io::Result<()> {
    for seat in seats.iter().take(MAX_SESSIONS) {
        tell(writer, &Line::Session(seat.describe())).await?;
    }
    let left_off = seats.len().saturating_sub(MAX_SESSIONS) as u64;
    tell(writer, &Line::End(End { left_off })).await
}

async fn tell(writer: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> io::Result<()> {
    writer.write_all(&control::line(line)).await
}

fn describe(backend: &Backend) -> control::Backend {
    let settings = &backend.route.settings;
    let (state, reason) = match backend.health.state() {
        Availability::Unknown => ("unknown", None),
        Availability::Up => ("up", None),
        Availability::Down(reason) => ("down", Some(reason)),
    };
    control::Backend {
        name: settings.name.clone(),
        address: settings.address.clone(),
        state: state.to_owned(),
        reason,
        idle: backend.pool.idle() as u64,
        opened: backend.counts.opened.get(),
        reused: backend.counts.reused.get(),
        failed: backend.counts.failed.get(),
    }
}
