//! Many readings: every one acknowledged, every one in the statistics, none set aside.

use loadtest::api::SensorRow;
use loadtest::ledger::Tally;
use loadtest::plan::Plan;

use crate::support::load::{Load, assert_counted, readings};
use crate::support::ports::alone_with;
use crate::support::servers::Mosquitto;
use crate::support::stage::Stage;
use crate::support::{seconds, within};

/// What the listener must take from fifty devices at least.
const FROM_DEVICES: u64 = 1_000_000;

/// What must come through a broker, which is slower than Streamgauge.
const FROM_BROKER: u64 = 100_000;

#[test]
fn all_readings_of_fifty_devices_are_acknowledged_and_counted() {
    let _machine = alone_with("machine");
    let streamgauge = Stage::new().start();
    let published = Load::start(readings(streamgauge.mqtt(), FROM_DEVICES)).wait();
    assert_eq!(published.ledger.total(Tally::acked), FROM_DEVICES);
    assert_counted(&streamgauge.api(), &published, seconds(120));
}

#[test]
fn all_readings_that_a_broker_took_are_counted() {
    let _machine = alone_with("machine");
    let mosquitto = Mosquitto::start();
    let streamgauge = Stage::new().subscribed_to(mosquitto.address()).start();
    let published = Load::start(readings(mosquitto.address(), FROM_BROKER)).wait();
    assert_eq!(published.ledger.total(Tally::acked), FROM_BROKER);
    assert_counted(&streamgauge.api(), &published, seconds(120));
}

/// What comes over several connections has no order of its own: the readings' times have one.
#[test]
fn four_connections_to_a_broker_share_its_readings() {
    let _machine = alone_with("machine");
    let mosquitto = Mosquitto::start();
    let streamgauge = Stage::new()
        .subscribed_to(mosquitto.address())
        .set("STREAMGAUGE_MQTT_CONNECTIONS", "4")
        .set("STREAMGAUGE_MQTT_SHARE", "gauge")
        .start();
    // At this rate two readings of a sensor are 100 ms apart.
    let rate = Some(10_000.0);
    let plan = readings(mosquitto.address(), FROM_BROKER / 5);
    let plan = Plan { timestamps: true, payload_bytes: 160, rate, ..plan };
    let published = Load::start(plan).wait();
    assert_counted(&streamgauge.api(), &published, seconds(120));
}

/// A broker sends again what it has no acknowledgement for, and mosquitto reads acknowledgements
/// more slowly than it sends. Without an identity such a reading counts twice; none is missing.
#[test]
fn a_kill_in_the_middle_of_a_brokers_readings_loses_none() {
    let _machine = alone_with("machine");
    let mosquitto = Mosquitto::start();
    let mut streamgauge = Stage::new().subscribed_to(mosquitto.address()).start();
    let load = Load::start(readings(mosquitto.address(), FROM_BROKER));
    within(seconds(60), "a part is counted", || {
        let stats = streamgauge.api().stats().ok()?;
        (stats.decoded >= FROM_BROKER / 10).then_some(())
    });
    streamgauge.kill();
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(20));
    let published = load.wait();
    let ledger = &published.ledger;
    assert_eq!(ledger.total(Tally::acked), FROM_BROKER);
    let is_right = |row: &SensorRow| {
        let tally = ledger.sensor_of(&row.sensor_id).map(|at| ledger.tallies()[at]);
        tally.is_some_and(|tally| {
            (tally.published..=2 * tally.published).contains(&row.count)
                && row.min_value == Some(tally.min())
                && row.max_value == Some(tally.max())
        })
    };
    within(seconds(120), "every series has all of its readings", || {
        let (mut right, mut wrong) = (0, 0);
        let count = |row| if is_right(&row) { right += 1 } else { wrong += 1 };
        streamgauge.api().sensors(count).ok()?;
        (right == ledger.tallies().len() && wrong == 0).then_some(())
    });
    within(seconds(30), "nothing waits", || {
        let stats = streamgauge.api().stats().ok()?;
        assert_eq!((stats.dead_lettered, stats.lost), (0, 0));
        stats.is_quiet().then_some(())
    });
}
