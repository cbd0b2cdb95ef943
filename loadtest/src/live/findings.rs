//! What a crowd found out, as numbers of a run.

use serde_json::{Value, json};

use super::crowd::{Crowd, Seen};
use super::follow::quantiles;
use super::gather::ends;
use super::member::Tally;
use super::stamp::Stamped;
use crate::latency::Latency;
use crate::options::CrowdOptions;
use crate::process::Spent;
use crate::report::{Run, median};

const MIB: f64 = 1_048_576.0;
const KIB: f64 = 1_024.0;

/// A part of a run under one condition.
#[derive(Debug, Default)]
pub(super) struct Phase {
    /// `settle`, `plain`, `stuck` or `return`.
    pub(super) name: &'static str,
    /// Under which the threads kept what they saw.
    pub(super) number: usize,
    pub(super) seconds: f64,
    /// Publish → PUBACK.
    pub(super) puback: Latency,
    /// Resident memory of the server, looked at every 0.2 s.
    pub(super) resident: Vec<u64>,
    /// Most messages written but not folded.
    pub(super) lag_max: Option<u64>,
    /// Seconds, resident bytes and lag of each look.
    pub(super) rows: Vec<Value>,
    /// From the cut until all had subscribed again.
    pub(super) back_subscribed: Option<f64>,
    /// From the cut until all had been shown something again.
    pub(super) back_served: Option<f64>,
}

/// What happened besides what the clients saw.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) resident_before: u64,
    pub(super) resident_connected: u64,
    pub(super) connect_seconds: f64,
    pub(super) phases: Vec<Phase>,
    pub(super) measured_seconds: f64,
    pub(super) measured_readings: u64,
    pub(super) processes: Vec<Spent>,
    pub(super) publisher_cpu_seconds: f64,
    pub(super) stuck_subscribed: u64,
    pub(super) settled: usize,
}

/// What the story is told with.
pub(super) struct Told<'a> {
    pub(super) options: &'a CrowdOptions,
    pub(super) stamped: &'a Stamped,
    pub(super) seen: &'a [Seen],
    pub(super) crowd: &'a Crowd,
}

impl Story {
    /// All of it as a run.
    pub(super) fn run(&self, told: &Told<'_>) -> Run {
        let published = told.stamped.total();
        let mut run = Run {
            messages: published,
            acked: published,
            publish_seconds: told.stamped.elapsed.as_secs_f64(),
            acknowledged_per_second: published as f64 / told.stamped.elapsed.as_secs_f64(),
            processes: self.processes.clone(),
            ..Run::default()
        };
        let mut add = |name: &str, number: f64| run.measured.push((name.to_owned(), number));
        self.memory(told, &mut add);
        for name in ["plain", "stuck", "return"] {
            let phases = || self.phases.iter().filter(|phase| phase.name == name);
            if phases().next().is_some() {
                tell(name, phases(), told.seen, &mut add);
            }
        }
        self.compare(&mut add, told.seen);
        self.load(told, &mut add);
        let (missing, surplus) = accounted(told);
        add("readings missing", missing as f64);
        add("readings beyond what was published", surplus as f64);
        run.details = Some(self.details());
        run.failures = self.failures(told, missing + surplus);
        run
    }

    fn memory(&self, told: &Told<'_>, add: &mut impl FnMut(&str, f64)) {
        let clients = told.crowd.clients as f64;
        let served = self.phases.iter().filter(|phase| phase.name == "plain");
        let served = served.flat_map(|phase| &phase.resident).copied().max().unwrap_or(0);
        let each = |now: u64| (now as f64 - self.resident_before as f64) / clients / KIB;
        add("all subscribed after s", self.connect_seconds);
        add("resident before MiB", self.resident_before as f64 / MIB);
        add("resident connected MiB", self.resident_connected as f64 / MIB);
        add("resident served, most MiB", served as f64 / MIB);
        add("KiB per client connected", each(self.resident_connected));
        add("KiB per client served, most", each(served));
    }

    /// With clients that never read ÷ without; while all return ÷ else. Medians over the phases
    /// of a name, for one of them may have been disturbed by something else.
    fn compare(&self, add: &mut impl FnMut(&str, f64), seen: &[Seen]) {
        let median_of = |name: &str, number: &dyn Fn(&Phase) -> Option<f64>| {
            let phases = self.phases.iter().filter(|phase| phase.name == name);
            let numbers: Vec<f64> = phases.filter_map(number).collect();
            (!numbers.is_empty()).then(|| median(numbers))
        };
        let mut ratio = |what: &str, of: &str, number: &dyn Fn(&Phase) -> Option<f64>| {
            if let (Some(of), Some(to)) = (median_of(of, number), median_of("plain", number)) {
                add(what, of / to);
            }
        };
        let newest = |phase: &Phase| tally(phase, seen).newest.quantile_ms(0.99);
        let puback = |phase: &Phase| phase.puback.quantile_ms(0.99);
        let lag = |phase: &Phase| phase.lag_max.map(|lag| lag as f64);
        ratio("newest p99 stuck ÷ plain", "stuck", &newest);
        ratio("PUBACK p99 stuck ÷ plain", "stuck", &puback);
        ratio("PUBACK p99 return ÷ plain", "return", &puback);
        ratio("lag, most, return ÷ plain", "return", &lag);
        if self.stuck_subscribed > 0 {
            add("clients that never read, in all", self.stuck_subscribed as f64);
        }
    }

    /// Who kept the processors busy: a generator at its limit measures itself.
    fn load(&self, told: &Told<'_>, add: &mut impl FnMut(&str, f64)) {
        for spent in &self.processes {
            add(&format!("{} cores busy", spent.name), spent.cpu_seconds / self.measured_seconds);
        }
        let measured = self.phases.iter().filter(|phase| phase.name != "settle");
        let clients: f64 = measured.map(|phase| tally(phase, told.seen).cpu_seconds).sum();
        add("of it clients, cores busy", clients / self.measured_seconds);
        let published = told.stamped.elapsed.as_secs_f64();
        add("of it publisher, cores busy", self.publisher_cpu_seconds / published);
        quantiles(add, "due → written", &told.stamped.late);
    }

    fn details(&self) -> Value {
        let phases = self.phases.iter().map(|phase| {
            json!({"phase": phase.name, "seconds": phase.seconds,
                   "columns": ["at s", "resident bytes", "lag"], "rows": phase.rows})
        });
        phases.collect()
    }

    fn failures(&self, told: &Told<'_>, wrong: u64) -> Vec<String> {
        let crowd = told.crowd;
        let mut failures = crowd.signals.faults();
        // While all return, what was queued before a subscription may still come after it; a
        // client tells it by its position.
        let at_rest = self.phases.iter().filter(|phase| ["plain", "stuck"].contains(&phase.name));
        let at_rest = sum(at_rest.map(|phase| tally(phase, told.seen)));
        let all = sum(self.phases.iter().map(|phase| tally(phase, told.seen)));
        for (number, what) in [
            (at_rest.doubled, "readings doubled"),
            (at_rest.strange, "readings that were not asked for"),
            (at_rest.gaps, "times a client was told of a gap"),
            (all.out_of_order, "readings out of order"),
            (at_rest.starved, "clients shown nothing for more than a second"),
            ((crowd.clients - self.settled) as u64, "clients not shown the last readings"),
            (wrong, "readings more or fewer than were published for a client"),
        ] {
            if number > 0 {
                failures.push(format!("{number} {what}"));
            }
        }
        for phase in self.phases.iter().filter(|phase| phase.name == "return") {
            if phase.back_served.is_none() {
                failures.push("not all clients came back in time".to_owned());
            }
        }
        if !told.options.reconnect {
            failures.extend(ends(&crowd.signals.ended()));
        }
        failures
    }
}

/// What all threads' clients saw in a phase.
fn tally(phase: &Phase, seen: &[Seen]) -> Tally {
    sum(seen.iter().filter_map(|seen| seen.tallies.get(phase.number)))
}

fn sum<T: std::borrow::Borrow<Tally>>(tallies: impl Iterator<Item = T>) -> Tally {
    tallies.fold(Tally::default(), |mut sum, tally| {
        sum.merge(tally.borrow());
        sum
    })
}

/// What the phases of one name found, all together.
fn tell<'a>(
    name: &str,
    phases: impl Iterator<Item = &'a Phase> + Clone,
    seen: &[Seen],
    add: &mut impl FnMut(&str, f64),
) {
    let all = sum(phases.clone().map(|phase| tally(phase, seen)));
    let seconds: f64 = phases.clone().map(|phase| phase.seconds).sum();
    let mut puback = Latency::default();
    phases.clone().for_each(|phase| puback.merge(&phase.puback));
    let mut add = |what: &str, number: f64| add(&format!("{name}: {what}"), number);
    add("frames/s", all.frames as f64 / seconds);
    add("readings/s", all.readings as f64 / seconds);
    add("conflated/s", all.conflated as f64 / seconds);
    add("MiB/s", all.bytes as f64 / MIB / seconds);
    quantiles(&mut add, "newest", &all.newest);
    quantiles(&mut add, "oldest", &all.oldest);
    add("longest without a frame ms", all.longest_gap.as_secs_f64() * 1e3);
    for (what, number) in [
        ("starved clients", all.starved),
        ("doubled", all.doubled),
        ("out of order", all.out_of_order),
        ("not asked for", all.strange),
        ("told of a gap", all.gaps),
    ] {
        add(what, number as f64);
    }
    add("frames parsed in full", all.checked as f64);
    quantiles(&mut add, "PUBACK", &puback);
    if let Some(lag) = phases.clone().filter_map(|phase| phase.lag_max).max() {
        add("lag, most messages", lag as f64);
    }
    let resident = || phases.clone().flat_map(|phase| &phase.resident).copied();
    add("resident least MiB", resident().min().unwrap_or(0) as f64 / MIB);
    add("resident most MiB", resident().max().unwrap_or(0) as f64 / MIB);
    for (what, number) in phases.flat_map(|phase| {
        [
            ("all subscribed again s", phase.back_subscribed),
            ("all served again s", phase.back_served),
        ]
    }) {
        if let Some(number) = number {
            add(what, number);
        }
    }
}

/// Readings that clients were neither shown nor told of, and readings beyond those published.
/// One reading a frame tells nothing of what it replaced, and who was cut has missed some.
fn accounted(told: &Told<'_>) -> (u64, u64) {
    let options = told.options;
    if options.reconnect || (options.single && !options.every) {
        return (0, 0);
    }
    let (mut missing, mut surplus) = (0, 0);
    for (client, accounted) in told.seen.iter().flat_map(|seen| &seen.accounted) {
        let first = client % options.subscriptions as usize * options.sensors as usize;
        let sensors = &told.stamped.of_sensor[first..first + options.sensors as usize];
        let published: u64 = sensors.iter().map(|stamps| stamps.len() as u64).sum();
        missing += published.saturating_sub(*accounted);
        surplus += accounted.saturating_sub(published);
    }
    (missing, surplus)
}
