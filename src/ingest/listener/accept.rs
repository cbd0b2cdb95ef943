//! The listening socket: who is let in, and when.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::connection::converse;
use super::registry::{Order, Registry};
use super::{ListenerConfig, Shared};
use crate::clock::Clock;
use crate::ingest::metrics::{Door, Metrics};
use crate::ingest::occasionally::Occasionally;
use crate::ingest::{Error, Intake};

/// Connections that wait to be accepted; the system may allow fewer. A thousand devices that
/// come back at once should not have to try again.
const BACKLOG: i32 = 4096;
/// Connections at most, however many descriptors there are. Guess.
const CONNECTIONS_MAX: usize = 100_000;
/// Descriptors left to the rest of the process: Redis, HTTP, files. With very few in all, half
/// are left.
const DESCRIPTORS_LEFT: usize = 512;
/// How long to wait when the system has nothing left, unless a connection ends before. Guess.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(500);

/// The publish-only MQTT 3.1.1 endpoint, bound and not yet accepting.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    config: ListenerConfig,
}

impl Listener {
    /// Opens the socket. Devices can connect from now on; they are answered once
    /// [`Listener::serve`] runs.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] when somebody else listens there, else [`Error::Bind`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(config: &ListenerConfig) -> Result<Self, Error> {
        let open = || {
            let socket = std::net::TcpListener::bind(config.address)?;
            socket.set_nonblocking(true)?;
            rustix::net::listen(&socket, BACKLOG)?;
            let address = socket.local_addr()?;
            Ok((TcpListener::from_std(socket)?, address))
        };
        let (socket, address) = open().map_err(|source| Error::bind(config.address, source))?;
        Ok(Self { socket, address, config: config.clone() })
    }

    /// Where it listens; the port is the one that the system chose when 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Lets devices in until `stop`, then accepts no more, reads no more, waits until everything
    /// that was taken in is settled, acknowledges it, and closes. Returns when every connection
    /// has ended.
    ///
    /// # Cancel safety
    /// Dropped, it tells all connections to close without waiting: for a caller with a deadline.
    pub async fn serve(self, intake: Arc<Intake>, clock: Clock, stop: CancellationToken) {
        let Self { socket, address, config } = self;
        let metrics = Metrics::new(Door::Listener);
        let registry = Arc::new(Registry::new(metrics.clone()));
        let abort = AbortOnDrop(Arc::clone(&registry));
        let shared = Arc::new(Shared::new(config, intake, clock, metrics));
        let connections_max = connections_max();
        info!(%address, connections_max, filters = %shared.filters, "listening for MQTT");
        let full = Occasionally::default();
        let mut gate = Gate { registry: &registry, connections_max, full, exhausted: false };
        let tracker = TaskTracker::new();
        loop {
            let (stream, peer) = select! {
                () = stop.cancelled() => break,
                accepted = gate.accept(&socket) => accepted,
            };
            tracker.spawn(converse(stream, peer, registry.seat(), Arc::clone(&shared)));
        }
        drop(socket);
        registry.tell_all(Order::Drain);
        tracker.close();
        tracker.wait().await;
        drop(abort);
        info!(%address, "the MQTT listener has stopped");
    }
}

/// Closes what is left when [`Listener::serve`] is dropped.
struct AbortOnDrop(Arc<Registry>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.tell_all(Order::Abort);
    }
}

/// Half of the descriptors, or all but [`DESCRIPTORS_LEFT`], whichever is more.
fn connections_max() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let left = DESCRIPTORS_LEFT.min(descriptors / 2);
    (descriptors - left).min(CONNECTIONS_MAX)
}

struct Gate<'r> {
    registry: &'r Registry,
    connections_max: usize,
    full: Occasionally,
    /// Whether the system had nothing left the last time.
    exhausted: bool,
}

impl Gate<'_> {
    /// The next connection. When there are enough, or the system has no descriptor or memory for
    /// another, it waits until one ends.
    async fn accept(&mut self, socket: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            if self.registry.count() >= self.connections_max {
                if let Some(left_out) = self.full.pass() {
                    warn!(connections = self.connections_max, left_out, "no room for more devices");
                }
                self.registry.fewer_than(self.connections_max).await;
            }
            match socket.accept().await {
                Ok(accepted) => {
                    if std::mem::take(&mut self.exhausted) {
                        info!("devices are let in again");
                    }
                    return accepted;
                }
                Err(error) if is_theirs(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.exhausted, true) {
                        warn!(%error, "no more devices can be let in for now");
                    }
                    select! {
                        () = sleep(EXHAUSTED_PAUSE) => {}
                        () = self.registry.one_ended() => {}
                    }
                }
            }
        }
    }
}

/// Whether an error is about the connection that was to be accepted, and the next may be fine.
fn is_theirs(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
