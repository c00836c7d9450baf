//! A connection that was just accepted, and whose it is.
//!
//! Where a load balancer has connected, the client's address stands in a PROXY
//! header in front of everything else. It is read byte for byte as long as it
//! is, since a TLS handshake may follow in the same packet. Only the networks
//! of the configuration are believed, and from them a header is demanded: a
//! balancer that forgot it would give all its clients its own address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::driver::Gate;
use super::record;
use crate::listen::{Admission, Slots};
use crate::wire::proxy::{self, Ends, FIRST_BYTES, Header, Step};

/// A connection that was just accepted.
pub struct Arrival {
    /// The connection.
    pub stream: TcpStream,
    /// Its far end.
    pub peer: SocketAddr,
    /// Which listener it came through.
    pub listener: usize,
    /// Its place among the sessions, or why it has none.
    pub admission: Admission,
    /// Where places are from.
    pub slots: Arc<Slots>,
}

/// Decides on a place for a connection from `address` through `listener`: as soon
/// as it is accepted, but for a proxy, whose client is counted once it is known.
#[must_use]
pub fn admit(gate: &Gate, listener: usize, slots: &Arc<Slots>, address: IpAddr) -> Admission {
    if gate.believes(listener, address) { slots.admit_unnamed() } else { slots.admit(address) }
}

/// A connection whose ends are known.
pub(super) struct Caller {
    pub(super) stream: TcpStream,
    pub(super) ends: Ends,
    pub(super) admission: Admission,
}

impl Arrival {
    /// Finds out whose connection it is; `None` if a proxy would not say, which was recorded.
    pub(super) async fn identify(mut self, gate: &Gate) -> Option<Caller> {
        // Fails only for a socket that is gone already; then the peer stands in, for a debug line.
        let local = self.stream.local_addr().unwrap_or(self.peer);
        let mut ends = Ends { source: canonical(self.peer), destination: canonical(local) };
        if gate.believes(self.listener, self.peer.ip()) {
            let header = timeout(gate.settings.timeouts.handshake, read_header(&mut self.stream));
            let why = match header.await {
                Ok(Ok(Header::Local)) => None,
                Ok(Ok(Header::Proxied(told))) => {
                    let Ends { source, destination } = told;
                    ends = Ends { source: canonical(source), destination: canonical(destination) };
                    None
                }
                Ok(Err(why)) => Some(why),
                Err(_) => Some("no PROXY header came in time".to_owned()),
            };
            if let Some(why) = why {
                record::no_proxy_header(self.peer, &why);
                return None;
            }
            if let Admission::Admitted(permit) = self.admission {
                self.admission = self.slots.name(permit, ends.source.ip());
            }
        }
        Some(Caller { stream: self.stream, ends, admission: self.admission })
    }
}

async fn read_header(stream: &mut TcpStream) -> Result<Header, String> {
    let mut bytes = Vec::with_capacity(128);
    let mut wanted = FIRST_BYTES;
    loop {
        let start = bytes.len();
        bytes.resize(start + wanted, 0);
        let read = stream.read_exact(&mut bytes[start..]).await;
        read.map_err(|_| "the connection ended within its PROXY header".to_owned())?;
        match proxy::parse(&bytes).map_err(|error| error.to_string())? {
            Step::More(more) => wanted = more,
            Step::Done(header) => return Ok(header),
        }
    }
}

/// IPv4 as such, where a socket for both families has it within IPv6.
fn canonical(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}
