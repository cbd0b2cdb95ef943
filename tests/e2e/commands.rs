//! The commands beside running.

use crate::support::device::Device;
use crate::support::seconds;
use crate::support::stage::Stage;

const LIMIT: std::time::Duration = seconds(20);

#[test]
fn health_exits_with_what_the_running_one_says() {
    let mut streamgauge = Stage::new().start();
    let port = streamgauge.stage.http.number.to_string();
    let ask = |arguments: &[&str]| {
        let stage = arguments.iter().fold(Stage::new(), |stage, it| stage.argument(it));
        stage.set("PORT", &port).run(LIMIT)
    };
    for arguments in [&["health"][..], &["health", "--ready"]] {
        let well = ask(arguments);
        assert_eq!(well.status.code(), Some(0), "{well:?}");
    }
    assert!(streamgauge.stop().success());
    for arguments in [&["health"][..], &["health", "--ready"]] {
        let gone = ask(arguments);
        assert_eq!(gone.status.code(), Some(1), "{gone:?}");
        assert!(gone.stderr.lines().count() == 1 && gone.stderr.contains(&port), "{gone:?}");
    }
}

#[test]
fn a_living_one_that_is_not_ready_is_well_and_not_ready() {
    let nobody = Stage::new();
    let redis = format!("redis://{}/", nobody.mqtt.address());
    let streamgauge = Stage::new().set("REDIS_URL", &redis).spawn();
    crate::support::within(seconds(10), "it lives", || streamgauge.try_get("/livez"));
    let port = streamgauge.stage.http.number.to_string();
    let alive = Stage::new().set("PORT", &port).argument("health").run(LIMIT);
    assert_eq!(alive.status.code(), Some(0), "{alive:?}");
    let ready = Stage::new().set("PORT", &port).argument("health").argument("--ready").run(LIMIT);
    assert_eq!(ready.status.code(), Some(1), "{ready:?}");
}

#[test]
fn config_shows_what_took_effect_and_no_secret() {
    let stage = Stage::new();
    let file = stage.home().join("key");
    std::fs::write(&file, "another-secret-key-of-thirty-two-ch\n").unwrap();
    let ended = stage
        .set("FLASK_ENV", "production")
        .set("STREAMGAUGE_AUTH", "token")
        .set("STREAMGAUGE_API_TOKEN", "quite-a-secret-token-of-thirty-two")
        .set("SECRET_KEY_FILE", file.to_str().unwrap())
        .set("MQTT_USERNAME", "gauge")
        .set("MQTT_PASSWORD", "hunter2")
        .set("REDIS_URL", "redis://someone:sesame@redis.example:6379/0")
        .argument("--shards")
        .argument("16")
        .argument("config")
        .run(LIMIT);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let all = format!("{}{}", ended.stdout, ended.stderr);
    for secret in ["quite-a-secret", "another-secret", "hunter2", "sesame"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    let line = |name: &str| {
        let found = ended.stdout.lines().find(|line| line.starts_with(&format!("{name} ")));
        found.unwrap_or_else(|| panic!("no {name}: {ended:?}")).to_owned()
    };
    let shards = line("STREAMGAUGE_SHARDS");
    assert!(shards.contains("16") && shards.ends_with("flag"), "{shards}");
    assert!(line("REDIS_URL").contains("redis.example"));
    assert!(line("SECRET_KEY").ends_with("file"));
    assert!(line("STREAMGAUGE_LOG").ends_with("default"));
    assert!(all.contains("FLASK_ENV"), "{all}");
}

#[test]
fn simulate_publishes_to_one_that_runs_elsewhere() {
    let streamgauge = Stage::new().start();
    let to = streamgauge.mqtt().to_string();
    let simulator = ["simulate", "--to", &to]
        .iter()
        .fold(Stage::new(), |stage, argument| stage.argument(argument));
    let mut simulator = simulator.spawn();
    crate::support::within(seconds(15), "simulated series", || {
        let rows = streamgauge.json("/api/sensors")["sensors"].as_array().unwrap().len();
        (rows >= 12).then_some(())
    });
    assert!(simulator.stop().success());
    Device::connect(streamgauge.mqtt(), "still").publish("sensors/a/b", r#"{"value":1}"#);
}
