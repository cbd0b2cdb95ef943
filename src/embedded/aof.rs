//! The append-only file after a crash: whether its tail is whole, and cutting it when it is not.
//!
//! A Redis that is killed may leave half a command, or a `MULTI` without its `EXEC`, at the end
//! of its last incremental file. Redis 7 skips such a transaction when it loads, but leaves its
//! beginning in the file, where the next start glues it onto the next transaction. So after an
//! unclean end everything from the start of the unfinished command or transaction is cut, and
//! kept beside. Nothing in it was ever acknowledged: a reply is sent after the whole write.
//!
//! Only a short tail that just ends is cut. What is malformed before the end is damage, which
//! nobody should repair without a person; Redis then refuses to load and says so.
//!
//! `redis-check-aof` finds the same place. It was not used because it need not be installed
//! beside the server, its text is no interface, and it is slower (see the commit); a test holds
//! this one against it at every byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use super::data_dir::sync_parent;

/// Longer than any transaction of ours: a commit call writes at most 500 series, an XADD 1 MiB.
/// A longer "tail" is a damaged length in the middle of the file.
const TAIL_BYTES_MAX: u64 = 64 << 20;
/// Copies of tails that are kept; the oldest go first. A guess.
const COPIES_MAX: usize = 8;
/// `*` or `$`, up to 19 digits, `\r\n`.
const HEADER_BYTES_MAX: usize = 24;

/// How a file of commands ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// With the last byte of a command outside of any transaction.
    Whole,
    /// In the middle of what began here.
    Incomplete { from: u64 },
    /// With something else than a command.
    Malformed { at: u64 },
}

/// What was done about the tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    /// There was nothing to do.
    Nothing,
    /// A tail was cut and copied.
    Cut {
        /// Where it was.
        file: PathBuf,
        /// How long it was.
        bytes: u64,
        /// Where it is now.
        copy: PathBuf,
    },
    /// The file is damaged before its end; it was left as it is.
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Where the damage begins.
        at: u64,
    },
}

/// Looks at the last incremental file of a Redis that has ended, and cuts an incomplete tail.
///
/// `home` is the server's working directory.
pub(super) fn mend(home: &Path) -> io::Result<Mended> {
    let Some(path) = last_incremental(home)? else { return Ok(Mended::Nothing) };
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        // Redis makes the file after it has named it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Mended::Nothing),
        file => file?,
    };
    let size = file.metadata()?.len();
    let from = match scan(&file, size)? {
        Tail::Whole => return Ok(Mended::Nothing),
        Tail::Incomplete { from } if size - from <= TAIL_BYTES_MAX => from,
        Tail::Malformed { at } if is_zeroes(&file, at, size)? => at,
        Tail::Incomplete { from: at } | Tail::Malformed { at } => {
            return Ok(Mended::Damaged { file: path, at });
        }
    };
    let copy = keep_copy(home, &path, &file, from)?;
    file.set_len(from)?;
    file.sync_all()?;
    Ok(Mended::Cut { file: path, bytes: size - from, copy })
}

/// The last file of type `i` that the manifest names. Its lines are
/// `file <name> seq <number> type <b|h|i>`; the names are ours and hold no spaces.
fn last_incremental(home: &Path) -> io::Result<Option<PathBuf>> {
    let directory = home.join("appendonlydir");
    let manifest = match fs::read_to_string(directory.join("appendonly.aof.manifest")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        manifest => manifest?,
    };
    let mut incremental = manifest.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["file", name, "seq", _, "type", "i", ..] => Some(directory.join(name)),
            _ => None,
        }
    });
    Ok(incremental.next_back())
}

fn keep_copy(home: &Path, path: &Path, file: &File, from: u64) -> io::Result<PathBuf> {
    let directory = home.join("torn");
    fs::create_dir_all(&directory)?;
    let mut older: Vec<_> = fs::read_dir(&directory)?
        .filter_map(Result::ok)
        .map(|entry| Ok((entry.metadata()?.modified()?, entry.path())))
        .collect::<io::Result<_>>()?;
    older.sort();
    for (_, oldest) in older.iter().rev().skip(COPIES_MAX - 1) {
        fs::remove_file(oldest)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let copy = directory.join(format!("{name}.from-{from}"));
    let mut source = file;
    source.seek(SeekFrom::Start(from))?;
    let mut target = File::create(&copy)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()?;
    sync_parent(&copy)?;
    Ok(copy)
}

/// Some file systems lengthen a file before its bytes arrive: after a power failure its end is
/// NULs.
fn is_zeroes(mut file: &File, from: u64, size: u64) -> io::Result<bool> {
    if size - from > TAIL_BYTES_MAX {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(from))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    Ok(rest.iter().all(|&byte| byte == 0))
}

/// Reads commands until the end or until something is no command.
fn scan(mut file: &File, size: u64) -> io::Result<Tail> {
    file.seek(SeekFrom::Start(0))?;
    let mut commands = Commands { reader: BufReader::with_capacity(1 << 20, file), at: 0, size };
    let mut transaction = None;
    loop {
        let start = commands.at;
        match commands.next()? {
            Found::Multi => transaction = Some(start),
            Found::Exec => transaction = None,
            Found::Other => {}
            Found::Malformed => return Ok(Tail::Malformed { at: start }),
            Found::End if start == size && transaction.is_none() => return Ok(Tail::Whole),
            Found::End => return Ok(Tail::Incomplete { from: transaction.unwrap_or(start) }),
        }
    }
}

enum Found {
    Multi,
    Exec,
    Other,
    /// The file ends before the command does.
    End,
    Malformed,
}

/// Why a command has no more parts.
enum Broken {
    End,
    Malformed,
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Commands<'a> {
    reader: BufReader<&'a File>,
    /// How many bytes were read or passed over.
    at: u64,
    size: u64,
}

impl Commands<'_> {
    fn next(&mut self) -> io::Result<Found> {
        match self.command() {
            Ok(name) if name.eq_ignore_ascii_case(b"MULTI") => Ok(Found::Multi),
            Ok(name) if name.eq_ignore_ascii_case(b"EXEC") => Ok(Found::Exec),
            Ok(_) => Ok(Found::Other),
            Err(Broken::End) => Ok(Found::End),
            Err(Broken::Malformed) => Ok(Found::Malformed),
            Err(Broken::Io(error)) => Err(error),
        }
    }

    /// Passes over one command; gives its name if that is short.
    fn command(&mut self) -> Result<Vec<u8>, Broken> {
        let parts = self.header(b'*')?;
        if parts == 0 {
            return Err(Broken::Malformed);
        }
        let mut name = Vec::new();
        for part in 0..parts {
            let length = self.header(b'$')?;
            if length.checked_add(2).is_none_or(|bytes| bytes > self.size - self.at) {
                return Err(Broken::End);
            }
            if part == 0 && length <= 8 {
                self.take(length).read_to_end(&mut name)?;
            } else {
                self.reader.seek_relative(i64::try_from(length).unwrap_or(i64::MAX))?;
            }
            let mut end = [0; 2];
            self.reader.read_exact(&mut end)?;
            self.at += length + 2;
            if end != *b"\r\n" {
                return Err(Broken::Malformed);
            }
        }
        Ok(name)
    }

    fn take(&mut self, bytes: u64) -> Take<&mut impl BufRead> {
        Read::take(&mut self.reader, bytes)
    }

    /// The number in `*3\r\n` or `$5\r\n`.
    fn header(&mut self, kind: u8) -> Result<u64, Broken> {
        // Nearly always the whole line is in the buffer, and nothing needs to be copied.
        let buffer = self.reader.fill_buf()?;
        let line = &buffer[..buffer.len().min(HEADER_BYTES_MAX)];
        if let Some(end) = line.iter().position(|&byte| byte == b'\n') {
            let number = number(&line[..=end], kind).ok_or(Broken::Malformed)?;
            self.reader.consume(end + 1);
            self.at += end as u64 + 1;
            return Ok(number);
        }
        let mut line = Vec::new();
        self.take(HEADER_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
        self.at += line.len() as u64;
        if line.ends_with(b"\n") || self.at < self.size {
            return number(&line, kind).ok_or(Broken::Malformed);
        }
        // The file ends in the middle of a header, if it is one so far.
        let digits = line.strip_suffix(b"\r").unwrap_or(&line);
        match digits {
            [] if line.is_empty() => Err(Broken::End),
            [first, rest @ ..] if *first == kind && rest.iter().all(u8::is_ascii_digit) => {
                Err(Broken::End)
            }
            _ => Err(Broken::Malformed),
        }
    }
}

/// The number in a whole header line.
fn number(line: &[u8], kind: u8) -> Option<u64> {
    let digits = line.strip_suffix(b"\r\n")?.strip_prefix(&[kind])?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "aof_tests.rs"]
mod tests;
