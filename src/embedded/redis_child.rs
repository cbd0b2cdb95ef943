//! One life of the supervised server: found, started, listened to, asked to end.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio_util::task::TaskTracker;

use super::Error;
use super::redis_home::Home;

/// In the order of preference.
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];
/// Last lines of the server's log, of which an unexpected end is explained.
const LAST_LINES: usize = 4;
/// Whether the server's advice was passed on; once is enough for all its restarts.
static ADVISED: AtomicBool = AtomicBool::new(false);
/// A reply to PING or SHUTDOWN comes at once or the server is busy.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// A server program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub name: &'static str,
    /// As it says itself, such as `7.0.15`.
    pub version: String,
}

/// Looks for a server in the search path and asks for its version.
pub(super) async fn find_program() -> Result<Program, Error> {
    for name in PROGRAMS {
        let output = match Command::new(name).arg("--version").stdin(Stdio::null()).output().await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            output => output.map_err(Error::io("run", name.as_ref()))?,
        };
        let version = version_of(&String::from_utf8_lossy(&output.stdout));
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        // A version that cannot be read is given the benefit of the doubt.
        if major.is_some_and(|major| major < 7) {
            return Err(Error::TooOld { program: name, version });
        }
        return Ok(Program { name, version });
    }
    Err(Error::NoServer)
}

/// From `Redis server v=7.0.15 sha=…`.
fn version_of(said: &str) -> String {
    let word = said.split_whitespace().find_map(|word| word.strip_prefix("v="));
    word.unwrap_or("unknown").to_owned()
}

/// A running server. Dropped without [`Server::end`] it is asked to end all the same: a runtime
/// that goes away leaves no half-started server behind.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    last_lines: LastLines,
}

/// The end of the server's log; held by the two tasks that read it too.
type LastLines = Arc<Mutex<VecDeque<String>>>;

impl Server {
    /// Starts the program. The lock goes to it as its standard input, which it never reads: so
    /// it is inherited without making any descriptor inheritable that other children would get.
    pub(super) fn start(
        program: &Program,
        home: &Home,
        lock: File,
        tracker: &TaskTracker,
    ) -> io::Result<Self> {
        let mut child = Command::new(program.name)
            .arg(&home.configuration)
            .current_dir(&home.directory)
            .stdin(Stdio::from(lock))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal goes to the whole foreground group; the server must outlive
            // the rooms that still write to it.
            .process_group(0)
            .spawn()?;
        let last_lines = LastLines::default();
        if let Some(output) = child.stdout.take() {
            tracker.spawn(forward(output, Arc::clone(&last_lines)));
        }
        if let Some(output) = child.stderr.take() {
            tracker.spawn(forward(output, Arc::clone(&last_lines)));
        }
        Ok(Self { child, last_lines })
    }

    /// `None` once it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// It takes commands now: what it said while starting explains nothing any more.
    pub(super) fn has_started(&self) {
        self.last_lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits for an end that nobody asked for; says why as well as it can.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn ended(&mut self) -> String {
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => format!("lost: {error}"),
        };
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        match lines.is_empty() {
            true => status,
            false => format!("{status}; it said: {}", lines.join(" | ")),
        }
    }

    /// Asks the server to end and waits for it: it first writes what it has.
    /// Gives whether it ended well.
    pub(super) async fn end(&mut self) -> bool {
        self.ask_to_end();
        self.child.wait().await.is_ok_and(|status| status.success())
    }

    fn ask_to_end(&self) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, Signal::TERM)
        {
            tracing::warn!(%error, "cannot ask the supervised Redis to end");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ask_to_end();
    }
}

/// Passes the server's log on and remembers its warnings. Ends with the server.
async fn forward(output: impl AsyncRead + Unpin, last_lines: LastLines) {
    let mut lines = BufReader::new(output).lines();
    // An unreadable line is the end too: the server does not mind a closed pipe.
    while let Ok(Some(line)) = lines.next_line().await {
        let (is_warning, text) = read_line(&line);
        if text.is_empty() {
            continue;
        }
        // Advice for the machine's settings, given at every start.
        let is_advice = text.starts_with("WARNING");
        match is_advice && !ADVISED.swap(true, Ordering::Relaxed) {
            true => tracing::warn!("supervised Redis: {text}"),
            false => tracing::debug!("supervised Redis: {text}"),
        }
        if is_warning && !is_advice {
            let mut last = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(text.to_owned());
        }
    }
}

/// From `1234:M 23 Nov 2026 17:46:36.123 # text`: whether it is a warning (`#`), and the text.
/// What does not look so was written before the log opened and is taken for a warning.
fn read_line(line: &str) -> (bool, &str) {
    let mut words = line.splitn(7, ' ');
    let is_log = words
        .next()
        .and_then(|word| word.split_once(':'))
        .is_some_and(|(pid, _)| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()));
    match (is_log, words.nth(4), words.next()) {
        (true, Some(level), Some(text)) => (level == "#", text.trim()),
        _ => (true, line.trim()),
    }
}

/// Whether a server on the socket takes commands; not while it loads.
pub(super) async fn is_ready(client: &redis::Client) -> bool {
    ask(client, &redis::cmd("PING")).await.is_ok()
}

/// Asks whoever listens on the socket to end, keeping all it has.
pub(super) async fn shut_down(client: &redis::Client) -> redis::RedisResult<()> {
    match ask(client, redis::cmd("SHUTDOWN").arg("NOSAVE")).await {
        // The server ends without an answer.
        Err(error) if error.is_connection_dropped() => Ok(()),
        answer => answer,
    }
}

async fn ask(client: &redis::Client, command: &redis::Cmd) -> redis::RedisResult<()> {
    let timeouts = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(REPLY_TIMEOUT))
        .set_response_timeout(Some(REPLY_TIMEOUT));
    let mut connection = client.get_multiplexed_async_connection_with_config(&timeouts).await?;
    command.exec_async(&mut connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version_of("Redis server v=7.0.15 sha=00000000:0 malloc=x"), "7.0.15");
        assert_eq!(version_of("Valkey server v=8.1.1 sha=0 malloc=x"), "8.1.1");
        assert_eq!(version_of("something else"), "unknown");
    }

    #[test]
    fn the_servers_log_is_understood() {
        let line = "87:M 23 Nov 2026 17:46:36.123 # Error writing: No space left on device";
        assert_eq!(read_line(line), (true, "Error writing: No space left on device"));
        let line = "87:M 23 Nov 2026 17:46:36.123 * Ready to accept connections";
        assert_eq!(read_line(line), (false, "Ready to accept connections"));
        let line = "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***";
        assert_eq!(read_line(line), (true, line));
    }
}
