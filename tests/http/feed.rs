//! Readings on their way into a stream, as ingest writes them.

use serde_json::json;
use streamgauge::clock::Clock;
use streamgauge::shard::ShardId;
use streamgauge::stream::ShardKeys;

/// Readings in a message at most (design §6), and messages in an entry of less than 1 MiB.
const READINGS_MAX: usize = 256;
const MESSAGES_MAX: usize = 32;

/// One reading: milliseconds since 1970, and the value.
pub type Measured = (i64, f64);

/// Everything that goes into one shard.
pub struct Feed {
    keys: ShardKeys,
    entries: u64,
    messages: u64,
}

impl Feed {
    pub fn new(shard: u16) -> Self {
        Self { keys: ShardKeys::new(ShardId(shard)), entries: 0, messages: 0 }
    }

    /// The commands that append readings of one series, with these further fields each.
    pub fn readings(
        &mut self,
        (id, kind): (&str, &str),
        readings: &[Measured],
        more: &serde_json::Value,
    ) -> Vec<redis::Cmd> {
        let reading = |(at, value): &Measured| {
            let mut reading = more.clone();
            reading["value"] = json!(value);
            reading["timestamp"] = json!(at);
            reading
        };
        let message = |readings: &[Measured]| {
            let list: Vec<_> = readings.iter().map(reading).collect();
            (format!("sensors/{id}/{kind}"), json!(list).to_string())
        };
        let messages: Vec<_> = readings.chunks(READINGS_MAX).map(message).collect();
        messages.chunks(MESSAGES_MAX).map(|messages| self.entry(messages)).collect()
    }

    fn entry(&mut self, messages: &[(String, String)]) -> redis::Cmd {
        let count = messages.len() as u64;
        self.entries += 1;
        self.messages += count;
        let (number, total, now) = (self.entries, self.messages, Clock::system().now());
        let header = format!("1 00000000000000ab {number} {count} {now} {total}");
        let mut command = redis::cmd("XADD");
        command.arg(&self.keys.stream).arg("*").arg("@").arg(header);
        for (topic, payload) in messages {
            command.arg(topic).arg(payload);
        }
        command
    }
}
