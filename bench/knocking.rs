//! Closed-loop load on a saslauthd socket: one thread, non-blocking sockets and
//! epoll, so that the load costs the daemon's cores as little as it can.
//!
//! Each request is one connection, as libsasl2 makes them. A client whose
//! connect finds the backlog full waits in order until somebody has been
//! answered, as a blocking connect does; its wait counts.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::{read, write};

/// How long requests that are under way at the end may go on.
const DRAIN: Duration = Duration::from_secs(10);

/// Clients that ask the same.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// How many there are.
    pub(crate) clients: usize,
    /// What they send, one after the other.
    pub(crate) requests: Vec<Vec<u8>>,
    /// The answer they want.
    pub(crate) wants: &'static [u8; 2],
    /// Asks once after so many answers to the first group, if a client is
    /// free; without, each client asks again as soon as it has its answer.
    pub(crate) after: Option<usize>,
}

/// What a run gave, for one group.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Answers a second, all clients together.
    pub(crate) rate: f64,
    /// 99 of 100 requests took no longer.
    pub(crate) p99: Duration,
    /// Requests, those of the first tenth and of the end included.
    pub(crate) all: usize,
    /// Answers that were not the wanted ones; a run with any says nothing about speed.
    pub(crate) failed: usize,
}

/// Runs `groups` for `time`, of which the first tenth is not counted.
pub(crate) fn run(path: &Path, groups: &[Group], time: Duration) -> Vec<Figures> {
    let begin = Instant::now();
    let mut load = Load {
        address: UnixAddr::new(path).expect("a socket's path"),
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll"),
        groups,
        clients: Vec::new(),
        idle: vec![Vec::new(); groups.len()],
        blocked: VecDeque::new(),
        tallies: groups.iter().map(|_| Tally::default()).collect(),
        warm: begin + time / 10,
        end: begin + time,
    };
    load.start();
    load.knock();
    let counted = time.mul_f64(0.9).as_secs_f64();
    load.tallies.into_iter().map(|tally| tally.figures(counted)).collect()
}

struct Client {
    group: usize,
    stream: Option<OwnedFd>,
    started: Instant,
    reply: [u8; 4],
    filled: usize,
}

#[derive(Default)]
struct Tally {
    times: Vec<Duration>,
    all: usize,
    failed: usize,
    asked: usize,
}

struct Load<'a> {
    address: UnixAddr,
    epoll: Epoll,
    groups: &'a [Group],
    clients: Vec<Client>,
    /// Clients of a group that wait for their turn.
    idle: Vec<Vec<usize>>,
    /// Clients that found the backlog full.
    blocked: VecDeque<usize>,
    tallies: Vec<Tally>,
    warm: Instant,
    end: Instant,
}

impl Load<'_> {
    fn start(&mut self) {
        let started = Instant::now();
        for (group, of) in self.groups.iter().enumerate() {
            for _ in 0..of.clients {
                let client = self.clients.len();
                let stream = None;
                self.clients.push(Client { group, stream, started, reply: [0; 4], filled: 0 });
                match of.after {
                    None => self.blocked.push_back(client),
                    Some(_) => self.idle[group].push(client),
                }
            }
        }
    }

    fn knock(&mut self) {
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            self.admit();
            let now = Instant::now();
            let is_open = || self.clients.iter().any(|client| client.stream.is_some());
            if now >= self.end && (now >= self.end + DRAIN || !is_open()) {
                return;
            }
            let patience: u8 = if self.blocked.is_empty() { 100 } else { 1 };
            let count = match self.epoll.wait(&mut events, EpollTimeout::from(patience)) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => unreachable!("epoll_wait: {error}"),
            };
            for event in &events[..count] {
                self.answered(usize::try_from(event.data()).expect("an index"));
            }
        }
    }

    /// Lets those connect who wait, as far as the backlog has room.
    fn admit(&mut self) {
        if Instant::now() >= self.end {
            self.blocked.clear();
        }
        while let Some(client) = self.blocked.pop_front() {
            if !self.ask(client) {
                return self.blocked.push_front(client);
            }
        }
    }

    /// Connects and sends; false if the backlog is full.
    fn ask(&mut self, client: usize) -> bool {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
        match connect(stream.as_raw_fd(), &self.address) {
            Ok(()) => {}
            Err(Errno::EAGAIN) => return false,
            Err(error) => unreachable!("connect: {error}"),
        }
        let who = &mut self.clients[client];
        let (group, tally) = (&self.groups[who.group], &mut self.tallies[who.group]);
        let request = &group.requests[tally.asked % group.requests.len()];
        tally.asked += 1;
        // A server that has closed by now is found out when its answer is read.
        let _ = write(&stream, request);
        let event = EpollEvent::new(EpollFlags::EPOLLIN, client as u64);
        self.epoll.add(&stream, event).expect("epoll_ctl");
        who.filled = 0;
        who.stream = Some(stream);
        true
    }

    fn answered(&mut self, client: usize) {
        let who = &mut self.clients[client];
        let Some(stream) = &who.stream else { return };
        match read(stream, &mut who.reply[who.filled..]) {
            Ok(0) => {}
            Ok(count) => {
                who.filled += count;
                if who.filled < who.reply.len() {
                    return;
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(_) => who.filled = 0,
        }
        who.stream = None;
        let now = Instant::now();
        let (group, tally) = (&self.groups[who.group], &mut self.tallies[who.group]);
        tally.all += 1;
        if who.filled < 4 || &who.reply[2..] != group.wants {
            tally.failed += 1;
        }
        if now >= self.warm && now < self.end {
            tally.times.push(now - who.started);
        }
        let all = tally.all;
        let is_first = who.group == 0;
        self.again(client, now);
        if is_first {
            self.rouse(all, now);
        }
    }

    fn again(&mut self, client: usize, now: Instant) {
        let who = &mut self.clients[client];
        who.started = now;
        if self.groups[who.group].after.is_some() {
            self.idle[who.group].push(client);
        } else if now < self.end && (!self.blocked.is_empty() || !self.ask(client)) {
            self.blocked.push_back(client);
        }
    }

    /// Starts the clients whose turn an answer to the first group is.
    fn rouse(&mut self, answers: usize, now: Instant) {
        for (group, of) in self.groups.iter().enumerate() {
            let is_due = of.after.is_some_and(|every| answers.is_multiple_of(every));
            if is_due
                && now < self.end
                && let Some(client) = self.idle[group].pop()
            {
                self.clients[client].started = now;
                self.blocked.push_back(client);
            }
        }
    }
}

impl Tally {
    fn figures(mut self, counted: f64) -> Figures {
        self.times.sort_unstable();
        let place = (self.times.len() as f64 * 0.99) as usize;
        let last = self.times.len().saturating_sub(1);
        Figures {
            rate: self.times.len() as f64 / counted,
            p99: self.times.get(place.min(last)).copied().unwrap_or_default(),
            all: self.all,
            failed: self.failed,
        }
    }
}
