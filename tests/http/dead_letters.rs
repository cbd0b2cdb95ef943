//! What was set aside, over all shards, in pages that are bounded in bytes.

use serde_json::{Value, json};

use crate::stage::{Reply, Stage};

/// The bytes of letters in an answer, and what stands around them.
const ANSWER_BYTES_MAX: usize = (4 << 20) + 1000;

fn put(stage: &Stage, shard: u16, (id, received_at): (&str, i64), topic: &str, payload: &[u8]) {
    let mut command = redis::cmd("XADD");
    command.arg(format!("{{sg:{shard}}}dl")).arg(id).arg("reason").arg("bad_json");
    command.arg("topic").arg(topic).arg("payload").arg(payload);
    command.arg("received_at").arg(received_at).arg("position").arg("1-1.0");
    stage.redis(&command);
}

fn letters<'a>(answer: &'a Value, key: &str) -> Vec<&'a str> {
    let letters = answer["dead_letters"].as_array().unwrap();
    letters.iter().map(|it| it[key].as_str().unwrap()).collect()
}

/// All pages, from the first to the last.
fn pages(stage: &Stage, limit: usize) -> Vec<Reply> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stage.get(&format!("/api/dead-letters?limit={limit}{cursor}"));
        assert_eq!(page.status, 200, "{}", page.text());
        let next = page.json()["next"].as_str().map(|next| format!("&cursor={next}"));
        pages.push(page);
        match next {
            Some(next) => cursor = next,
            None => return pages,
        }
    }
}

#[test]
fn dead_letters_come_newest_first_over_all_shards() {
    let stage = Stage::start();
    put(&stage, 0, ("*", 5), "t", b"old");
    put(&stage, 1, ("*", 9), "t", b"new");
    put(&stage, 0, ("*", 7), "t", b"\xff");
    let answer = stage.get("/api/dead-letters").json();
    assert_eq!(letters(&answer, "payload"), ["new", "\u{fffd}", "old"]);
    assert_eq!(letters(&answer, "received_at")[0], "1970-01-01T00:00:00.009Z");
    assert_eq!(letters(&answer, "position")[0], "1:1-1.0");
    assert_eq!(answer["next"], json!(null));
}

#[test]
fn pages_bring_every_dead_letter_once() {
    let stage = Stage::start();
    assert_eq!(stage.get("/api/dead-letters").json(), json!({"dead_letters": [], "next": null}));
    let all = [(1, "8-0"), (1, "6-1"), (1, "6-0"), (0, "6-0"), (1, "5-0"), (0, "5-0"), (0, "4-9")];
    for (shard, id) in all.into_iter().rev() {
        put(&stage, shard, (id, 7), &format!("{shard}/{id}"), b"");
    }
    let expected: Vec<String> = all.iter().map(|(shard, id)| format!("{shard}/{id}")).collect();
    for limit in 1..=8 {
        let pages = pages(&stage, limit);
        assert_eq!(pages.len(), all.len().div_ceil(limit), "{limit} a page");
        // Within a page those with one time of receipt stand by their ids, in no order of shards.
        let mut found = Vec::new();
        for page in pages {
            let page = page.json();
            found.extend(letters(&page, "topic").into_iter().map(str::to_owned));
        }
        let by_id = |topic: &String| topic.split_once('/').unwrap().1.to_owned();
        let ids: Vec<_> = found.iter().map(by_id).collect();
        assert_eq!(ids, expected.iter().map(by_id).collect::<Vec<_>>(), "{limit} a page");
        found.sort_unstable();
        let mut sorted = expected.clone();
        sorted.sort_unstable();
        assert_eq!(found, sorted, "{limit} a page");
    }
}

/// A topic of 65,535 bytes makes a letter of 66 KB, and one of control characters six times that.
#[test]
fn answers_are_bounded_in_bytes_however_long_topics_are() {
    let stage = Stage::start();
    let rest = "x".repeat(65_530);
    for number in 0..150 {
        // Of the same millisecond shards would have an order of their own.
        let id = format!("{number}-1");
        put(&stage, number % 2, (&id, i64::from(number)), &format!("{number:05}{rest}"), b"1");
    }
    for number in 150..160 {
        let topic = format!("{number:05}{}", "\u{1}".repeat(65_530));
        let id = format!("{number}-1");
        put(&stage, 0, (&id, i64::from(number)), &topic, &[1; 512]);
    }
    let pages = pages(&stage, 1000);
    let mut found = Vec::new();
    for page in &pages {
        assert!(page.body.len() <= ANSWER_BYTES_MAX, "{} bytes", page.body.len());
        let answer = page.json();
        found.extend(letters(&answer, "topic").iter().map(|it| it[..5].parse::<u16>().unwrap()));
    }
    assert_eq!(found, (0..160).rev().collect::<Vec<u16>>());
    // 150 × 66 KB and 10 × 396 KB.
    assert_eq!(pages.len(), 4);
    // The oldest of all is found, too, when one asks why its topic is missing.
    let topic = "sensors/a/t";
    let shard = streamgauge::shard::ShardCount::new(2).unwrap().shard_of(topic).0;
    stage.redis(redis::cmd("DEL").arg(format!("{{sg:{shard}}}dl")));
    put(&stage, shard, ("*", 1), topic, b"the first");
    for number in 0..150 {
        put(&stage, shard, ("*", number), &format!("{number:05}{rest}"), b"1");
    }
    let answer = stage.get(&format!("/api/topics/explain?topic={topic}")).json();
    assert_eq!(answer["last_dead_letter"]["payload"], "the first");
}
