//! Making answers: JSON, compressed when that pays, with the headers that every answer carries.

use std::io::Write;
use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::body::{Body, Pages};
use super::error::Fault;
use super::table::{Rows, Table};
use super::view::ErrorBody;

/// What a handler gives back.
pub(super) type Answer = Response<Body>;

/// Shorter answers fit one TCP segment as they are: compressing them saves nothing.
const COMPRESS_BYTES_MIN: usize = 1024;
/// Longer work than this is done beside the runtime: compressing 64 KiB takes about a
/// millisecond (a guess from gzip's usual 50–100 MB/s at level 4).
const INLINE_BYTES_MAX: usize = 64 << 10;
/// Level 4 of gzip: most of the gain for JSON at a third of the default's time (a guess).
pub(super) const GZIP_LEVEL: u32 = 4;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Nothing from elsewhere, nothing inline, nobody's frame.
const POLICY: &str = "default-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The encodings that a client takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Encodings {
    pub(super) brotli: bool,
    pub(super) gzip: bool,
}

impl Encodings {
    /// Reads `Accept-Encoding`. A quality of zero is a refusal; other qualities are not compared.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut encodings = Self::default();
        for value in headers.get_all(header::ACCEPT_ENCODING) {
            for one in value.to_str().unwrap_or_default().split(',') {
                let (name, parameters) = one.split_once(';').unwrap_or((one, ""));
                let quality = parameters.trim().strip_prefix("q=").unwrap_or("1");
                let wanted = quality.parse::<f32>().is_ok_and(|quality| quality > 0.0);
                match name.trim() {
                    "br" => encodings.brotli = wanted,
                    "gzip" => encodings.gzip = wanted,
                    _ => {}
                }
            }
        }
        encodings
    }
}

/// An answer with a JSON body.
pub(super) async fn json<T>(status: StatusCode, encodings: Encodings, body: &T) -> Answer
where
    T: Serialize + Sync,
{
    json_bytes(status, encodings, to_bytes(body)).await
}

/// The same of a body that is large to make, out of the table.
pub(super) async fn large_json<F>(
    encodings: Encodings,
    table: &Arc<Table>,
    make: F,
) -> Result<Answer, Fault>
where
    F: FnOnce(&Rows) -> Result<Vec<u8>, Fault> + Send + 'static,
{
    let look = move |table: &Table| {
        let bytes = make(&table.read())?;
        Ok(packed(encodings, bytes))
    };
    let made: Result<_, Fault> = table.at_length(look).await;
    made.map(|(bytes, gzipped)| json_of(StatusCode::OK, bytes, gzipped))
}

/// An answer without a body but a place to go to.
pub(super) fn see_other(location: &str) -> Result<Answer, Fault> {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(location)
        .map_err(|_invalid| Fault::BadRequest("the address cannot be redirected to".to_owned()))?;
    answer.headers_mut().insert(header::LOCATION, location);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// An answer of plain text.
pub(super) fn text(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Answer::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An answer whose pages are made while the client takes them.
pub(super) fn pages(content_type: &'static str, pages: Pages) -> Answer {
    let mut answer = Answer::new(Body::Pages(pages));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What the client is told of a fault.
pub(super) fn fault(fault: &Fault) -> Answer {
    let mut answer =
        json_of(fault.status(), to_bytes(&ErrorBody { error: fault.to_string() }), false);
    let headers = answer.headers_mut();
    match fault {
        Fault::MethodNotAllowed { allowed } => {
            let allowed: Vec<&str> = allowed.iter().map(hyper::Method::as_str).collect();
            if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
                headers.insert(header::ALLOW, value);
            }
        }
        Fault::Unauthorized => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Fault::Throttled | Fault::Unavailable { .. } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Fault::UpgradeRequired(_) => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        Fault::BadRequest(_)
        | Fault::TooMuch(_)
        | Fault::ForeignOrigin
        | Fault::ForeignHost
        | Fault::NotFound
        | Fault::UnknownSensor(_)
        | Fault::UnknownType { .. }
        | Fault::Damaged
        | Fault::UriTooLong(_)
        | Fault::BodyTooLarge(_)
        | Fault::TooSlow => {}
    }
    answer
}

/// Adds what every answer carries.
pub(super) fn protect(answer: &mut Answer) {
    let fixed: [(HeaderName, &'static str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: with it a browser sends `Origin: null` with the sign-in form.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// An answer with JSON that was written before.
pub(super) async fn json_bytes(status: StatusCode, encodings: Encodings, bytes: Vec<u8>) -> Answer {
    let (bytes, gzipped) = if bytes.len() <= INLINE_BYTES_MAX {
        packed(encodings, bytes)
    } else {
        match tokio::task::spawn_blocking(move || packed(encodings, bytes)).await {
            Ok(packed) => packed,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    };
    json_of(status, bytes, gzipped)
}

fn json_of(status: StatusCode, bytes: Vec<u8>, gzipped: bool) -> Answer {
    let mut answer = Answer::new(Body::from(bytes));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// The JSON of a shape.
#[expect(clippy::expect_used, reason = "our own shapes have string keys and no failing parts")]
pub(super) fn to_bytes<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).expect("an answer can be written as JSON")
}

fn packed(encodings: Encodings, bytes: Vec<u8>) -> (Vec<u8>, bool) {
    if !encodings.gzip || bytes.len() < COMPRESS_BYTES_MIN {
        return (bytes, false);
    }
    let room = Vec::with_capacity(bytes.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(GZIP_LEVEL));
    match encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
        Ok(packed) => (packed, true),
        // Compressing memory does not fail; if it ever does, the answer is right without it.
        Err(_) => (bytes, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_encoding_is_understood() {
        let check = |value: &'static str, brotli, gzip| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(Encodings::of(&headers), Encodings { brotli, gzip }, "{value}");
        };
        check("gzip, deflate, br, zstd", true, true);
        check("gzip;q=0, br;q=0.5", true, false);
        check("identity", false, false);
        check("", false, false);
        check("gzip;q=x", false, false);
    }

    #[test]
    fn only_what_pays_is_compressed() {
        let encodings = Encodings { brotli: false, gzip: true };
        assert!(!packed(encodings, vec![b'a'; 1000]).1);
        let (bytes, gzipped) = packed(encodings, vec![b'a'; 2000]);
        assert!(gzipped && bytes.len() < 200);
        assert!(!packed(Encodings::default(), vec![b'a'; 2000]).1);
    }
}
