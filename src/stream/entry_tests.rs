//! Entries: what is written is read again, and what is not ours is refused.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::Notify;

use super::*;
use crate::ingest::{INTAKE_LIMITS, Intake};
use crate::shard::{ShardCount, ShardId};

fn lot_of(messages: &[Message<'_>]) -> Lot {
    let intake = Intake::new(ShardCount::new(1).unwrap(), INTAKE_LIMITS);
    for message in messages {
        intake.offer(message, &Arc::new(Notify::new())).unwrap();
    }
    intake.take(ShardId(0)).unwrap()
}

/// What Redis would give back for an XADD.
fn entry_of(xadd: &Cmd) -> Entry {
    let arguments: Vec<Vec<u8>> = xadd
        .args_iter()
        .map(|argument| match argument {
            redis::Arg::Simple(bytes) => bytes.to_vec(),
            _ => panic!("only plain arguments"),
        })
        .collect();
    let pairs = arguments[3..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    Entry::new(EntryId { ms: 1, seq: 0 }, pairs.collect())
}

fn header(messages: &[Message<'_>]) -> Header {
    Header {
        producer: ProducerId(0xab),
        number: 3,
        messages: messages.len() as u64,
        received_at: messages[0].received_at,
        total: 17,
    }
}

fn message(topic: &'static str, at: i64) -> Message<'static> {
    Message {
        topic,
        payload: b"{}",
        flags: Flags::NONE,
        received_at: UnixMillis(at),
        refused: None,
    }
}

#[test]
fn a_plain_message_is_its_topic_and_payload() {
    let messages = [message("sensors/a/t", 1000)];
    let xadd = write("s", &header(&messages), &lot_of(&messages), Flags::NONE);
    let packed = String::from_utf8(xadd.get_packed_command()).unwrap();
    assert!(packed.contains("$30\r\n1 00000000000000ab 3 1 1000 17\r\n"), "{packed}");
    assert!(packed.ends_with("$11\r\nsensors/a/t\r\n$2\r\n{}\r\n"), "{packed}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        parts in prop::collection::vec(
            ("[a-z/]{1,20}", prop::collection::vec(any::<u8>(), 0..40), 0u8..4, 0i64..100_000,
             prop::option::of(1u8..=12)), 1..20)
    ) {
        let messages: Vec<Message<'_>> = parts.iter().map(|(topic, payload, flags, at, code)| {
            Message {
                topic,
                payload,
                flags: Flags(*flags),
                received_at: UnixMillis(1_000_000 + at),
                refused: code.and_then(Refusal::from_code),
            }
        }).collect();
        let entry = entry_of(&write("s", &header(&messages), &lot_of(&messages), Flags::NONE));
        prop_assert_eq!(entry.header, Some(header(&messages)));
        for (read, written) in entry.messages().zip(&messages) {
            // Within ten milliseconds of the first nothing is said: the entry's time stands.
            let apart = written.received_at.0.max(header(&messages).received_at.0)
                - read.received_at.0;
            prop_assert!((0..PLAIN_WITHIN_MS).contains(&apart));
            prop_assert_eq!(
                Message { received_at: written.received_at, ..read }, *written);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        pairs in prop::collection::vec(
            (
                prop::collection::vec(any::<u8>(), 0..20),
                prop::collection::vec(any::<u8>(), 0..9),
            ),
            0..9)
    ) {
        let ours = (b"@".to_vec(), format!("1 {:016x} 1 {} 5 9", 7, pairs.len()).into_bytes());
        let count = pairs.len();
        let mut all = vec![ours];
        all.extend(pairs);
        let entry = Entry::new(EntryId::ZERO, all);
        prop_assert!(entry.header.is_some());
        prop_assert_eq!(entry.messages().count(), count);
    }
}

#[test]
fn an_unknown_flag_is_refused_and_its_neighbour_is_not() {
    let pairs = vec![
        (b"@".to_vec(), b"1 00000000000000ab 3 2 1000 17".to_vec()),
        (b"\0\x80\0sensors/a/t".to_vec(), b"1".to_vec()),
        (b"sensors/b/t".to_vec(), b"2".to_vec()),
    ];
    let entry = Entry::new(EntryId::ZERO, pairs);
    let messages: Vec<_> = entry.messages().collect();
    assert_eq!(messages[0].refused, Some(Refusal::UnknownFlag));
    assert_eq!((messages[1].topic, messages[1].refused), ("sensors/b/t", None));
}

#[test]
fn a_control_message_that_cannot_be_read_is_refused() {
    let check = |field: &[u8], payload: &[u8], refused| {
        let header = b"1 00000000000000ab 1 1 1000 1".to_vec();
        let pairs = vec![(b"@".to_vec(), header), (field.to_vec(), payload.to_vec())];
        let entry = Entry::new(EntryId::ZERO, pairs);
        let message = entry.messages().next().unwrap();
        assert_eq!(message.refused, refused, "{field:?}");
        assert_eq!(message.control().is_some(), refused.is_none());
    };
    let unknown = Some(Refusal::UnknownFlag);
    check(b"\0\x40\0", br#"{"delete":"a"}"#, None);
    check(b"\0\x40\0", br#"{"rename":"a"}"#, unknown);
    check(b"\0\x40\0", b"", unknown);
    check(b"\0\x40\0sensors/a/t", br#"{"delete":"a"}"#, unknown);
    check(b"\0\x60\0\x01", br#"{"delete":"a"}"#, Some(Refusal::BadJson));
}

#[test]
fn a_foreign_entry_is_refused_pair_by_pair() {
    let entry = Entry::new(EntryId::ZERO, vec![(b"temperature".to_vec(), b"21".to_vec())]);
    assert_eq!(entry.header, None);
    assert_eq!(entry.messages().next().unwrap().refused, Some(Refusal::UnknownFlag));
    for wrong in ["2 00000000000000ab 3 0 1000 17", "1 ab 3 0 1 1", "1 00000000000000ab 3 9 1 1"] {
        let pairs = vec![(b"@".to_vec(), wrong.as_bytes().to_vec())];
        assert_eq!(Entry::new(EntryId::ZERO, pairs).header, None, "{wrong}");
    }
}
