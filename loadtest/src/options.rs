//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::packet::Qos;
use crate::past::{HOUR_MS, Past};
use crate::plan::{Length, Plan};

mod live;
mod place;
pub use live::{CrowdOptions, LatencyOptions, OverheadOptions};
pub use place::{Keep, Place};

/// Measures Streamgauge and checks every statistic afterwards.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// What to measure.
    #[command(subcommand)]
    pub scenario: Scenario,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Devices publish straight into Streamgauge's listener.
    Listener(ListenerOptions),
    /// Devices publish into mosquitto, Streamgauge subscribes to it.
    Subscriber(RunOptions),
    /// Devices publish into mosquitto and nobody subscribes: the broker's own rate.
    Broker(RunOptions),
    /// redis-benchmark: XADD of one message each, the rate to compare with.
    Reference(ReferenceOptions),
    /// Devices publish a past; measured is what it takes at rest.
    History(HistoryOptions),
    /// One WebSocket client on everything: publish → frame, and every reading compared.
    Latency(LatencyOptions),
    /// Thousands of WebSocket clients.
    Crowd(CrowdOptions),
    /// The listener with a WebSocket client on everything, compared with none.
    Overhead(OverheadOptions),
    /// A trivial endpoint, to measure the generator itself.
    #[command(hide = true)]
    Sink(SinkOptions),
}

/// Options of every scenario that publishes.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// Parallel connections.
    #[arg(long, default_value_t = 50)]
    pub connections: u32,
    /// Most unacknowledged messages per connection.
    #[arg(long, default_value_t = 50)]
    pub window: u16,
    /// Messages in all [default: 1000000, or no limit with --seconds].
    #[arg(long, conflicts_with = "seconds")]
    pub messages: Option<u64>,
    /// Publish for so long instead.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Sensors in all, at least one per connection.
    #[arg(long, default_value_t = 1_000)]
    pub sensors: u32,
    /// Quality of service, 0 or 1.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub qos: u8,
    /// Most messages a second in all; 0 is as fast as possible.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// Length of every payload.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// Payloads carry "timestamp".
    #[arg(long)]
    pub timestamps: bool,
    /// Make lost connections again and send what is unacknowledged once more, with DUP.
    #[arg(long)]
    pub reconnect: bool,
    /// What every sensor id begins with.
    #[arg(long, default_value = "s")]
    pub prefix: String,
    /// Where, and what for.
    #[command(flatten)]
    pub place: Place,
}

/// Options of the listener scenario.
#[derive(Clone, Debug, Args)]
pub struct ListenerOptions {
    /// What all scenarios share.
    #[command(flatten)]
    pub run: RunOptions,
    /// An MQTT endpoint that is running already [default: start a Streamgauge].
    #[arg(long, value_name = "HOST:PORT", requires = "http")]
    pub to: Option<String>,
    /// The HTTP address that belongs to it.
    #[arg(long, value_name = "URL", requires = "to")]
    pub http: Option<String>,
    /// Its API token.
    #[arg(long, requires = "to")]
    pub token: Option<String>,
    /// Username for its listener.
    #[arg(long, requires = "password")]
    pub username: Option<String>,
    /// Password for its listener.
    #[arg(long, requires = "username")]
    pub password: Option<String>,
    /// Its process id, for processor time and memory.
    #[arg(long, requires = "to")]
    pub pid: Option<u32>,
    /// After each run measure this too, and print the ratio.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "redis")]
    pub reference: Option<Reference>,
}

/// What to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reference {
    /// redis-benchmark -P 128, XADD of one message each.
    Redis,
    /// mosquitto with the same clients and no subscriber.
    Mosquitto,
}

/// When the reference Redis writes its AOF to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Fsync {
    /// Before each answer.
    #[default]
    Always,
    /// Once a second.
    Everysec,
    /// Never by itself.
    No,
    /// No AOF at all.
    Off,
}

/// Options of the reference scenario.
#[derive(Clone, Debug, Args)]
pub struct ReferenceOptions {
    /// XADDs in all.
    #[arg(long, default_value_t = 1_000_000)]
    pub messages: u64,
    /// Parallel connections.
    #[arg(long, default_value_t = 50)]
    pub connections: u32,
    /// Length of the value.
    #[arg(long, default_value_t = 128)]
    pub payload_bytes: usize,
    /// appendfsync.
    #[arg(long, value_enum, default_value_t)]
    pub fsync: Fsync,
    /// What becomes of it.
    #[command(flatten)]
    pub keep: Keep,
}

/// Options of the history scenario.
#[derive(Clone, Debug, Args)]
pub struct HistoryOptions {
    /// Sensors, each with one series.
    #[arg(long, default_value_t = 100)]
    pub series: u32,
    /// How much of the past, in hours, up to now.
    #[arg(long, default_value_t = 24.0)]
    pub hours: f64,
    /// Seconds from one reading of a series to the next.
    #[arg(long, default_value_t = 1.0)]
    pub step: f64,
    /// How much later at most a reading may be than its step says.
    #[arg(long, default_value_t = 0)]
    pub jitter_ms: i64,
    /// Readings in a message.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub per_message: u64,
    /// Parallel connections.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Most unacknowledged messages per connection.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub window: u16,
    /// Series whose readings and windows are exported and compared one by one.
    #[arg(long, default_value_t = 5)]
    pub verify: u32,
    /// How often each question is asked; the median counts.
    #[arg(long, default_value_t = 11)]
    pub queries: u32,
    /// Where, and what for.
    #[command(flatten)]
    pub place: Place,
}

impl HistoryOptions {
    /// The past that ends at `now_ms`, in milliseconds since 1970.
    ///
    /// # Errors
    /// A number out of its range.
    pub fn past(&self, now_ms: i64) -> Result<Past> {
        let step_ms = (self.step * 1e3).round() as i64;
        let readings = (self.hours * HOUR_MS as f64 / step_ms.max(1) as f64).floor() as u64;
        // At full seconds, and none in the future.
        let start_ms = now_ms - now_ms.rem_euclid(1_000) - step_ms * readings as i64;
        let past = Past {
            prefix: "s".to_owned(),
            series: self.series,
            readings,
            start_ms,
            step_ms,
            jitter_ms: self.jitter_ms,
        };
        past.validate()?;
        Ok(past)
    }
}

/// Options of the sink.
#[derive(Clone, Debug, Args)]
pub struct SinkOptions {
    /// What to publish into it.
    #[command(flatten)]
    pub run: RunOptions,
}

impl RunOptions {
    /// The plan that publishes to `to`.
    ///
    /// # Errors
    /// A duration that is none.
    pub fn plan(&self, to: SocketAddr) -> Result<Plan> {
        let length = match self.seconds {
            Some(seconds) => Length::Lasting(
                Duration::try_from_secs_f64(seconds)
                    .with_context(|| format!("--seconds {seconds}"))?,
            ),
            None => Length::Messages(self.messages.unwrap_or(1_000_000)),
        };
        let plan = Plan {
            connections: self.connections,
            window: self.window,
            qos: if self.qos == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce },
            sensors: self.sensors,
            prefix: self.prefix.clone(),
            payload_bytes: self.payload_bytes,
            timestamps: self.timestamps,
            rate: (self.rate != 0.0).then_some(self.rate),
            length,
            reconnect: self.reconnect,
            ..Plan::new(to)
        };
        plan.validate()?;
        Ok(plan)
    }
}

/// The first address of `host:port`.
///
/// # Errors
/// It cannot be resolved.
pub fn address(text: &str) -> Result<SocketAddr> {
    let mut addresses = text.to_socket_addrs().with_context(|| format!("--to {text}"))?;
    addresses.next().with_context(|| format!("--to {text}: no address"))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(arguments: &str) -> Result<ListenerOptions, clap::Error> {
        let words = format!("loadtest listener {arguments}");
        let options = Options::try_parse_from(words.split_whitespace())?;
        match options.scenario {
            Scenario::Listener(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_documented_command_line_is_understood() {
        let options = listener(
            "--connections 5 --window 7 --messages 9 --sensors 6 --qos 0 --rate 0 --runs 5 \
             --to 127.0.0.1:1883 --http http://127.0.0.1:5000 --token T --pid 1 --reference \
             --streamgauge X --json F --env A=b=c",
        )
        .unwrap();
        assert_eq!(options.reference, Some(Reference::Redis));
        assert_eq!(options.run.place.environment, [("A".to_owned(), "b=c".to_owned())]);
        let plan = options.run.plan(address("127.0.0.1:1883").unwrap()).unwrap();
        assert_eq!((plan.window, plan.qos, plan.rate), (7, Qos::AtMostOnce, None));
        assert_eq!(plan.length, Length::Messages(9));
    }

    #[test]
    fn a_past_ends_now_at_full_seconds() {
        let past = |arguments: &str| {
            let words = format!("loadtest history {arguments}");
            match Options::try_parse_from(words.split_whitespace()).unwrap().scenario {
                Scenario::History(options) => options.past(1_795_437_297_999),
                other => panic!("{other:?}"),
            }
        };
        let day = past("").unwrap();
        assert_eq!((day.series, day.readings, day.step_ms), (100, 86_400, 1_000));
        assert_eq!(day.end_ms(), 1_795_437_297_000);
        let half = past("--hours 0.5 --step 0.25 --jitter-ms 7 --series 3").unwrap();
        assert_eq!((half.readings, half.step_ms, half.jitter_ms), (7_200, 250, 7));
        for (arguments, said) in [
            ("--hours 0", "--hours"),
            ("--hours=-1", "--hours"),
            ("--step 0", "--step"),
            ("--jitter-ms 1000", "--jitter-ms"),
            ("--series 0", "--series"),
        ] {
            let error = past(arguments).unwrap_err().to_string();
            assert!(error.contains(said), "{arguments}: {error}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for arguments in ["--qos 2", "--seconds 1 --messages 1", "--to h:1", "--pid 1", "--env =b"]
        {
            assert!(listener(arguments).is_err(), "{arguments}");
        }
        let address = ([127, 0, 0, 1], 1).into();
        assert!(listener("--seconds=-1").unwrap().run.plan(address).is_err());
    }
}
