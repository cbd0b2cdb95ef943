//! The page, embedded by `build.rs` as it is, as brotli and as gzip.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use super::answer::{Answer, Encodings};

/// One file of the page.
pub(super) struct Asset {
    /// Its path below `static/`; third-party files have only a name.
    path: &'static str,
    content_type: &'static str,
    /// A hash of the content, in quotes.
    etag: &'static str,
    identity: &'static [u8],
    brotli: &'static [u8],
    gzip: &'static [u8],
}

/// Every file, ordered by path.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Browsers ask each time and mostly get 304: a new version of the program is seen at once.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

impl Asset {
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        let place = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
        ASSETS.get(place)
    }

    /// The file for this request: 304 when the client has it already.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Answer {
        let mut answer = Response::default();
        let headers = answer.headers_mut();
        headers.insert(header::ETAG, HeaderValue::from_static(self.etag));
        headers.insert(header::CACHE_CONTROL, REVALIDATE);
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if self.is_known(asked) {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return answer;
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let (bytes, encoding) = self.best(Encodings::of(asked));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        *answer.body_mut() = Bytes::from_static(bytes).into();
        answer
    }

    /// The text of a file, to be changed before it is sent.
    pub(super) fn text(&self) -> &'static str {
        std::str::from_utf8(self.identity).unwrap_or_default()
    }

    fn is_known(&self, asked: &HeaderMap) -> bool {
        asked.get_all(header::IF_NONE_MATCH).iter().any(|value| {
            let tags = value.to_str().unwrap_or_default().split(',');
            tags.map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
        })
    }

    fn best(&self, encodings: Encodings) -> (&'static [u8], Option<&'static str>) {
        if encodings.brotli && self.brotli.len() < self.identity.len() {
            (self.brotli, Some("br"))
        } else if encodings.gzip && self.gzip.len() < self.identity.len() {
            (self.gzip, Some("gzip"))
        } else {
            (self.identity, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSET: Asset = Asset {
        path: "a.js",
        content_type: "text/javascript",
        etag: "\"1\"",
        identity: b"identity",
        brotli: b"br",
        gzip: b"gzip",
    };

    fn asked(name: header::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn the_smallest_accepted_form_is_sent() {
        let check = |accepted, expected| {
            let answer = ASSET.answer(&asked(header::ACCEPT_ENCODING, accepted));
            let encoding = answer.headers().get(header::CONTENT_ENCODING);
            assert_eq!(encoding.map(|value| value.to_str().unwrap()), expected, "{accepted}");
        };
        check("gzip, br", Some("br"));
        check("gzip", Some("gzip"));
        check("identity", None);
    }

    #[test]
    fn a_known_tag_is_answered_without_a_body() {
        let check = |tag, status| {
            let answer = ASSET.answer(&asked(header::IF_NONE_MATCH, tag));
            assert_eq!(answer.status(), status, "{tag}");
        };
        check("\"1\"", StatusCode::NOT_MODIFIED);
        check("W/\"1\"", StatusCode::NOT_MODIFIED);
        check("\"0\", \"1\"", StatusCode::NOT_MODIFIED);
        check("*", StatusCode::NOT_MODIFIED);
        check("\"2\"", StatusCode::OK);
    }

    #[test]
    fn files_are_found_by_path() {
        assert!(ASSETS.is_sorted_by(|a, b| a.path < b.path));
        for asset in ASSETS {
            assert!(std::ptr::eq(Asset::find(asset.path).unwrap(), asset));
        }
        assert!(Asset::find("../Cargo.toml").is_none());
    }
}
