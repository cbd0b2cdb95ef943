//! How the program starts, or does not: exit codes, and what is said to the person who must act.
//!
//! These start the real binary; some of them a real redis-server (package redis-server) as its
//! child, in directories of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

/// The binary with nothing set but where it may find programs.
fn streamgauge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgauge"));
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/usr/local/bin");
    command.stdin(Stdio::null());
    command
}

fn ended(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A binary that runs on a directory; killed when the test ends otherwise.
struct Running {
    child: Child,
}

impl Running {
    fn start(data_dir: &Path) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let child = streamgauge()
            .env("PORT", port)
            .env("STREAMGAUGE_DATA_DIR", data_dir)
            .env("STREAMGAUGE_MQTT_LISTEN", "off")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    /// Waits for the supervised Redis; gives its process.
    fn redis_pid(&mut self) -> i32 {
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        for line in lines.map_while(Result::ok) {
            said += &line;
            said += "\n";
            if let Some((_, pid)) = line.split_once("pid=") {
                return pid.trim().parse().unwrap();
            }
        }
        panic!("it ended without a Redis: {said}");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::yield_now();
        }
        panic!("it does not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// A zombie has ended; an orphan is one until the first process of the machine notices.
fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn wrong_settings_are_all_named_at_once_with_exit_78() {
    let home = tempfile::tempdir().unwrap();
    let output = ended(
        streamgauge()
            .env("STREAMGAUGE_DATA_DIR", home.path().join("data"))
            .env("REDIS_URL", "rediss://user:hunter2@host")
            .env("STREAMGAUGE_SHRADS", "8")
            .env("MQTT_PASSWORD", "hunter2")
            .args(["--port", "99999"]),
    );
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 4, "{said}");
    for name in ["REDIS_URL=rediss://user:***@host", "STREAMGAUGE_SHRADS", "MQTT_PASSWORD"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(said.contains("PORT=99999 (from the command line)"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!home.path().join("data").exists(), "it began to work");
}

#[test]
fn each_feature_that_is_not_built_is_refused_by_name() {
    for (name, value) in [
        ("MQTT_BROKER_HOST", "mqtts://broker"),
        ("REDIS_URL", "rediss://host"),
        ("REDIS_URL", "redis+cluster://one,two"),
        ("STREAMGAUGE_DURABILITY", "replica:1"),
        ("STREAMGAUGE_HISTORY_BYTES", "1GiB"),
        ("STREAMGAUGE_ROLLUP_RETENTION", "1m=7d"),
        ("STREAMGAUGE_CORS_ORIGINS", "https://example.org"),
    ] {
        let output = ended(streamgauge().env(name, value));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(name) && said.contains(value) && said.contains("this version"));
    }
}

#[test]
fn the_effective_settings_are_printed_without_secrets() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("key");
    std::fs::write(&file, "hunter2 hunter2 hunter2\n").unwrap();
    let output =
        ended(streamgauge().env("SECRET_KEY_FILE", &file).env("FLASK_ENV", "production").args([
            "config",
            "--data-dir",
            "/elsewhere",
        ]));
    assert!(output.status.success());
    let said = text(&output.stdout);
    let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("SECRET_KEY").ends_with("file"), "{said}");
    assert!(line("STREAMGAUGE_DATA_DIR").contains("/elsewhere"), "{said}");
    assert!(line("warning").contains("FLASK_ENV"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn without_a_server_it_says_what_to_install() {
    let home = tempfile::tempdir().unwrap();
    let output = ended(
        streamgauge()
            .env("PATH", "/nonexistent")
            .env("STREAMGAUGE_MQTT_LISTEN", "off")
            .env("STREAMGAUGE_DATA_DIR", home.path()),
    );
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for word in ["redis-server", "valkey", "REDIS_URL"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn a_taken_address_is_named_with_its_variable_and_leaves_nothing_running() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free_port = free.local_addr().unwrap().port().to_string();
    drop(free);
    for (variable, value, port) in [
        ("PORT", address.port().to_string(), address.port().to_string()),
        ("STREAMGAUGE_MQTT_LISTEN", address.to_string(), free_port),
    ] {
        let home = tempfile::tempdir().unwrap();
        let output = ended(
            streamgauge()
                .env("STREAMGAUGE_MQTT_LISTEN", "off")
                .env("PORT", port)
                .env("STREAMGAUGE_DATA_DIR", home.path())
                .env(variable, value),
        );
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(variable) && said.contains(&address.to_string()), "{said}");
        // A server that ran, or runs, has made this file, and holds its lock.
        if let Ok(lock) = std::fs::File::open(home.path().join("redis/redis.lock")) {
            assert!(lock.try_lock().is_ok(), "a Redis was left behind");
        }
    }
}

#[test]
fn a_second_one_on_the_same_directory_ends_and_the_first_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Running::start(home.path());
    let redis = first.redis_pid();
    let mut second = Running::start(home.path());
    assert_eq!(second.exit_code(), Some(1));
    let mut said = String::new();
    second.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("already runs") && said.contains("STREAMGAUGE_DATA_DIR"), "{said}");
    assert!(is_running(redis));
    first.signal(Signal::TERM);
    assert_eq!(first.exit_code(), Some(0));
    assert!(!is_running(redis), "its Redis was left behind");
}

#[test]
fn after_a_kill_its_successor_takes_over_from_the_orphaned_redis() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Running::start(home.path());
    let orphan = first.redis_pid();
    first.signal(Signal::KILL);
    assert_eq!(first.exit_code(), None);
    let mut second = Running::start(home.path());
    let redis = second.redis_pid();
    assert_ne!(redis, orphan);
    assert!(!is_running(orphan), "two servers on one directory");
    second.signal(Signal::TERM);
    assert_eq!(second.exit_code(), Some(0));
}

#[test]
fn health_is_one_line_and_an_exit_code() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let output = ended(streamgauge().args(["health", "--port", &port]));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.lines().count() == 1 && said.contains(&port), "{said}");
}
