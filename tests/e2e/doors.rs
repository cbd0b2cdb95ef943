//! Which door opens when nothing is configured: a broker on this machine, or a listener.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::support::device::Device;
use crate::support::ports::alone_with;
use crate::support::seconds;
use crate::support::servers::Mosquitto;
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::within;

/// Where MQTT is by default; there is only one of it.
const MQTT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1883);
const TOPIC: &str = "sensors/kitchen/temperature";

fn unconfigured() -> Stage {
    Stage::new().set("STREAMGAUGE_MQTT_LISTEN", "")
}

/// On a developer's machine a broker may run already. Then the tests of this file would judge that
/// one, so they say so and stop.
#[expect(clippy::print_stderr, reason = "a test that cannot be made says why")]
fn is_taken() -> bool {
    let taken = TcpListener::bind(MQTT).is_err();
    if taken {
        eprintln!("{MQTT} is in use here; the default doors are not tried");
    }
    taken
}

fn counts_what_is_sent_to(streamgauge: &Streamgauge, to: SocketAddr, count: u64) {
    Device::connect(to, "device").publish(TOPIC, r#"{"value":1}"#);
    streamgauge.wait_count("kitchen", "temperature", count);
}

/// The port in the line that tells how to publish.
fn announced(streamgauge: &Streamgauge) -> SocketAddr {
    within(seconds(5), "a line that tells how to publish", || {
        let said = streamgauge.stdout();
        let (_, after) = said.split_once("mosquitto_pub")?.1.split_once("-p ")?;
        let port = after.split_whitespace().next()?.parse().ok()?;
        Some((Ipv4Addr::LOCALHOST, port).into())
    })
}

#[test]
fn without_a_broker_devices_are_let_in_at_the_default_port() {
    let _mqtt = alone_with("mqtt");
    if is_taken() {
        return;
    }
    let streamgauge = unconfigured().start();
    assert_eq!(announced(&streamgauge), MQTT);
    counts_what_is_sent_to(&streamgauge, MQTT, 1);

    // A second one is no broker, and goes elsewhere.
    let second = unconfigured().start();
    let elsewhere = announced(&second);
    assert!((1884..=1893).contains(&elsewhere.port()), "{elsewhere}");
    counts_what_is_sent_to(&second, elsewhere, 1);
    counts_what_is_sent_to(&streamgauge, MQTT, 2);
}

#[test]
fn a_broker_at_the_default_port_is_subscribed_to() {
    let _mqtt = alone_with("mqtt");
    if is_taken() {
        return;
    }
    let _mosquitto = Mosquitto::start_at(MQTT);
    let streamgauge = unconfigured().start();
    counts_what_is_sent_to(&streamgauge, MQTT, 1);
    assert!(!streamgauge.stdout().contains("mosquitto_pub -h localhost -p 188"), "no listener");
}

#[test]
fn what_is_no_broker_is_left_alone() {
    let _mqtt = alone_with("mqtt");
    if is_taken() {
        return;
    }
    // Accepts, and never says a word.
    let _silent = TcpListener::bind(MQTT).unwrap();
    let streamgauge = unconfigured().start();
    let elsewhere = announced(&streamgauge);
    assert_ne!(elsewhere, MQTT);
    counts_what_is_sent_to(&streamgauge, elsewhere, 1);
}

#[test]
fn simulated_sensors_never_go_to_a_broker() {
    let mosquitto = Mosquitto::start();
    let streamgauge = Stage::new()
        .subscribed_to(mosquitto.address())
        .argument("--simulate")
        .argument("3")
        .start();
    within(seconds(15), "simulated series", || {
        let rows = streamgauge.json("/api/sensors")["sensors"].as_array().unwrap().len();
        (rows >= 3).then_some(())
    });
    // Somebody else at that broker hears nothing of them, only what is published there.
    let heard = std::process::Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &mosquitto.address().port().to_string()])
        .args(["-t", "#", "-W", "3"])
        .output()
        .unwrap();
    assert!(heard.stdout.is_empty(), "{heard:?}");
    counts_what_is_sent_to(&streamgauge, mosquitto.address(), 1);
}
