//! Options of the scenarios with clients.

use std::path::PathBuf;

use clap::Args;

use super::{RunOptions, pair};

/// Where a run takes place, and what becomes of its numbers.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// How often to measure; the median is printed at the end.
    #[arg(long, default_value_t = 1)]
    pub runs: u32,
    /// Seconds that anything awaited may take.
    #[arg(long, default_value_t = 60.0)]
    pub patience: f64,
    /// The Streamgauge binary [default: beside this one].
    #[arg(long)]
    pub streamgauge: Option<PathBuf>,
    /// Environment variable for the Streamgauge that is started; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    pub environment: Vec<(String, String)>,
    /// Where a fresh data directory is made; must be a real disk [default: /var/tmp].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Write the results to this file as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Record command, machine, raw data and summary below this directory.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
}

/// Options of the latency scenario.
#[derive(Clone, Debug, Args)]
pub struct LatencyOptions {
    /// Readings a second.
    #[arg(long, default_value_t = 10_000.0)]
    pub rate: f64,
    /// How long to publish.
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Sensors, each in its turn.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub sensors: u32,
    /// Parallel connections that publish.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// About the length of a payload.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// The client takes the newest value of each series, not every reading.
    #[arg(long)]
    pub conflated: bool,
    /// Most frames a second for one series, where it is conflated.
    #[arg(long, default_value_t = 10.0)]
    pub max_hz: f64,
    /// Several readings a frame.
    #[arg(long)]
    pub batch: bool,
    /// Where, and what for.
    #[command(flatten)]
    pub place: Place,
}

/// Options of the crowd scenario.
#[derive(Clone, Debug, Args)]
pub struct CrowdOptions {
    /// Clients in all.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: u32,
    /// Different subscriptions, dealt out in turn.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub subscriptions: u32,
    /// Sensors of each subscription, all different.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub sensors: u32,
    /// Most frames a second for one series.
    #[arg(long, default_value_t = 5.0)]
    pub max_hz: f64,
    /// A frame for each reading instead of several readings a frame.
    #[arg(long)]
    pub single: bool,
    /// The clients take every reading, not the newest of each series.
    #[arg(long)]
    pub every: bool,
    /// Readings a second over all sensors [default: five of each].
    #[arg(long)]
    pub rate: Option<f64>,
    /// Parallel connections that publish.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// About the length of a payload.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// How long each phase is measured.
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// How long the crowd is shown readings before it is measured.
    #[arg(long, default_value_t = 3.0)]
    pub settle: f64,
    /// Threads of the crowd.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: u32,
    /// So many further clients subscribe to everything and never read: phases with them alternate
    /// with phases without.
    #[arg(long, default_value_t = 0)]
    pub stuck: u32,
    /// How often each of the two phases is measured with --stuck.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub alternations: u32,
    /// After the first phase all clients are cut at once and return at once.
    #[arg(long, conflicts_with = "stuck")]
    pub reconnect: bool,
    /// Where, and what for.
    #[command(flatten)]
    pub place: Place,
}

impl CrowdOptions {
    /// Sensors in all.
    #[must_use]
    pub fn sensors_in_all(&self) -> u32 {
        self.subscriptions * self.sensors
    }

    /// Readings a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate.unwrap_or(f64::from(self.sensors_in_all()) * 5.0)
    }
}

/// Options of the overhead scenario.
#[derive(Clone, Debug, Args)]
pub struct OverheadOptions {
    /// What is published, as in the listener scenario.
    #[command(flatten)]
    pub run: RunOptions,
    /// Most frames a second for one series.
    #[arg(long, default_value_t = 10.0)]
    pub max_hz: f64,
    /// A frame for each reading instead of several readings a frame.
    #[arg(long)]
    pub single: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Options, Scenario};

    #[test]
    fn a_crowd_speaks_five_times_a_second_unless_told() {
        let crowd = |arguments: &str| {
            let words = format!("loadtest crowd {arguments}");
            match Options::try_parse_from(words.split_whitespace()).map(|options| options.scenario)
            {
                Ok(Scenario::Crowd(options)) => Ok(options),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error),
            }
        };
        let all = crowd("").unwrap();
        assert_eq!((all.clients, all.sensors_in_all(), all.rate()), (10_000, 2_000, 10_000.0));
        assert_eq!(crowd("--subscriptions 3 --sensors 2 --rate 7").unwrap().rate(), 7.0);
        for refused in ["--sensors 101", "--clients 0", "--stuck 1 --reconnect"] {
            assert!(crowd(refused).is_err(), "{refused}");
        }
    }
}
