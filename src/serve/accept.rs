//! The socket: accepts connections, speaks HTTP/1.1 on each, and lets them finish at the end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::Auth;
use super::block_faults::BlockFaults;
use super::config::{Deps, ServeConfig};
use super::error::Error;
use super::generation::Generation;
use super::host::{HostRules, PublicUrl};
use super::http::topics::Memory;
use super::live::{self, Door};
use super::metrics::Metrics;
use super::rates::Rates;
use super::refresh;
use super::service::Service;
use super::socket::{Line, Socket};

/// Connections at a time: the 10,000 WebSockets of design §10, and room for requests.
const CONNECTIONS_MAX: usize = 12_288;
/// Connections that wait to be accepted; the system cuts it to `net.core.somaxconn`. After a
/// restart ten thousand pages come back at once, and whom the backlog does not hold tries again
/// only after a second or more.
const BACKLOG: u32 = 4096;
/// Request heads: 64 headers and 16 KiB (reliability §5).
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The head must be there by then; also how long an idle connection is kept.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(20);
/// A peer that takes no byte for so long is gone, or does not read what it asked for.
const STALLED_MS_MAX: u32 = 30_000;
/// After a failed accept (mostly: no descriptors left) this long nothing is accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests and WebSockets have so long to finish, out of the ten seconds that all rooms have;
/// what is left then belongs to clients that do not read.
const DRAIN_WAIT_MAX: Duration = Duration::from_millis(1500);

/// The room, listening but not answering yet.
pub struct Server {
    config: ServeConfig,
    public: Option<PublicUrl>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the socket. Connections wait in its backlog until [`Server::run`].
    ///
    /// # Errors
    /// [`Error::Bind`] when nobody can listen there, [`Error::PublicUrl`] when the public address
    /// cannot be understood; whoever configured it must act.
    pub async fn bind(config: ServeConfig) -> Result<Self, Error> {
        let public = config.public_url.as_deref().map(PublicUrl::parse).transpose()?;
        let address = config.address;
        let bind = |cause| Error::Bind { address, cause };
        let listener = listen(address).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self { config, public, listener, address })
    }

    /// Where it listens, with the port that was taken for port 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; then nothing new is accepted, WebSockets are closed with 1001 and
    /// requests get a second and a half to finish.
    pub async fn run(self, deps: Deps, stop: CancellationToken) {
        let Self { config, public, listener, address } = self;
        let secure = public.as_ref().is_some_and(|public| public.https);
        let auth = Auth::new(&config, address.port(), secure, deps.clock.clone());
        let loopback_only = address.ip().is_loopback();
        let tasks = TaskTracker::new();
        let (door, inbox) = Door::new();
        // Before anybody can ask: without the table the room is not ready.
        let catalogue = deps.readiness.part("catalogue");
        let service = Arc::new(Service {
            rules: HostRules { loopback_only, public },
            auth,
            table: Arc::default(),
            rates: Rates::default(),
            metrics: Metrics::new(),
            block_faults: BlockFaults::new(),
            topics: Memory::default(),
            generation: Generation::new(),
            door,
            #[cfg(feature = "socketio")]
            socketio: super::socketio::Mount::new(),
            tasks: tasks.clone(),
            stop: stop.clone(),
            started: Instant::now(),
            config,
            deps,
        });
        tasks.spawn(refresh::keep_fresh(service.clone(), catalogue));
        tasks.spawn(live::run(service.clone(), inbox));
        #[cfg(feature = "socketio")]
        tasks.spawn(super::socketio::run(service.clone()));
        accept(&listener, &service).await;
        drop(listener);
        tasks.close();
        if timeout(DRAIN_WAIT_MAX, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "connections did not finish in time");
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port whose old connections are still remembered can be taken again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: &TcpListener, service: &Arc<Service>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            // The place comes first: without one, connections wait in the backlog.
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = service.stop.cancelled() => return,
            next = next => next,
        };
        let Ok(place) = place else { return };
        match accepted {
            Ok((stream, peer)) => {
                service.tasks.spawn(converse(service.clone(), stream, peer, place));
            }
            Err(error) => {
                service.metrics.accept_failed();
                tracing::debug!(%error, "a connection was not accepted");
                if needs_pause(&error) {
                    tokio::select! {
                        () = service.stop.cancelled() => return,
                        () = sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
    }
}

/// Everything but a connection that went away while it waited: it would come again at once.
fn needs_pause(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// One connection, from its first byte to its last, or to its upgrade.
async fn converse(
    service: Arc<Service>,
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
) {
    let _open = service.metrics.connection_opened();
    // Without these options the connection works too, only later or longer.
    let options = stream
        .set_nodelay(true)
        .and_then(|()| Ok(rustix::net::sockopt::set_tcp_user_timeout(&stream, STALLED_MS_MAX)?));
    if let Err(error) = options {
        tracing::debug!(%error, "a socket option was refused");
    }
    // A WebSocket holds the place for as long as it lives.
    let (place, line) = (Arc::new(place), Arc::new(Line::default()));
    let socket = Socket::new(stream, line.clone());
    let answering = {
        let service = service.clone();
        let place = place.clone();
        service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let service = service.clone();
            request.extensions_mut().insert(place.clone());
            request.extensions_mut().insert(line.clone());
            async move { Ok::<_, std::convert::Infallible>(service.answer(request, peer).await) }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), answering)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = service.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Mostly a peer that went away or sent nonsense: its business.
        tracing::trace!(%error, "a connection ended");
    }
}
