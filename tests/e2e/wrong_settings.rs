//! What cannot be: said completely, with names, and nothing is left half-started.

use std::net::TcpListener;

use crate::support::seconds;
use crate::support::stage::Stage;

/// Longer than any start may take to be refused; the lock of a data directory is waited for.
const LIMIT: std::time::Duration = seconds(20);

#[test]
fn all_wrong_settings_are_named_at_once_before_anything_opens() {
    let stage = Stage::new()
        .set("REDIS_URL", "rediss://user:hunter2@host")
        .set("STREAMGAUGE_DURABILITY", "eternal")
        .set("STREAMGAUGE_SHARD", "8")
        .set("MQTT_PASSWORD", "hunter2")
        .argument("--port")
        .argument("99999");
    let ended = stage.run(LIMIT);
    assert_eq!(ended.status.code(), Some(78), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 5, "{ended:?}");
    for said in [
        "REDIS_URL=rediss://user:***@host",
        "STREAMGAUGE_DURABILITY=eternal",
        "did you mean STREAMGAUGE_SHARDS?",
        "MQTT_PASSWORD",
        "PORT=99999 (from the command line)",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {ended:?}");
    }
    assert!(!ended.stderr.contains("hunter2") && ended.stdout.is_empty(), "{ended:?}");
    assert!(!stage.data_dir().exists(), "it began to work");
}

#[test]
fn a_feature_that_is_not_built_yet_is_refused_by_name() {
    for (name, value) in [
        ("MQTT_BROKER_HOST", "mqtts://broker"),
        ("REDIS_URL", "rediss://host"),
        ("REDIS_URL", "redis+cluster://one,two"),
        ("STREAMGAUGE_DURABILITY", "replica:1"),
        ("STREAMGAUGE_CORS_ORIGINS", "https://example.org"),
    ] {
        let ended = Stage::new().set(name, value).run(LIMIT);
        assert_eq!(ended.status.code(), Some(78), "{ended:?}");
        for said in [name, value, "this version"] {
            assert!(ended.stderr.contains(said), "{said}: {ended:?}");
        }
    }
}

#[test]
fn a_taken_port_is_named_with_its_variable_and_nothing_stays_behind() {
    let http = Stage::new();
    let address = http.http.address();
    let _taken = TcpListener::bind(address).unwrap();
    check_taken(&http, &address.to_string(), "PORT");

    let mqtt = Stage::new();
    let address = mqtt.mqtt.address();
    let _taken = TcpListener::bind(address).unwrap();
    check_taken(&mqtt, &address.to_string(), "STREAMGAUGE_MQTT_LISTEN");
}

fn check_taken(stage: &Stage, address: &str, variable: &str) {
    let ended = stage.run(LIMIT);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains(address) && ended.stderr.contains(variable), "{ended:?}");
    stage.wait_no_redis();
}

#[test]
fn without_a_redis_server_it_says_what_to_install_or_set() {
    let stage = Stage::new();
    let nothing = stage.home().join("nothing");
    let ended = stage.set("PATH", nothing.to_str().unwrap()).run(LIMIT);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    for said in ["redis-server", "valkey", "REDIS_URL"] {
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}

#[test]
fn a_second_one_on_the_same_data_directory_is_refused() {
    let first = Stage::new().start();
    let redis = first.redis_pid();
    let data = first.stage.data_dir();
    let second = Stage::new().set("STREAMGAUGE_DATA_DIR", data.to_str().unwrap()).run(LIMIT);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    for said in ["STREAMGAUGE_DATA_DIR", &first.pid().to_string()] {
        assert!(second.stderr.contains(said), "{second:?}");
    }
    assert!(first.is_ready(), "the first one must not notice");
    assert_eq!(first.redis_pid(), redis);
}

#[test]
fn another_number_of_shards_than_the_data_have_is_refused() {
    let mut streamgauge = Stage::new().set("STREAMGAUGE_SHARDS", "4").start();
    assert!(streamgauge.stop().success());
    let data = streamgauge.stage.data_dir();
    let stage = |shards| {
        Stage::new()
            .set("STREAMGAUGE_DATA_DIR", data.to_str().unwrap())
            .set("STREAMGAUGE_SHARDS", shards)
    };
    let ended = stage("8").run(LIMIT);
    assert_ne!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("STREAMGAUGE_SHARDS"), "{ended:?}");
    streamgauge.stage.wait_no_redis();
    let mut adopting = stage("").start();
    assert!(adopting.stop().success());
}
