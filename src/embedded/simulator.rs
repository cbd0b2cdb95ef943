//! Simulated sensors that publish over real MQTT, as devices do.

mod fleet;

use std::time::Duration;

use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ingest::Credentials;
use fleet::{Fleet, TICK_MS};

/// What a simulation is made from when nobody says otherwise.
const SEED: u64 = 1;
/// The first wait after a lost connection, doubled up to the longest.
const BACK_OFF_MIN: Duration = Duration::from_millis(250);
/// Sensors come back soon after the listener does: a guess.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Messages a fleet may have under way beside one tick's; more are dropped, as a sensor does
/// that has nothing to store them in.
const SLACK: usize = 1000;

/// Made-up sensors and where they send.
#[derive(Clone, Debug)]
pub struct Simulator {
    sensors: u32,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
    clock: Clock,
}

impl Simulator {
    /// So many sensors, publishing to host and port (IPv6 without brackets).
    #[must_use]
    pub fn new(sensors: u32, target: (String, u16), credentials: Option<Credentials>) -> Self {
        let (host, port) = target;
        Self { sensors, host, port, credentials, clock: Clock::system() }
    }

    /// Publishes until `stop`. A connection that is refused or lost is made again.
    pub async fn run(self, stop: CancellationToken) {
        let mut fleet = Fleet::new(self.sensors, SEED);
        let mut back_off = BACK_OFF_MIN;
        let mut was_down = false;
        loop {
            let (client, mut events) = AsyncClient::new(self.options(), self.capacity());
            let connected = tokio::select! {
                connected = until_connected(&mut events) => connected,
                () = stop.cancelled() => return,
            };
            let lost = match connected {
                Err(error) => error,
                Ok(()) => {
                    tracing::info!(
                        sensors = self.sensors,
                        to = %format_args!("{}:{}", self.host, self.port),
                        "simulated sensors are connected"
                    );
                    (back_off, was_down) = (BACK_OFF_MIN, false);
                    let publishing = self.publish(&mut fleet, &client, &mut events);
                    tokio::select! {
                        error = publishing => error,
                        () = stop.cancelled() => return farewell(&client, &mut events).await,
                    }
                }
            };
            // Once per episode, not once per attempt.
            if !was_down {
                tracing::warn!("simulated sensors cannot send: {}", said(&lost));
                was_down = true;
            }
            tokio::select! {
                () = sleep(back_off) => {}
                () = stop.cancelled() => return,
            }
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        }
    }

    async fn publish(
        &self,
        fleet: &mut Fleet,
        client: &AsyncClient,
        events: &mut EventLoop,
    ) -> ConnectionError {
        let mut ticks = interval(Duration::from_millis(TICK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                event = events.poll() => match event {
                    Ok(_) => {}
                    Err(error) => return error,
                },
                _ = ticks.tick() => fleet.tick(self.clock.now(), |topic, payload| {
                    let sent = client.try_publish(topic, QoS::AtLeastOnce, false, payload);
                    if sent.is_err() {
                        tracing::trace!(topic, "a simulated reading found no room and is gone");
                    }
                }),
            }
        }
    }

    fn options(&self) -> MqttOptions {
        // Two simulators with one name would throw each other out.
        let name = format!("streamgauge-simulator-{}", std::process::id());
        let mut options = MqttOptions::new(name, self.host.clone(), self.port);
        options.set_keep_alive(Duration::from_secs(30)).set_inflight(1000);
        if let Some(Credentials { username, password }) = &self.credentials {
            options.set_credentials(username, password);
        }
        options
    }

    fn capacity(&self) -> usize {
        usize::try_from(self.sensors).unwrap_or(SLACK) + SLACK
    }
}

async fn until_connected(events: &mut EventLoop) -> Result<(), ConnectionError> {
    loop {
        if let Event::Incoming(Packet::ConnAck(_)) = events.poll().await? {
            return Ok(());
        }
    }
}

/// Takes leave, so that nobody waits for the keep-alive to pass.
async fn farewell(client: &AsyncClient, events: &mut EventLoop) {
    if client.try_disconnect().is_ok() {
        let until_closed = async { while events.poll().await.is_ok() {} };
        // When it takes longer the connection is just dropped.
        timeout(FAREWELL, until_closed).await.unwrap_or_default();
    }
}

fn said(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => format!(
            "the connection was refused ({code:?}); are MQTT_USERNAME and MQTT_PASSWORD right?"
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A broker as far as a publisher needs one: CONNACK, then everything it gets.
    fn accept(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connect = [0; 2];
        stream.read_exact(&mut connect).unwrap();
        assert_eq!(connect[0], 0x10, "not a CONNECT");
        let mut rest = vec![0; usize::from(connect[1])];
        stream.read_exact(&mut rest).unwrap();
        let has = |word: &[u8]| rest.windows(word.len()).any(|found| found == word);
        assert!(has(b"streamgauge-simulator-") && has(b"device") && has(b"secret"));
        stream.write_all(&[0x20, 2, 0, 0]).unwrap();
        stream
    }

    fn first_topic(stream: &mut TcpStream) -> String {
        let mut bytes = [0; 512];
        let mut filled = 0;
        while filled < 64 {
            filled += stream.read(&mut bytes[filled..]).unwrap();
        }
        assert_eq!(bytes[0], 0x32, "not a QoS 1 PUBLISH");
        // A remaining length of two bytes, then the topic's.
        assert!(bytes[1] & 0x80 != 0);
        let length = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        String::from_utf8(bytes[5..5 + length].to_vec()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn sensors_publish_and_come_back_after_a_lost_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let login = Credentials { username: "device".into(), password: "secret".into() };
        let simulator = Simulator::new(12, ("127.0.0.1".into(), port), Some(login));
        let stop = CancellationToken::new();
        let tracker = tokio_util::task::TaskTracker::new();
        let running = tracker.spawn(simulator.run(stop.clone()));
        let broker = tokio::task::spawn_blocking(move || {
            let heard = || {
                let mut stream = accept(&listener);
                assert!(first_topic(&mut stream).starts_with("sensors/"));
                stream
            };
            drop(heard());
            heard()
        });
        let mut last = timeout(Duration::from_secs(20), broker).await.unwrap().unwrap();
        stop.cancel();
        timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
        let mut rest = Vec::new();
        last.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(&[0xE0, 0]), "no DISCONNECT: {rest:?}");
    }
}
