//! What a run found out, as text, as JSON, and as the median of several.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::check::Findings;
use crate::process::Spent;

/// One run. What does not apply is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// Different readings published.
    pub messages: u64,
    /// Of these with PUBACK (QoS 0: written).
    pub acked: u64,
    /// Of these without.
    pub unknown: u64,
    /// Sendings beyond the first.
    pub resent: u64,
    /// Connections made again.
    pub reconnects: u64,
    /// From the first message to the last PUBACK.
    pub publish_seconds: f64,
    /// Messages a second over that time.
    pub acknowledged_per_second: f64,
    /// PUBACK times of a sample, in milliseconds: half are faster.
    pub puback_ms_p50: Option<f64>,
    /// 99 of 100 are faster.
    pub puback_ms_p99: Option<f64>,
    /// From the last PUBACK until everything was committed and nothing waited.
    pub caught_up_seconds: Option<f64>,
    /// Messages a second from the first message until then.
    pub aggregated_per_second: Option<f64>,
    /// From the time of being caught up until `/api/sensors` was right; its table is refreshed
    /// now and then.
    pub shown_seconds: Option<f64>,
    /// Processor time and memory by process.
    pub processes: Vec<Spent>,
    /// Append-only files at the end.
    pub aof_bytes: Option<u64>,
    /// What only this scenario measures, by name, with its unit in the name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<(String, f64)>,
    /// Raw data of this scenario alone, such as what was looked at over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// The comparison with the ledger.
    pub findings: Option<Findings>,
    /// `/api/stats` at the end.
    pub stats: Option<Value>,
    /// The rate of the reference measured right after.
    pub reference_per_second: Option<f64>,
    /// This run ÷ the reference, in what both do: to Redis the aggregated rate, to a broker the
    /// acknowledged one.
    pub ratio: Option<f64>,
    /// Everything that was not as it must be; a run without is good.
    pub failures: Vec<String>,
}

impl Run {
    /// Every measured number by name, in the order of the report.
    #[must_use]
    pub fn numbers(&self) -> Vec<(String, f64)> {
        let mut numbers = vec![("acknowledged/s".to_owned(), self.acknowledged_per_second)];
        let optional = [
            ("PUBACK p50 ms", self.puback_ms_p50),
            ("PUBACK p99 ms", self.puback_ms_p99),
            ("aggregated/s", self.aggregated_per_second),
            ("caught up after s", self.caught_up_seconds),
            ("shown after further s", self.shown_seconds),
            ("reference/s", self.reference_per_second),
            ("ratio", self.ratio),
            ("AOF MiB", self.aof_bytes.map(|bytes| bytes as f64 / MIB)),
        ];
        for (name, number) in optional {
            numbers.extend(number.map(|number| (name.to_owned(), number)));
        }
        for spent in &self.processes {
            numbers.push((format!("{} CPU µs/message", spent.name), spent.cpu_us_per_message));
            numbers.push((format!("{} CPU s", spent.name), spent.cpu_seconds));
            numbers.push((format!("{} MiB", spent.name), spent.resident_bytes as f64 / MIB));
        }
        numbers.extend(self.measured.iter().cloned());
        numbers
    }

    /// The run in a few lines.
    #[must_use]
    pub fn text(&self, number: usize) -> String {
        let mut text = format!(
            "run {number}: {} messages in {:.2} s, {} acknowledged",
            grouped(self.messages as f64),
            self.publish_seconds,
            grouped(self.acked as f64)
        );
        if self.unknown + self.resent + self.reconnects > 0 {
            text += &format!(
                ", {} unknown, {} resent, {} reconnects",
                self.unknown, self.resent, self.reconnects
            );
        }
        text.push('\n');
        text += &table(&self.numbers());
        if let Some(findings) = &self.findings {
            text += &format!(
                "  checked: {} series right, {} wrong, {} readings counted\n",
                findings.right, findings.wrong, findings.counted
            );
            for what in &findings.described {
                text += &format!("    {what}\n");
            }
        }
        for failure in &self.failures {
            text += &format!("  FAILED: {failure}\n");
        }
        text
    }
}

const MIB: f64 = 1_048_576.0;

/// All runs of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its name.
    pub scenario: String,
    /// The command line.
    pub command: String,
    /// Every run.
    pub runs: Vec<Run>,
    /// The median of each number over the runs.
    pub medians: Vec<(String, f64)>,
}

impl Summary {
    /// Computes the medians.
    #[must_use]
    pub fn new(scenario: &str, runs: Vec<Run>) -> Self {
        let command: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("loadtest {}", command.join(" "));
        Self { scenario: scenario.to_owned(), command, medians: medians(&runs), runs }
    }

    /// Whether every run is good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.runs.iter().all(|run| run.failures.is_empty())
    }

    /// The medians in lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!("median of {} runs:\n{}", self.runs.len(), table(&self.medians))
    }
}

/// By name, over the runs that have the number.
fn medians(runs: &[Run]) -> Vec<(String, f64)> {
    let all: Vec<Vec<(String, f64)>> = runs.iter().map(Run::numbers).collect();
    let Some(first) = all.iter().max_by_key(|numbers| numbers.len()) else {
        return Vec::new();
    };
    let median_of = |name: &str| {
        let named = all.iter().flatten().filter(|(other, _)| other == name);
        median(named.map(|(_, number)| *number).collect())
    };
    first.iter().map(|(name, _)| (name.clone(), median_of(name))).collect()
}

/// The middle one, or the mean of the middle two; 0 of none.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => 0.0,
        count if count % 2 == 1 => numbers[count / 2],
        count => f64::midpoint(numbers[count / 2 - 1], numbers[count / 2]),
    }
}

fn table(numbers: &[(String, f64)]) -> String {
    let mut text = String::new();
    for (name, number) in numbers {
        // Writing to a String cannot fail.
        if writeln!(text, "  {name:<36} {:>12}", grouped(*number)).is_err() {
            break;
        }
    }
    text
}

/// `1234567.8` as `1,234,568`, `0.01234` as `0.012`.
fn grouped(number: f64) -> String {
    if number.abs() < 1_000.0 && number.fract() != 0.0 {
        return format!("{number:.3}");
    }
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: f64) -> Run {
        let spent = Spent {
            name: "redis".to_owned(),
            cpu_seconds: 1.0,
            cpu_us_per_message: rate / 10.0,
            resident_bytes: 1 << 20,
        };
        Run { acknowledged_per_second: rate, processes: vec![spent], ..Run::default() }
    }

    #[test]
    fn medians_are_taken_number_by_number() {
        let mut slow = run(10.0);
        slow.aggregated_per_second = Some(5.0);
        let summary = Summary::new("listener", vec![run(30.0), slow, run(20.0)]);
        let found = |name: &str| {
            summary.medians.iter().find(|(other, _)| other == name).map(|(_, number)| *number)
        };
        assert_eq!(found("acknowledged/s"), Some(20.0));
        assert_eq!(found("aggregated/s"), Some(5.0));
        assert_eq!(found("redis CPU µs/message"), Some(2.0));
        assert_eq!(found("ratio"), None);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn one_bad_run_spoils_the_summary() {
        let mut bad = run(1.0);
        bad.failures.push("2 dead letters".to_owned());
        assert!(bad.text(1).contains("FAILED: 2 dead letters"));
        assert!(!Summary::new("listener", vec![run(1.0), bad]).is_good());
        assert!(Summary::new("listener", vec![run(1.0)]).is_good());
    }

    #[test]
    fn numbers_are_readable() {
        for (number, expected) in
            [(1_234_567.8, "1,234,568"), (0.012_34, "0.012"), (999.0, "999"), (-1e3, "-1,000")]
        {
            assert_eq!(grouped(number), expected);
        }
    }
}
