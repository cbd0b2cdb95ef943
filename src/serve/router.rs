//! The URL space on one page.

use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use super::answer::Answer;
use super::error::Fault;
use super::http::dead_letters::DeadLetters;
use super::http::health::{HealthBody, ProbeBody};
use super::http::readings::ReadingList;
use super::http::stats::Stats;
use super::http::topics::{Explanation, TopicList};
use super::http::{
    dead_letters, health, metrics, openapi, pages, readings, sensors, signin, stats, stream,
    topics, websocket,
};
use super::openapi::{Schemas, shape};
use super::query::{Parameter, decode};
use super::service::{Asked, Service};
#[cfg(feature = "socketio")]
use super::socketio;
use super::view::{Deleted, SensorList};

/// Who may ask (design §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Everybody; who is known is told more.
    OpenInPart,
    /// Peers on this machine that ask for themselves, else as below.
    LoopbackOrKnown,
    /// The token, or a session.
    Known,
}

/// What a handler gives back, some time.
pub(super) type Reply<'a> = Pin<Box<dyn Future<Output = Result<Answer, Fault>> + Send + 'a>>;

/// One line of the table.
pub(super) struct Route {
    pub(super) method: Method,
    /// `{name}` stands for one part of the path, `{*name}` for the rest of it.
    pub(super) pattern: &'static str,
    pub(super) access: Access,
    /// Asked under any host name: probes and scrapers address machines by number.
    pub(super) any_host: bool,
    pub(super) parameters: &'static [Parameter],
    pub(super) about: &'static str,
    /// The shape of a good answer, when it is JSON.
    pub(super) answer: Option<fn(&mut Schemas) -> String>,
    /// The media types of a good answer as text, beside JSON.
    pub(super) texts: &'static [&'static str],
    pub(super) handler: for<'a> fn(&'a Arc<Service>, Asked) -> Reply<'a>,
}

macro_rules! routes {
    ($($(#[$condition:meta])? $method:ident $pattern:literal,
        $access:ident $(($any_host:ident))?, $handler:path,
        $parameters:expr, $about:literal $(, $shape:ty)? $(=> $texts:expr)?;)*) => {
        &[$($(#[$condition])? Route {
            method: Method::$method,
            pattern: $pattern,
            access: Access::$access,
            any_host: routes!(@ $($any_host)?),
            parameters: $parameters,
            about: $about,
            answer: routes!(# $($shape)?),
            texts: routes!(= $($texts)?),
            handler: $handler,
        },)*]
    };
    (=) => { &[] };
    (= $texts:expr) => { $texts };
    (#) => { None };
    (# $shape:ty) => { Some(shape::<$shape>) };
    (@) => { false };
    (@ any_host) => { true };
}

/// Where clients of Socket.IO ask.
pub(super) const SOCKET_IO: &str = "/socket.io/";

/// Everything that can be asked. HEAD is answered wherever GET is.
pub(super) static ROUTES: &[Route] = routes! {
    GET "/", Open, pages::index, &[], "The dashboard.";
    GET "/assets/{*path}", Open, pages::asset, &[], "A file of the dashboard.";
    GET "/signin", Open, signin::link, signin::PARAMETERS,
        "With the token: opens a session and goes on to the dashboard. Without: a form.";
    POST "/signin", Open, signin::form, &[], "What the form sends: the field `token`.";
    GET "/api/sensors", Known, sensors::list, sensors::PARAMETERS,
        "Every series with its statistics.", SensorList<'static>;
    GET "/api/sensors/{id}", Known, sensors::one, &[], "The series of one sensor.",
        SensorList<'static>;
    DELETE "/api/sensors/{id}", Known, sensors::delete, &[],
        "Deletes a sensor: all its series with statistics, windows and readings; 202 when the \
         deletion is stored. Totals stay, and a sensor that goes on sending begins anew.",
        Deleted<'static>;
    GET "/api/sensors/{id}/readings", Known, readings::list, readings::PARAMETERS,
        "Readings of one sensor, ascending by time.", ReadingList<'static> => readings::TEXTS;
    GET "/api/stats", Known, stats::all, &[], "Totals, rates, lag, shards, history.", Stats;
    GET "/api/dead-letters", Known, dead_letters::list, dead_letters::PARAMETERS,
        "Messages that were set aside, newest first, with the reason.", DeadLetters;
    GET "/api/topics", Known, topics::list, topics::PARAMETERS,
        "Every topic that sent lately: rate, format, errors with the last reason.",
        TopicList<'static>;
    GET "/api/topics/explain", Known, topics::explain, topics::EXPLAIN_PARAMETERS,
        "Why a sensor is missing: what becomes of the messages of one topic, in words.",
        Explanation;
    GET "/api/stream", Known, stream::follow, stream::PARAMETERS,
        "Live readings as server-sent events: `status` first, `end` with the reason last."
        => stream::TEXTS;
    GET "/api/openapi.json", Known, openapi::document, &[], "This document.";
    GET "/health", OpenInPart (any_host), health::health, &[],
        "How the service is; 503 when unhealthy.", HealthBody;
    GET "/livez", Open (any_host), health::livez, &[], "The process answers.", ProbeBody;
    GET "/readyz", OpenInPart (any_host), health::readyz, health::PARAMETERS,
        "The service takes readings; 503 when not.", ProbeBody;
    #[cfg(feature = "socketio")]
    GET "/socket.io/", Open, socketio::get, &[],
        "Live readings for clients of Socket.IO 4: handshake, polling, WebSocket.";
    #[cfg(feature = "socketio")]
    POST "/socket.io/", Open, socketio::post, &[], "Events of clients of Socket.IO that poll.";
    GET "/ws", Known, websocket::upgrade, &[], "Live readings over a WebSocket.";
    GET "/metrics", LoopbackOrKnown (any_host), metrics::all, &[], "Prometheus text.";
};

/// Where a path leads.
pub(super) enum Found {
    /// There, with what the pattern left open.
    Route(&'static Route, Option<String>),
    /// The path exists, for other methods.
    OtherMethods(Vec<Method>),
    /// Nowhere.
    Nothing,
    /// The path has a broken escape.
    Broken,
}

/// Looks a path up.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let asked = if method == Method::HEAD { &Method::GET } else { method };
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(open) = fits(route.pattern, path) else { continue };
        if route.method == *asked {
            return match open.map(decode) {
                Some(None) => Found::Broken,
                Some(Some(decoded)) => Found::Route(route, Some(decoded)),
                None => Found::Route(route, None),
            };
        }
        allowed.push(route.method.clone());
        if route.method == Method::GET {
            allowed.push(Method::HEAD);
        }
    }
    if allowed.is_empty() { Found::Nothing } else { Found::OtherMethods(allowed) }
}

/// Whether a path fits a pattern, and what stands where the pattern is open, still encoded.
fn fits<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    let Some((before, open)) = pattern.split_once('{') else {
        return (pattern == path).then_some(None);
    };
    let (name, after) = open.split_once('}')?;
    let rest = path.strip_prefix(before)?;
    let open = if name.starts_with('*') {
        rest
    } else {
        let end = rest.find('/').unwrap_or(rest.len());
        if rest[end..] != *after {
            return None;
        }
        &rest[..end]
    };
    (!open.is_empty()).then_some(Some(open))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &str) -> String {
        match find(method, path) {
            Found::Route(route, None) => route.pattern.to_owned(),
            Found::Route(route, Some(open)) => format!("{} {open}", route.pattern),
            Found::OtherMethods(methods) => format!("{methods:?}"),
            Found::Nothing => "nothing".to_owned(),
            Found::Broken => "broken".to_owned(),
        }
    }

    #[test]
    fn paths_lead_where_the_table_says() {
        let check = |path, expected| assert_eq!(found(&Method::GET, path), expected, "{path}");
        check("/", "/");
        check("/assets/uPlot.esm.js", "/assets/{*path} uPlot.esm.js");
        check("/assets/fonts/a.woff", "/assets/{*path} fonts/a.woff");
        check("/api/sensors", "/api/sensors");
        check("/api/sensors/", "nothing");
        check("/api/sensors/a%2Fb", "/api/sensors/{id} a/b");
        check("/api/sensors/readings", "/api/sensors/{id} readings");
        check("/api/sensors/a/readings", "/api/sensors/{id}/readings a");
        check("/api/sensors/a/readings/x", "nothing");
        check("/api/sensors/a/b", "nothing");
        check("/api/sensors//readings", "nothing");
        check("/api/sensors/%FF", "broken");
        check("/API/sensors", "nothing");
        check("", "nothing");
        check("*", "nothing");
    }

    #[test]
    fn other_methods_are_told_what_is_allowed() {
        assert_eq!(found(&Method::HEAD, "/api/sensors"), "/api/sensors");
        assert_eq!(found(&Method::POST, "/api/sensors"), "[GET, HEAD]");
        assert_eq!(found(&Method::PUT, "/signin"), "[GET, HEAD, POST]");
        assert_eq!(found(&Method::POST, "/signin"), "/signin");
        assert_eq!(found(&Method::PUT, "/api/sensors/a"), "[GET, HEAD, DELETE]");
        assert_eq!(found(&Method::DELETE, "/api/sensors/a%2Fb"), "/api/sensors/{id} a/b");
        assert_eq!(found(&Method::DELETE, "/api/sensors"), "[GET, HEAD]");
        assert_eq!(found(&Method::POST, "/nowhere"), "nothing");
    }
}
