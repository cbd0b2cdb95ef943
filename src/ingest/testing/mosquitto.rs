//! A real broker on a port of its own.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::client::{self, Client};

pub struct Mosquitto {
    pub address: SocketAddr,
    directory: TempDir,
    child: Child,
}

impl Mosquitto {
    /// Starts a broker that lets everybody in and keeps nothing on disk.
    pub async fn start() -> Self {
        // Nobody else gets the port between here and there, unless by very bad luck.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        let directory = tempfile::tempdir().unwrap();
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\n\
             max_queued_messages 0\n",
            address.port()
        );
        fs::write(directory.path().join("mosquitto.conf"), settings).unwrap();
        let child = spawn(&directory);
        let broker = Self { address, directory, child };
        broker.answers().await;
        broker
    }

    pub fn host_and_port(&self) -> (String, u16) {
        (self.address.ip().to_string(), self.address.port())
    }

    /// Ends it with SIGKILL: it forgets all sessions.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub async fn start_again(&mut self) {
        self.child = spawn(&self.directory);
        self.answers().await;
    }

    /// A client that is connected.
    pub async fn client(&self, id: &str) -> Client {
        let mut client = Client::open(self.address).await;
        client.send(&client::connect(id, 60)).await;
        client.expect(&[0x20, 2, 0, 0]).await;
        client
    }

    async fn answers(&self) {
        let started = std::time::Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            assert!(started.elapsed() < super::PATIENCE, "mosquitto does not listen");
            tokio::task::yield_now().await;
        }
    }
}

fn spawn(directory: &TempDir) -> Child {
    Command::new("mosquitto")
        .arg("-c")
        .arg(directory.path().join("mosquitto.conf"))
        // Debian has it where only root looks.
        .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("mosquitto must be installed for this test (apt-get install mosquitto)")
}
