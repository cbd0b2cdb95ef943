//! socketioxide, set up within our limits, and its end.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::Service as HyperService;
use hyper::{Request, Response, StatusCode};
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::service::SocketIoService;
use socketioxide::{ParserConfig, SocketIo};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::admission::{Credentials, admit};
use super::client;
use super::places::Places;
use super::session::Sessions;
use super::transport::Transport;
use super::window::EVENTS_MAX;
use crate::serve::router::SOCKET_IO;
use crate::serve::service::Service;

/// As over WebSockets (reliability §5).
pub(super) const EVENT_BYTES_MAX: usize = 16 << 10;
const PING_EVERY: Duration = Duration::from_secs(20);
/// 45 seconds of silence in all, with the ping's interval.
const PONG_WAIT_MAX: Duration = Duration::from_secs(25);
/// A session without a client in `/` is kept so long.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Pings, acknowledgements and refusals of other namespaces, beside the events of the window.
const PACKETS_MAX: usize = EVENTS_MAX + 64;
/// Beyond what a window holds: the library would keep what does not fit an answer to a polling
/// request, and lose it when the client goes on with a WebSocket.
const POLLED_BYTES_MAX: u64 = 64 << 20;
const READ_BYTES: usize = 1 << 10;
/// Out of the second and a half that the room has to stop: for clients to take their goodbye.
const GOODBYE_WAIT_MAX: Duration = Duration::from_millis(300);

/// The library, and what is known beside it.
pub(in crate::serve) struct Mount {
    engine: SocketIoService<Nowhere>,
    io: SocketIo,
    pub(super) sessions: Arc<Sessions>,
    pub(super) places: Arc<Places>,
    /// Ends every WebSocket.
    pub(super) cut: CancellationToken,
}

impl Mount {
    /// Nobody is let in before [`run`].
    pub(in crate::serve) fn new() -> Self {
        // What is attached in binary is neither needed nor kept.
        let parser = ParserConfig::common()
            .max_incoming_binaries(0)
            .max_incoming_binary_buf_size(0)
            .packet_completion_timeout(CONNECT_WAIT_MAX);
        let (engine, io) = SocketIo::builder()
            .req_path(SOCKET_IO)
            .ping_interval(PING_EVERY)
            .ping_timeout(PONG_WAIT_MAX)
            .connect_timeout(CONNECT_WAIT_MAX)
            .upgrade_timeout(CONNECT_WAIT_MAX)
            .max_buffer_size(PACKETS_MAX)
            .max_payload(POLLED_BYTES_MAX)
            .ws_read_buffer_size(READ_BYTES)
            .ws_max_message_size(EVENT_BYTES_MAX)
            .ws_max_frame_size(EVENT_BYTES_MAX)
            .with_parser(parser)
            .build_with_inner_svc(Nowhere);
        let sessions = Arc::default();
        Self { engine, io, sessions, places: Places::new(), cut: CancellationToken::new() }
    }

    /// Passes a request on; what comes back is whole.
    pub(super) async fn pass(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let Ok(answer) = self.engine.call(request).await;
        let (parts, body) = answer.into_parts();
        let Ok(body) = body.collect().await;
        Response::from_parts(parts, body.to_bytes())
    }

    /// Passes a WebSocket on; the library has tasks of its own for it.
    pub(super) async fn pass_websocket(&self, transport: Transport, request: Request<()>) {
        let passed =
            HyperService::<(Transport, Request<()>)>::call(&self.engine, (transport, request));
        if let Err(error) = passed.await {
            tracing::debug!(%error, "a WebSocket was not taken over");
        }
    }

    fn open(&self, service: Weak<Service>) {
        let admitting = service.clone();
        let admit =
            move |socket: SocketRef, auth: TryData<Credentials>| admit(admitting, socket, auth);
        let begin = move |socket: SocketRef| client::begin(&service, socket);
        self.io.ns("/", begin.with(admit));
    }
}

/// Lets clients in from now on, and says goodbye to them when the service stops.
pub(in crate::serve) fn run(service: Arc<Service>) -> impl Future<Output = ()> {
    service.socketio.open(Arc::downgrade(&service));
    async move {
        let mount = &service.socketio;
        service.stop.cancelled().await;
        // Not a word in the namespace: a client that is sent away there does not come again.
        if timeout(GOODBYE_WAIT_MAX, mount.io.close()).await.is_err() {
            tracing::debug!("clients of Socket.IO did not take their goodbye");
        }
        sleep(GOODBYE_WAIT_MAX).await;
        mount.cut.cancel();
    }
}

/// What is outside of Socket.IO for the library: nothing, for it is only asked what is its own.
#[derive(Clone)]
struct Nowhere;

impl<B> HyperService<Request<B>> for Nowhere {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _request: Request<B>) -> Self::Future {
        let mut answer = Response::new(Empty::new());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(answer))
    }
}
