//! What all rooms measured, as Prometheus text.

use std::sync::Arc;

use hyper::StatusCode;

use crate::serve::answer;
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};

/// Prometheus's text format 0.0.4.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`.
pub(in crate::serve) fn all(service: &Arc<Service>, _: Asked) -> Reply<'_> {
    Box::pin(async move {
        metrics_process::Collector::default().collect();
        Ok(answer::text(StatusCode::OK, TEXT, service.deps.prometheus.render()))
    })
}
