//! Questions to a Streamgauge, and what it answers.

use std::time::Duration;

use serde_json::Value;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of one answer: some 200,000 readings.
const BYTES_MAX: u64 = 32 << 20;

/// What came back, whatever the status.
#[derive(Debug)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// By lower-case name; of several with one name the last.
    headers: ureq::http::HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// A header, empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks; `None` when nobody answers. Redirections are not followed.
pub fn get(url: &str, headers: &[(&str, &str)]) -> Option<Answer> {
    let mut request = agent().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request.call().ok()?)
}

/// Asks to delete; `None` when nobody answers.
pub fn delete(url: &str) -> Option<Answer> {
    answer(agent().delete(url).call().ok()?)
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .build();
    ureq::Agent::from(config)
}

fn answer(mut answer: ureq::http::Response<ureq::Body>) -> Option<Answer> {
    Some(Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        text: answer.body_mut().with_config().limit(BYTES_MAX).read_to_string().ok()?,
    })
}
