//! Signing in: by the printed link, or by the form.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};

use crate::serve::answer::{self, Answer};
use crate::serve::assets::Asset;
use crate::serve::error::Fault;
use crate::serve::query::{Kind, Parameter, Query};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};

pub(in crate::serve) const PARAMETERS: &[Parameter] =
    &[Parameter { name: "token", about: "The API token.", kind: Kind::Text }];

/// What the page's author put into the form to be replaced after a wrong token.
const NO_ERROR: &str = "data-error=\"\"";
const WRONG_TOKEN: &str = "data-error=\"wrong-token\"";

/// `GET /signin`.
pub(in crate::serve) fn link(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        match asked.query.text("token") {
            Some(token) => enter(service, token, asked.peer.ip()).await,
            None => form_page(&asked),
        }
    })
}

/// `POST /signin`.
pub(in crate::serve) fn form(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let peer = asked.peer.ip();
        let body = asked.body().await?;
        let body = std::str::from_utf8(&body)
            .map_err(|_not_text| Fault::BadRequest("the form is no UTF-8".to_owned()))?;
        let form = Query::parse(body)?;
        enter(service, form.text("token").unwrap_or_default(), peer).await
    })
}

async fn enter(service: &Service, token: &str, peer: IpAddr) -> Result<Answer, Fault> {
    // Behind a prefix the address stays relative: a proxy may or may not have stripped it.
    let root = if service.rules.prefix().is_empty() { "/" } else { "./" };
    let (token, peer) = (token.trim(), peer.to_canonical());
    let cookie = match service.auth.sign_in(token, peer, &service.deps.link).await {
        Err(Fault::Unauthorized) => return wrong_token(),
        signed_in => signed_in?,
    };
    let mut answer = answer::see_other(root)?;
    if let Some(cookie) = cookie {
        let cookie = HeaderValue::from_str(&cookie)
            .map_err(|_impossible| Fault::BadRequest("the cookie cannot be sent".to_owned()))?;
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}

fn form_page(asked: &Asked) -> Result<Answer, Fault> {
    let asset = Asset::find("signin.html").ok_or(Fault::NotFound)?;
    Ok(asset.answer(&asked.parts.headers))
}

fn wrong_token() -> Result<Answer, Fault> {
    let asset = Asset::find("signin.html").ok_or(Fault::Unauthorized)?;
    let page = asset.text().replacen(NO_ERROR, WRONG_TOKEN, 1);
    Ok(answer::text(StatusCode::UNAUTHORIZED, "text/html; charset=utf-8", page))
}
