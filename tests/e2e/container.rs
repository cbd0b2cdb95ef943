//! The image's environment: reachable from outside, and nobody gets in without a secret.

use std::process::Command;

use crate::support::http::get;
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{seconds, within};

/// As the Dockerfile sets it, with a free port and a directory of the test's.
fn contained() -> Stage {
    let stage = Stage::new();
    let listen = format!("0.0.0.0:{}", stage.mqtt.number);
    stage
        .set("STREAMGAUGE_AUTH", "")
        .set("STREAMGAUGE_BIND", "0.0.0.0")
        .set("STREAMGAUGE_MQTT_LISTEN", &listen)
}

/// The line that begins so, of what was said for people.
fn said(streamgauge: &Streamgauge, what: &str) -> String {
    within(seconds(5), what, || {
        let text = streamgauge.stdout();
        let at = text.find(what)?;
        text[at..].lines().next().map(str::to_owned)
    })
}

fn sign_in_link(streamgauge: &Streamgauge) -> String {
    let line = said(streamgauge, "http://");
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn the_page_is_served_and_the_printed_link_signs_in() {
    let mut streamgauge = contained().start();
    let page = streamgauge.try_get("/").unwrap();
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert_eq!(streamgauge.try_get("/api/sensors").unwrap().status, 401);

    let link = sign_in_link(&streamgauge);
    let answer = get(&link, &[]).unwrap();
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    let cookie = answer.header("set-cookie").to_owned();
    let name = format!("streamgauge_{}=", streamgauge.stage.http.number);
    assert!(cookie.starts_with(&name), "{cookie}");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let url = streamgauge.url("/api/sensors");
    assert_eq!(get(&url, &[("Cookie", cookie)]).unwrap().status, 200);
    let (_, token) = link.split_once("token=").unwrap();
    let bearer = format!("Bearer {token}");
    assert_eq!(get(&url, &[("Authorization", &bearer)]).unwrap().status, 200);
    assert_eq!(get(&url, &[("Authorization", "Bearer wrong")]).unwrap().status, 401);

    // Every start prints the link, and who was signed in stays so.
    assert!(streamgauge.stop().success());
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(20));
    assert_eq!(sign_in_link(&streamgauge), link);
    assert_eq!(get(&url, &[("Cookie", cookie)]).unwrap().status, 200);
}

#[test]
fn the_printed_line_publishes_and_without_its_password_nobody_does() {
    let streamgauge = contained().start();
    let line = said(&streamgauge, "mosquitto_pub");
    assert!(line.contains(" -P "), "{line}");
    let sent = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(sent.status.success(), "{line}: {sent:?}");
    let (_, token) = sign_in_link(&streamgauge).split_once("token=").map(owned).unwrap();
    let bearer = format!("Bearer {token}");
    let url = streamgauge.url("/api/sensors/kitchen");
    within(seconds(5), "the reading", || {
        let answer = get(&url, &[("Authorization", &bearer)])?;
        (answer.status == 200 && answer.json()["sensors"][0]["count"] == 1).then_some(())
    });

    let words: Vec<&str> = line.split(' ').collect();
    let password = words.iter().position(|word| *word == "-P").unwrap() + 1;
    let wrong = line.replace(words[password], "wrong");
    let anonymous = line.replace(&format!(" -P {}", words[password]), "");
    let anonymous = anonymous.replace(" -u device", "");
    for line in [wrong, anonymous] {
        let refused = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(!refused.status.success(), "{line}: {refused:?}");
    }
}

fn owned((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}
