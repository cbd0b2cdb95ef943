//! History as it is asked for: pages, pictures, files, percentiles.

use std::io::{Read, Write};

use serde_json::{Value, json};
use streamgauge::clock::Clock;

use crate::feed::Measured;
use crate::kept::{Kept, rows};
use crate::stage::{Stage, TOKEN, keys};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A whole day's beginning, some days ago: all windows and spans begin there too.
fn days_ago(days: i64) -> i64 {
    (Clock::system().now().0 / DAY - days) * DAY
}

fn values(answer: &Value) -> Vec<f64> {
    rows(answer).iter().map(|row| row["value"].as_f64().unwrap()).collect()
}

#[test]
fn a_spike_of_one_reading_in_seven_days_is_in_the_picture() {
    let mut kept = Kept::new();
    let from = days_ago(7);
    let value = |n: i64| if n == 6543 { 99.5 } else { 20.0 + (n % 7) as f64 / 10.0 };
    let week: Vec<Measured> = (0..7 * 1440).map(|n| (from + n * MINUTE, value(n))).collect();
    kept.put(0, ("a", "t"), &week);
    kept.settle("a", week.len() as u64);
    let windows = kept.json("/api/sensors/a/readings?hours=192&points=800&resolution=1m");
    assert!(rows(&windows).len() <= 800);
    assert!(rows(&windows).iter().any(|row| row["max"] == 99.5));
    assert_eq!(windows["resolution"], "1m");
    let answer = kept.json("/api/sensors/a/readings?hours=192&points=800&resolution=raw");
    let found = values(&answer);
    assert!(found.len() <= 800 && found.len() > 400, "{}", found.len());
    assert!(found.contains(&99.5));
    assert_eq!((found[0], *found.last().unwrap()), (20.0, week.last().unwrap().1));
    assert_eq!((&answer["resolution"], &answer["next"]), (&json!("raw"), &json!(null)));
    // As many as there are: everything.
    let all = kept.json("/api/sensors/a/readings?hours=192&points=10000&resolution=raw");
    assert!(values(&all).len() <= 10_000);
    let day = format!("/api/sensors/a/readings?from={from}&to={}", from + 1440 * MINUTE);
    let (picture, page) = (kept.json(&format!("{day}&points=1440")), kept.json(&day));
    assert_eq!(picture["readings"], page["readings"]);
    assert_eq!(rows(&page).len(), 1440);
    assert_eq!(rows(&page)[0]["unit"], "°C");
}

#[test]
fn every_type_has_its_own_picture_and_a_browser_gets_them_together() {
    let mut kept = Kept::new();
    let from = Clock::system().now().0 - 3 * HOUR;
    let many: Vec<Measured> = (0..10_000).map(|n| (from + n * 1000, (n % 100) as f64)).collect();
    kept.put(0, ("a", "t"), &many);
    kept.put(1, ("a", "h"), &many);
    kept.settle("a", 20_000);
    let answer = kept.json("/api/sensors/a/readings?points=100");
    for kind in ["t", "h"] {
        let of_type = rows(&answer).iter().filter(|row| row["sensor_type"] == kind).count();
        assert!((50..=100).contains(&of_type), "{of_type}");
        assert!(answer["position"][kind].is_string());
    }
    let times: Vec<_> = rows(&answer).iter().map(|row| row["timestamp"].as_str()).collect();
    assert!(times.is_sorted());
    let mut browser = crate::live::Browser::connect(&kept.stage);
    browser.expect("status");
    browser.say("request_sensor_data", json!({"sensor_id": "a", "hours": 24}));
    let history = browser.expect("sensor_history");
    let found = values(&history);
    assert!(found.len() <= 2000 && found.len() > 1000, "{}", found.len());
    assert!(found.contains(&0.0) && found.contains(&99.0));
    assert_eq!(history["resolution"], "raw");
}

#[test]
fn pages_neither_repeat_nor_skip_while_readings_arrive_in_two_shards() {
    let mut kept = Kept::new();
    let from = Clock::system().now().0 - 2 * HOUR;
    // Of one time there are several readings, in both shards.
    let of = |shard: i64| -> Vec<Measured> {
        (0..600).map(|n| (from + n / 3 * 1000, (2 * n + shard) as f64)).collect()
    };
    kept.put(0, ("a", "t"), &of(0));
    kept.put(1, ("a", "t"), &of(1));
    kept.put(1, ("a", "h"), &of(0));
    kept.settle("a", 1800);
    let whole = kept.json("/api/sensors/a/readings?hours=3");
    assert_eq!(rows(&whole).len(), 1800);
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    for page in 0.. {
        let answer = kept.json(&format!("/api/sensors/a/readings?hours=3&limit=70{cursor}"));
        pages.extend(rows(&answer).clone());
        if page % 5 == 0 {
            let late = (from + 250_000 + page, -1.0);
            kept.put(0, ("a", "t"), &[late]);
            kept.settle("a", 1801 + page as u64 / 5);
        }
        match answer["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    // What came meanwhile stands behind all that was there.
    assert_eq!(pages[..1800], rows(&whole)[..]);
    assert!(pages[1800..].iter().all(|row| row["value"] == -1.0));
    let other = kept.stage.get(&format!("/api/sensors/a/readings?hours=4{cursor}"));
    assert_eq!(other.status, 400);
    assert!(other.text().contains("belongs to another query"), "{}", other.text());
}

#[test]
fn files_have_every_row_however_many() {
    let mut kept = Kept::new();
    let from = Clock::system().now().0 - 12 * HOUR;
    let many: Vec<Measured> = (0..35_000).map(|n| (from + n * 1000, n as f64 / 10.0)).collect();
    let more = json!({"unit": "°C", "location": "=1+1", "metadata": {"a": "b,c"}});
    kept.put_with(0, ("a b", "t"), &many, &more);
    kept.settle("a%20b", 35_000);
    let reply = kept.stage.get("/api/sensors/a%20b/readings?format=csv");
    assert!(reply.is_whole);
    assert_eq!(reply.headers["content-type"], "text/csv; charset=utf-8");
    let disposition = &reply.headers["content-disposition"];
    assert!(disposition.contains("filename=\"a_b.csv\""), "{disposition}");
    let text = reply.text();
    let mut lines = text.split("\r\n");
    let header = "timestamp,sensor_id,sensor_type,value,unit,location,metadata";
    assert_eq!(lines.next(), Some(header));
    let first = lines.next().unwrap();
    let cells = r#",a b,t,0.0,°C,"'=1+1","{""a"":""b,c""}""#;
    assert!(first.ends_with(cells), "{first}");
    assert_eq!(lines.filter(|line| !line.is_empty()).count(), 34_999);
    let ndjson = kept.stage.get("/api/sensors/a%20b/readings?format=ndjson");
    assert!(ndjson.is_whole);
    let last: Value = serde_json::from_str(ndjson.text().lines().last().unwrap()).unwrap();
    assert_eq!((&last["value"], &last["location"]), (&json!(3499.9), &json!("=1+1")));
    assert_eq!(ndjson.text().lines().count(), 35_000);
    let ten = kept.stage.get("/api/sensors/a%20b/readings?format=ndjson&limit=10").text();
    assert_eq!(ten.lines().count(), 10);
    let none = kept.stage.get("/api/sensors/a%20b/readings?format=csv&from=0&to=1");
    assert_eq!((none.is_whole, none.text()), (true, format!("{header}\r\n")));
    let picture = kept.stage.get("/api/sensors/a%20b/readings?format=csv&points=100").text();
    let picture = picture.lines().count();
    assert!((51..=101).contains(&picture), "{picture}");
    for (path, status) in [("nobody", 404), ("a%20b", 200)] {
        let path = format!("/api/sensors/{path}/readings");
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Authorization", &bearer[..]), ("Accept", "text/csv")];
        assert_eq!(kept.stage.ask("GET", &path, &headers, "").status, status);
    }
}

#[test]
fn packed_files_hold_the_same() {
    let mut kept = Kept::new();
    let from = Clock::system().now().0 - 12 * HOUR;
    let many: Vec<Measured> = (0..25_000).map(|n| (from + n * 1000, n as f64)).collect();
    kept.put(0, ("a", "t"), &many);
    kept.settle("a", 25_000);
    let bearer = format!("Bearer {TOKEN}");
    for path in ["format=csv", "format=csv&from=0&to=1", "format=ndjson&points=9"] {
        let path = format!("/api/sensors/a/readings?{path}");
        let headers = [("Authorization", &bearer[..]), ("Accept-Encoding", "gzip")];
        let packed = kept.stage.ask("GET", &path, &headers, "");
        assert_eq!(packed.headers["content-encoding"], "gzip");
        let mut text = String::new();
        let mut unpacker = flate2::read::GzDecoder::new(&packed.body[..]);
        unpacker.read_to_string(&mut text).unwrap();
        let plain = kept.stage.get(&path).text();
        assert!(text == plain, "{path}: {} and {} bytes", text.len(), plain.len());
    }
}

/// What a client gets of a file of 60,000 rows when something happens while it is sent.
fn sent_while(happens: impl FnOnce(&mut Stage)) -> Vec<u8> {
    let mut kept = Kept::new();
    let from = Clock::system().now().0 - 23 * HOUR;
    let many: Vec<Measured> = (0..60_000).map(|n| (from + n * 1000, n as f64)).collect();
    // More than what sockets hold.
    kept.put_with(0, ("a", "t"), &many, &json!({"location": "x".repeat(250)}));
    kept.settle("a", 60_000);
    let mut stream = kept.stage.connect();
    let request = format!(
        "GET /api/sensors/a/readings?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut begin = vec![0; 100_000];
    stream.read_exact(&mut begin).unwrap();
    happens(&mut kept.stage);
    let mut rest = Vec::new();
    // A reset is an end too.
    let _reset = stream.read_to_end(&mut rest);
    rest
}

/// A file that could not be finished must not look as if it were whole.
#[test]
fn a_file_breaks_off_where_redis_dies() {
    let rest = sent_while(Stage::kill_redis);
    assert!(rest.len() < 60_000 * 300, "it was sent although nobody took it");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a part was taken for the whole");
}

/// The page behind a deletion was empty, which is how the last page looks: a file of a million
/// rows ended after ten thousand as if that were all.
#[test]
fn a_file_breaks_off_where_its_sensor_is_deleted() {
    let rest = sent_while(|stage| {
        stage.redis(redis::cmd("DEL").arg(&keys()[0].states));
    });
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a part was taken for the whole");
}

/// With readings that came after the deletion, the page behind it was not even empty.
#[test]
fn a_file_breaks_off_where_its_sensor_is_deleted_and_comes_back() {
    let rest = sent_while(|stage| {
        stage.redis(redis::cmd("DEL").arg(&keys()[0].states));
        stage.put_series(0, 77, ("a", "t"), &[(1.0, Clock::system().now().0)]);
    });
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a part was taken for the whole");
}

/// Spans that are gone are skipped, which is right for those before the first row only.
#[test]
fn a_file_breaks_off_where_history_is_evicted_ahead_of_it() {
    let rest = sent_while(|stage| {
        let now = Clock::system().now().0;
        for hours in 10..=21 {
            let span = format!("h:h{}", now / HOUR - hours);
            stage.redis(redis::cmd("UNLINK").arg(format!("{{sg:0}}{span}")));
            stage.redis(redis::cmd("HDEL").arg("{sg:0}hs").arg(span));
        }
        let horizon = (now / HOUR - 9) * HOUR;
        stage.redis(redis::cmd("HSET").arg("{sg:0}hs").arg("e:readings").arg(horizon));
    });
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a part was taken for the whole");
}

#[test]
fn percentiles_are_exact_over_single_readings_or_refused() {
    let mut kept = Kept::new();
    let from = Clock::system().now().0 - HOUR;
    let even: Vec<Measured> = (0..=1000).map(|n| (from + n * 1000, n as f64)).collect();
    let (left, right) = even.split_at(500);
    kept.put(1, ("a", "t"), right);
    kept.put(0, ("a", "t"), left);
    kept.put(0, ("a", "h"), &[(from, 5.0)]);
    kept.settle("a", 1002);
    let asked = "/api/sensors/a/readings?hours=2&points=2&percentiles=50,95,99.9";
    let answer = kept.json(asked);
    let expected = json!({
        "t": {"50": 500.0, "95": 950.0, "99.9": 999.0},
        "h": {"50": 5.0, "95": 5.0, "99.9": 5.0},
    });
    assert_eq!(answer["percentiles"], expected);
    assert!(kept.json("/api/sensors/a/readings").get("percentiles").is_none());
    let none = kept.json("/api/sensors/a/readings?from=0&to=1&percentiles=50&type=t");
    assert_eq!(none["percentiles"], json!({"t": {"50": null}}));
}

/// Rows by the sum of their counts, the least minimum and the greatest maximum.
fn summed(answer: &Value) -> (u64, f64, f64) {
    rows(answer).iter().fold((0, f64::MAX, f64::MIN), |(count, min, max), row| {
        let number = |key: &str| row[key].as_f64().unwrap();
        let count = count + row["count"].as_u64().unwrap();
        (count, min.min(number("min")), max.max(number("max")))
    })
}

#[test]
fn windows_say_what_their_readings_were() {
    let mut kept = Kept::new();
    let from = days_ago(1);
    // Through two shards, every second reading each.
    let all: Vec<Measured> = (0..1080).map(|n| (from + n * 10_000, (n % 50) as f64)).collect();
    let of = |shard: usize| all.iter().skip(shard).step_by(2).copied().collect::<Vec<_>>();
    kept.put(0, ("a", "t"), &of(0));
    kept.put(1, ("a", "t"), &of(1));
    kept.settle("a", 1080);
    let range = format!("from={from}&to={}", from + 3 * HOUR);
    for (resolution, length, windows) in [("1m", MINUTE, 180), ("1h", HOUR, 3)] {
        let path = format!("/api/sensors/a/readings?{range}&resolution={resolution}");
        let answer = kept.json(&path);
        assert_eq!(rows(&answer).len(), windows, "{resolution}");
        assert_eq!(summed(&answer), (1080, 0.0, 49.0));
        assert_eq!(answer["resolution"], resolution);
        let second = &rows(&answer)[1];
        let begin = from + length;
        let within = all.iter().filter(|(at, _)| (begin..begin + length).contains(at));
        let values: Vec<f64> = within.map(|(_, value)| *value).collect();
        assert_eq!(second["count"], values.len());
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((second["value"].as_f64().unwrap() - mean).abs() < 1e-9);
        let at = jiff::Timestamp::from_millisecond(begin).unwrap();
        assert_eq!(second["timestamp"], format!("{at:.3}"));
        // Page by page the same.
        let first = kept.json(&format!("{path}&limit=2"));
        let next = format!("{path}&cursor={}", first["next"].as_str().unwrap());
        let rest = kept.json(&next);
        assert_eq!((rows(&first).len(), rows(&rest).len()), (2, windows - 2));
        assert_eq!(rows(&rest)[..], rows(&answer)[2..]);
        let file = kept.stage.get(&format!("{path}&format=csv")).text();
        assert!(file.lines().next().unwrap().ends_with(",metadata,min,max,count"), "{file}");
        assert_eq!(file.lines().count(), windows + 1);
    }
}

#[test]
fn auto_takes_the_finest_that_is_kept_back_to_the_beginning() {
    let mut kept = Kept::new();
    let from = days_ago(2);
    let all: Vec<Measured> = (0..2880).map(|n| (from + n * MINUTE, n as f64)).collect();
    kept.put(0, ("a", "t"), &all);
    kept.settle("a", 2880);
    let resolution = |from: i64, more: &str| {
        let path = format!("/api/sensors/a/readings?from={from}{more}");
        kept.json(&path)["resolution"].as_str().unwrap().to_owned()
    };
    assert_eq!(resolution(from, "&points=100"), "raw");
    // As if the first day's readings, and the first hour's windows, had been evicted.
    let horizon = |share: &str, at: i64| {
        kept.stage.redis(redis::cmd("HSET").arg("{sg:0}hs").arg(format!("e:{share}")).arg(at));
    };
    horizon("readings", from + DAY);
    horizon("minutes", from + HOUR);
    assert_eq!(resolution(from + DAY, "&points=100"), "raw");
    assert_eq!(resolution(from + DAY - 1, "&points=100"), "1m");
    assert_eq!(resolution(from + HOUR - 1, "&points=100"), "1h");
    assert_eq!(resolution(from, "&resolution=auto"), "1h");
    assert_eq!(resolution(from, ""), "raw");
    assert_eq!(resolution(from, "&points=100&resolution=raw"), "raw");
    let refused = kept.stage.get(&format!("/api/sensors/a/readings?from={from}&percentiles=50"));
    let since = jiff::Timestamp::from_millisecond(from + DAY).unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains(&format!("{since:.3}")), "{}", refused.text());
    let mut browser = crate::live::Browser::connect(&kept.stage);
    browser.expect("status");
    browser.say("request_sensor_data", json!({"sensor_id": "a", "hours": 1000}));
    let history = browser.expect("sensor_history");
    assert_eq!(history["resolution"], "1h");
    assert_eq!(summed(&history).0, 2880);
}

#[test]
fn rows_come_with_what_was_sent_with_them() {
    let mut kept = Kept::new();
    let from = Clock::system().now().0 - 2 * HOUR;
    let part = |n: i64| [(from + n * MINUTE, n as f64)];
    for (n, unit) in [(0, "°C"), (10, "K"), (20, "°F"), (30, "K")] {
        kept.put_with(0, ("a", "t"), &part(n), &json!({"unit": unit, "location": "x"}));
        kept.settle("a", n as u64 / 10 + 1);
    }
    let units = |path: &str| -> Vec<String> {
        let answer = kept.json(&format!("/api/sensors/a/readings{path}"));
        rows(&answer).iter().map(|row| row["unit"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(units(""), ["°C", "K", "°F", "K"]);
    assert_eq!(units("?points=3"), ["°C", "K"]);
    assert_eq!(units("?resolution=1m"), ["°C", "K", "°F", "K"]);
    let file = kept.stage.get("/api/sensors/a/readings?format=ndjson").text();
    let of_line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["unit"].to_string();
    let units: Vec<_> = file.lines().map(of_line).collect();
    assert_eq!(units, ["\"°C\"", "\"K\"", "\"°F\"", "\"K\""]);
}
