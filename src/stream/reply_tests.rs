//! Replies: the same wherever they are cut; and never a panic.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// An entry's id and its pairs.
type Plain = (EntryId, Vec<(Vec<u8>, Vec<u8>)>);

fn string(bytes: &[u8], reply: &mut Vec<u8>) {
    reply.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    reply.extend_from_slice(bytes);
    reply.extend_from_slice(b"\r\n");
}

fn array(count: usize, reply: &mut Vec<u8>) {
    reply.extend_from_slice(format!("*{count}\r\n").as_bytes());
}

fn list(entries: &[Plain]) -> Vec<u8> {
    let mut reply = Vec::new();
    array(entries.len(), &mut reply);
    for (id, pairs) in entries {
        array(2, &mut reply);
        string(id.to_string().as_bytes(), &mut reply);
        array(2 * pairs.len(), &mut reply);
        for (field, payload) in pairs {
            string(field, &mut reply);
            string(payload, &mut reply);
        }
    }
    reply
}

fn entries(reply: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    Reply::new(Bytes::copy_from_slice(reply)).entries()
}

/// What a scan says that is given the first bytes, then one more each time.
fn scanned(bytes: &[u8]) -> Result<Option<usize>, Unreadable> {
    let mut scan = Scan::default();
    (0..=bytes.len())
        .map(|known| scan.end(&bytes[..known]))
        .find(|end| *end != Ok(None))
        .unwrap_or(Ok(None))
}

/// Everything that may be asked of bytes that came from anywhere.
fn read_whatever(bytes: &[u8]) {
    let at_once = Scan::default().end(bytes);
    if let Ok(Some(end)) = at_once {
        assert_eq!(scanned(bytes), at_once);
        assert_eq!(scanned(&bytes[..end - 1]), Ok(None));
    }
    for entry in entries(bytes).into_iter().flatten() {
        assert_eq!(entry.messages().len(), entry.len());
        assert!(entry.bytes() <= bytes.len());
    }
    let mut reply = Reply::new(Bytes::copy_from_slice(bytes));
    while reply.stream().is_ok() && reply.entries().is_ok() {}
}

fn some_entries() -> impl Strategy<Value = Vec<Plain>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..12);
    let entry = (any::<(u64, u64)>(), prop::collection::vec((bytes(), bytes()), 0..6));
    prop::collection::vec(entry, 0..6).prop_map(|entries| {
        entries.into_iter().map(|((ms, seq), pairs)| (EntryId { ms, seq }, pairs)).collect()
    })
}

proptest! {
    #[test]
    fn a_reply_is_found_whole_wherever_it_is_cut(written in some_entries(), cut in 0usize..1000) {
        let mut bytes = list(&written);
        let end = bytes.len();
        prop_assert_eq!(scanned(&bytes), Ok(Some(end)));
        let mut scan = Scan::default();
        let cut = cut % end;
        prop_assert_eq!(scan.end(&bytes[..cut]), Ok(None));
        bytes.extend_from_slice(b"*1\r\n");
        prop_assert_eq!(scan.end(&bytes), Ok(Some(end)));

        let read = entries(&bytes[..end]).unwrap();
        prop_assert_eq!(read.len(), written.len());
        for (read, (id, pairs)) in read.iter().zip(written) {
            let copied = Entry::new(id, pairs);
            prop_assert_eq!((read.id, read.header, read.bytes()),
                (id, copied.header, copied.bytes()));
            prop_assert!(read.messages().eq(copied.messages()));
        }
    }

    #[test]
    fn any_bytes_are_a_reply_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_whatever(&bytes);
    }

    #[test]
    fn bytes_that_look_like_a_reply_are_one_or_refused(
        parts in prop::collection::vec(prop::sample::select(vec![
            "*", "$", "-", "+", ":", "\r", "\n", "\r\n", "0", "1", "2", "-1\r\n", "*2\r\n",
            "$3\r\n1-1\r\n", "$1\r\na\r\n", "*-1\r\n", "$-1\r\n", "9999999999", "ERR",
        ]), 0..40)
    ) {
        read_whatever(parts.concat().as_bytes());
    }

    #[test]
    fn a_reply_with_a_byte_changed_is_read_without_panic(
        written in some_entries(), place in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = list(&written);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        read_whatever(&bytes);
    }
}

#[test]
fn the_fuzzer_s_corpus_is_read_without_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/reply");
    let mut cases = 0;
    for case in fs::read_dir(corpus).unwrap() {
        read_whatever(&fs::read(case.unwrap().path()).unwrap());
        cases += 1;
    }
    assert!(cases >= 10, "the corpus is gone");
}

#[test]
fn what_is_not_there_is_left_out() {
    assert_eq!(entries(b"*2\r\n*-1\r\n*2\r\n$3\r\n1-1\r\n*-1\r\n").unwrap().len(), 1);
    assert_eq!(entries(b"*1\r\n$-1\r\n").unwrap().len(), 0);
    assert_eq!(entries(b"*0\r\n").unwrap().len(), 0);
}

#[test]
fn another_shape_is_refused() {
    let check = |reply: &[u8]| {
        assert_eq!(scanned(reply), Ok(Some(reply.len())), "{reply:?}");
        assert_eq!(entries(reply).err(), Some(Unreadable::Shape), "{reply:?}");
    };
    check(b"+OK\r\n");
    check(b":1\r\n");
    check(b"*-1\r\n");
    check(b"*1\r\n*3\r\n$3\r\n1-1\r\n*0\r\n*0\r\n");
    check(b"*1\r\n*2\r\n$1\r\nx\r\n*0\r\n");
    check(b"*1\r\n*2\r\n$3\r\n1-1\r\n*1\r\n$1\r\na\r\n");
    check(b"*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n:1\r\n");
    check(b"*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$-1\r\n");
}

#[test]
fn what_breaks_the_protocol_is_refused_at_once() {
    let check = |bytes: &[u8], cause| assert_eq!(scanned(bytes), Err(cause), "{bytes:?}");
    for bytes in
        ["x", "$-2", "*-0", "$\r", "$1\r\nabc", "$1x", "+a\rb", "$000000000000000", "*1\rx"]
    {
        check(bytes.as_bytes(), Unreadable::Malformed);
    }
    check(b"$1073741825", Unreadable::TooLong);
    check(b"*99999999999", Unreadable::TooLong);
    check(b"*1073741824\r\n*1073741824\r\n", Unreadable::TooLong);
    let endless = vec![b'+'; LINE_BYTES_MAX + 1];
    assert_eq!(Scan::default().end(&endless), Err(Unreadable::Malformed));
}

#[test]
fn a_count_that_is_only_announced_takes_no_room() {
    let reply = b"*1\r\n*2\r\n$3\r\n1-1\r\n*1073741824\r\n$1\r\na\r\n";
    assert_eq!(scanned(reply), Ok(None));
    assert_eq!(entries(reply).err(), Some(Unreadable::Shape));
    assert_eq!(entries(b"*1073741824\r\n").err(), Some(Unreadable::Shape));
}
