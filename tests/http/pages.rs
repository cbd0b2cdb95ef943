//! The page and its files over the wire.

use crate::stage::Stage;

#[test]
fn the_page_is_served_compressed_and_revalidated() {
    let stage = Stage::start();
    let plain = stage.ask("GET", "/", &[], "");
    assert_eq!(plain.headers["content-type"], "text/html; charset=utf-8");
    assert!(plain.text().to_lowercase().starts_with("<!doctype html>"));
    let tag = plain.headers["etag"].clone();
    let again = stage.ask("GET", "/", &[("If-None-Match", &tag)], "");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let packed = stage.ask("GET", "/", &[("Accept-Encoding", "gzip, br")], "");
    assert_eq!(packed.headers["content-encoding"], "br");
    assert!(packed.body.len() < plain.body.len());
    let packed = stage.ask("GET", "/", &[("Accept-Encoding", "gzip")], "");
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let head = stage.ask("HEAD", "/", &[], "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], plain.body.len().to_string());
}

#[test]
fn files_have_their_types_and_others_do_not_exist() {
    let stage = Stage::start();
    let kind = |path| stage.ask("GET", path, &[], "").headers["content-type"].clone();
    assert_eq!(kind("/assets/main.js"), "text/javascript; charset=utf-8");
    assert_eq!(kind("/assets/tokens.css"), "text/css; charset=utf-8");
    assert_eq!(kind("/assets/mark.svg"), "image/svg+xml");
    for path in ["/assets/", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/main.js"] {
        let reply = stage.ask("GET", path, &[], "");
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.json(), serde_json::json!({"error": "Resource not found"}));
    }
}
