//! The OpenAPI document.

use std::sync::Arc;

use hyper::StatusCode;

use crate::serve::answer;
use crate::serve::openapi;
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};

/// `GET /api/openapi.json`.
pub(in crate::serve) fn document(_: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        Ok(answer::json(StatusCode::OK, asked.encodings(), &openapi::document()).await)
    })
}
