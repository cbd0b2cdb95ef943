//! What is acknowledged is counted, once, whoever dies in between.

use std::time::Instant;

use crate::support::device::Device;
use crate::support::load::{Load, assert_counted, endless};
use crate::support::ports::alone_with;
use crate::support::servers::Redis;
use crate::support::stage::Stage;
use crate::support::{seconds, within};

/// Enough for batches, commits and entries under way everywhere when somebody dies.
const MEANWHILE: u64 = 5_000;

#[test]
fn a_killed_streamgauge_comes_back_within_two_seconds_and_has_lost_nothing() {
    let _machine = alone_with("machine");
    let mut streamgauge = Stage::new().start();
    let load = Load::start(endless(streamgauge.mqtt()));
    for _ in 0..3 {
        load.wait_acked(MEANWHILE);
        let orphan = streamgauge.redis_pid();
        streamgauge.kill();
        let killed = Instant::now();
        streamgauge.respawn();
        streamgauge.wait_ready(seconds(20));
        let took = killed.elapsed();
        assert!(took < seconds(2), "ready again only after {took:?}");
        assert_ne!(streamgauge.redis_pid(), orphan, "the old Redis was not replaced");
    }
    load.wait_acked(MEANWHILE);
    let published = load.finish();
    assert!(published.reconnects > 0);
    assert_counted(&streamgauge.api(), &published, seconds(120));
}

#[test]
fn a_killed_redis_is_started_again_and_has_lost_nothing() {
    let _machine = alone_with("machine");
    let streamgauge = Stage::new().start();
    let load = Load::start(endless(streamgauge.mqtt()));
    for _ in 0..3 {
        load.wait_acked(MEANWHILE);
        streamgauge.kill_redis();
        load.wait_acked(MEANWHILE);
    }
    let published = load.finish();
    assert_eq!(published.reconnects, 0, "devices must not notice");
    assert_counted(&streamgauge.api(), &published, seconds(120));
}

#[test]
fn an_orderly_stop_under_load_ends_in_time_and_loses_nothing() {
    let _machine = alone_with("machine");
    let mut streamgauge = Stage::new().start();
    let load = Load::start(endless(streamgauge.mqtt()));
    load.wait_acked(MEANWHILE);
    let status = streamgauge.stop();
    assert_eq!(status.code(), Some(0));
    streamgauge.stage.wait_no_redis();
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(20));
    load.wait_acked(MEANWHILE);
    assert_counted(&streamgauge.api(), &load.finish(), seconds(120));
}

/// Redis hands a new entry to whoever blocked first, also to an owner that is gone: its connection
/// may hang somewhere long after somebody else has taken its shard over.
#[test]
fn an_entry_that_went_to_an_owner_that_is_gone_is_counted_once() {
    let redis = Redis::start();
    let mut streamgauge = Stage::new().set("REDIS_URL", &redis.url()).start();
    let topic = "sensors/kitchen/temperature";
    Device::connect(streamgauge.mqtt(), "a").publish(topic, r#"{"value":1}"#);
    streamgauge.wait_count("kitchen", "temperature", 1);
    let mut asking = redis.connection();
    let shard = (0..8).find(|shard| entries_read(&mut asking, *shard) > 0).unwrap();
    let gone: String =
        redis::cmd("HGET").arg(format!("{{sg:{shard}}}m")).arg("fence").query(&mut asking).unwrap();

    streamgauge.kill();
    let mut ghost = redis.connection();
    let id: i64 = redis::cmd("CLIENT").arg("ID").query(&mut ghost).unwrap();
    let reading = std::thread::spawn(move || {
        redis::cmd("XREADGROUP")
            .arg(&["GROUP", "aggregate", &gone, "COUNT", "10", "BLOCK", "30000", "STREAMS"])
            .arg(format!("{{sg:{shard}}}in"))
            .arg(">")
            .query::<redis::Value>(&mut ghost)
            .unwrap()
    });
    within(seconds(10), "the ghost is blocked", || {
        let said: String =
            redis::cmd("CLIENT").arg(&["LIST", "ID", &id.to_string()]).query(&mut asking).unwrap();
        said.contains("cmd=xreadgroup").then_some(())
    });
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(20));

    let mut device = Device::connect(streamgauge.mqtt(), "b");
    device.publish(topic, r#"{"value":2}"#);
    let caught = reading.join().unwrap();
    assert_ne!(caught, redis::Value::Nil, "the ghost got nothing");
    device.publish(topic, r#"{"value":3}"#);
    let row = streamgauge.wait_count("kitchen", "temperature", 3);
    assert_eq!((row["max_value"].as_f64(), row["avg_value"].as_f64()), (Some(3.0), Some(2.0)));
    within(seconds(10), "nothing is pending", || {
        streamgauge.api().stats().is_ok_and(|stats| stats.is_quiet()).then_some(())
    });
}

fn entries_read(redis: &mut redis::Connection, shard: u32) -> u64 {
    let groups: Vec<std::collections::HashMap<String, redis::Value>> = redis::cmd("XINFO")
        .arg("GROUPS")
        .arg(format!("{{sg:{shard}}}in"))
        .query(redis)
        .unwrap_or_default();
    let read = groups.first().and_then(|group| group.get("entries-read"));
    read.map_or(0, |read| redis::from_redis_value_ref(read).unwrap_or(0))
}
