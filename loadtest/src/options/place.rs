//! Options that scenarios share, whatever they measure.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::pair;

/// How often to measure, where data is kept meanwhile, and what becomes of the numbers.
#[derive(Clone, Debug, Args)]
pub struct Keep {
    /// How often to measure; the median is printed at the end.
    #[arg(long, default_value_t = 1)]
    pub runs: u32,
    /// Where fresh data directories are made; must be a real disk [default: /var/tmp].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Write the results to this file as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Record command, machine, raw data and summary below this directory.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
}

/// The Streamgauge that a run starts.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Seconds that anything awaited may take, as that aggregation catches up.
    #[arg(long, default_value_t = 300.0)]
    pub patience: f64,
    /// The Streamgauge binary [default: beside this one].
    #[arg(long)]
    pub streamgauge: Option<PathBuf>,
    /// Environment variable for the Streamgauge that is started; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    pub environment: Vec<(String, String)>,
    /// What becomes of it.
    #[command(flatten)]
    pub keep: Keep,
}

impl Place {
    /// How long anything awaited may take.
    ///
    /// # Errors
    /// It is negative or too long.
    pub fn patience(&self) -> Result<Duration> {
        Duration::try_from_secs_f64(self.patience)
            .with_context(|| format!("--patience {}", self.patience))
    }

    /// The Streamgauge to start: what is given, else the one beside this program.
    ///
    /// # Errors
    /// This program does not know where it is.
    pub fn binary(&self) -> Result<PathBuf> {
        match &self.streamgauge {
            Some(path) => Ok(path.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("streamgauge")),
        }
    }
}
