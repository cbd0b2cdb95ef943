//! The upgrade to a WebSocket (RFC 6455 §4.2). Credentials and origin were judged before.

use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Version};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::serve::answer::Answer;
use crate::serve::clients::Transport;
use crate::serve::error::Fault;
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::ws;

/// The length of a key: 16 bytes in base64.
const KEY_BYTES: usize = 24;

/// `GET /ws`.
pub(in crate::serve) fn upgrade(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let answer = handshake(&asked.parts)?;
        let open = service.live_place(Transport::WebSocket)?;
        let identity = asked.identity;
        let mut parts = asked.parts;
        let place = parts.extensions.remove::<Arc<OwnedSemaphorePermit>>();
        let upgrading = hyper::upgrade::on(Request::from_parts(parts, ()));
        let shared = service.clone();
        service.tasks.spawn(async move {
            match upgrading.await {
                Ok(upgraded) => ws::talk(shared, upgraded, identity, (place, open)).await,
                // The client went away before it got the answer.
                Err(error) => tracing::trace!(%error, "an upgrade was not finished"),
            }
        });
        Ok(answer)
    })
}

/// Checks a handshake, and gives the answer after which the connection is a WebSocket.
pub(in crate::serve) fn handshake(parts: &Parts) -> Result<Answer, Fault> {
    check_request(parts)?;
    let accept = accept_key(&parts.headers)?;
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(answer)
}

/// A handshake is a GET of HTTP/1.1 without a body: what came behind it would be taken for frames.
fn check_request(parts: &Parts) -> Result<(), Fault> {
    if parts.method != Method::GET || parts.version < Version::HTTP_11 {
        return Err(Fault::UpgradeRequired("a WebSocket begins with a GET of HTTP/1.1"));
    }
    if parts.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0") {
        return Err(Fault::BadRequest("a WebSocket's request has no body".to_owned()));
    }
    Ok(())
}

/// Checks the handshake, and gives the proof that it was understood.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Fault> {
    let refused = |said| Err(Fault::UpgradeRequired(said));
    if !has_word(headers, &header::CONNECTION, "upgrade")
        || !has_word(headers, &header::UPGRADE, "websocket")
    {
        return refused("this address speaks WebSocket only");
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return refused("only version 13 of WebSocket is spoken here");
    }
    let broken = || Fault::BadRequest("Sec-WebSocket-Key is not one".to_owned());
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(broken)?;
    if key.len() != KEY_BYTES || !key.as_bytes().ends_with(b"==") {
        return Err(broken());
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_not_text| broken())
}

/// Whether a comma list has a word, in any case.
fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(word))
}
