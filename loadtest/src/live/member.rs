//! One client of a crowd: what it has seen, and whether that can be right. No I/O.

use std::time::Duration;

use anyhow::Result;

use super::sight::Scanner;
use crate::latency::Latency;

/// One frame of so many is parsed in full, besides the first one of each client.
const FRAMES_PER_CHECK: u64 = 1_000;

/// A client that is shown nothing for longer is starved: its sensors speak several times a second.
const STARVED: Duration = Duration::from_secs(1);

/// Events by which a client learns that it has missed readings.
const GAPS: [&[u8]; 2] = [br#"{"event":"gap","#, br#"{"event":"reset","#];

/// What the clients of one thread saw in one phase.
#[derive(Debug, Default)]
pub struct Tally {
    /// Frames with readings.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Readings in them.
    pub readings: u64,
    /// Readings that these replaced.
    pub conflated: u64,
    /// Publish → frame of the newest reading in each frame.
    pub newest: Latency,
    /// Publish → frame of the oldest reading in each frame.
    pub oldest: Latency,
    /// Readings that a client had already.
    pub doubled: u64,
    /// Readings older than one that a client had already.
    pub out_of_order: u64,
    /// Readings of sensors that were not asked for.
    pub strange: u64,
    /// `gap` and `reset`: the client is told that it has missed something.
    pub gaps: u64,
    /// Frames parsed in full.
    pub checked: u64,
    /// Clients that were shown nothing for more than a second.
    pub starved: u64,
    /// The longest that a client was shown nothing.
    pub longest_gap: Duration,
    /// Processor seconds of the thread.
    pub cpu_seconds: f64,
}

impl Tally {
    /// Adds what another thread's clients saw.
    pub fn merge(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.readings += other.readings;
        self.conflated += other.conflated;
        self.newest.merge(&other.newest);
        self.oldest.merge(&other.oldest);
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.strange += other.strange;
        self.gaps += other.gaps;
        self.checked += other.checked;
        self.starved += other.starved;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.cpu_seconds += other.cpu_seconds;
    }
}

/// What one client has seen.
#[derive(Debug)]
pub struct Member {
    /// The first sensor of its subscription; the others follow.
    first_sensor: u32,
    /// The newest stamp of each of its sensors; 0 before the first.
    seen: Box<[u64]>,
    /// Readings shown, or said to be replaced by one that was.
    accounted: u64,
    frames: u64,
    /// When it was last shown something.
    shown_at: u64,
    /// In microseconds, within this phase.
    longest_gap: u64,
}

impl Member {
    /// A client of the sensors `[first_sensor, first_sensor + sensors)`.
    #[must_use]
    pub fn new(first_sensor: u32, sensors: u32) -> Self {
        Self {
            first_sensor,
            seen: vec![0; sensors as usize].into_boxed_slice(),
            accounted: 0,
            frames: 0,
            shown_at: 0,
            longest_gap: 0,
        }
    }

    /// It connects anew: what it is shown may begin before what it has seen.
    pub fn forget(&mut self) {
        self.seen.fill(0);
        self.frames = 0;
    }

    /// Whether it has been shown something since it connected.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.frames > 0
    }

    /// Readings shown or said to be replaced.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.accounted
    }

    /// Takes an event at `now`, in a phase that began at `began` (microseconds).
    ///
    /// # Errors
    /// An update that is not as documented.
    pub fn take(
        &mut self,
        event: &[u8],
        (now, began): (u64, u64),
        scanner: &Scanner,
        tally: &mut Tally,
    ) -> Result<()> {
        let sight = scanner.scan(event, |sensor, stamp| {
            let index = sensor.wrapping_sub(self.first_sensor) as usize;
            match self.seen.get_mut(index) {
                Some(seen) if stamp > *seen => *seen = stamp,
                Some(seen) if stamp == *seen => tally.doubled += 1,
                Some(_) => tally.out_of_order += 1,
                None => tally.strange += 1,
            }
        })?;
        let Some(sight) = sight else {
            tally.gaps += u64::from(GAPS.iter().any(|gap| event.starts_with(gap)));
            return Ok(());
        };
        if self.frames == 0 || tally.frames.is_multiple_of(FRAMES_PER_CHECK) {
            scanner.check(event)?;
            tally.checked += 1;
        }
        self.longest_gap = self.longest_gap.max(now.saturating_sub(self.shown_at.max(began)));
        self.shown_at = now;
        self.frames += 1;
        self.accounted += sight.readings + sight.conflated;
        tally.frames += 1;
        tally.bytes += event.len() as u64;
        tally.readings += sight.readings;
        tally.conflated += sight.conflated;
        tally.newest.add(Duration::from_micros(now.saturating_sub(sight.newest)));
        tally.oldest.add(Duration::from_micros(now.saturating_sub(sight.oldest)));
        Ok(())
    }

    /// A phase that began at `began` ends at `now`.
    pub fn end_phase(&mut self, (now, began): (u64, u64), tally: &mut Tally) {
        let gap = self.longest_gap.max(now.saturating_sub(self.shown_at.max(began)));
        let gap = Duration::from_micros(gap);
        tally.starved += u64::from(gap > STARVED);
        tally.longest_gap = tally.longest_gap.max(gap);
        self.longest_gap = 0;
    }

    /// Whether it has been shown the last reading of each of its sensors.
    #[must_use]
    pub fn is_settled(&self, last: &[u64]) -> bool {
        let first = self.first_sensor as usize;
        last.get(first..first + self.seen.len()).is_some_and(|last| *last == *self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(sensor: u32, stamp: u64) -> Vec<u8> {
        let id = format!(r#""sensor_id":"c{sensor:05}","sensor_type":"latency""#);
        let head = format!(r#"{{"event":"sensor_update","data":{{{id}"#);
        let tail = r#""timestamp":"2026-11-23T18:00:00Z","position":"0:1-1.0"}}"#;
        format!(r#"{head},"value":{stamp}.0,{tail}"#).into_bytes()
    }

    #[test]
    fn what_a_client_must_not_see_is_counted() {
        let scanner = Scanner::new("c", "latency");
        let (mut member, mut tally) = (Member::new(20, 2), Tally::default());
        assert!(!member.is_served());
        for (sensor, stamp) in [(20, 5), (21, 6), (20, 7), (20, 7), (21, 4)] {
            member.take(&update(sensor, stamp), (10, 0), &scanner, &mut tally).unwrap();
        }
        assert_eq!((tally.frames, tally.readings), (5, 5));
        assert_eq!((tally.doubled, tally.out_of_order, tally.checked), (1, 1, 1));
        assert_eq!(member.accounted(), 5);
        let mut last = vec![0; 22];
        (last[20], last[21]) = (7, 6);
        assert!(member.is_settled(&last) && member.is_served());
        last[21] = 8;
        assert!(!member.is_settled(&last) && !member.is_settled(&[]));
        for stranger in [19, 22] {
            member.take(&update(stranger, 9), (10, 0), &scanner, &mut tally).unwrap();
        }
        assert_eq!(tally.strange, 2);
        let gap = br#"{"event":"gap","data":{"shard":1}}"#;
        member.take(gap, (10, 0), &scanner, &mut tally).unwrap();
        assert_eq!(tally.gaps, 1);
        member.forget();
        member.take(&update(20, 5), (11, 0), &scanner, &mut tally).unwrap();
        assert_eq!(tally.out_of_order, 1, "a new connection may begin earlier");
    }

    #[test]
    fn a_client_that_is_shown_nothing_is_starved() {
        let scanner = Scanner::new("c", "latency");
        let at = |seconds: f64| (seconds * 1e6) as u64;
        let check = |shown: &[f64], starved, gap: f64| {
            let (mut member, mut tally) = (Member::new(0, 1), Tally::default());
            for (number, shown) in shown.iter().enumerate() {
                let event = update(0, number as u64 + 1);
                member.take(&event, (at(*shown), at(10.0)), &scanner, &mut tally).unwrap();
            }
            member.end_phase((at(13.0), at(10.0)), &mut tally);
            assert_eq!(
                (tally.starved, tally.longest_gap.as_secs_f64()),
                (starved, gap),
                "{shown:?}"
            );
        };
        check(&[10.5, 11.25, 12.25], 0, 1.0);
        check(&[10.5, 12.0], 1, 1.5);
        check(&[11.5, 12.25], 1, 1.5);
        check(&[10.5, 11.0], 1, 2.0);
        check(&[], 1, 3.0);
        // What happened before the phase is not its matter.
        check(&[2.0, 10.25, 11.0, 12.0], 0, 1.0);
    }
}
