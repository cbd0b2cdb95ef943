//! Who may do what: every route, asked by everybody.

use std::collections::BTreeSet;

use crate::stage::{Plan, Stage, TOKEN};
use streamgauge::serve::AuthMode;

/// Method, path, and the status for: nobody, a wrong token, the token, a session.
const TABLE: &[(&str, &str, [u16; 4])] = &[
    ("GET", "/", [200, 200, 200, 200]),
    ("GET", "/assets/index.html", [200, 200, 200, 200]),
    ("GET", "/signin", [200, 200, 200, 200]),
    ("POST", "/signin", [401, 401, 401, 401]),
    ("GET", "/livez", [200, 200, 200, 200]),
    ("GET", "/readyz", [200, 200, 200, 200]),
    ("GET", "/health", [200, 200, 200, 200]),
    // The tests ask from this machine.
    ("GET", "/metrics", [200, 200, 200, 200]),
    ("GET", "/api/sensors", [401, 401, 200, 200]),
    ("GET", "/api/sensors/kitchen", [401, 401, 200, 200]),
    ("DELETE", "/api/sensors/kitchen", [401, 401, 202, 202]),
    ("GET", "/api/sensors/kitchen/readings", [401, 401, 200, 200]),
    ("GET", "/api/stats", [401, 401, 200, 200]),
    ("GET", "/api/dead-letters", [401, 401, 200, 200]),
    ("GET", "/api/openapi.json", [401, 401, 200, 200]),
    ("GET", "/api/topics", [401, 401, 200, 200]),
    ("GET", "/api/topics/explain?topic=sensors/kitchen/temperature", [401, 401, 200, 200]),
    // A stream that begins does not end; what is refused of one is told to who may know.
    ("GET", "/api/stream?max_hz=0", [401, 401, 400, 400]),
    ("GET", "/ws", [401, 401, 426, 426]),
    #[cfg(feature = "socketio")]
    ("GET", "/socket.io/", [400, 400, 400, 400]),
    #[cfg(feature = "socketio")]
    ("POST", "/socket.io/", [400, 400, 400, 400]),
    ("GET", "/nowhere", [404, 404, 404, 404]),
    ("DELETE", "/api/stats", [405, 405, 405, 405]),
];

fn stage(auth: AuthMode) -> Stage {
    let stage = Stage::with(Plan { auth, ..Plan::default() });
    stage.put_series(0, 1, ("kitchen", "temperature"), &[(21.5, 1000)]);
    stage.get_until("/api/sensors/kitchen", |reply| reply.status == 200);
    stage
}

#[test]
fn every_route_admits_whom_the_table_says() {
    let stage = stage(AuthMode::Token { token: TOKEN.to_owned() });
    let cookie = stage.cookie();
    let right = format!("Bearer {TOKEN}");
    let who: [&[(&str, &str)]; 4] = [
        &[],
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", &right)],
        &[("Cookie", &cookie)],
    ];
    for (method, path, expected) in TABLE {
        for (headers, expected) in who.iter().zip(expected) {
            let reply = stage.ask(method, path, headers, "");
            assert_eq!(reply.status, *expected, "{method} {path} {headers:?}: {}", reply.text());
            assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
            assert!(reply.headers["content-security-policy"].contains("frame-ancestors 'none'"));
        }
    }
}

#[test]
fn without_credentials_to_ask_for_everybody_is_admitted() {
    let stage = stage(AuthMode::None);
    for (method, path, expected) in TABLE {
        let expected = if *path == "/signin" && *method == "POST" { 303 } else { expected[2] };
        assert_eq!(stage.ask(method, path, &[], "").status, expected, "{method} {path}");
    }
}

#[test]
fn every_route_of_the_document_stands_in_the_table() {
    let stage = stage(AuthMode::None);
    let document = stage.get("/api/openapi.json").json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "kitchen").replace("{path}", "index.html");
            let is_path = |at: &str| at.split('?').next() == Some(&path);
            let listed =
                TABLE.iter().any(|(of, at, _)| of.eq_ignore_ascii_case(method) && is_path(at));
            assert!(listed, "{method} {path}");
        }
    }
}

#[test]
fn the_readme_lists_exactly_the_routes_there_are() {
    let stage = stage(AuthMode::None);
    let document = stage.get("/api/openapi.json").json();
    let mut known = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        known.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    // A part of the page, not of the API.
    assert!(known.remove("GET /assets/{path}"));
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let rows = readme.lines().skip_while(|line| !line.starts_with("| route |")).skip(2);
    let cells = rows.take_while(|line| line.starts_with('|')).map(|row| row.split('|').nth(1));
    let listed: BTreeSet<String> = cells
        .flat_map(|cell| cell.unwrap().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn health_tells_strangers_little() {
    let stage = stage(AuthMode::Token { token: TOKEN.to_owned() });
    let stranger = stage.ask("GET", "/health", &[], "").json();
    let keys: Vec<_> = stranger.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["status", "version"]);
    assert_eq!(stage.get("/health").json()["components"]["catalogue"], "ready");
}

#[test]
fn a_proxy_on_this_machine_does_not_open_the_metrics_to_the_world() {
    let stage = stage(AuthMode::Token { token: TOKEN.to_owned() });
    assert_eq!(stage.ask("GET", "/metrics", &[], "").status, 200);
    for name in ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"] {
        let reply = stage.ask("GET", "/metrics", &[(name, "192.0.2.7")], "");
        assert_eq!(reply.status, 401, "{name}");
    }
    let known = [("X-Forwarded-For", "192.0.2.7"), ("Authorization", &format!("Bearer {TOKEN}"))];
    assert_eq!(stage.ask("GET", "/metrics", &known, "").status, 200);
}

#[test]
fn the_link_the_form_and_the_cookie_work_together() {
    let stage = stage(AuthMode::Token { token: TOKEN.to_owned() });
    let port = stage.address.port();
    let reply = stage.ask("POST", "/signin", &[], &format!("token={TOKEN}"));
    assert_eq!((reply.status, reply.headers["location"].as_str()), (303, "/"));
    let cookie = &reply.headers["set-cookie"];
    assert!(cookie.starts_with(&format!("streamgauge_{port}=")), "{cookie}");
    for part in ["Path=/", "HttpOnly", "SameSite=Lax"] {
        assert!(cookie.split("; ").any(|it| it == part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let stored = stage.redis(redis::cmd("HGETALL").arg("sg:auth"));
    let session = cookie.split(['=', ';']).nth(1).unwrap();
    assert_eq!(session.len(), 64);
    assert!(!format!("{stored:?}").contains(session), "sessions are stored hashed");
    let wrong = stage.ask("GET", "/signin?token=wrong", &[], "");
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("data-error=\"wrong-token\""), "{}", wrong.text());
    assert!(!wrong.headers.contains_key("set-cookie"));
}

#[test]
fn a_session_that_was_removed_ends() {
    let stage = stage(AuthMode::Token { token: TOKEN.to_owned() });
    let cookie = stage.cookie();
    let ask = || stage.ask("GET", "/api/stats", &[("Cookie", &cookie)], "").status;
    assert_eq!(ask(), 200);
    stage.redis(redis::cmd("DEL").arg("sg:auth"));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while ask() != 401 {
        assert!(std::time::Instant::now() < until, "the session lives on");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

#[test]
fn who_guesses_on_is_held_back_and_sessions_are_not() {
    let stage = stage(AuthMode::Token { token: TOKEN.to_owned() });
    let cookie = stage.cookie();
    let guess = || stage.ask("GET", "/api/stats", &[("Authorization", "Bearer x")], "").status;
    let answers: Vec<u16> = (0..70).map(|_| guess()).collect();
    assert_eq!(answers[0], 401);
    assert!(answers.contains(&429), "{answers:?}");
    assert_eq!(stage.ask("GET", "/api/stats", &[("Cookie", &cookie)], "").status, 200);
}
