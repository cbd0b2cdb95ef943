//! What is asked below `/socket.io/`: handshakes, polling requests, WebSockets.
//!
//! The library gets no more of a request than it needs. It keeps the first one of a session as
//! long as that lives, and a query may hold a token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::guard::{judge_body, too_large};
use super::mount::EVENT_BYTES_MAX;
use super::session::{Presented, Refusal, Session};
use super::transport::{Holding, Transport, events_in};
use crate::serve::answer::Answer;
use crate::serve::auth::Identity;
use crate::serve::body::Body;
use crate::serve::error::Fault;
use crate::serve::http::websocket::handshake;
use crate::serve::router::{Reply, SOCKET_IO};
use crate::serve::service::{Asked, Service};
use crate::serve::socket::{Line, Socket};

/// A body: events as they fit a WebSocket's message.
const POST_BYTES_MAX: usize = EVENT_BYTES_MAX;
/// The library ends its polling requests when the service stops; those it does not, end after.
const STOP_WAIT_MAX: Duration = Duration::from_millis(500);
/// A refused client has taken its last packets by then, and is cut off. A guess.
const REFUSAL_WAIT_MAX: Duration = Duration::from_secs(1);
/// The id of a session: 96 bits in base64.
const ID_BYTES: usize = 16;

/// What the query says.
struct Call {
    is_websocket: bool,
    id: Option<String>,
    token: Option<String>,
}

/// `GET /socket.io/`.
pub(in crate::serve) fn get(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        if asked.parts.method != Method::GET {
            return Err(Fault::MethodNotAllowed { allowed: vec![Method::GET, Method::POST] });
        }
        let call = Call::read(&asked)?;
        match (call.is_websocket, &call.id) {
            (true, _) => websocket(service, asked, call).await,
            (false, Some(id)) => poll(service, &asked, id).await,
            (false, None) => open(service, &asked, call).await,
        }
    })
}

/// `POST /socket.io/`: packets of a client that polls.
pub(in crate::serve) fn post(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let Call { is_websocket: false, id: Some(id), .. } = Call::read(&asked)? else {
            return Err(bad("a POST belongs to a session that polls"));
        };
        let session = known(service, &id)?;
        if session.refusal().is_some() {
            farewell(service, &session).await;
            return Err(unknown());
        }
        let announced = asked.parts.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|bytes| bytes.to_str().ok()?.parse().ok());
        let body = match asked.body_within(POST_BYTES_MAX).await {
            Err(fault @ Fault::BodyTooLarge(_)) => {
                let bytes = announced.unwrap_or(POST_BYTES_MAX as u64 + 1);
                let refusal = too_large("a request", bytes);
                return Err(refuse(service, &session, refusal, fault).await);
            }
            body => body?,
        };
        if let Err(refusal) = judge_body(&body) {
            let fault = Fault::BadRequest(refusal.said.clone());
            return Err(refuse(service, &session, refusal, fault).await);
        }
        Ok(answer(pass(service, request(Method::POST, &uri(false, Some(&id))?, body)).await?))
    })
}

async fn refuse(
    service: &Arc<Service>,
    session: &Session,
    refusal: Refusal,
    fault: Fault,
) -> Fault {
    session.refuse(refusal);
    farewell(service, session).await;
    fault
}

/// Lets a client hear why it is sent away, in the answer to its other request: it gives that up as
/// soon as this one is answered with a fault.
async fn farewell(service: &Arc<Service>, session: &Session) {
    tokio::select! {
        () = session.cut.cancelled() => {}
        () = service.stop.cancelled() => {}
        () = sleep(REFUSAL_WAIT_MAX) => {}
    }
}

/// Ends a session that polls; one that has a WebSocket is not concerned.
pub(super) async fn close(service: &Arc<Service>, id: &str) {
    // The packet of engine.io that says so.
    let body = Bytes::from_static(b"1");
    if let Ok(uri) = uri(false, Some(id)) {
        service.socketio.pass(request(Method::POST, &uri, body)).await;
    }
}

impl Call {
    fn read(asked: &Asked) -> Result<Self, Fault> {
        let query = &asked.query;
        match query.text("EIO") {
            Some("4") => {}
            Some(_) => return Err(bad("only version 4 of engine.io is spoken here (EIO=4)")),
            None => return Err(bad("this address speaks Socket.IO: `EIO` is missing")),
        }
        let is_websocket = match query.text("transport") {
            Some("websocket") => true,
            Some("polling") => false,
            _ => return Err(bad("`transport` is polling or websocket")),
        };
        let is_id = |id: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            id.len() == ID_BYTES && id.bytes().all(plain)
        };
        let id = query.text("sid");
        if !id.is_none_or(is_id) {
            return Err(unknown());
        }
        let token = query.text("token").map(str::to_owned);
        Ok(Self { is_websocket, id: id.map(str::to_owned), token })
    }
}

/// A session that polls begins.
async fn open(service: &Arc<Service>, asked: &Asked, call: Call) -> Result<Answer, Fault> {
    let session = begin(service, asked, call).await?;
    let mut request = request(Method::GET, &uri(false, None)?, Bytes::new());
    request.extensions_mut().insert(session.clone());
    let opened = pass(service, request).await?;
    let (parts, body) = opened.into_parts();
    let (id, body) = opening(&body).ok_or_else(|| Fault::Unavailable {
        outside: "no session could be opened",
        inside: String::from_utf8_lossy(&body).into_owned(),
    })?;
    session.is_named(&id);
    Ok(answer(Response::from_parts(parts, body)))
}

/// The id of a new session, and its first packet with our limit to bodies.
fn opening(packet: &[u8]) -> Option<(String, Bytes)> {
    let mut fields: Map<String, Value> = serde_json::from_slice(packet.strip_prefix(b"0")?).ok()?;
    let id = fields.get("sid")?.as_str()?.to_owned();
    fields.insert("maxPayload".to_owned(), POST_BYTES_MAX.into());
    let mut packet = b"0".to_vec();
    serde_json::to_writer(&mut packet, &fields).ok()?;
    // The length is another now, and hyper writes it.
    Some((id, packet.into()))
}

async fn poll(service: &Arc<Service>, asked: &Asked, id: &str) -> Result<Answer, Fault> {
    let session = known(service, id)?;
    // What is polled has left the window, and a client may poll over other connections meanwhile.
    if let Some(line) = asked.parts.extensions.get::<Arc<Line>>() {
        line.carry_live(service.config.patience.still_max);
    }
    let request = request(Method::GET, &uri(false, Some(id))?, Bytes::new());
    let polled = pass(service, request).await?;
    session.window.left(events_in(polled.body()));
    Ok(answer(polled))
}

/// A session begins with a WebSocket, or one that polls goes on with it.
async fn websocket(service: &Arc<Service>, asked: Asked, call: Call) -> Result<Answer, Fault> {
    let answer = handshake(&asked.parts)?;
    let mut request = Request::new(());
    *request.uri_mut() = uri(true, call.id.as_deref())?;
    let session = match &call.id {
        Some(id) => known(service, id)?,
        None => {
            let session = begin(service, &asked, call).await?;
            request.extensions_mut().insert(session.clone());
            session
        }
    };
    let mut parts = asked.parts;
    let place = parts.extensions.remove::<Arc<OwnedSemaphorePermit>>();
    let holding = Holding { session, place, tracked: service.tasks.token() };
    let upgrading = hyper::upgrade::on(Request::from_parts(parts, ()));
    let shared = service.clone();
    service.tasks.spawn(async move {
        let transport = upgrading.await.ok().and_then(|upgraded| transport(upgraded, holding));
        // Without one the client went away before it got the answer.
        if let Some(transport) = transport {
            shared.socketio.pass_websocket(transport, request).await;
        }
    });
    Ok(answer)
}

fn transport(upgraded: Upgraded, holding: Holding) -> Option<Transport> {
    // Only TCP connections are accepted.
    let parts = upgraded.downcast::<TokioIo<Socket>>().ok()?;
    Some(Transport::new(parts.io.into_inner().into_stream(), parts.read_buf, holding))
}

/// A session of whoever asks, who may show a credential later.
async fn begin(service: &Arc<Service>, asked: &Asked, call: Call) -> Result<Arc<Session>, Fault> {
    if service.stop.is_cancelled() {
        let outside = "the server is stopping";
        return Err(Fault::Unavailable { outside, inside: String::new() });
    }
    let peer = asked.peer.ip().to_canonical();
    let presented = match presented(service, &asked.parts, call.token, peer).await {
        Ok(Identity::Anonymous) => Presented::Nothing,
        Ok(known @ (Identity::Trusted | Identity::Session(_))) => Presented::Known(known),
        // It is told so when it connects, where clients look for it.
        Err(Fault::Unauthorized) => Presented::Wrong,
        Err(fault) => return Err(fault),
    };
    let mount = &service.socketio;
    let place = mount.places.take()?;
    // Only now: who is known takes no place of those who wait.
    let waiting = match &presented {
        Presented::Known(_) => None,
        Presented::Nothing | Presented::Wrong => Some(mount.places.wait(peer)?),
    };
    let held = (place, waiting);
    Ok(mount.sessions.begin(peer, presented, held, mount.cut.child_token()))
}

async fn presented(
    service: &Arc<Service>,
    parts: &Parts,
    token: Option<String>,
    peer: std::net::IpAddr,
) -> Result<Identity, Fault> {
    let identity = service.auth.identify(&parts.headers, peer, &service.deps.link).await?;
    match token {
        Some(token) if !identity.is_known() => service.auth.present(&token, peer),
        Some(_) | None => Ok(identity),
    }
}

fn known(service: &Arc<Service>, id: &str) -> Result<Arc<Session>, Fault> {
    service.socketio.sessions.find(id).ok_or_else(unknown)
}

fn unknown() -> Fault {
    bad("the session is not known: it has ended")
}

fn bad(said: &str) -> Fault {
    Fault::BadRequest(said.to_owned())
}

/// The request as the library gets it.
fn request(method: Method, uri: &Uri, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri.clone();
    request
}

fn uri(is_websocket: bool, id: Option<&str>) -> Result<Uri, Fault> {
    let transport = if is_websocket { "websocket" } else { "polling" };
    let sid = id.map(|id| format!("&sid={id}")).unwrap_or_default();
    let uri = format!("{SOCKET_IO}?EIO=4&transport={transport}{sid}");
    uri.parse().map_err(|_broken| unknown())
}

/// Waits for the library, but not much longer than the service runs.
async fn pass(
    service: &Arc<Service>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, Fault> {
    let stopped = async {
        service.stop.cancelled().await;
        sleep(STOP_WAIT_MAX).await;
    };
    tokio::select! {
        answer = service.socketio.pass(request) => Ok(answer),
        () = stopped => {
            let outside = "the server is stopping";
            Err(Fault::Unavailable { outside, inside: String::new() })
        }
    }
}

fn answer(passed: Response<Bytes>) -> Answer {
    let mut answer = passed.map(Body::from);
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
