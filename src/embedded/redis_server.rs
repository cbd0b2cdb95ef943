//! A Redis of our own: started, watched, restarted, and stopped last of all.
//!
//! Never two servers on one directory: whoever runs there holds `redis.lock`, which the child
//! inherits. When Streamgauge is killed its server lives on and keeps the lock; the successor
//! asks it to shut down over its socket and waits. A server that ended otherwise than asked may
//! have left half a transaction in its file, which is cut before the next start (see `aof.rs`).

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::aof::{self, Mended};
use super::redis_child::{self, Program, Server};
use super::redis_home::Home;
use super::{DataDir, Error};

/// The first wait after an unexpected end, doubled up to the longest.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
/// Long enough not to wear out a full disk, short enough to be back soon: a guess.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// A server that was ready so long is not the one that fails at once: waiting starts anew.
const STEADY: Duration = Duration::from_secs(1);
/// How often a starting server is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// How often an orphan's lock is tried.
const ORPHAN_EVERY: Duration = Duration::from_millis(20);
/// How long an orphan may take to write what it has; then the operator is told.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long our own may take at the end; the whole of Streamgauge has ten seconds.
const END_TIMEOUT: Duration = Duration::from_secs(8);

/// How the supervised Redis is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisState {
    /// Not yet, for the first time or again.
    Starting,
    /// It takes commands.
    Ready,
    /// It ended, or could not start; it will be tried again.
    Restarting {
        /// What is known of the reason.
        why: String,
    },
}

/// The supervised Redis. Stop it with [`RedisServer::stop`], after every room that writes to it.
#[derive(Debug)]
pub struct RedisServer {
    url: String,
    pid: Arc<AtomicU32>,
    state: watch::Receiver<RedisState>,
    /// Ends the server when dropped, too; only then nobody waits for it.
    end: DropGuard,
    /// Ends with whether the server ended well.
    supervisor: JoinHandle<bool>,
}

impl RedisServer {
    /// Finds a server program and starts it in the background; ready is when
    /// [`RedisServer::state`] says so.
    ///
    /// # Errors
    /// [`Error::NoServer`] and [`Error::TooOld`]: the operator must install one;
    /// [`Error::NotPrivate`] and [`Error::Io`]: the data directory cannot be used.
    pub async fn start(data_dir: &DataDir, maxmemory_bytes: u64) -> Result<Self, Error> {
        let program = redis_child::find_program().await?;
        let home = Home::prepare(data_dir.path(), maxmemory_bytes)?;
        let lock = home.lock_file()?;
        let url = home.url();
        let pid = Arc::new(AtomicU32::new(0));
        let (said, state) = watch::channel(RedisState::Starting);
        let end = CancellationToken::new();
        let supervisor = Supervisor {
            program,
            home,
            lock,
            alone: false,
            url: url.clone(),
            pid: Arc::clone(&pid),
            state: said,
            end: end.clone(),
            logs: TaskTracker::new(),
        };
        let supervisor = TaskTracker::new().spawn(supervisor.run());
        Ok(Self { url, pid, state, end: end.drop_guard(), supervisor })
    }

    /// `unix://…`, for the redis crate; the same over all restarts.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The running server's process; `None` between two.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.pid.load(Ordering::Relaxed) {
            0 => None,
            pid => Some(pid),
        }
    }

    /// How it is doing, as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<RedisState> {
        self.state.clone()
    }

    /// Ends the server, last of all: it writes what it has. Gives whether it ended well.
    pub async fn stop(self) -> bool {
        drop(self.end);
        self.supervisor.await.unwrap_or(false)
    }
}

/// The task behind [`RedisServer`].
struct Supervisor {
    program: Program,
    home: Home,
    /// Locked from the first life on (see `alone`). Each child gets a descriptor of the same open
    /// file, and with it the same lock.
    lock: File,
    /// Whether the lock is ours: then no other server runs on the directory.
    alone: bool,
    url: String,
    pid: Arc<AtomicU32>,
    state: watch::Sender<RedisState>,
    end: CancellationToken,
    logs: TaskTracker,
}

impl Supervisor {
    async fn run(mut self) -> bool {
        let mut back_off = BACK_OFF_MIN;
        let ended_well = loop {
            let started = Instant::now();
            let why = match self.live().await {
                Ok(ended_well) => break ended_well,
                Err(why) => why,
            };
            self.pid.store(0, Ordering::Relaxed);
            let was_ready = *self.state.borrow() == RedisState::Ready;
            if was_ready && started.elapsed() > STEADY {
                back_off = BACK_OFF_MIN;
            }
            tracing::error!(retry_in = ?back_off, "supervised Redis is down: {why}");
            self.state.send_replace(RedisState::Restarting { why });
            tokio::select! {
                () = sleep(back_off) => {}
                () = self.end.cancelled() => break true,
            }
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        };
        self.logs.close();
        self.logs.wait().await;
        ended_well
    }

    /// One server from start to end. `Ok` when it was asked to end.
    async fn live(&mut self) -> Result<bool, String> {
        let client = redis::Client::open(self.url.as_str()).map_err(|error| error.to_string())?;
        let end = self.end.clone();
        if !self.alone {
            tokio::select! {
                alone = self.be_alone(&client) => alone?,
                () = end.cancelled() => return Ok(true),
            }
            self.alone = true;
        }
        self.mend().await?;
        self.home.mark_unclean().map_err(|error| format!("data directory: {error}"))?;
        let lock = self.lock.try_clone().map_err(|error| format!("its lock: {error}"))?;
        let mut server = Server::start(&self.program, &self.home, lock, &self.logs)
            .map_err(|error| format!("{} does not start: {error}", self.program.name))?;
        self.pid.store(server.pid().unwrap_or(0), Ordering::Relaxed);
        tokio::select! {
            why = server.ended() => return Err(why),
            () = until_ready(&client) => {}
            () = end.cancelled() => return Ok(self.end(server).await),
        }
        server.has_started();
        tracing::info!(
            program = self.program.name,
            version = self.program.version,
            pid = server.pid(),
            "supervised Redis is ready"
        );
        self.state.send_replace(RedisState::Ready);
        tokio::select! {
            why = server.ended() => Err(why),
            () = end.cancelled() => Ok(self.end(server).await),
        }
    }

    /// Takes the lock; an orphan that holds it is asked to end, and waited for.
    async fn be_alone(&self, client: &redis::Client) -> Result<(), String> {
        let deadline = Instant::now() + ORPHAN_TIMEOUT;
        let mut asked = false;
        loop {
            match self.lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(format!(
                        "another server still runs in {} and does not end when asked; \
                         end it by hand",
                        self.home.directory.display()
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(format!("its lock: {error}")),
            }
            if !asked {
                // An orphan that is just starting refuses; it is asked again.
                asked = redis_child::shut_down(client).await.is_ok();
                if asked {
                    tracing::info!("asked the Redis of a predecessor to shut down");
                }
            }
            sleep(ORPHAN_EVERY).await;
        }
        // A server that ends as asked removes its socket last of all.
        if asked && !self.home.socket.exists() {
            self.home.mark_clean().map_err(|error| format!("data directory: {error}"))?;
        }
        Ok(())
    }

    /// Cuts a torn tail, unless the last server ended as it was asked to.
    async fn mend(&self) -> Result<(), String> {
        if !self.home.is_unclean() {
            return Ok(());
        }
        let directory = self.home.directory.clone();
        let mended = tokio::task::spawn_blocking(move || aof::mend(&directory)).await;
        match mended.map_err(std::io::Error::from).flatten() {
            Ok(Mended::Nothing) => Ok(()),
            Ok(Mended::Cut { file, bytes, copy }) => {
                tracing::warn!(
                    file = %file.display(),
                    bytes,
                    copy = %copy.display(),
                    "Redis ended in the middle of a write that nobody was told of; it was cut"
                );
                Ok(())
            }
            // The server will say it in its own words, too, and not start.
            Ok(Mended::Damaged { file, at }) => {
                tracing::error!(
                    file = %file.display(),
                    at,
                    "the append-only file is damaged before its end; \
                     restore a copy, or run redis-check-aof on it"
                );
                Ok(())
            }
            Err(error) => Err(format!("its append-only file: {error}")),
        }
    }

    async fn end(&self, mut server: Server) -> bool {
        let ended_well = timeout(END_TIMEOUT, server.end()).await.unwrap_or(false);
        self.pid.store(0, Ordering::Relaxed);
        if !ended_well {
            tracing::error!("supervised Redis did not end as asked; the next start looks after it");
            return false;
        }
        if let Err(error) = self.home.mark_clean() {
            // Harmless: the next start only checks once more.
            tracing::warn!(%error, "cannot remember that Redis ended well");
        }
        true
    }
}

async fn until_ready(client: &redis::Client) {
    while !redis_child::is_ready(client).await {
        sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
#[path = "redis_server_tests.rs"]
mod tests;
