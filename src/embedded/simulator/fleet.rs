//! Sensors that are made up: what they measure, and what they say next. No network, no clock.
//!
//! The same seed says the same values in the same order. A quantity walks: each step is drawn
//! back towards its mean and pushed by chance (after Uhlenbeck and Ornstein, "On the theory of
//! the Brownian motion", 1930), so that a chart of it looks like a room and not like noise.

use serde::Serialize;

use crate::reading::UnixMillis;

/// One made-up kind of sensor, twelve of which make a house.
struct Model {
    place: &'static str,
    sensor_type: &'static str,
    location: &'static str,
    unit: &'static str,
    /// Sends every so many ticks.
    period: u64,
    moves: Moves,
}

/// How a quantity changes.
#[derive(Clone, Copy)]
enum Moves {
    /// Wanders around a mean, in steps, with so many decimals.
    Walk { mean: f64, step: f64, low: f64, high: f64, decimals: i32 },
    /// Idle or busy, with a little noise; changes once in so many messages.
    Load { idle: f64, busy: f64, once_in: u64 },
    /// Closed or open; changes once in so many messages.
    Contact { once_in: u64 },
}

const fn walk(mean: f64, step: f64, [low, high]: [f64; 2], decimals: i32) -> Moves {
    Moves::Walk { mean, step, low, high, decimals }
}

const fn model(
    [place, sensor_type, location, unit]: [&'static str; 4],
    period: u64,
    moves: Moves,
) -> Model {
    Model { place, sensor_type, location, unit, period, moves }
}

/// The house. Periods are in ticks of [`TICK_MS`].
const HOUSE: [Model; 12] = [
    model(["kitchen", "temperature", "Kitchen", "°C"], 10, walk(21.5, 0.1, [15.0, 30.0], 1)),
    model(["kitchen", "humidity", "Kitchen", "%"], 20, walk(48.0, 0.5, [20.0, 90.0], 1)),
    model(["living-room", "temperature", "Living room", "°C"], 10, walk(20.8, 0.08, [15., 28.], 1)),
    model(["bedroom", "temperature", "Bedroom", "°C"], 20, walk(18.5, 0.06, [12.0, 26.0], 1)),
    model(["bedroom", "co2", "Bedroom", "ppm"], 20, walk(720.0, 12.0, [400.0, 2500.0], 0)),
    model(["garden", "temperature", "Garden", "°C"], 15, walk(11.0, 0.15, [-15.0, 38.0], 1)),
    model(["garden", "humidity", "Garden", "%"], 30, walk(71.0, 0.8, [15.0, 100.0], 1)),
    model(["roof", "pressure", "Roof", "hPa"], 20, walk(1013.2, 0.08, [960.0, 1050.0], 2)),
    model(["roof", "illuminance", "Roof", "lx"], 10, walk(18_000.0, 600.0, [0.0, 60_000.0], 0)),
    model(
        ["cellar", "power", "Cellar", "W"],
        5,
        Moves::Load { idle: 240.0, busy: 1850.0, once_in: 60 },
    ),
    model(["front-door", "contact", "Front door", ""], 20, Moves::Contact { once_in: 12 }),
    model(["workshop", "vibration", "Workshop", "mm/s"], 5, walk(2.4, 0.2, [0.0, 12.0], 2)),
];

/// How long a tick is.
pub const TICK_MS: u64 = 100;

/// All sensors of a simulation.
pub struct Fleet {
    sensors: Vec<Sensor>,
    tick: u64,
}

struct Sensor {
    model: &'static Model,
    topic: String,
    location: String,
    /// Which copy of the house it is in, from 1.
    house: usize,
    /// Its place among sensors of the same period, so that they do not all send at once.
    phase: u64,
    value: f64,
    chance: Chance,
}

/// What is sent.
#[derive(Serialize)]
struct Payload<'a> {
    value: Value,
    unit: &'a str,
    timestamp: String,
    location: &'a str,
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Number(f64),
    Switch(bool),
}

#[derive(Serialize)]
struct Metadata {
    simulated: bool,
    house: usize,
}

impl Fleet {
    /// So many sensors; the same seed makes the same ones.
    #[must_use]
    pub fn new(count: u32, seed: u64) -> Self {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let sensors = (0..count).map(|index| Sensor::new(index, seed)).collect();
        Self { sensors, tick: 0 }
    }

    /// Lets a tick pass; says each message that is due, topic and payload.
    pub fn tick(&mut self, now: UnixMillis, mut say: impl FnMut(&str, Vec<u8>)) {
        self.tick += 1;
        for sensor in &mut self.sensors {
            if (self.tick + sensor.phase).is_multiple_of(sensor.model.period) {
                let payload = sensor.payload(now);
                say(&sensor.topic, payload);
            }
        }
    }
}

impl Sensor {
    fn new(index: usize, seed: u64) -> Self {
        let (model, house) = (&HOUSE[index % HOUSE.len()], index / HOUSE.len() + 1);
        let (place, location) = match house {
            1 => (model.place.to_owned(), model.location.to_owned()),
            _ => (format!("{}-{house}", model.place), format!("{} {house}", model.location)),
        };
        let mut chance = Chance(seed ^ (index as u64).wrapping_mul(0xD134_2543_DE82_EF95));
        let phase = chance.next() % model.period;
        let value = match model.moves {
            Moves::Walk { mean, step, .. } => mean + 10.0 * step * chance.normal(),
            Moves::Load { idle, .. } => idle,
            Moves::Contact { .. } => 0.0,
        };
        let topic = format!("sensors/{place}-{0}/{0}", model.sensor_type);
        Self { model, topic, location, house, phase, value, chance }
    }

    fn payload(&mut self, now: UnixMillis) -> Vec<u8> {
        let payload = Payload {
            value: self.next(),
            unit: self.model.unit,
            timestamp: jiff::Timestamp::from_millisecond(now.0)
                .map(|time| format!("{time:.3}"))
                .unwrap_or_default(),
            location: &self.location,
            metadata: Metadata { simulated: true, house: self.house },
        };
        // Strings, a finite number and a flag: this cannot fail.
        serde_json::to_vec(&payload).unwrap_or_default()
    }

    fn next(&mut self) -> Value {
        /// How much of the way back to the mean a step takes: it wanders for minutes.
        const PULL: f64 = 0.01;
        let changes = |chance: &mut Chance, once_in: u64| chance.next().is_multiple_of(once_in);
        match self.model.moves {
            Moves::Walk { mean, step, low, high, decimals } => {
                self.value += PULL * (mean - self.value) + step * self.chance.normal();
                self.value = self.value.clamp(low, high);
                Value::Number(rounded(self.value, decimals))
            }
            Moves::Load { idle, busy, once_in } => {
                if changes(&mut self.chance, once_in) {
                    self.value = idle + busy - self.value;
                }
                Value::Number(rounded(self.value * (1.0 + 0.02 * self.chance.normal()), 1))
            }
            Moves::Contact { once_in } => {
                if changes(&mut self.chance, once_in) {
                    self.value = 1.0 - self.value;
                }
                Value::Switch(self.value > 0.5)
            }
        }
    }
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// About a standard normal: the sum of twelve numbers from 0 to 1, less six.
    fn normal(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
        let mut unit = || (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (0..12).map(|_| unit()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::TopicFilters;

    fn said(count: u32, seed: u64, ticks: u64) -> Vec<(String, serde_json::Value)> {
        let (mut fleet, mut said) = (Fleet::new(count, seed), Vec::new());
        for tick in 0..ticks {
            let now = UnixMillis(1_700_000_000_000 + i64::try_from(tick * TICK_MS).unwrap());
            fleet.tick(now, |topic, payload| {
                said.push((topic.to_owned(), serde_json::from_slice(&payload).unwrap()));
            });
        }
        said
    }

    #[test]
    fn the_same_seed_says_the_same() {
        assert_eq!(said(12, 7, 100), said(12, 7, 100));
        assert_ne!(said(12, 7, 100), said(12, 8, 100));
    }

    #[test]
    fn every_sensor_sends_in_three_seconds_under_a_topic_of_its_own() {
        let filters = TopicFilters::parse("sensors/+/+").unwrap();
        let said = said(30, 1, 30);
        let mut topics: Vec<_> = said.iter().map(|(topic, _)| topic.clone()).collect();
        assert!(topics.iter().all(|topic| filters.accepts(topic)));
        topics.sort();
        topics.dedup();
        assert_eq!(topics.len(), 30);
        assert!(topics.contains(&"sensors/kitchen-temperature/temperature".to_owned()));
        assert!(topics.contains(&"sensors/kitchen-3-temperature/temperature".to_owned()));
    }

    #[test]
    fn values_stay_where_such_values_are() {
        for (topic, payload) in said(12, 3, 20_000) {
            let value = &payload["value"];
            assert_eq!(payload["metadata"]["simulated"], true);
            match topic.rsplit('/').next().unwrap() {
                "temperature" => assert!((-15.0..=38.0).contains(&value.as_f64().unwrap())),
                "humidity" => assert!((15.0..=100.0).contains(&value.as_f64().unwrap())),
                "contact" => assert!(value.is_boolean()),
                "power" => assert!((150.0..2200.0).contains(&value.as_f64().unwrap()), "{value}"),
                _ => assert!(value.is_number()),
            }
        }
    }

    #[test]
    fn a_message_is_the_documented_one() {
        let (topic, payload) = said(1, 1, 10).remove(0);
        assert_eq!(topic, "sensors/kitchen-temperature/temperature");
        assert_eq!((&payload["unit"], &payload["location"]), (&"°C".into(), &"Kitchen".into()));
        let time = payload["timestamp"].as_str().unwrap();
        assert!(time.starts_with("2023-11-14T22:13:2") && time.ends_with('Z'), "{time}");
    }
}
