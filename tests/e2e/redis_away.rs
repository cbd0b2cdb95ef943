//! A Redis that is not there, or hangs: nothing is acknowledged, nothing is lost, nobody exits.

use rustix::process::Signal;
use serde_json::json;

use crate::support::device::Device;
use crate::support::servers::Redis;
use crate::support::stage::Stage;
use crate::support::{seconds, within};

const TOPIC: &str = "sensors/kitchen/temperature";

#[test]
fn without_redis_it_lives_and_gets_ready_when_redis_comes() {
    let mut redis = Redis::prepare();
    let mut streamgauge = Stage::new().set("REDIS_URL", &redis.url()).spawn();
    let status = |path| streamgauge.try_get(path).map(|answer| answer.status);
    within(seconds(10), "it lives", || (status("/livez") == Some(200)).then_some(()));
    assert_eq!((status("/readyz"), status("/health")), (Some(503), Some(503)));
    redis.run();
    streamgauge.wait_ready(seconds(30));
    Device::connect(streamgauge.mqtt(), "device").publish(TOPIC, r#"{"value":1}"#);
    streamgauge.wait_count("kitchen", "temperature", 1);
    assert_eq!(streamgauge.json("/health")["status"], "healthy");
}

#[test]
fn a_hanging_redis_holds_back_the_acknowledgement_and_no_more() {
    let redis = Redis::start();
    let streamgauge = Stage::new().set("REDIS_URL", &redis.url()).start();
    let mut device = Device::connect(streamgauge.mqtt(), "device");
    device.publish(TOPIC, r#"{"value":1}"#);
    redis.signal(Signal::STOP);
    device.send_reading(TOPIC, br#"{"value":2}"#);
    assert!(!device.acknowledged(seconds(5)), "acknowledged what is not stored");
    redis.signal(Signal::CONT);
    assert!(device.acknowledged(seconds(30)));
    device.publish(TOPIC, r#"{"value":3}"#);
    let row = streamgauge.wait_count("kitchen", "temperature", 3);
    assert_eq!((&row["avg_value"], &row["last_value"]), (&json!(2.0), &json!(3.0)));
    within(seconds(20), "it is ready again", || streamgauge.is_ready().then_some(()));
}
