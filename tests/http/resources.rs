//! Sensors, readings, totals, dead letters, and what is answered while Redis is away.

use serde_json::json;

use crate::stage::Stage;

#[test]
fn sensors_have_the_promised_shape() {
    let stage = Stage::start();
    let at = 1_704_110_400_000;
    stage.put_series(0, 1, ("kitchen", "temperature"), &[(21.5, at), (22.5, at + 1000)]);
    // The same series through another shard: one row.
    stage.put_series(1, 1, ("kitchen", "temperature"), &[(20.0, at - 1000)]);
    stage.put_series(1, 2, ("a/b <img>", "t"), &[(1.0, at)]);
    let count = |reply: &crate::stage::Reply| reply.json()["sensors"][1]["count"] == 3;
    let list = stage.get_until("/api/sensors", count).json();
    assert!(list["next"].is_null() && list["as_of"].as_str().unwrap().ends_with('Z'));
    let row = &list["sensors"][1];
    let expected = json!({
        "sensor_id": "kitchen", "sensor_type": "temperature", "unit": "°C",
        "location": "Room A", "metadata": {"calibrated": true},
        "min_value": 20.0, "max_value": 22.5, "avg_value": 64.0 / 3.0,
        "stddev": row["stddev"], "count": 3, "last_value": 22.5,
        "last_reading": "2024-01-01T12:00:01.000Z", "status": "offline",
    });
    assert_eq!(*row, expected);
    let stddev = row["stddev"].as_f64().unwrap();
    assert!((stddev - 1.258_305_739_211_791_6).abs() < 1e-12, "{stddev}");
    let one = stage.get("/api/sensors/a%2Fb%20%3Cimg%3E").json();
    assert_eq!(one["sensors"][0]["sensor_id"], "a/b <img>");
    assert_eq!(stage.get("/api/sensors/nobody").status, 404);
    assert_eq!(stage.get("/api/sensors?q=KITCH").json()["sensors"].as_array().unwrap().len(), 1);
    let page = stage.get("/api/sensors?limit=1").json();
    let next = page["next"].as_str().unwrap();
    let rest = stage.get(&format!("/api/sensors?limit=1&cursor={next}")).json();
    assert_eq!(rest["sensors"][0]["sensor_id"], "kitchen");
    assert!(rest["next"].is_null());
}

#[test]
fn a_changed_state_is_seen_soon_and_a_deleted_one_is_gone() {
    let stage = Stage::start();
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a", |reply| reply.status == 200);
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000), (5.0, 2000)]);
    let changed =
        stage.get_until("/api/sensors/a", |reply| reply.json()["sensors"][0]["last_value"] == 5.0);
    assert_eq!(changed.json()["sensors"][0]["last_reading"], "1970-01-01T00:00:02.000Z");
    stage.redis(redis::cmd("HDEL").arg("{sg:0}st").arg(b"a\0t"));
    stage.redis(redis::cmd("HINCRBY").arg("{sg:0}m").arg("version").arg(1));
    stage.get_until("/api/sensors/a", |reply| reply.status == 404);
}

#[test]
fn large_answers_are_compressed() {
    let stage = Stage::start();
    for n in 1..50 {
        stage.put_series(0, n, (&format!("sensor{n}"), "t"), &[(1.0, 1000)]);
    }
    stage.get_until("/api/sensors/sensor49", |reply| reply.status == 200);
    let bearer = format!("Bearer {}", crate::stage::TOKEN);
    let headers = [("Authorization", &bearer[..]), ("Accept-Encoding", "gzip, br")];
    let packed = stage.ask("GET", "/api/sensors", &headers, "");
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.body.len() * 3 < stage.get("/api/sensors").body.len());
}

#[test]
fn impossible_parameters_are_named() {
    let stage = Stage::start();
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a", |reply| reply.status == 200);
    for (path, said) in [
        ("/api/sensors?colour=red", "unknown parameter `colour`"),
        ("/api/sensors?limit=0", "`limit` is \"0\""),
        ("/api/sensors?limit=10001", "`limit` is \"10001\""),
        ("/api/sensors?sort=x", "`sort` is \"x\""),
        ("/api/sensors?cursor=x", "`cursor` is \"x\""),
        ("/api/sensors?q=a&q=b", "`q` is given twice"),
        ("/api/sensors/a/readings?hours=0", "`hours` is \"0\""),
        ("/api/sensors/a/readings?points=1", "`points` is \"1\"; allowed: a whole number from 2"),
        ("/api/sensors/a/readings?resolution=1d", "`resolution` is \"1d\"; allowed: raw, 1m, 1h"),
        ("/api/sensors/a/readings?points=5&limit=5", "`points` and `limit` exclude each other"),
        ("/api/sensors/a/readings?format=xml", "`format` is \"xml\"; allowed: json, csv, ndjson"),
        ("/api/sensors/a/readings?percentiles=101", "`percentiles` is \"101\""),
        ("/api/sensors/a/readings?from=5&to=4", "allowed: a `to` after `from`"),
        ("/api/sensors/a/readings?cursor=00", "`cursor` is \"00\""),
        ("/api/dead-letters?limit=1001", "`limit` is \"1001\""),
        ("/api/dead-letters?cursor=xyz", "`cursor` is \"xyz\""),
        ("/api/dead-letters?cursor=5b5d", "`cursor` is \"5b5d\""),
        ("/api/sensors/%FF", "escape"),
        ("/api/sensors/a/readings?hours=", "`hours` is empty"),
        ("/api/stream?sensors=", "`sensors` is empty"),
        ("/api/stream?max_hz=&sensors=a", "`max_hz` is empty"),
        ("/api/stream?sensors=a,+b", "with a space beside a comma"),
    ] {
        let reply = stage.get(path);
        assert_eq!(reply.status, 400, "{path}");
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(said), "{path}: {error}");
    }
}

#[test]
fn history_names_its_position_and_unknown_sensors() {
    let stage = Stage::start();
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.redis(redis::cmd("HSET").arg("{sg:0}m").arg("pos").arg("7-3"));
    let answer = stage.get("/api/sensors/a/readings?hours=200000").json();
    assert_eq!(answer["readings"], json!([]));
    assert_eq!(answer["position"]["t"], "0:7-3.4294967295");
    assert_eq!(answer["resolution"], "raw");
    assert_eq!(stage.get("/api/sensors/nobody/readings").status, 404);
    assert_eq!(stage.get("/api/sensors/a/readings?type=x").status, 404);
}

#[test]
fn totals_add_up_over_the_shards() {
    let stage = Stage::start();
    stage.redis(
        redis::cmd("HSET")
            .arg("{sg:0}m")
            .arg(&["t:decoded", "5", "t:readings", "9", "t:dead:bad_json", "2", "retired", "3"])
            .arg(&["p:00000000000000ab", "4 4 0", "pos", "1-1", "owner", "n1"]),
    );
    // One entry more than was folded, with two messages.
    stage.append(0, 5, &[("a/b/c", "1"), ("a/b/c", "2")]);
    stage.redis(redis::cmd("HSET").arg("{sg:1}m").arg(&["t:decoded", "1", "retired", "1"]));
    let stats = stage.get("/api/stats").json();
    let totals = &stats["totals"];
    assert_eq!((&totals["decoded"], &totals["readings"]), (&json!(6), &json!(9)));
    assert_eq!(stats["dead_letters"]["bad_json"], 2);
    // Number 5 of 2 messages says a running total of 10; 4 were folded.
    assert_eq!((&totals["lag"], &totals["received"]), (&json!(6), &json!(14)));
    assert_eq!(stats["shards"][0]["owner"], "n1");
    assert_eq!(stats["shards"][1]["owner"], json!(null));
    assert_eq!(stats["listener"], json!({"port": 1883, "username": "device"}));
    assert_eq!((&stats["connections"], &stats["clients"]), (&json!(1), &json!(0)));
}

#[test]
fn what_history_takes_and_covers_is_told_by_share() {
    let stage = Stage::start();
    let empty = json!({"bytes": 0, "spans": 0, "covered_from": null, "covered_to": null});
    let faults = json!({"count": 0, "last": null});
    let expected = json!({
        "bytes_max": 1 << 20, "readings": &empty, "minutes": &empty, "hours": &empty,
        "streams_bytes": 0, "faults": faults,
    });
    assert_eq!(stage.get("/api/stats").json()["history"], expected);
    let hour = |n: i64| 473_000 + n;
    let put = |shard: u16, fields: &[(String, &str)]| {
        let mut command = redis::cmd("HSET");
        stage.redis(command.arg(format!("{{sg:{shard}}}hs")).arg(fields));
    };
    let span = |n| format!("h:h{}", hour(n));
    put(0, &[(span(0), "1000 5"), (span(1), "500 5"), ("w:h1000000".to_owned(), "9 5")]);
    put(1, &[(span(1), "250 5"), ("e:hours".to_owned(), "5"), (span(9), "no number")]);
    stage.append(1, 1, &[("a/b/c", "1")]);
    let history = stage.get("/api/stats").json()["history"].clone();
    // Beside what is recorded, 224 bytes for each span of each shard.
    let readings = json!({
        "bytes": 1750 + 3 * 224, "spans": 2,
        "covered_from": "2023-12-17T08:00:00.000Z", "covered_to": "2023-12-17T10:00:00.000Z",
    });
    assert_eq!((&history["readings"], &history["minutes"]), (&readings, &empty));
    // A day that is yet to come covers nothing.
    let hours = json!({"bytes": 233, "spans": 1, "covered_from": null, "covered_to": null});
    assert_eq!(history["hours"], hours);
    assert!(history["streams_bytes"].as_u64().unwrap() > 100, "{history}");
    // An hour that one shard has lost is not covered, though the other has it.
    put(1, &[("e:readings".to_owned(), &(hour(1) * 3_600_000).to_string())]);
    let readings = stage.get("/api/stats").json()["history"]["readings"].clone();
    assert_eq!(readings["covered_from"], "2023-12-17T09:00:00.000Z");
}

#[test]
fn while_redis_is_away_nothing_hangs_and_health_says_so() {
    let mut stage = Stage::start();
    stage.get_until("/readyz", |reply| reply.status == 200);
    stage.kill_redis();
    stage.get_until("/readyz", |reply| reply.status == 503);
    assert_eq!(stage.get("/livez").status, 200);
    assert_eq!(stage.get("/").status, 200);
    for path in ["/api/stats", "/api/dead-letters", "/api/sensors/a/readings"] {
        let reply = stage.get(path);
        assert_eq!(reply.status, 503, "{path}");
        assert_eq!(reply.json()["error"], "Redis does not answer", "{path}");
    }
    let verbose = stage.get("/readyz?verbose").json();
    let said = verbose["components"]["catalogue"].as_str().unwrap();
    assert!(said.starts_with("not ready: "), "{said}");
    let health = stage.get("/health");
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));
    stage.readiness.part("redis").not_ready("gone");
    let health = stage.get("/health");
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("unhealthy")));
}

#[test]
fn a_draining_process_says_so() {
    let stage = Stage::start();
    stage.get_until("/readyz", |reply| reply.status == 200);
    stage.readiness.drain();
    let reply = stage.get("/readyz");
    assert_eq!((reply.status, &reply.json()["status"]), (503, &json!("draining")));
}
