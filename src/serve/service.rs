//! From a request to an answer: limits, names, the table of routes, who is asking, the handler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Request, Version};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{self, Answer, Encodings};
use super::auth::{Auth, Identity};
use super::block_faults::BlockFaults;
use super::clients::{Present, Transport};
use super::config::{Deps, ServeConfig};
use super::error::Fault;
use super::generation::Generation;
use super::host::HostRules;
use super::http::topics::Memory;
use super::live::Door;
use super::metrics::Metrics;
use super::query::Query;
use super::rates::Rates;
use super::router::{self, Access, Found, Route};
use super::table::Table;
use crate::stream::ShardKeys;

/// The longest address (reliability §5).
const URI_BYTES_MAX: usize = 4096;
/// The longest body (reliability §5).
const BODY_BYTES_MAX: usize = 64 << 10;
/// A body of 64 KiB takes a second on a slow phone; a guess.
const BODY_WAIT_MAX: Duration = Duration::from_secs(10);
/// No answer takes longer; just above the time that a reply of Redis may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(15);
/// But one of Socket.IO may wait for the next event, which is a ping after twenty seconds.
const POLL_WAIT_MAX: Duration = Duration::from_secs(45);

/// What all requests share.
pub(super) struct Service {
    pub(super) config: ServeConfig,
    pub(super) deps: Deps,
    pub(super) rules: HostRules,
    pub(super) auth: Auth,
    pub(super) table: Arc<Table>,
    pub(super) rates: Rates,
    pub(super) metrics: Metrics,
    /// Whoever reads history notes here what could not be decoded.
    pub(super) block_faults: BlockFaults,
    /// What owners saw of topics, for whoever asks again within a second.
    pub(super) topics: Memory,
    /// Which data set this is, for clients that were away.
    pub(super) generation: Generation,
    /// Where WebSockets come into the hub.
    pub(super) door: Door,
    /// Where clients of Socket.IO are.
    #[cfg(feature = "socketio")]
    pub(super) socketio: super::socketio::Mount,
    /// Waits for what outlives a request: WebSockets.
    pub(super) tasks: TaskTracker,
    /// The room stops.
    pub(super) stop: CancellationToken,
    pub(super) started: Instant,
}

/// One request, taken apart.
pub(super) struct Asked {
    pub(super) parts: Parts,
    pub(super) peer: SocketAddr,
    pub(super) query: Query,
    /// What the route's pattern left open, decoded.
    pub(super) open: Option<String>,
    pub(super) identity: Identity,
    body: Incoming,
}

impl Asked {
    pub(super) fn encodings(&self) -> Encodings {
        Encodings::of(&self.parts.headers)
    }

    /// The whole body.
    pub(super) async fn body(self) -> Result<Bytes, Fault> {
        self.body_within(BODY_BYTES_MAX).await
    }

    /// The whole body, if it is no longer than that.
    pub(super) async fn body_within(self, bytes_max: usize) -> Result<Bytes, Fault> {
        let collected = Limited::new(self.body, bytes_max).collect();
        match timeout(BODY_WAIT_MAX, collected).await {
            Err(_elapsed) => Err(Fault::TooSlow),
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Fault::BodyTooLarge(bytes_max)),
            Ok(Err(error)) => Err(Fault::BadRequest(format!("the body did not arrive: {error}"))),
        }
    }
}

impl Service {
    /// Answers one request; every fault is an answer too.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Answer {
        let polls = request.uri().path().ends_with(router::SOCKET_IO);
        let wait_max = if polls { POLL_WAIT_MAX } else { ANSWER_WAIT_MAX };
        let mut answer = match timeout(wait_max, self.try_answer(request, peer)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => {
                if let Fault::Unavailable { inside, .. } = &fault {
                    tracing::debug!(%inside, "a request was not answered");
                }
                answer::fault(&fault)
            }
            Err(_elapsed) => answer::fault(&Fault::Unavailable {
                outside: "the answer took too long",
                inside: String::new(),
            }),
        };
        answer::protect(&mut answer);
        self.metrics.answered(answer.status());
        answer
    }

    /// A place for one more live client; to be taken before it is told that it has one.
    pub(super) fn live_place(&self, transport: Transport) -> Result<Present, Fault> {
        let place = self.metrics.clients.admit(transport, self.config.live_clients_max);
        place.ok_or(Fault::Unavailable {
            outside: "as many live clients are connected as may be; try again in a moment",
            inside: String::new(),
        })
    }

    /// The shards' keys, once the data set is known.
    pub(super) fn shards(&self) -> Result<Arc<[ShardKeys]>, Fault> {
        let shards = self.deps.shards.borrow().clone();
        if shards.is_empty() {
            let outside = "Redis has not answered yet";
            return Err(Fault::Unavailable { outside, inside: String::new() });
        }
        Ok(shards)
    }

    async fn try_answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Answer, Fault> {
        let (parts, body) = request.into_parts();
        check_limits(&parts)?;
        let host = host(&parts)?.to_owned();
        let Some(path) = self.rules.below_prefix(parts.uri.path()) else {
            self.rules.judge_host(&host)?;
            return answer::see_other(&format!("{}/", self.rules.prefix()));
        };
        let (route, open) = self.find(&parts.method, path, &host)?;
        let is_live = ["/ws", "/api/stream", router::SOCKET_IO].contains(&route.pattern);
        if !matches!(parts.method, Method::GET | Method::HEAD) || is_live {
            self.rules.judge_origin(origin(&parts.headers)?, &host)?;
        }
        let identity = self.admit(route, &parts, peer).await?;
        let query = Query::of(parts.uri.query().unwrap_or_default(), route.parameters)?;
        if route.pattern.starts_with("/api/") {
            query.check(route.parameters)?;
        }
        let asked = Asked { peer, query, open, identity, body, parts };
        (route.handler)(self, asked).await
    }

    /// Finds the route, and judges the host: a foreign name learns nothing of what is there.
    fn find(
        &self,
        method: &Method,
        path: &str,
        host: &str,
    ) -> Result<(&'static Route, Option<String>), Fault> {
        let found = router::find(method, path);
        if !matches!(&found, Found::Route(route, _) if route.any_host) {
            self.rules.judge_host(host)?;
        }
        match found {
            Found::Route(route, open) => Ok((route, open)),
            Found::OtherMethods(allowed) => Err(Fault::MethodNotAllowed { allowed }),
            Found::Nothing => Err(Fault::NotFound),
            Found::Broken => {
                Err(Fault::BadRequest("the path has an escape that is no UTF-8".to_owned()))
            }
        }
    }

    /// Lets in whom the route admits.
    async fn admit(
        &self,
        route: &Route,
        parts: &Parts,
        peer: SocketAddr,
    ) -> Result<Identity, Fault> {
        let peer = peer.ip().to_canonical();
        let ask = || self.auth.identify(&parts.headers, peer, &self.deps.link);
        match route.access {
            Access::Open => Ok(Identity::Anonymous),
            // A probe must not fail because the one who probes brought a stale cookie.
            Access::OpenInPart => Ok(ask().await.unwrap_or(Identity::Anonymous)),
            Access::LoopbackOrKnown if peer.is_loopback() && !is_forwarded(&parts.headers) => {
                Ok(Identity::Trusted)
            }
            Access::LoopbackOrKnown | Access::Known => match ask().await? {
                Identity::Anonymous => Err(Fault::Unauthorized),
                known @ (Identity::Trusted | Identity::Session(_)) => Ok(known),
            },
        }
    }
}

/// Whether a proxy says that it asks for somebody else: who that is cannot be known here.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"]
        .into_iter()
        .any(|name| headers.contains_key(name))
}

fn check_limits(parts: &Parts) -> Result<(), Fault> {
    let uri = &parts.uri;
    let bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if bytes > URI_BYTES_MAX {
        return Err(Fault::UriTooLong(URI_BYTES_MAX));
    }
    // hyper takes Content-Length away when both are given, so the only way to refuse both is to
    // refuse this one. Nothing here needs a body of unknown length.
    if parts.headers.contains_key(header::TRANSFER_ENCODING) {
        let said = "Transfer-Encoding is not accepted; send Content-Length";
        return Err(Fault::BadRequest(said.to_owned()));
    }
    Ok(())
}

/// The one name under which the server was asked (RFC 9112 §3.2).
fn host(parts: &Parts) -> Result<&str, Fault> {
    let refused = |said: &str| Err(Fault::BadRequest(said.to_owned()));
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (Some(_), Some(_)) => return refused("more than one Host"),
        (None, _) if parts.version < Version::HTTP_11 => Some(""),
        (None, _) => return refused("Host is missing"),
    };
    let Some(host) = host else { return refused("Host is no name") };
    // An absolute address names the host too, and goes before the header.
    match parts.uri.authority() {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => {
            refused("Host differs from the address")
        }
        Some(_) | None => Ok(host),
    }
}

fn origin(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Ok(None),
        (Some(origin), None) => origin.to_str().map(Some).map_err(|_not_text| Fault::ForeignOrigin),
        (Some(_), Some(_)) => Err(Fault::ForeignOrigin),
    }
}
