//! How a Streamgauge is started.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::ports::Port;
use super::streamgauge::Streamgauge;
use super::{seconds, within};

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_streamgauge");

/// A directory, two ports, and the settings of a Streamgauge.
#[derive(Debug)]
pub struct Stage {
    /// Everything that is written; removed with the stage.
    home: TempDir,
    /// HTTP.
    pub http: Port,
    /// For the listener, unless it is told otherwise.
    pub mqtt: Port,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
}

/// What a Streamgauge that ended has left.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote for people.
    pub stdout: String,
    /// Its complaints.
    pub stderr: String,
}

impl Stage {
    /// A listener on loopback, a supervised Redis, no sign-in.
    pub fn new() -> Self {
        let (http, mqtt) = (Port::take(), Port::take());
        // Short, for the socket of Redis is in it: at most 107 bytes.
        let home = tempfile::Builder::new().prefix("sg-").tempdir_in("/tmp").unwrap();
        let listen = mqtt.address().to_string();
        let stage = Self { home, http, mqtt, environment: BTreeMap::new(), arguments: Vec::new() };
        let (port, data) = (stage.http.number.to_string(), stage.data_dir());
        stage
            .set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .set("PORT", &port)
            .set("STREAMGAUGE_DATA_DIR", data.to_str().unwrap())
            .set("STREAMGAUGE_AUTH", "none")
            .set("STREAMGAUGE_MQTT_LISTEN", &listen)
            .set("STREAMGAUGE_REDIS_MEMORY", "512MiB")
    }

    /// Sets a variable; an empty value is as good as none.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds an argument of the command line.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Subscribes to a broker instead of listening.
    pub fn subscribed_to(self, broker: SocketAddr) -> Self {
        self.set("STREAMGAUGE_MQTT_LISTEN", "")
            .set("MQTT_BROKER_HOST", &broker.ip().to_string())
            .set("MQTT_BROKER_PORT", &broker.port().to_string())
    }

    /// Where the data directory is.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Everything the stage writes.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The same settings, but data directory and ports of its own.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.env_clear().envs(&self.environment).args(&self.arguments).stdin(Stdio::null());
        command
    }

    /// Starts it without waiting for anything.
    pub fn spawn(self) -> Streamgauge {
        Streamgauge::spawn(self)
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Streamgauge {
        let mut streamgauge = self.spawn();
        streamgauge.wait_ready(seconds(30));
        streamgauge
    }

    /// Runs it until it ends by itself, which must be within `limit`.
    pub fn run(&self, limit: Duration) -> Ended {
        let (mut child, out, err) = self.spawn_child("run");
        let mut ended = None;
        let deadline = std::time::Instant::now() + limit;
        while ended.is_none() && std::time::Instant::now() < deadline {
            std::thread::park_timeout(super::LOOK_EVERY);
            ended = child.try_wait().unwrap();
        }
        if ended.is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let [stdout, stderr] = [out, err].map(|path| std::fs::read_to_string(path).unwrap());
        let status = ended.unwrap_or_else(|| panic!("still runs after {limit:?}: {stderr}"));
        Ended { status, stdout, stderr }
    }

    /// A process whose output goes to two new files.
    pub(super) fn spawn_child(&self, name: &str) -> (Child, PathBuf, PathBuf) {
        let [out, err] = ["out", "err"].map(|end| self.home().join(format!("{name}.{end}")));
        let mut command = self.command();
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let child = command.current_dir(self.home()).spawn().unwrap();
        (child, out, err)
    }

    /// The Redis servers that work in this stage's directory, whoever started them.
    pub fn redis_pids(&self) -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| self.is_redis(*pid)).collect()
    }

    fn is_redis(&self, pid: u32) -> bool {
        let works_here = std::fs::read_link(format!("/proc/{pid}/cwd"))
            .is_ok_and(|directory| directory.starts_with(self.data_dir()));
        works_here
            && std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| ["redis-server", "valkey-server"].contains(&name.trim()))
    }

    /// Waits until no Redis is left in this stage's directory.
    pub fn wait_no_redis(&self) {
        within(seconds(10), "no Redis is left", || self.redis_pids().is_empty().then_some(()));
    }
}
