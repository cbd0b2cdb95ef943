//! A Streamgauge that runs: asked, killed, restarted, and never left behind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use loadtest::api::Api;
use rustix::process::Signal;
use serde_json::Value;

use super::http::{Answer, get};
use super::stage::Stage;
use super::{seconds, signal, within};

/// What it promises is ten seconds from SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A process on a stage. Dropped, it is killed with its Redis; when the test failed, the end of
/// its log is shown.
#[derive(Debug)]
pub struct Streamgauge {
    /// Where it runs.
    pub stage: Stage,
    child: Child,
    lives: u32,
    out: PathBuf,
    err: PathBuf,
}

impl Streamgauge {
    pub(super) fn spawn(stage: Stage) -> Self {
        let (child, out, err) = stage.spawn_child("life-1");
        Self { stage, child, lives: 1, out, err }
    }

    /// Waits until `/readyz` says yes.
    pub fn wait_ready(&mut self, limit: Duration) {
        within(limit, "/readyz answers 200", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended with {ended:?} before it was ready");
            self.is_ready().then_some(())
        });
    }

    /// Whether `/readyz` says yes.
    pub fn is_ready(&self) -> bool {
        self.try_get("/readyz").is_some_and(|answer| answer.status == 200)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process of its supervised Redis.
    pub fn redis_pid(&self) -> u32 {
        within(seconds(10), "one supervised Redis", || match self.stage.redis_pids()[..] {
            [pid] => Some(pid),
            _ => None,
        })
    }

    /// Where HTTP is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.stage.http.address())
    }

    /// Where devices publish.
    pub fn mqtt(&self) -> SocketAddr {
        self.stage.mqtt.address()
    }

    /// For the checks of the load generator.
    pub fn api(&self) -> Api {
        Api::new(&self.url(""), None)
    }

    /// An answer, if somebody gives one.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        get(&self.url(path), &[])
    }

    /// The JSON of an answer that must be good.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.try_get(path).unwrap_or_else(|| panic!("no answer to {path}"));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// The row of a series in `/api/sensors/{id}`, if there is one.
    pub fn row(&self, id: &str, sensor_type: &str) -> Option<Value> {
        let answer = self.try_get(&format!("/api/sensors/{id}"))?;
        if answer.status != 200 {
            return None;
        }
        let json = answer.json();
        let rows = json["sensors"].as_array().unwrap();
        rows.iter().find(|row| row["sensor_type"] == sensor_type).cloned()
    }

    /// Waits until a series has so many readings.
    pub fn wait_count(&self, id: &str, sensor_type: &str, count: u64) -> Value {
        let mut last = None;
        let limit = seconds(10);
        let deadline = std::time::Instant::now() + limit;
        while std::time::Instant::now() < deadline {
            last = self.row(id, sensor_type);
            if let Some(row) = last.take_if(|row| row["count"] == count) {
                return row;
            }
            std::thread::park_timeout(super::LOOK_EVERY);
        }
        panic!("{id} {sensor_type} has no count {count} within {limit:?}: {last:?}");
    }

    /// What it said for people since it was started last.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }

    /// SIGKILL, and waits for the end of the process; its Redis lives on.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGKILL to its Redis, and waits until it has another.
    pub fn kill_redis(&self) {
        let old = self.redis_pid();
        signal(old, Signal::KILL);
        let is_new = || self.stage.redis_pids().iter().any(|pid| *pid != old);
        within(seconds(10), "another Redis", || is_new().then_some(()));
    }

    /// The same settings once more, on the same ports and data directory.
    pub fn respawn(&mut self) {
        assert!(self.child.try_wait().unwrap().is_some(), "it still runs");
        self.lives += 1;
        (self.child, self.out, self.err) = self.stage.spawn_child(&format!("life-{}", self.lives));
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        signal(self.pid(), Signal::TERM);
    }

    /// SIGTERM, and waits as long as it may take to stop.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait_end(STOP_LIMIT)
    }

    /// Waits for the end of the process.
    pub fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        within(limit, "the end of the process", || self.child.try_wait().unwrap())
    }

    fn last_lines(&self) -> String {
        let text = std::fs::read(&self.err).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Streamgauge {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the server said")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("streamgauge, life {}, said last:\n{}", self.lives, self.last_lines());
        }
        // An error here means that it has ended already.
        let _was_running = self.child.kill().and_then(|()| self.child.wait()).is_ok();
        for pid in self.stage.redis_pids() {
            signal(pid, Signal::KILL);
        }
    }
}
