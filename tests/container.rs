//! The binary with the environment of the image, as nobody can build an image in a test.
//!
//! Starts the real binary and through it a real redis-server (package redis-server).

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

/// What `ENV` lines of the Dockerfile set.
fn image_environment() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
    let text = std::fs::read_to_string(path).unwrap().replace("\\\n", " ");
    let settings = text.lines().filter_map(|line| line.strip_prefix("ENV "));
    settings
        .flat_map(str::split_whitespace)
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_well(arguments: &[&str], http: u16) -> bool {
    let mut health = Command::new(env!("CARGO_BIN_EXE_streamgauge"));
    health.env_clear().arg("health").args(arguments);
    health.args(["--bind", "0.0.0.0", "--port", &http.to_string()]);
    health.output().unwrap().status.success()
}

/// Killed when a test ends before it has ended itself.
struct Container(Child);

impl Drop for Container {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

#[test]
fn the_image_starts_with_the_page_a_link_and_a_device_password() {
    let mut environment = image_environment();
    assert_eq!(environment["STREAMGAUGE_BIND"], "0.0.0.0");
    assert_eq!(environment["STREAMGAUGE_MQTT_LISTEN"], "0.0.0.0:1883");
    assert_eq!(environment["STREAMGAUGE_DATA_DIR"], "/data");
    assert_eq!(environment.len(), 3);
    // The same, on ports and in a directory of the test's own.
    let data = tempfile::tempdir().unwrap();
    let (http, mqtt) = (free_port(), free_port());
    environment.insert("STREAMGAUGE_MQTT_LISTEN".into(), format!("0.0.0.0:{mqtt}"));
    environment.insert("STREAMGAUGE_DATA_DIR".into(), data.path().to_str().unwrap().into());
    environment.insert("PORT".into(), http.to_string());

    let child = Command::new(env!("CARGO_BIN_EXE_streamgauge"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/local/bin")
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut container = Container(child);
    let mut lines = BufReader::new(container.0.stdout.take().unwrap()).lines();
    let mut line_with = |word: &str| {
        let found = lines.by_ref().map_while(Result::ok).find(|line| line.contains(word));
        found.unwrap_or_else(|| panic!("it ended without saying {word}"))
    };
    let link = line_with("/signin?token=");
    let link = link.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    assert!(link.starts_with(&format!("http://localhost:{http}/signin?token=")), "{link}");
    let password = std::fs::read_to_string(data.path().join("device-password")).unwrap();
    let publish = line_with("mosquitto_pub");
    assert!(publish.contains(&format!("-p {mqtt} ")), "{publish}");
    assert!(publish.contains(&format!("-P {}", password.trim())), "{publish}");

    // What the image's health check asks, of every address; sessions are kept in Redis, which may
    // need a moment.
    assert!(is_well(&[], http));
    let deadline = Instant::now() + PATIENCE;
    while !is_well(&["--ready"], http) {
        assert!(Instant::now() < deadline, "it is not ready in time");
    }

    // The link signs in and leads to the page.
    let agent: ureq::Agent =
        ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build().into();
    let signed_in = agent.get(link).call().unwrap();
    assert_eq!(signed_in.status(), 303);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let page = agent.get(format!("http://localhost:{http}/")).header("Cookie", cookie);
    let mut page = page.call().unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.body_mut().read_to_string().unwrap().contains("<html"));

    let pid = Pid::from_raw(container.0.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(container.0.wait().unwrap().code(), Some(0));
}
