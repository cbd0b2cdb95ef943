//! What Streamgauge says about itself, over its REST API.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;

/// Longest wait for one answer; a page of 10,000 sensors takes milliseconds, a day of a series
/// that is exported by a debug build seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes of one answer: 10,000 rows with the longest texts allowed stay below, and so does a
/// day of a series that speaks every second.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// One Streamgauge.
#[derive(Debug)]
pub struct Api {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

/// A row of `/api/sensors`, as far as it is checked. Statistics may be null there.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct SensorRow {
    /// The sensor.
    pub sensor_id: String,
    /// The quantity.
    pub sensor_type: String,
    /// Readings counted.
    pub count: u64,
    /// Least value.
    pub min_value: Option<f64>,
    /// Greatest value.
    pub max_value: Option<f64>,
    /// Mean.
    pub avg_value: Option<f64>,
    /// Sample deviation; null below two readings.
    pub stddev: Option<f64>,
    /// Value of the latest reading.
    pub last_value: Option<f64>,
}

#[derive(Deserialize)]
struct Page {
    sensors: Vec<SensorRow>,
    next: Option<Value>,
}

/// The numbers of `/api/stats` that a check needs: messages unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Messages from which readings came.
    pub decoded: u64,
    /// Messages set aside with a reason.
    pub dead_lettered: u64,
    /// Messages recognised as seen before.
    pub duplicates: u64,
    /// Messages whose readings were all beyond the sensor limit.
    pub overflow: u64,
    /// Retained replays that changed nothing.
    pub retained: u64,
    /// Messages that nothing was heard of on their way to the statistics.
    pub lost: u64,
    /// Messages written but not folded.
    pub lag: u64,
    /// Entries delivered to an owner but not committed.
    pub pending: u64,
}

impl Stats {
    /// Messages that are folded, under whatever heading.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.decoded + self.dead_lettered + self.duplicates + self.overflow + self.retained
    }

    /// Nothing waits between the listener's PUBACK and the statistics.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.lag == 0 && self.pending == 0
    }

    /// # Errors
    /// A number that the check needs is absent: without it nothing is proved.
    fn of(answer: &Value) -> Result<Self> {
        let totals = answer.get("totals").context("/api/stats has no \"totals\"")?;
        let total = |name: &str| {
            whole(totals.get(name)).with_context(|| format!("/api/stats: totals.{name}"))
        };
        let optional = |name: &str| totals.get(name).map_or(Ok(0), |_| total(name));
        let lag = answer.get("lag").or_else(|| totals.get("lag"));
        let pending = match (answer.get("pending"), answer.get("shards")) {
            (None, Some(Value::Array(shards))) if !shards.is_empty() => {
                shards.iter().map(|shard| whole(shard.get("pending_entries"))).sum()
            }
            (pending, _) => whole(pending),
        };
        Ok(Self {
            decoded: total("decoded")?,
            dead_lettered: total("dead_lettered")?,
            duplicates: optional("duplicates")?,
            overflow: optional("overflow")?,
            retained: optional("retained")?,
            lost: optional("lost")?,
            lag: whole(lag).context("/api/stats: lag")?,
            pending: pending.context("/api/stats: pending")?,
        })
    }
}

/// A whole number, or the sum of those in a list or an object (one per shard).
fn whole(value: Option<&Value>) -> Result<u64> {
    match value {
        None => bail!("is absent"),
        Some(Value::Number(number)) => {
            number.as_u64().ok_or_else(|| anyhow!("{number} is not a count"))
        }
        Some(Value::Array(items)) => items.iter().map(|item| whole(Some(item))).sum(),
        Some(Value::Object(fields)) => fields.values().map(|item| whole(Some(item))).sum(),
        Some(other) => bail!("{other} is not a count"),
    }
}

impl Api {
    /// The API at `base`, for example `http://127.0.0.1:5000`.
    #[must_use]
    pub fn new(base: &str, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned(), token }
    }

    /// Whether `/readyz` answers 200.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let answer = self.agent.get(format!("{}/readyz", self.base)).call();
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// `/api/stats`.
    ///
    /// # Errors
    /// No answer, not 200, or a number that is needed is absent.
    pub fn stats(&self) -> Result<Stats> {
        Stats::of(&self.json("/api/stats")?)
    }

    /// `/api/stats` as it came, for the record.
    ///
    /// # Errors
    /// No answer or not 200.
    pub fn raw_stats(&self) -> Result<Value> {
        self.json("/api/stats")
    }

    /// Every row of `/api/sensors`, page by page, so that a million sensors need no memory here.
    ///
    /// # Errors
    /// No answer, not 200, a row of another shape, or pages that do not end.
    pub fn sensors(&self, mut each: impl FnMut(SensorRow)) -> Result<()> {
        let mut path = "/api/sensors".to_owned();
        loop {
            let page: Page = self.json(&path)?;
            let rows = page.sensors.len();
            page.sensors.into_iter().for_each(&mut each);
            let cursor = match page.next {
                None | Some(Value::Null) => return Ok(()),
                Some(Value::String(cursor)) => cursor,
                Some(other) => other.to_string(),
            };
            let next = format!("/api/sensors?cursor={}", escaped(&cursor));
            if rows == 0 || next == path {
                bail!("{path} names a next page but does not advance");
            }
            path = next;
        }
    }

    /// An answer as it came, whatever it is.
    ///
    /// # Errors
    /// No answer, not 200, or more than is reasonable.
    pub fn text(&self, path: &str) -> Result<String> {
        let mut answer = self.answer(path)?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        body.read_to_string().with_context(|| format!("GET {}{path}", self.base))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let mut answer = self.answer(path)?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        body.read_json().with_context(|| format!("GET {}{path}: not what is expected", self.base))
    }

    fn answer(&self, path: &str) -> Result<ureq::http::Response<ureq::Body>> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().with_context(|| format!("GET {}{path}", self.base))?;
        let status = answer.status();
        if status != 200 {
            // Without a body the status alone must do.
            let body = answer.body_mut().read_to_string().unwrap_or_default();
            bail!("GET {}{path} answered {status}: {}", self.base, body.trim_end());
        }
        Ok(answer)
    }
}

/// Percent-encoding of everything but the unreserved characters (RFC 3986 §2.3).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stats_are_read_whether_per_shard_or_in_all() {
        let answer = json!({
            "totals": {"decoded": 5, "dead_lettered": 1, "lag": 2, "lost": 7},
            "shards": [{"pending_entries": 3}, {"pending_entries": 1}]
        });
        let stats = Stats::of(&answer).unwrap();
        assert_eq!((stats.lag, stats.pending, stats.lost), (2, 4, 7));
        let answer = json!({"totals": answer["totals"], "shards": [{"shard": 0}]});
        assert!(Stats::of(&answer).is_err());

        let stats = Stats::of(&json!({
            "totals": {"decoded": 5, "dead_lettered": 1, "duplicates": 2, "overflow": 0,
                       "retained": 3, "control": 9, "readings": 5},
            "lag": [1, 2, 0], "pending": {"0": 4, "1": 0}
        }))
        .unwrap();
        assert_eq!((stats.settled(), stats.lag, stats.pending), (11, 3, 4));
        assert!(!stats.is_quiet());
    }

    #[test]
    fn an_absent_number_is_an_error_that_names_it() {
        let whole = json!({"totals": {"decoded": 5, "dead_lettered": 0}, "lag": 0, "pending": 0});
        assert!(Stats::of(&whole).unwrap().is_quiet());
        for (pointer, name) in
            [("/totals", "decoded"), ("/totals", "dead_lettered"), ("", "lag"), ("", "pending")]
        {
            let mut answer = whole.clone();
            answer.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
            let error = format!("{:#}", Stats::of(&answer).unwrap_err());
            assert!(error.contains(name) && error.contains("absent"), "{error}");
        }
        let negative = json!({"totals": {"decoded": -1, "dead_lettered": 0}});
        assert!(Stats::of(&negative).is_err());
    }

    #[test]
    fn cursors_are_escaped() {
        assert_eq!(escaped("a b/c=é~"), "a%20b%2Fc%3D%C3%A9~");
    }
}
