//! Publishes the past: all series side by side, ascending in time, many readings a message.
//!
//! A round takes every series forward by one message and ends with the last PUBACK, so that no
//! series is ahead of another by more than that, as sensors are in life.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::packet::{
    CONNACK_ACCEPTED, DISCONNECT, PUBACK_HEAD, append_publish, connect as connect_packet,
};
use crate::past::{Past, Walk};

/// Longest wait for an answer: Streamgauge holds PUBACKs back as long as Redis is behind.
const PATIENCE: Duration = Duration::from_secs(120);

/// How it is published.
#[derive(Clone, Copy, Debug)]
pub struct Backfill {
    /// The listener.
    pub to: SocketAddr,
    /// Parallel connections at QoS 1, each with series of its own.
    pub connections: u32,
    /// Most unacknowledged messages of each.
    pub window: u16,
    /// 1 to 256, which is the most that Streamgauge takes.
    pub readings_per_message: u64,
}

impl Backfill {
    /// Publishes everything and calls `each_round` with the readings acknowledged so far, after
    /// each round. All are acknowledged when it returns; it says how long that took.
    ///
    /// # Errors
    /// No connection, no PUBACK, one out of order, or what `each_round` says.
    pub fn publish(
        &self,
        past: &Past,
        mut each_round: impl FnMut(u64) -> Result<()>,
    ) -> Result<Duration> {
        let began = Instant::now();
        let mut feeders = (0..self.connections.min(past.series))
            .map(|number| Feeder::connect(self, past, number))
            .collect::<Result<Vec<_>>>()?;
        let mut published = 0;
        while published < past.readings {
            let count = self.readings_per_message.min(past.readings - published);
            round(&mut feeders, count)?;
            published += count;
            each_round(published * u64::from(past.series))?;
        }
        for feeder in feeders {
            feeder.disconnect()?;
        }
        Ok(began.elapsed())
    }
}

/// A thread for each connection: what a round costs is encoding.
fn round(feeders: &mut [Feeder], count: u64) -> Result<()> {
    thread::scope(|scope| {
        let rounds: Vec<_> =
            feeders.iter_mut().map(|feeder| scope.spawn(move || feeder.round(count))).collect();
        for round in rounds {
            match round.join() {
                Ok(result) => result?,
                Err(_panicked) => bail!("a publishing thread has panicked"),
            }
        }
        Ok(())
    })
}

/// One connection and its series.
struct Feeder {
    stream: TcpStream,
    /// The topic of each series and where it is.
    series: Vec<(String, Walk)>,
    window: u64,
    sent: u64,
    acked: u64,
    out: Vec<u8>,
    payload: String,
}

impl Feeder {
    fn connect(how: &Backfill, past: &Past, number: u32) -> Result<Self> {
        let mut stream =
            TcpStream::connect(how.to).with_context(|| format!("cannot connect to {}", how.to))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&connect_packet(&format!("past-{number}"), None))?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).context("no CONNACK")?;
        ensure!(answer == CONNACK_ACCEPTED, "the listener answered CONNECT with {answer:02x?}");
        let connections = how.connections.min(past.series);
        let series = (number..past.series).step_by(connections as usize);
        let series = series.map(|series| {
            let topic = format!("sensors/{}/temperature", past.sensor_id(series));
            (topic, past.walk(series))
        });
        Ok(Self {
            stream,
            series: series.collect(),
            window: u64::from(how.window),
            sent: 0,
            acked: 0,
            out: Vec::new(),
            payload: String::new(),
        })
    }

    fn round(&mut self, count: u64) -> Result<()> {
        for index in 0..self.series.len() {
            let (topic, walk) = &mut self.series[index];
            encode(&mut self.payload, walk, count)?;
            self.sent += 1;
            let id = packet_id(self.sent);
            append_publish(&mut self.out, topic, id, self.payload.as_bytes());
            if self.sent - self.acked == self.window {
                // Half of them, so that the listener always has something to read.
                self.acknowledge(self.window / 2)?;
            }
        }
        self.acknowledge(0)
    }

    /// Sends what waits and takes PUBACKs until no more than `left` are missing.
    fn acknowledge(&mut self, left: u64) -> Result<()> {
        self.stream.write_all(&self.out).context("cannot publish")?;
        self.out.clear();
        while self.sent - self.acked > left {
            let mut packet = [0; 4];
            self.stream.read_exact(&mut packet).context("no PUBACK")?;
            self.acked += 1;
            let [high, low] = packet_id(self.acked).to_be_bytes();
            let expected = [PUBACK_HEAD[0], PUBACK_HEAD[1], high, low];
            ensure!(packet == expected, "{packet:02x?} in place of PUBACK {expected:02x?}");
        }
        Ok(())
    }

    fn disconnect(mut self) -> Result<()> {
        self.stream.write_all(&DISCONNECT).context("cannot disconnect")
    }
}

/// The next `count` readings as a JSON array.
fn encode(payload: &mut String, walk: &mut Walk, count: u64) -> Result<()> {
    payload.clear();
    payload.push('[');
    for reading in walk.take(count as usize) {
        let (whole, tenth) = (reading.tenths / 10, reading.tenths % 10);
        let at = reading.measured_at;
        write!(payload, r#"{{"value":{whole}.{tenth},"unit":"°C","timestamp":{at}}},"#)?;
    }
    payload.pop();
    payload.push(']');
    Ok(())
}

/// From 1 to 65,535 and around (§2.3.1).
fn packet_id(number: u64) -> u16 {
    ((number - 1) % 65_535) as u16 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_arrays_of_the_next_readings() {
        let past = Past {
            prefix: "p".to_owned(),
            series: 1,
            readings: 3,
            start_ms: 1_795_437_297_000,
            step_ms: 1_000,
            jitter_ms: 0,
        };
        let mut walk = past.walk(0);
        let mut payload = String::new();
        encode(&mut payload, &mut walk, 2).unwrap();
        let first: serde_json::Value = serde_json::from_str(&payload).unwrap();
        let expected: Vec<_> = past.walk(0).take(2).collect();
        for (shown, reading) in first.as_array().unwrap().iter().zip(expected) {
            assert_eq!(shown["value"], reading.value());
            assert_eq!(shown["timestamp"], reading.measured_at);
        }
        encode(&mut payload, &mut walk, 2).unwrap();
        let rest: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(rest.as_array().unwrap().len(), 1);
    }

    #[test]
    fn packet_ids_pass_over_zero() {
        assert_eq!([1, 65_535, 65_536].map(packet_id), [1, 65_535, 1]);
    }
}
