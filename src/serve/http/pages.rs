//! The page and its files.

use std::sync::Arc;

use crate::serve::answer::Answer;
use crate::serve::assets::Asset;
use crate::serve::error::Fault;
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};

/// `GET /`.
pub(in crate::serve) fn index(_: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(std::future::ready(file("index.html", &asked)))
}

/// `GET /assets/{*path}`.
pub(in crate::serve) fn asset(_: &Arc<Service>, asked: Asked) -> Reply<'_> {
    let path = asked.open.clone().unwrap_or_default();
    Box::pin(std::future::ready(file(&path, &asked)))
}

fn file(path: &str, asked: &Asked) -> Result<Answer, Fault> {
    let asset = Asset::find(path).ok_or(Fault::NotFound)?;
    Ok(asset.answer(&asked.parts.headers))
}
