//! Processor time and memory of processes, from `/proc`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// A process that a run is charged with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its role in the report: `streamgauge`, `redis`, `mosquitto`, `generator`.
    pub name: &'static str,
    /// Its id.
    pub pid: u32,
}

/// What a process used since it began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Processor time, user and system, with that of children that ended (an AOF rewrite).
    pub cpu_seconds: f64,
    /// Resident memory now.
    pub resident_bytes: u64,
}

/// What a process used during a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spent {
    /// Role.
    pub name: String,
    /// Processor seconds.
    pub cpu_seconds: f64,
    /// The same per message published.
    pub cpu_us_per_message: f64,
    /// Resident memory at the end.
    pub resident_bytes: u64,
}

#[derive(Debug, PartialEq)]
struct Stat {
    command: String,
    parent: u32,
    ticks: u64,
    pages: u64,
}

/// What a process used so far.
///
/// # Errors
/// There is no such process (any more), or `/proc` is not as proc(5) says.
pub fn usage(pid: u32) -> Result<Usage> {
    let stat = stat(pid)?;
    Ok(Usage {
        cpu_seconds: stat.ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        resident_bytes: stat.pages * rustix::param::page_size() as u64,
    })
}

/// Processor seconds of the calling thread alone.
///
/// # Errors
/// As [`usage`].
pub fn thread_cpu_seconds() -> Result<f64> {
    let ticks = stat_in("/proc/thread-self/stat")?.ticks;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn stat(pid: u32) -> Result<Stat> {
    stat_in(&format!("/proc/{pid}/stat"))
}

fn stat_in(path: &str) -> Result<Stat> {
    let line = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    parse(&line).with_context(|| format!("{path}: {line:?}"))
}

/// proc(5): `pid (command) state ppid …`; the command may hold blanks and parentheses.
fn parse(line: &str) -> Result<Stat> {
    let (head, tail) = line.rsplit_once(')').context("no command")?;
    let (_, command) = head.split_once('(').context("no command")?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // The first field of the tail is the third of the line.
    let field = |number: usize| -> Result<u64> {
        let text = fields.get(number - 3).with_context(|| format!("no field {number}"))?;
        text.parse().with_context(|| format!("field {number} is {text:?}"))
    };
    let mut ticks = 0;
    for number in 14..=17 {
        ticks += field(number)?;
    }
    Ok(Stat { command: command.to_owned(), parent: field(4)? as u32, ticks, pages: field(24)? })
}

/// The Redis or Valkey server that is a child of `parent`, if it has one.
///
/// # Errors
/// `/proc` cannot be listed.
pub fn redis_child(parent: u32) -> Result<Option<Process>> {
    for entry in std::fs::read_dir("/proc").context("cannot list /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ended since the listing is none of ours.
        let Ok(stat) = stat(pid) else { continue };
        let is_server = ["redis-server", "valkey-server"].contains(&stat.command.as_str());
        if is_server && stat.parent == parent {
            return Ok(Some(Process { name: "redis", pid }));
        }
    }
    Ok(None)
}

/// This process.
#[must_use]
pub fn generator() -> Process {
    Process { name: "generator", pid: std::process::id() }
}

/// A reading of several processes at the beginning of a run.
#[derive(Debug)]
pub struct Meter(Vec<(Process, Usage)>);

impl Meter {
    /// Starts measuring.
    ///
    /// # Errors
    /// One of the processes is gone.
    pub fn start(processes: Vec<Process>) -> Result<Self> {
        let read = |process: Process| usage(process.pid).map(|usage| (process, usage));
        Ok(Self(processes.into_iter().map(read).collect::<Result<_>>()?))
    }

    /// What each has used since.
    ///
    /// # Errors
    /// One of the processes is gone: the run is not valid.
    pub fn spent(&self, messages: u64) -> Result<Vec<Spent>> {
        if messages == 0 {
            bail!("nothing was published");
        }
        let since = |(process, before): &(Process, Usage)| {
            let now = usage(process.pid)?;
            let cpu_seconds = now.cpu_seconds - before.cpu_seconds;
            Ok(Spent {
                name: process.name.to_owned(),
                cpu_seconds,
                cpu_us_per_message: cpu_seconds * 1e6 / messages as f64,
                resident_bytes: now.resident_bytes,
            })
        };
        self.0.iter().map(since).collect()
    }
}

/// Bytes of all append-only files below a directory.
#[must_use]
pub fn aof_bytes(directory: &Path) -> u64 {
    // A directory or file that a rewrite removed meanwhile counts as nothing.
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => aof_bytes(&entry.path()),
        Ok(metadata) if entry.file_name().to_string_lossy().contains(".aof") => metadata.len(),
        _ => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_blanks_and_parentheses_is_no_trap() {
        let line = "7 (a) (b c) S 3 7 7 0 -1 0 0 0 0 0 11 13 2 1 20 0 5 0 99 4096 77 0 0";
        let expected = Stat { command: "a) (b c".to_owned(), parent: 3, ticks: 27, pages: 77 };
        assert_eq!(parse(line).unwrap(), expected);
        assert!(parse("7 (a) S 3").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn this_process_uses_processor_and_memory() {
        let meter = Meter::start(vec![generator()]).unwrap();
        let mut sum = 0_u64;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            for number in 0..1_000_000_u64 {
                sum = std::hint::black_box(sum.wrapping_add(number));
            }
            let spent = meter.spent(1_000).unwrap();
            if spent[0].cpu_seconds > 0.0 {
                assert!(spent[0].resident_bytes > 0 && spent[0].cpu_us_per_message > 0.0);
                return;
            }
            assert!(std::time::Instant::now() < deadline, "no tick in 20 s of work");
        }
    }

    #[test]
    fn only_append_only_files_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("appendonlydir");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("appendonly.aof.1.incr.aof"), [0; 700]).unwrap();
        std::fs::write(inner.join("appendonly.aof.manifest"), [0; 50]).unwrap();
        std::fs::write(directory.path().join("dump.rdb"), [0; 9_000]).unwrap();
        assert_eq!(aof_bytes(directory.path()), 750);
    }
}
