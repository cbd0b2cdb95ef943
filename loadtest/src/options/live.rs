//! Options of the scenarios with clients.

use clap::Args;

use super::{Place, RunOptions};

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
