//! The ledger against what Streamgauge says.

use serde::Serialize;

use crate::api::SensorRow;
use crate::ledger::{Ledger, Tally};

/// Mean and sum of values below 100 are right to this, relative to the mean or to 1, whichever is
/// larger: near zero the rounding of the values added, not of the mean, decides.
const MEAN_TOLERANCE: f64 = 1e-12;

/// The deviation is a root of a difference: half the digits of the mean are what one may ask.
const STDDEV_TOLERANCE: f64 = 1e-9;

/// Mismatches described one by one; of the others only the number is kept.
const DESCRIBED_MAX: usize = 20;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Series compared and found right.
    pub right: u64,
    /// Series that differ.
    pub wrong: u64,
    /// The first of them, in words.
    pub described: Vec<String>,
    /// Readings counted, over all series of the run.
    pub counted: u64,
}

impl Findings {
    /// Every series was there and as expected.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.wrong == 0
    }

    /// Notes a series that is wrong.
    pub(crate) fn differs(&mut self, what: String) {
        self.wrong += 1;
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(what);
        }
    }
}

/// Compares rows with the ledger, one by one; rows of other sensors do not concern it.
#[derive(Debug)]
pub struct Comparison<'a> {
    ledger: &'a Ledger,
    seen: Vec<bool>,
    findings: Findings,
}

impl<'a> Comparison<'a> {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(ledger: &'a Ledger) -> Self {
        let seen = vec![false; ledger.tallies().len()];
        Self { ledger, seen, findings: Findings::default() }
    }

    /// One row of `/api/sensors`.
    pub fn row(&mut self, row: &SensorRow) {
        let Some(sensor) = self.ledger.sensor_of(&row.sensor_id) else {
            return;
        };
        self.findings.counted += row.count;
        if std::mem::replace(&mut self.seen[sensor], true) {
            self.findings.differs(format!("{}: more than one row", row.sensor_id));
            return;
        }
        match difference(&self.ledger.tallies()[sensor], row) {
            None => self.findings.right += 1,
            Some(what) => self.findings.differs(format!("{}: {what}", row.sensor_id)),
        }
    }

    /// What is missing altogether is found now.
    #[must_use]
    pub fn finish(mut self) -> Findings {
        for (sensor, tally) in self.ledger.tallies().iter().enumerate() {
            if !self.seen[sensor] && tally.acked() > 0 {
                let id = self.ledger.sensor_id(sensor);
                self.findings.differs(format!("{id}: absent, {} acknowledged", tally.acked()));
            }
        }
        self.findings
    }
}

/// The first thing in which a row differs from its tally.
///
/// A reading whose outcome is unknown, or that was sent twice, may be counted or not: then the
/// count has bounds, and only what does not depend on it is compared exactly.
fn difference(tally: &Tally, row: &SensorRow) -> Option<String> {
    let (least, most) = (tally.acked(), tally.attempts());
    if row.sensor_type != "temperature" {
        return Some(format!("type {:?} instead of \"temperature\"", row.sensor_type));
    }
    if !(least..=most).contains(&row.count) {
        return Some(match least == most {
            true => format!("count {} instead of {least}", row.count),
            false => format!("count {} is not within {least} to {most}", row.count),
        });
    }
    let exact = [
        ("min", row.min_value, tally.min()),
        ("max", row.max_value, tally.max()),
        ("last", row.last_value, tally.last()),
    ];
    let mut near = vec![("mean", row.avg_value, tally.mean(), MEAN_TOLERANCE)];
    if let Some(stddev) = tally.stddev() {
        near.push(("stddev", row.stddev, stddev, STDDEV_TOLERANCE));
    }
    if tally.unknown == 0 && tally.published > 0 {
        for (name, found, expected) in exact {
            if found != Some(expected) {
                return Some(format!("{name} {found:?} instead of {expected}"));
            }
        }
    }
    if tally.unknown == 0 && row.count == tally.published && tally.published > 0 {
        for (name, found, expected, tolerance) in near {
            let allowed = tolerance * expected.abs().max(1.0);
            if !found.is_some_and(|found| (found - expected).abs() <= allowed) {
                return Some(format!("{name} {found:?} instead of {expected}"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new("s", 2);
        for tenths in [215, -31, 100] {
            ledger.publish(0, tenths);
        }
        ledger
    }

    fn row() -> SensorRow {
        let mean = 28.4 / 3.0;
        let m2: f64 = [21.5, -3.1, 10.0_f64].iter().map(|value| (value - mean).powi(2)).sum();
        SensorRow {
            sensor_id: "s00000".to_owned(),
            sensor_type: "temperature".to_owned(),
            count: 3,
            min_value: Some(-3.1),
            max_value: Some(21.5),
            avg_value: Some(mean),
            stddev: Some((m2 / 2.0).sqrt()),
            last_value: Some(10.0),
        }
    }

    fn findings(ledger: &Ledger, rows: &[SensorRow]) -> Findings {
        let mut comparison = Comparison::new(ledger);
        rows.iter().for_each(|row| comparison.row(row));
        comparison.finish()
    }

    #[test]
    fn equal_statistics_and_foreign_rows_are_clean() {
        let mut foreign = row();
        foreign.sensor_id = "kitchen".to_owned();
        let findings = findings(&ledger(), &[row(), foreign]);
        assert!(findings.is_clean(), "{findings:?}");
        assert_eq!((findings.right, findings.counted), (1, 3));
    }

    #[test]
    fn every_single_difference_is_found() {
        type Change = fn(&mut SensorRow);
        let changes: [(&str, Change); 9] = [
            ("count", |row| row.count = 2),
            ("count", |row| row.count = 4),
            ("min", |row| row.min_value = Some(-3.0)),
            ("max", |row| row.max_value = None),
            ("last", |row| row.last_value = Some(21.5)),
            ("mean", |row| row.avg_value = row.avg_value.map(|mean| mean * (1.0 + 1e-11))),
            ("mean", |row| row.avg_value = Some(f64::NAN)),
            ("stddev", |row| row.stddev = None),
            ("type", |row| row.sensor_type = "unknown".to_owned()),
        ];
        for (name, change) in changes {
            let mut row = row();
            change(&mut row);
            let findings = findings(&ledger(), &[row]);
            assert_eq!(findings.wrong, 1, "{name}");
            assert!(findings.described[0].contains(name), "{findings:?}");
        }
        assert_eq!(findings(&ledger(), &[row(), row()]).wrong, 1);
        assert_eq!(findings(&ledger(), &[]).described, ["s00000: absent, 3 acknowledged"]);
    }

    #[test]
    fn what_is_unknown_or_resent_may_count_or_not_but_never_more() {
        let mut ledger = ledger();
        ledger.resend(0);
        ledger.leave_unknown(0);
        for (count, clean) in [(1, false), (2, true), (3, true), (4, true), (5, false)] {
            let row = SensorRow { count, ..row() };
            assert_eq!(findings(&ledger, &[row]).is_clean(), clean, "{count}");
        }
    }
}
