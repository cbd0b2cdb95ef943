//! Many readings: every one acknowledged, every one in the statistics, none set aside.

use loadtest::ledger::Tally;

use crate::support::load::{Load, assert_counted, readings};
use crate::support::ports::alone_with;
use crate::support::seconds;
use crate::support::servers::Mosquitto;
use crate::support::stage::Stage;

/// `make test` runs ten times as many through an optimised binary; see `loadtest/`.
const READINGS: u64 = 100_000;

#[test]
fn all_readings_of_fifty_devices_are_acknowledged_and_counted() {
    let _machine = alone_with("machine");
    let streamgauge = Stage::new().start();
    let published = Load::start(readings(streamgauge.mqtt(), READINGS)).wait();
    assert_eq!(published.ledger.total(Tally::acked), READINGS);
    assert_counted(&streamgauge.api(), &published, seconds(60));
}

#[test]
fn all_readings_that_a_broker_took_are_counted() {
    let _machine = alone_with("machine");
    let mosquitto = Mosquitto::start();
    let streamgauge = Stage::new().subscribed_to(mosquitto.address()).start();
    let published = Load::start(readings(mosquitto.address(), READINGS)).wait();
    assert_eq!(published.ledger.total(Tally::acked), READINGS);
    assert_counted(&streamgauge.api(), &published, seconds(120));
}

#[test]
fn four_connections_to_a_broker_share_its_readings() {
    let _machine = alone_with("machine");
    let mosquitto = Mosquitto::start();
    let streamgauge = Stage::new()
        .subscribed_to(mosquitto.address())
        .set("STREAMGAUGE_MQTT_CONNECTIONS", "4")
        .set("STREAMGAUGE_MQTT_SHARE", "gauge")
        .start();
    let published = Load::start(readings(mosquitto.address(), READINGS / 5)).wait();
    assert_counted(&streamgauge.api(), &published, seconds(60));
}
