//! The servers that a run starts for itself: Streamgauge, mosquitto, redis-server.
//!
//! Each has a free port of 127.0.0.1 and a fresh directory on a real disk, and is ended by this
//! program: orderly at the end of a run, by force when the run failed.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::api::Api;
use crate::options::Place;
use crate::process::Process;

/// Until a server answers: Redis loads nothing, the rest is starting processes.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Streamgauge promises to end within 10 s of SIGTERM; a little more for a busy machine.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// The API token of every Streamgauge that is started here: requests are authenticated as in life.
/// It is reached over loopback only, and is no secret.
pub const TOKEN: &str = "loadtest-loadtest-loadtest";

/// Between two looks at something awaited.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// `f_type` of tmpfs (statfs(2)).
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// A fresh directory for a server's data, removed with the value.
///
/// # Errors
/// It cannot be made, or it lies in memory, where fsync costs nothing and a result means nothing.
pub fn directory(parent: Option<&Path>) -> Result<TempDir> {
    let parent = parent.unwrap_or(Path::new("/var/tmp"));
    let directory = tempfile::Builder::new()
        .prefix("loadtest-")
        .tempdir_in(parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
    let file_system = rustix::fs::statfs(directory.path())?;
    if file_system.f_type == TMPFS_MAGIC {
        bail!("{} is in memory; give --data-dir on a real disk", parent.display());
    }
    Ok(directory)
}

/// A free port of 127.0.0.1. Somebody may take it before the server does; then that fails by name.
///
/// # Errors
/// No port is free.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Looks until `done` says so or the deadline passes; whether it did.
pub fn wait_until(timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !done() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::park_timeout(LOOK_INTERVAL);
    }
    true
}

/// A child process, ended with the value.
#[derive(Debug)]
pub struct Server {
    /// Its role and id.
    pub process: Process,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a program whose output goes to a file in `directory`.
    ///
    /// # Errors
    /// It cannot be started: most often it is not installed.
    pub fn start(name: &'static str, command: &mut Command, directory: &Path) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self { process: Process { name, pid: child.id() }, child, log })
    }

    /// Waits until the server is ready.
    ///
    /// # Errors
    /// It ended, or is not ready in time; with the end of its log.
    pub fn wait_ready(&mut self, mut ready: impl FnMut() -> bool) -> Result<()> {
        let mut ended = None;
        let in_time = wait_until(READY_TIMEOUT, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || ready()
        });
        let name = self.process.name;
        match ended {
            Some(status) => bail!("{name} ended at once ({status}):\n{}", self.log_tail()),
            None if in_time => Ok(()),
            None => bail!("{name} is not ready after {READY_TIMEOUT:?}:\n{}", self.log_tail()),
        }
    }

    /// The last lines that the server wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// SIGTERM, then waits.
    ///
    /// # Errors
    /// It does not end in time, or with another code than 0.
    pub fn stop(mut self) -> Result<()> {
        let name = self.process.name;
        self.signal(Signal::TERM)?;
        let mut ended = None;
        if !wait_until(STOP_TIMEOUT, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some()
        }) {
            bail!("{name} did not end within {STOP_TIMEOUT:?} of SIGTERM:\n{}", self.log_tail());
        }
        match ended {
            Some(status) if status.success() => Ok(()),
            other => bail!("{name} ended with {other:?}:\n{}", self.log_tail()),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process id")?, signal)
            .with_context(|| format!("cannot send {signal:?} to {}", self.process.name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // A failed run: an orderly end first, so that Streamgauge takes its Redis with it.
            let asked = self.signal(Signal::TERM).is_ok();
            let ended = asked
                && wait_until(STOP_TIMEOUT, || {
                    self.child.try_wait().is_ok_and(|status| status.is_some())
                });
            if !ended && self.child.kill().and_then(|()| self.child.wait()).is_err() {
                // There is nobody left to tell, and nothing more to try.
            }
        }
    }
}

/// A Streamgauge of this run's own.
#[derive(Debug)]
pub struct Streamgauge {
    server: Server,
    /// Its REST API.
    pub api: Api,
    /// Where its REST API and its WebSockets are.
    pub http: SocketAddr,
    /// Its listener; nobody is there when it subscribes to a broker.
    pub mqtt: SocketAddr,
    data: TempDir,
}

impl Streamgauge {
    /// Starts it and waits for `/readyz`; with a broker it subscribes there instead of listening.
    ///
    /// # Errors
    /// The binary is missing, ends at once, or does not become ready.
    pub fn start(place: &Place, broker: Option<SocketAddr>) -> Result<Self> {
        let binary = place.binary()?;
        if !binary.exists() {
            let path = binary.display();
            bail!("{path} is missing: `cargo build --release` makes it, or give --streamgauge");
        }
        let data = directory(place.keep.data_dir.as_deref())?;
        let (http, mqtt) = (free_address()?, free_address()?);
        let mut command = Command::new(binary);
        forget_settings(&mut command);
        command
            .env("PORT", http.port().to_string())
            .env("STREAMGAUGE_DATA_DIR", data.path().join("data"))
            .env("STREAMGAUGE_API_TOKEN", TOKEN)
            .env("STREAMGAUGE_LOG", "warn");
        match broker {
            None => command.env("STREAMGAUGE_MQTT_LISTEN", mqtt.to_string()),
            Some(broker) => command
                .env("MQTT_BROKER_HOST", broker.ip().to_string())
                .env("MQTT_BROKER_PORT", broker.port().to_string()),
        };
        command.envs(place.environment.iter().cloned());
        let mut server = Server::start("streamgauge", &mut command, data.path())?;
        let api = Api::new(&format!("http://{http}"), Some(TOKEN.to_owned()));
        server.wait_ready(|| api.is_ready())?;
        Ok(Self { server, api, http, mqtt, data })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.process.pid
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The address of its supervised Redis.
    #[must_use]
    pub fn redis_url(&self) -> String {
        format!("unix://{}", self.data.path().join("data/redis/redis.sock").display())
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// It does not end in time with code 0.
    pub fn stop(self) -> Result<()> {
        self.server.stop()
    }
}

/// The caller's own settings must not leak into what is measured.
fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_setting = ["STREAMGAUGE_", "MQTT_", "REDIS_", "SECRET_KEY", "CELERY_", "FLASK_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if is_setting {
            command.env_remove(&name);
        }
    }
}

/// A mosquitto of this run's own.
#[derive(Debug)]
pub struct Mosquitto {
    server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Mosquitto {
    /// Starts it with queues without limit, so that it drops nothing.
    ///
    /// # Errors
    /// It is not installed or does not listen in time.
    pub fn start(data_parent: Option<&Path>) -> Result<Self> {
        let directory = directory(data_parent)?;
        let address = free_address()?;
        let configuration = directory.path().join("mosquitto.conf");
        let text = format!(
            "listener {} {}\nallow_anonymous true\nmax_inflight_messages 1000\n\
             max_queued_messages 0\npersistence false\nlog_type error\n",
            address.port(),
            address.ip()
        );
        std::fs::write(&configuration, text)?;
        let mut command = Command::new(installed("mosquitto"));
        command.arg("-c").arg(&configuration);
        let mut server = Server::start("mosquitto", &mut command, directory.path())?;
        server.wait_ready(|| TcpStream::connect(address).is_ok())?;
        Ok(Self { server, address, _directory: directory })
    }

    /// Its role and id.
    #[must_use]
    pub fn process(&self) -> Process {
        self.server.process.clone()
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// It does not end in time with code 0.
    pub fn stop(self) -> Result<()> {
        self.server.stop()
    }
}

/// Debian keeps servers in `/usr/sbin`, which is not in everybody's PATH.
#[must_use]
pub fn installed(program: &str) -> PathBuf {
    let in_sbin = Path::new("/usr/sbin").join(program);
    if in_sbin.exists() { in_sbin } else { PathBuf::from(program) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck; exit 3"]);
        let mut server = Server::start("sh", &mut command, directory.path()).unwrap();
        let error = server.wait_ready(|| false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such luck"), "{error}");
    }

    #[test]
    fn an_orderly_end_is_told_from_a_bad_one() {
        let directory = tempfile::tempdir().unwrap();
        for (script, good) in [("exit 0", true), ("exit 7", false)] {
            let mut command = Command::new("sh");
            let script = format!("trap '{script}' TERM; echo ready; while :; do sleep 0.01; done");
            command.args(["-c", &script]);
            let mut server = Server::start("sh", &mut command, directory.path()).unwrap();
            let log = server.log.clone();
            server.wait_ready(|| std::fs::read(&log).is_ok_and(|text| !text.is_empty())).unwrap();
            assert_eq!(server.stop().is_ok(), good);
        }
    }

    #[test]
    fn data_in_memory_is_refused() {
        if Path::new("/dev/shm").exists() {
            let error = directory(Some(Path::new("/dev/shm"))).unwrap_err().to_string();
            assert!(error.contains("--data-dir"), "{error}");
        }
    }
}
