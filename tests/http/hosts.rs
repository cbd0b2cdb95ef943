//! Under which names, and for which pages, over the wire. The rules have tables of their own.

use crate::stage::{Plan, Stage, TOKEN};

fn ask(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> u16 {
    stage.ask("GET", path, headers, "").status
}

#[test]
fn foreign_hosts_are_refused_but_probes_are_answered() {
    let stage = Stage::start();
    let foreign = [("Host", "evil.example"), ("Authorization", &format!("Bearer {TOKEN}")[..])];
    for path in ["/", "/signin", "/api/stats", "/assets/index.html", "/nowhere", "/ws"] {
        assert_eq!(ask(&stage, path, &foreign), 421, "{path}");
    }
    for path in ["/livez", "/health", "/metrics"] {
        assert_eq!(ask(&stage, path, &foreign), 200, "{path}");
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]:5000", "LocalHost:80"] {
        assert_eq!(ask(&stage, "/", &[("Host", host)]), 200, "{host}");
    }
}

#[test]
fn foreign_pages_can_neither_sign_in_nor_listen() {
    let stage = Stage::start();
    let own = format!("http://localhost:{}", stage.address.port());
    let body = format!("token={TOKEN}");
    for (origin, expected) in [(own.as_str(), 303), ("http://evil.example", 403), ("null", 403)] {
        let reply = stage.ask("POST", "/signin", &[("Origin", origin)], &body);
        assert_eq!(reply.status, expected, "{origin}");
    }
    let cookie = stage.cookie();
    let reply = |origin| ask(&stage, "/ws", &[("Cookie", &cookie), ("Origin", origin)]);
    assert_eq!(reply(own.as_str()), 426);
    assert_eq!(reply("http://evil.example"), 403);
}

#[test]
fn a_public_address_brings_its_name_its_prefix_and_secure_cookies() {
    let public_url = Some("https://gauge.example/x".to_owned());
    let stage = Stage::with(Plan { public_url, ..Plan::default() });
    let public = [("Host", "gauge.example")];
    assert_eq!(ask(&stage, "/x/", &public), 200);
    assert_eq!(ask(&stage, "/", &public), 200);
    assert_eq!(ask(&stage, "/x/livez", &public), 200);
    assert_eq!(ask(&stage, "/y/", &public), 404);
    let bare = stage.ask("GET", "/x", &public, "");
    assert_eq!((bare.status, bare.headers["location"].as_str()), (303, "/x/"));
    let reply = stage.ask("GET", &format!("/x/signin?token={TOKEN}"), &public, "");
    assert_eq!((reply.status, reply.headers["location"].as_str()), (303, "./"));
    assert!(reply.headers["set-cookie"].contains("; Secure"));
}
