//! Where the supervised Redis lives: its directory, its socket, its configuration, its lock.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Error;
use super::data_dir::{sync_parent, write_private};

/// `sun_path` of unix(7) has room for 108 bytes, one of them NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Redis's own threshold meant a rewrite of the whole file every 1.6 s at 250,000 messages/s.
const REWRITE_BYTES_MIN: u64 = 1 << 30;

/// The places of one supervised Redis.
#[derive(Debug)]
pub(super) struct Home {
    /// Working directory of the server, 0700.
    pub directory: PathBuf,
    /// The unix socket.
    pub socket: PathBuf,
    /// The configuration file.
    pub configuration: PathBuf,
}

impl Home {
    /// Makes the directories and writes the configuration.
    pub(super) fn prepare(data_dir: &Path, maxmemory_bytes: u64) -> Result<Self, Error> {
        let directory = data_dir.join("redis");
        make_private(&directory)?;
        let socket = socket_path(&directory)?;
        let configuration = directory.join("redis.conf");
        let text = configuration_text(&directory, &socket, maxmemory_bytes);
        write_private(&configuration, &text).map_err(Error::io("write", &configuration))?;
        Ok(Self { directory, socket, configuration })
    }

    /// The address for the redis crate.
    pub(super) fn url(&self) -> String {
        let mut url = "unix://".to_owned();
        for &byte in self.socket.as_os_str().as_bytes() {
            match byte {
                b'/' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
                _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
                // Writing to a String cannot fail.
                _ => write!(url, "%{byte:02X}").unwrap_or_default(),
            }
        }
        url
    }

    /// The file whose lock means that a server runs here. Children inherit it.
    pub(super) fn lock_file(&self) -> Result<File, Error> {
        let path = self.directory.join("redis.lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(&path).map_err(Error::io("open", &path))
    }

    /// Remembers that a server may be writing, until [`Home::mark_clean`].
    pub(super) fn mark_unclean(&self) -> io::Result<()> {
        let mark = self.mark();
        File::create(&mark)?.sync_all()?;
        sync_parent(&mark)
    }

    /// Forgets it: the server ended as it was asked to.
    pub(super) fn mark_clean(&self) -> io::Result<()> {
        match fs::remove_file(self.mark()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_parent(&self.mark()),
        }
    }

    /// Whether the last server ended otherwise than asked.
    pub(super) fn is_unclean(&self) -> bool {
        self.mark().exists()
    }

    fn mark(&self) -> PathBuf {
        self.directory.join("unclean")
    }
}

/// In the server's directory; where its path is too long for a socket, in a directory of our own
/// under `/tmp`, named for the long one so that a successor finds it.
fn socket_path(directory: &Path) -> Result<PathBuf, Error> {
    let socket = directory.join("redis.sock");
    if socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok(socket);
    }
    let hash = xxhash_rust::xxh3::xxh3_64(directory.as_os_str().as_bytes());
    let short = PathBuf::from(format!("/tmp/streamgauge-{hash:016x}"));
    make_private(&short)?;
    Ok(short.join("redis.sock"))
}

/// Makes a 0700 directory, or makes sure that one is ours and nobody else's.
fn make_private(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("create", path)(error)),
    }
    // Not followed: somebody else may have put a link there.
    let found = fs::symlink_metadata(path).map_err(Error::io("look at", path))?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::NotPrivate { path: path.to_owned() });
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(Error::io("protect", path))
}

fn configuration_text(directory: &Path, socket: &Path, maxmemory_bytes: u64) -> String {
    let rewrite_bytes = REWRITE_BYTES_MIN.max(maxmemory_bytes / 2);
    let (directory, socket) = (quoted(directory), quoted(socket));
    format!(
        "# Written at every start; changes are lost.\n\
         port 0\n\
         unixsocket {socket}\n\
         unixsocketperm 600\n\
         dir {directory}\n\
         daemonize no\n\
         supervised no\n\
         logfile \"\"\n\
         loglevel notice\n\
         databases 1\n\
         save \"\"\n\
         appendonly yes\n\
         appendfsync always\n\
         no-appendfsync-on-rewrite no\n\
         # Torn tails are cut before the start; what is still torn is damage.\n\
         aof-load-truncated no\n\
         auto-aof-rewrite-percentage 100\n\
         auto-aof-rewrite-min-size {rewrite_bytes}\n\
         maxmemory {maxmemory_bytes}\n\
         maxmemory-policy noeviction\n\
         enable-debug-command no\n\
         enable-module-command no\n\
         enable-protected-configs no\n"
    )
}

/// As Redis reads its configuration: in double quotes, everything unusual as `\xHH`.
fn quoted(path: &Path) -> String {
    let mut text = "\"".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => write!(text, "\\{}", char::from(byte)),
            b' '..=b'~' => write!(text, "{}", char::from(byte)),
            _ => write!(text, "\\x{byte:02x}"),
        }
        // Writing to a String cannot fail.
        .unwrap_or_default();
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_path_survives_configuration_and_address() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("a \"b\\ö%");
        fs::create_dir(&data).unwrap();
        let home = Home::prepare(&data, 1 << 30).unwrap();
        let text = fs::read_to_string(&home.configuration).unwrap();
        assert!(text.contains("/a \\\"b\\\\\\xc3\\xb6%/redis\"\n"), "{text}");
        assert!(home.url().ends_with("/a%20%22b%5C%C3%B6%25/redis/redis.sock"), "{}", home.url());
    }

    #[test]
    fn the_configuration_is_the_safe_one() {
        let text = configuration_text(Path::new("/d/redis"), Path::new("/d/redis.sock"), 8 << 30);
        for line in [
            "port 0",
            "appendonly yes",
            "appendfsync always",
            "maxmemory 8589934592",
            "maxmemory-policy noeviction",
            "auto-aof-rewrite-min-size 4294967296",
            "enable-debug-command no",
            "enable-module-command no",
            "unixsocketperm 600",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
        let small = configuration_text(Path::new("/d"), Path::new("/s"), 64 << 20);
        assert!(small.contains("auto-aof-rewrite-min-size 1073741824\n"));
    }

    #[test]
    fn a_long_path_gets_a_short_socket_that_is_private() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("d".repeat(120));
        fs::create_dir(&data).unwrap();
        let home = Home::prepare(&data, 1 << 30).unwrap();
        assert!(home.socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        let parent = home.socket.parent().unwrap();
        assert_eq!(fs::metadata(parent).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(Home::prepare(&data, 1 << 30).unwrap().socket, home.socket);
        fs::remove_dir(parent).unwrap();
        std::os::unix::fs::symlink("/", parent).unwrap();
        assert!(matches!(Home::prepare(&data, 1), Err(Error::NotPrivate { .. })));
        fs::remove_file(parent).unwrap();
    }

    #[test]
    fn an_unclean_end_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::prepare(root.path(), 1 << 30).unwrap();
        assert!(!home.is_unclean());
        home.mark_unclean().unwrap();
        assert!(home.is_unclean());
        home.mark_clean().unwrap();
        assert!(!home.is_unclean());
    }
}
