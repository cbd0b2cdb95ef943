//! What a message costs between the socket and whoever follows the streams: a reply of XREAD, an
//! entry of 128 messages, taken apart.
//!
//! `cargo bench --bench tail`. `found` is the walk that finds the end of the reply, `entries` the
//! one that makes entries of it, `messages` both and a look at every message; `values` is what was
//! done before: the client crate's tree of values, and the same look.

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use redis::Value;
use streamgauge::stream::reply::{Reply, Scan};
use streamgauge::stream::{Entry, EntryId, Header};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGES: usize = 128;
/// Entries of the one stream that answers: one at moderate rates, several when many wait.
const ENTRIES: [usize; 2] = [1, 16];

fn main() {
    divan::main();
}

fn string(text: &str, reply: &mut Vec<u8>) {
    reply.extend_from_slice(format!("${}\r\n{text}\r\n", text.len()).as_bytes());
}

fn array(count: usize, reply: &mut Vec<u8>) {
    reply.extend_from_slice(format!("*{count}\r\n").as_bytes());
}

/// What Redis answers to XREAD.
fn reply(entries: usize) -> Bytes {
    let mut reply = Vec::new();
    array(1, &mut reply);
    array(2, &mut reply);
    string("{sg:3}in", &mut reply);
    array(entries, &mut reply);
    for number in 0..entries {
        array(2, &mut reply);
        string(&format!("1795464000123-{number}"), &mut reply);
        array(2 + 2 * MESSAGES, &mut reply);
        string("@", &mut reply);
        string(&format!("1 00000000000000ab 3 {MESSAGES} 1795464000123 1717"), &mut reply);
        for sensor in 0..MESSAGES {
            string(&format!("sensors/device-{sensor:05}/temperature"), &mut reply);
            let payload = format!(
                "{{\"sensor_id\":\"device-{sensor:05}\",\"type\":\"temperature\",\
                 \"value\":21.5,\"unit\":\"C\",\"timestamp\":\"2026-11-23T20:00:00.123Z\"}}"
            );
            string(&payload, &mut reply);
        }
    }
    reply.into()
}

fn messages(entries: usize) -> ItemsCount {
    ItemsCount::new(entries * MESSAGES)
}

#[divan::bench(args = ENTRIES)]
fn found(bencher: Bencher<'_, '_>, entries: usize) {
    let bytes = reply(entries);
    bencher.counter(messages(entries)).bench(|| Scan::default().end(black_box(&bytes)));
}

#[divan::bench(args = ENTRIES)]
fn entries(bencher: Bencher<'_, '_>, entries: usize) {
    let bytes = reply(entries);
    bencher.counter(messages(entries)).bench(|| take(black_box(&bytes)));
}

#[divan::bench(name = "messages", args = ENTRIES)]
fn looked_at(bencher: Bencher<'_, '_>, entries: usize) {
    let bytes = reply(entries);
    bencher.counter(messages(entries)).bench(|| {
        let end = Scan::default().end(black_box(&bytes));
        (end, look(&take(&bytes)))
    });
}

#[divan::bench(args = ENTRIES)]
fn values(bencher: Bencher<'_, '_>, entries: usize) {
    let bytes = reply(entries);
    bencher.counter(messages(entries)).bench(|| look_at_copies(&values_taken(black_box(&bytes))));
}

fn take(bytes: &Bytes) -> Vec<Entry> {
    let mut reply = Reply::new(bytes.clone());
    assert_eq!(reply.array(), Ok(Some(1)));
    assert!(reply.stream().is_ok());
    reply.entries().expect("these are entries")
}

fn look(entries: &[Entry]) -> usize {
    let messages = entries.iter().flat_map(Entry::messages);
    messages.map(|message| message.topic.len() + message.payload.len()).sum()
}

/// What an entry was before: strings of their own, moved out of the tree.
struct Copied {
    id: EntryId,
    header: Option<Header>,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

fn values_taken(bytes: &[u8]) -> Vec<Copied> {
    let streams = list(redis::parse_redis_value(bytes).expect("this is a reply"));
    let stream = streams.into_iter().flat_map(list).nth(1).expect("a stream has entries");
    let entries = list(stream).into_iter().map(|entry| {
        let mut parts = list(entry).into_iter();
        let id = parts.next().map(text).and_then(|id| EntryId::parse(&id)).expect("it has an id");
        let mut values = parts.next().map(list).expect("it has pairs").into_iter();
        let mut pairs = Vec::with_capacity(values.len() / 2);
        while let (Some(field), Some(payload)) = (values.next(), values.next()) {
            pairs.push((text(field), text(payload)));
        }
        let header = Header::parse(&pairs.remove(0).1);
        Copied { id, header, pairs }
    });
    entries.collect()
}

fn look_at_copies(entries: &[Copied]) -> usize {
    let messages = entries.iter().flat_map(|entry| {
        assert!(entry.header.is_some() && entry.id > EntryId::ZERO);
        &entry.pairs
    });
    let topic_and_payload = messages.map(|(field, payload)| (std::str::from_utf8(field), payload));
    topic_and_payload.map(|(topic, payload)| topic.map_or(0, str::len) + payload.len()).sum()
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        other => panic!("no list: {other:?}"),
    }
}

fn text(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(text) => text,
        other => panic!("no text: {other:?}"),
    }
}
