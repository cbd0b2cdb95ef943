//! The data directory: who may use it, which node that is, and the secrets it keeps.
//!
//! `streamgauge.lock` is locked as long as the process lives and is closed on exec, so that no
//! child keeps it. It holds the node's identity: whoever gets the lock next is the same node and
//! takes over its shards at once, without waiting for a heartbeat to be missed.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::Error;

/// How long a predecessor that was just killed may take to let go of its lock. The kernel needs
/// milliseconds to take down a process, more when it frees much memory: a guess.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the lock is tried meanwhile.
const RETRY: Duration = Duration::from_millis(20);
const NODE_ID_DIGITS: usize = 16;
/// 192 bits: beyond guessing, and still one line in a terminal.
const SECRET_BYTES: usize = 24;

/// The data directory, held by this process alone.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    node_id: String,
    /// Held until the process ends; dropping it lets the next one in.
    _lock: File,
}

/// Secrets that are generated when nobody gives them, and kept in 0600 files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// What people sign in with.
    ApiToken,
    /// What keys the HMAC under which sessions are stored.
    SecretKey,
    /// What devices sign in with beyond loopback.
    DevicePassword,
}

impl Kept {
    /// Its file in the data directory.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::ApiToken => "api-token",
            Self::SecretKey => "secret-key",
            Self::DevicePassword => "device-password",
        }
    }
}

impl DataDir {
    /// Makes the directory when there is none (0700), and locks it.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process holds it for longer than a killed one takes to go;
    /// [`Error::Io`] when the system refuses.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(Error::io("create the data directory", path))?;
        let path = path.canonicalize().map_err(Error::io("find the data directory", path))?;
        let lock_path = path.join("streamgauge.lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(Error::io("open", &lock_path))?;
        let deadline = Instant::now() + PREDECESSOR_TIMEOUT;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(RETRY).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = read_lines(&mut lock).ok().and_then(|lines| lines.1);
                    return Err(Error::InUse { path, pid });
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io("lock", &lock_path)(error));
                }
            }
        }
        let (stored, _) = read_lines(&mut lock).map_err(Error::io("read", &lock_path))?;
        let node_id = match stored.filter(|id| is_node_id(id)) {
            Some(id) => id,
            None => random_hex(NODE_ID_DIGITS / 2)?,
        };
        write_lines(&mut lock, &node_id).map_err(Error::io("write", &lock_path))?;
        Ok(Self { path, node_id, _lock: lock })
    }

    /// The directory, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// 16 hex digits; the same for every process that runs on this directory.
    #[must_use]
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// A secret: what its file holds, or a new one, written before it is returned.
    ///
    /// # Errors
    /// [`Error::Io`] when the file can be neither read nor written.
    pub fn secret(&self, kept: Kept) -> Result<String, Error> {
        let path = self.path.join(kept.file_name());
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => {
                let private = fs::Permissions::from_mode(0o600);
                fs::set_permissions(&path, private).map_err(Error::io("protect", &path))?;
                return Ok(text.trim().to_owned());
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", &path)(error)),
        }
        let secret = random_hex(SECRET_BYTES)?;
        write_private(&path, &format!("{secret}\n")).map_err(Error::io("write", &path))?;
        Ok(secret)
    }
}

/// Writes a 0600 file whole or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_parent(path)
}

/// Makes a new or removed name in a directory survive a power failure.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// So many random bytes, as twice as many hex digits.
fn random_hex(bytes: usize) -> Result<String, Error> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)?;
    Ok(random.iter().fold(String::with_capacity(2 * bytes), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    }))
}

fn is_node_id(text: &str) -> bool {
    text.len() == NODE_ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The lock file's lines: node id, process id.
fn read_lines(lock: &mut File) -> io::Result<(Option<String>, Option<String>)> {
    let mut text = String::new();
    lock.rewind()?;
    lock.read_to_string(&mut text)?;
    let mut lines = text.lines().map(str::to_owned);
    Ok((lines.next(), lines.next()))
}

fn write_lines(lock: &mut File, node_id: &str) -> io::Result<()> {
    lock.rewind()?;
    // The node id is always as long, so that a crash here leaves the old one or the new one.
    let text = format!("{node_id}\n{}\n", std::process::id());
    lock.write_all(text.as_bytes())?;
    lock.set_len(text.len() as u64)?;
    lock.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_successor_is_the_same_node_and_keeps_the_secrets() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let first = DataDir::open(&path).await.unwrap();
        let (id, token) = (first.node_id().to_owned(), first.secret(Kept::ApiToken).unwrap());
        assert!(is_node_id(&id));
        assert_eq!(token.len(), 2 * SECRET_BYTES);
        assert_ne!(token, first.secret(Kept::SecretKey).unwrap());
        drop(first);
        let second = DataDir::open(&path).await.unwrap();
        assert_eq!(second.node_id(), id);
        assert_eq!(second.secret(Kept::ApiToken).unwrap(), token);
    }

    #[tokio::test(start_paused = true)]
    async fn two_processes_never_share_a_directory() {
        let home = tempfile::tempdir().unwrap();
        let _first = DataDir::open(home.path()).await.unwrap();
        let error = DataDir::open(home.path()).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        assert!(said.contains("STREAMGAUGE_DATA_DIR"), "{said}");
    }

    #[tokio::test]
    async fn nobody_else_may_read_what_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let dir = DataDir::open(&path).await.unwrap();
        dir.secret(Kept::DevicePassword).unwrap();
        let file = path.join("device-password");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        dir.secret(Kept::DevicePassword).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
    }

    #[tokio::test]
    async fn a_damaged_lock_file_gets_a_new_node_id() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("streamgauge.lock"), "not an id").unwrap();
        assert!(is_node_id(DataDir::open(home.path()).await.unwrap().node_id()));
    }
}
