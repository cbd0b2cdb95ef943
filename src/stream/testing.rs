//! A Redis of a test's own: a child on a unix socket in a directory that goes with it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::connection::{Link, Server};

/// A guess: a server starts within tens of milliseconds, on a busy machine within seconds.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server; it ends when this is dropped.
pub struct RedisServer {
    directory: TempDir,
    child: Child,
}

impl RedisServer {
    /// Starts a server with `settings` beside those of a server in memory, and waits for it.
    pub async fn start(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
            .args(settings)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed for this test: install the package redis-server");
        let started = Self { directory, child };
        let deadline = Instant::now() + START_TIMEOUT;
        while started.server().connect().await.is_err() {
            assert!(Instant::now() < deadline, "redis-server did not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        started
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Where it is.
    pub fn server(&self) -> Server {
        Server::new(&format!("unix://{}", self.socket().display())).unwrap()
    }

    /// A fresh link to it.
    pub fn link(&self) -> Link {
        Link::new(self.server())
    }

    /// Runs one command given as its words.
    pub async fn run(&self, words: &[&[u8]]) -> redis::Value {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        self.link().run(&command).await.unwrap()
    }

    /// Runs one command given as text, words between single spaces, and returns text.
    pub async fn ask(&self, words: &str) -> Option<String> {
        let mut command = redis::Cmd::new();
        for word in words.split(' ') {
            command.arg(word);
        }
        self.link().run(&command).await.unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
