//! A stage with history at rest.

use serde_json::{Value, json};

use crate::aggregator::Aggregator;
use crate::feed::{Feed, Measured};
use crate::stage::Stage;

/// Some history at rest.
pub struct Kept {
    pub stage: Stage,
    feed: [Feed; 2],
    _aggregator: Aggregator,
}

impl Kept {
    pub fn new() -> Self {
        let stage = Stage::start();
        let aggregator = stage.aggregate();
        Self { stage, feed: [Feed::new(0), Feed::new(1)], _aggregator: aggregator }
    }

    /// Puts readings of a series into a shard.
    pub fn put(&mut self, shard: usize, series: (&str, &str), readings: &[Measured]) {
        self.put_with(shard, series, readings, &json!({"unit": "°C"}));
    }

    pub fn put_with(
        &mut self,
        shard: usize,
        series: (&str, &str),
        readings: &[Measured],
        more: &Value,
    ) {
        for command in self.feed[shard].readings(series, readings, more) {
            self.stage.redis(&command);
        }
    }

    /// Waits until a sensor has so many readings over all its series.
    pub fn settle(&self, id: &str, count: u64) {
        self.stage.get_until(&format!("/api/sensors/{id}"), |reply| {
            let json = reply.json();
            let rows = json["sensors"].as_array().into_iter().flatten();
            rows.filter_map(|row| row["count"].as_u64()).sum::<u64>() == count
        });
    }

    pub fn json(&self, path: &str) -> Value {
        let reply = self.stage.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }
}

/// The rows of an answer.
pub fn rows(answer: &Value) -> &Vec<Value> {
    answer["readings"].as_array().unwrap()
}
