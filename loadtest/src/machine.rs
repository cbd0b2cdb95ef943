//! The machine and the versions of a run: without these a number is not quoted.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::server::{directory, installed};

/// Writes for the median of [`Machine::fsync_us`]: a second at most on a spinning disk.
const SYNCS: usize = 51;

/// What a result depends on besides the program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Kernel and architecture, as uname says.
    pub system: String,
    /// Model of the first processor.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Memory in all.
    pub memory_bytes: u64,
    /// Load averages over 1, 5 and 15 minutes before the first run: others disturb.
    pub load: String,
    /// Median time of writing 4 KiB and fdatasync where the data directories are made: what one
    /// commit to disk costs here. None when it cannot be measured.
    pub fsync_us: Option<f64>,
    /// `redis-server --version`.
    pub redis: String,
    /// `mosquitto -h`, its first line.
    pub mosquitto: String,
    /// Short commit of the working directory, with `-dirty` when files differ from it.
    pub commit: String,
    /// UTC, at the start of the recording.
    pub recorded_at: String,
}

impl Machine {
    /// Looks around. What cannot be found out is `unknown`, not an error.
    #[must_use]
    pub fn here(data_parent: Option<&Path>) -> Self {
        let uname = rustix::system::uname();
        let words = [uname.sysname(), uname.release(), uname.machine()];
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let memory_kib = fact("/proc/meminfo", "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        Self {
            system: words.join(" "),
            processor: fact("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_kib.unwrap_or(0) * 1024,
            load: std::fs::read_to_string("/proc/loadavg")
                .map_or_else(|_| unknown(), |text| load_of(&text)),
            fsync_us: fsync_us(data_parent).ok(),
            redis: first_line("redis-server", &["--version"]),
            mosquitto: first_line("mosquitto", &["-h"]),
            commit: commit(),
            recorded_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }

    /// `<date>-<machine>-<commit>`, fit for a directory.
    #[must_use]
    pub fn directory_name(&self) -> String {
        let date = self.recorded_at.get(..10).unwrap_or("undated");
        format!("{date}-{}x-{}-{}", self.cores, plain(&self.processor), self.commit)
    }
}

/// Lower-case words joined by dashes; legal signs of trade marks and clock rates say nothing.
fn plain(text: &str) -> String {
    let text = text.replace("(R)", " ").replace("(TM)", " ");
    let text = text.split('@').next().unwrap_or_default().to_lowercase();
    let words = text.split(|character: char| !character.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && *word != "cpu" && *word != "processor");
    words.collect::<Vec<_>>().join("-")
}

/// The first value of `key : value` in a file of `/proc`.
fn fact(path: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn fsync_us(data_parent: Option<&Path>) -> Result<f64> {
    let directory = directory(data_parent)?;
    let mut file = File::create(directory.path().join("fsync"))?;
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[b'.'; 4096])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times[SYNCS / 2].as_secs_f64() * 1e6)
}

/// The first three of the five fields of `/proc/loadavg`.
fn load_of(text: &str) -> String {
    text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(installed(program)).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text.ok().and_then(|text| text.lines().next().map(str::to_owned));
    line.filter(|line| !line.is_empty()).unwrap_or_else(unknown)
}

fn commit() -> String {
    let commit = first_line("git", &["rev-parse", "--short=9", "HEAD"]);
    let changed = first_line("git", &["status", "--porcelain", "--untracked-files=no"]);
    if commit == unknown() || changed == unknown() { commit } else { format!("{commit}-dirty") }
}

fn unknown() -> String {
    "unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_by_date_machine_and_commit() {
        let machine = Machine {
            processor: "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz".to_owned(),
            cores: 2,
            commit: "0123abc".to_owned(),
            recorded_at: "2026-11-23T18:00:00Z".to_owned(),
            ..Machine::here(None)
        };
        let expected = "2026-11-23-2x-intel-xeon-platinum-8370c-0123abc";
        assert_eq!(machine.directory_name(), expected);
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let machine = Machine::here(None);
        assert!(machine.cores >= 1 && machine.memory_bytes > 1 << 20, "{machine:?}");
        assert!(machine.system.contains("Linux"), "{machine:?}");
        assert!(machine.fsync_us.is_some_and(|micros| micros > 0.0), "{machine:?}");
    }
}
