//! Servers that Streamgauge is given: a Redis of somebody else's, a broker.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use loadtest::server::installed;
use rustix::process::Signal;
use tempfile::TempDir;

use super::ports::Port;
use super::{seconds, signal, within};

/// A redis-server on a port of its own that fsyncs every write.
#[derive(Debug)]
pub struct Redis {
    /// Where it listens.
    pub port: Port,
    home: TempDir,
    child: Option<Child>,
}

impl Redis {
    /// A place for one that does not run yet.
    pub fn prepare() -> Self {
        Self { port: Port::take(), home: home(), child: None }
    }

    /// One that runs.
    pub fn start() -> Self {
        let mut redis = Self::prepare();
        redis.run();
        redis
    }

    /// Starts it, for the first time or again, and waits until it answers.
    pub fn run(&mut self) {
        let mut command = Command::new("redis-server");
        let port = self.port.number.to_string();
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        command.arg("--dir").arg(self.home.path());
        self.child = Some(start(&mut command, self.home.path()));
        within(seconds(20), "Redis answers", || {
            redis::cmd("PING").query::<String>(&mut self.try_connect()?).ok()
        });
    }

    /// For `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.port.address())
    }

    /// A connection that must succeed.
    pub fn connection(&self) -> redis::Connection {
        self.try_connect().expect("Redis does not answer")
    }

    fn try_connect(&self) -> Option<redis::Connection> {
        redis::Client::open(self.url()).unwrap().get_connection().ok()
    }

    /// Stops or continues it, as a machine that hangs does.
    pub fn signal(&self, which: Signal) {
        signal(self.child.as_ref().unwrap().id(), which);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A mosquitto with queues without limit, so that it drops nothing while it runs.
#[derive(Debug)]
pub struct Mosquitto {
    address: SocketAddr,
    /// Held when the port was found, not given.
    _port: Option<Port>,
    /// Messages that it sends a client before one is acknowledged; 0: as many as there are.
    window: u16,
    home: TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    /// On a free port.
    pub fn start() -> Self {
        let port = Port::take();
        Self::start_with(port.address(), Some(port), 1000)
    }

    /// On a free port; it does not wait for acknowledgements.
    pub fn start_without_window() -> Self {
        let port = Port::take();
        Self::start_with(port.address(), Some(port), 0)
    }

    /// Where it is told to be.
    pub fn start_at(address: SocketAddr) -> Self {
        Self::start_with(address, None, 1000)
    }

    fn start_with(address: SocketAddr, port: Option<Port>, window: u16) -> Self {
        let mut mosquitto = Self { address, _port: port, window, home: home(), child: None };
        mosquitto.run();
        mosquitto
    }

    /// Starts it, for the first time or again, and waits until it listens.
    pub fn run(&mut self) {
        let configuration = self.home.path().join("mosquitto.conf");
        let text = format!(
            "listener {} {}\nallow_anonymous true\nmax_inflight_messages {}\n\
             max_queued_messages 0\nlog_type error\npersistence false\n",
            self.address.port(),
            self.address.ip(),
            self.window,
        );
        std::fs::write(&configuration, text).unwrap();
        let mut command = Command::new(installed("mosquitto"));
        command.arg("-c").arg(&configuration);
        self.child = Some(start(&mut command, self.home.path()));
        within(seconds(20), "mosquitto listens", || TcpStream::connect(self.address).ok());
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// SIGTERM; it forgets its clients.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        signal(child.id(), Signal::TERM);
        within(seconds(10), "mosquitto ends", || child.try_wait().unwrap());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn home() -> TempDir {
    tempfile::Builder::new().prefix("sg-").tempdir_in("/tmp").unwrap()
}

fn start(command: &mut Command, home: &Path) -> Child {
    let log = File::create(home.join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let program = command.get_program().to_owned();
    command.spawn().unwrap_or_else(|error| panic!("{program:?} is not installed: {error}"))
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        // An error here means that it has ended already.
        let _was_running = child.kill().and_then(|()| child.wait()).is_ok();
    }
}
