//! What to compare with: redis-benchmark's XADD of one message each, under the same fsync policy.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::options::{Fsync, ReferenceOptions};
use crate::process::{Meter, aof_bytes};
use crate::report::Run;
use crate::server::{Server, directory, installed};

/// Requests that redis-benchmark sends before it waits, as in the numbers of the design.
const PIPELINE: u32 = 128;

/// Starts a Redis of its own, measures, ends it.
///
/// # Errors
/// Redis is not installed or fails.
pub fn measure(options: &ReferenceOptions) -> Result<Run> {
    let directory = directory(options.keep.data_dir.as_deref())?;
    let socket = directory.path().join("redis.sock");
    let mut command = Command::new(installed("redis-server"));
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    command.arg("--dir").arg(directory.path());
    // Streamgauge's own Redis rewrites its AOF rarely; the reference shall not suffer more.
    command.args(["--auto-aof-rewrite-percentage", "0"]);
    match options.fsync {
        Fsync::Off => command.args(["--appendonly", "no"]),
        Fsync::Always => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
        Fsync::Everysec => command.args(["--appendonly", "yes", "--appendfsync", "everysec"]),
        Fsync::No => command.args(["--appendonly", "yes", "--appendfsync", "no"]),
    };
    let mut redis = Server::start("redis", &mut command, directory.path())?;
    redis.wait_ready(|| std::os::unix::net::UnixStream::connect(&socket).is_ok())?;

    let meter = Meter::start(vec![redis.process.clone()])?;
    let started = Instant::now();
    let rate = benchmark(options, &socket)?;
    let run = Run {
        messages: options.messages,
        acked: options.messages,
        publish_seconds: started.elapsed().as_secs_f64(),
        acknowledged_per_second: rate,
        processes: meter.spent(options.messages)?,
        aof_bytes: (options.fsync != Fsync::Off).then(|| aof_bytes(directory.path())),
        ..Run::default()
    };
    redis.stop()?;
    Ok(run)
}

fn benchmark(options: &ReferenceOptions, socket: &Path) -> Result<f64> {
    let mut command = Command::new("redis-benchmark");
    command.arg("-s").arg(socket).arg("--csv");
    command.args(["-P", &PIPELINE.to_string()]);
    command.args(["-c", &options.connections.to_string()]);
    command.args(["-n", &options.messages.to_string()]);
    command.args(["XADD", "bench", "*", "f", &"x".repeat(options.payload_bytes)]);
    let output = command.output().context("cannot start redis-benchmark")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("redis-benchmark ended with {}: {text}{errors}", output.status);
    }
    requests_per_second(&text)
}

/// The second column of the last line of `--csv`: `"test","rps",…`.
fn requests_per_second(csv: &str) -> Result<f64> {
    let line = csv.lines().rfind(|line| line.starts_with('"'));
    let fields: Vec<&str> = line.unwrap_or_default().split("\",\"").collect();
    fields
        .get(1)
        .and_then(|field| field.trim_matches('"').parse().ok())
        .with_context(|| format!("redis-benchmark answered {csv:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Keep;

    #[test]
    fn the_rate_is_found_in_the_table() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"XADD bench * f x\",\"1790.5\",\"0.1\"\n";
        assert_eq!(requests_per_second(csv).unwrap(), 1790.5);
        for nonsense in ["", "\"test\",\"rps\"\n", "ERR"] {
            assert!(requests_per_second(nonsense).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn a_real_redis_is_measured_and_everything_is_on_disk() {
        let options = ReferenceOptions {
            messages: 2_000,
            connections: 2,
            payload_bytes: 128,
            fsync: Fsync::Always,
            keep: Keep { runs: 1, data_dir: None, json: None, record: None },
        };
        let run = measure(&options).unwrap();
        assert!(run.acknowledged_per_second > 0.0);
        assert!(run.aof_bytes.unwrap() > 2_000 * 128, "{:?}", run.aof_bytes);
    }
}
