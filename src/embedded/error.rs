//! Why what is embedded cannot start.

use std::io;
use std::path::{Path, PathBuf};

/// Why what is embedded cannot start. Everything that may pass is retried instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses the data directory; stop it or set another directory.
    #[error(
        "another Streamgauge{} already runs on the data directory {}: \
         stop it, or set STREAMGAUGE_DATA_DIR to another directory",
        holder(.pid.as_deref()),
        .path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The process that says it holds it.
        pid: Option<String>,
    },
    /// Neither Redis nor Valkey is installed; install one or name one.
    #[error(
        "no Redis server is installed: install one (Debian, Ubuntu: apt-get install redis-server; \
         Fedora, Alpine, Arch: the package valkey), or set REDIS_URL to one that runs elsewhere"
    )]
    NoServer,
    /// The server is older than what the data model needs; install a newer one or name one.
    #[error(
        "{program} is version {version}, but Redis 7.0 or Valkey 7.2 is needed at least: \
         install a newer one, or set REDIS_URL to one that runs elsewhere"
    )]
    TooOld {
        /// What was found.
        program: &'static str,
        /// What it says of itself.
        version: String,
    },
    /// The directory of the socket belongs to somebody else, who could answer in Redis's place.
    #[error("{} must be a directory of this user that nobody else may enter", .path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
    /// The system refuses something; the text says what and where.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no random numbers.
    #[error("no random numbers from the system")]
    Random(#[from] getrandom::Error),
}

impl Error {
    /// For `map_err`: what was tried, and on what.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

fn holder(pid: Option<&str>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
