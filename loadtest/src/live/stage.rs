//! The server of a run with clients.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::stamp::{Epoch, Going, Stamps, publish};
use crate::device::raise_descriptor_limit;
use crate::history::wait_folded;
use crate::options::Place;
use crate::process::{Process, generator, redis_child, usage};
use crate::report::Run;
use crate::scenario::first_stats;
use crate::server::Streamgauge;

/// What every sensor id begins with.
pub(super) const PREFIX: &str = "c";

/// A Streamgauge of this run's own.
pub(super) struct Stage {
    pub(super) streamgauge: Streamgauge,
    pub(super) patience: Duration,
}

impl Stage {
    /// Starts a server, measures, and stops it.
    pub(super) fn with(place: &Place, measure: impl FnOnce(&Self) -> Result<Run>) -> Result<Run> {
        // Before the server starts, for it inherits the limit.
        raise_descriptor_limit();
        let patience = place.patience()?;
        let streamgauge = Streamgauge::start(place, None)?;
        let stage = Self { streamgauge, patience };
        let measured = first_stats(&stage.streamgauge.api, patience).and_then(|_| measure(&stage));
        let log = || format!("streamgauge says:\n{}", stage.streamgauge.log_tail());
        let mut run = measured.with_context(log)?;
        if let Err(error) = stage.streamgauge.stop() {
            run.failures.push(format!("{error:#}"));
        }
        Ok(run)
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.streamgauge.http
    }

    pub(super) fn token(&self) -> &'static str {
        crate::server::TOKEN
    }

    pub(super) fn processes(&self) -> Result<Vec<Process>> {
        let pid = self.streamgauge.pid();
        let mut processes = vec![Process { name: "streamgauge", pid }];
        processes.extend(redis_child(pid)?);
        processes.push(generator());
        Ok(processes)
    }

    /// Resident memory of the server.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        Ok(usage(self.streamgauge.pid())?.resident_bytes)
    }

    /// Every sensor speaks twice, and all of it is folded: what is measured then is not the making
    /// of series.
    pub(super) fn warm_up(&self, stamps: &Stamps, epoch: Epoch) -> Result<()> {
        let total = 2 * u64::from(stamps.sensors);
        publish(stamps, epoch, total, &Going::default()).context("cannot warm up")?;
        wait_folded(&self.streamgauge.api, 0, self.patience)
    }

    /// All of it must be folded, with no word of complaint.
    pub(super) fn judge(&self, run: &mut Run, published: u64) -> Result<()> {
        let api = &self.streamgauge.api;
        if let Err(error) = wait_folded(api, 0, self.patience) {
            run.failures.push(format!("{error:#}"));
        }
        let stats = api.stats()?;
        let wrong = [
            ("dead letters", stats.dead_lettered),
            ("duplicates", stats.duplicates),
            ("messages lost on their way", stats.lost),
            ("messages beyond the sensor limit", stats.overflow),
        ];
        for (name, number) in wrong.into_iter().filter(|(_, number)| *number > 0) {
            run.failures.push(format!("{number} {name}"));
        }
        if stats.decoded < published {
            run.failures.push(format!("{} messages decoded of {published}", stats.decoded));
        }
        run.stats = Some(api.raw_stats()?);
        Ok(())
    }
}

/// Seconds as they were given.
pub(super) fn duration(option: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).with_context(|| format!("{option} {seconds}"))
}
