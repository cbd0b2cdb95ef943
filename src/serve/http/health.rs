//! How the service is: for people, for orchestrators, for load balancers.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::serve::answer;
use crate::serve::query::{Kind, Parameter};
use crate::serve::readiness::{Health, Level};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};

pub(in crate::serve) const PARAMETERS: &[Parameter] =
    &[Parameter { name: "verbose", about: "Adds every part.", kind: Kind::Switch }];

/// The answer of `/health`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct HealthBody {
    /// `healthy`, `degraded` or `unhealthy`.
    status: &'static str,
    version: &'static str,
    /// Only for those who are known: each part, `ready` or why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
}

/// The answer of `/livez` and `/readyz`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct ProbeBody {
    /// `ok`, `not ready` or `draining`.
    status: &'static str,
    /// With `verbose`: each part, `ready` or `not ready`, and to those who are known why.
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<BTreeMap<&'static str, String>>,
}

/// `GET /health`.
pub(in crate::serve) fn health(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let health = service.deps.readiness.health();
        let is_known = asked.identity.is_known();
        let body = HealthBody {
            status: health.name(),
            version: env!("CARGO_PKG_VERSION"),
            components: is_known.then(|| components(service, true)),
            uptime_seconds: is_known.then(|| service.started.elapsed().as_secs()),
        };
        let status = match health {
            Health::Healthy | Health::Degraded => StatusCode::OK,
            Health::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Ok(answer::json(status, asked.encodings(), &body).await)
    })
}

/// `GET /livez`.
pub(in crate::serve) fn livez(_: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let body = ProbeBody { status: "ok", components: None };
        Ok(answer::json(StatusCode::OK, asked.encodings(), &body).await)
    })
}

/// `GET /readyz`.
pub(in crate::serve) fn readyz(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let readiness = &service.deps.readiness;
        let (code, status) = match (readiness.is_draining(), readiness.is_ready()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            (false, true) => (StatusCode::OK, "ok"),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        };
        let verbose = asked.query.has("verbose");
        let components = verbose.then(|| components(service, asked.identity.is_known()));
        let body = ProbeBody { status, components };
        Ok(answer::json(code, asked.encodings(), &body).await)
    })
}

/// Each part; `why` tells also why one is not ready.
fn components(service: &Service, why: bool) -> BTreeMap<&'static str, String> {
    let say = |level| match level {
        Level::Ready => "ready".to_owned(),
        Level::NotReady { why: reason } if why => format!("not ready: {reason}"),
        Level::NotReady { .. } => "not ready".to_owned(),
    };
    let levels = service.deps.readiness.levels();
    levels.into_iter().map(|(name, level)| (name, say(level))).collect()
}
