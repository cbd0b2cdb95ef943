//! What is said on stdout at every start: where the page is, and how to send a first reading.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::identity::Identity;
use crate::config::Settings;
use crate::ingest::TopicFilters;
use crate::serve::AuthMode;

/// How long the announcement waits for Redis. It leads to a page that says what is missing, so it
/// is not held back for longer than a start usually takes.
const PATIENCE: Duration = Duration::from_secs(3);

/// Says the announcement on stdout as soon as what it leads to is there, or is late.
///
/// # Errors
/// Those of `opening`; nothing is said when it fails in time.
pub(super) async fn announced<T>(
    text: &str,
    opening: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut opening = pin!(opening);
    let in_time = timeout(PATIENCE, &mut opening).await;
    if !matches!(in_time, Ok(Err(_))) {
        // To a person who may have closed the pipe: then nobody misses it.
        std::io::stdout().write_all(text.as_bytes()).unwrap_or_default();
    }
    match in_time {
        Ok(opened) => opened,
        Err(_) => opening.await,
    }
}

/// The lines for stdout. Secrets are in them only when they were generated: whoever gave one
/// knows it.
pub(super) fn announcement(
    settings: &Settings,
    identity: &Identity,
    http: Option<SocketAddr>,
    listener: Option<SocketAddr>,
) -> String {
    let mut text = String::new();
    if let Some(http) = http {
        let base = match &settings.public_url {
            Some(public) => public.to_string(),
            None => format!("http://localhost:{}", http.port()),
        };
        // Writing into a string cannot fail.
        let _written = match &identity.auth {
            AuthMode::Token { token } if identity.shows_token => {
                writeln!(text, "Open {base}/signin?token={token}")
            }
            AuthMode::Token { .. } | AuthMode::None => writeln!(text, "Open {base}/"),
        };
    }
    if let Some(listener) = listener {
        let host = match listener.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
            ip => ip.to_string(),
        };
        let credentials = match &identity.devices {
            Some(devices) if identity.shows_device_password => {
                format!(" -u {} -P {}", devices.username, devices.password)
            }
            Some(devices) => format!(" -u {} -P '<MQTT_PASSWORD>'", devices.username),
            None => String::new(),
        };
        let topic = example_topic(&settings.topics);
        let _written = writeln!(
            text,
            "Send mosquitto_pub -h {host} -p {}{credentials} -t {topic} \
             -m '{{\"value\":21.5,\"unit\":\"°C\"}}'",
            listener.port(),
        );
    }
    text
}

/// A topic that the first filter accepts.
fn example_topic(filters: &TopicFilters) -> String {
    let names = ["sensors", "kitchen", "temperature"];
    let filter = filters.iter().next().unwrap_or("sensors/+/+");
    let level = |(place, level)| match level {
        "+" => names.get(place).copied().unwrap_or("x"),
        "#" if place == 0 => "sensors/kitchen/temperature",
        "#" if place == 1 => "kitchen/temperature",
        "#" => "temperature",
        other => other,
    };
    filter.split('/').enumerate().map(level).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_topic_is_accepted_by_its_filter() {
        for filter in ["sensors/+/+", "#", "plant/#", "a/b/c/#", "+/x", "/+/+"] {
            let filters = TopicFilters::parse(filter).unwrap();
            let topic = example_topic(&filters);
            assert!(filters.accepts(&topic), "{filter}: {topic}");
        }
    }
}
