//! What cannot be read is left out and named; what stands beside it is returned.

use super::*;

/// Thirty readings of an hour in blocks of four: seven full ones, and two in the newest.
async fn filled() -> Stage {
    let stage = Stage::new(2).await;
    let mut writer = Writer::new(&stage, 0);
    writer.readings(&(0..30).map(|n| (n, 1.0)).collect::<Vec<_>>());
    writer.seal(Shelf::ReadingsByHour).await;
    writer.readings(&[(30, 1.0), (HOUR_MS, 1.0)]);
    writer.commit().await;
    stage
}

async fn check(stage: &Stage, missing: std::ops::Range<i64>, said: &str) {
    let found = stage.read(all()).await;
    let expected = (0..31).filter(|n| !missing.contains(n)).chain([HOUR_MS]);
    assert_eq!(times(&found), expected.map(|at| (at, 0)).collect::<Vec<_>>(), "{said}");
    assert_eq!(found.faults.count, 1, "{said}");
    let last = found.faults.last.unwrap();
    assert!(last.starts_with(said), "{last}");
}

#[tokio::test]
async fn a_torn_block_leaves_its_neighbours() {
    let stage = filled().await;
    stage.set(&[b"HSET", b"{sg:0}h:h0", b"7.2", b"\xfftorn"]).await;
    check(&stage, 8..12, "{sg:0}h:h0 7.2: ").await;
}

#[tokio::test]
async fn full_blocks_are_found_without_their_newest() {
    let stage = filled().await;
    // Seven of them, says the second one.
    for newest in [&b""[..], b"\x01\x07torn"] {
        stage.set(&[b"HSET", b"{sg:0}h:h0", b"7", newest]).await;
        check(&stage, 28..30, "{sg:0}h:h0 7: ").await;
    }
}

#[tokio::test]
async fn a_missing_block_is_named() {
    let stage = filled().await;
    stage.set(&[b"HDEL", b"{sg:0}h:h0", b"7.6"]).await;
    check(&stage, 24..28, "{sg:0}h:h0 7.6: missing").await;
    let rest: [&[u8]; 6] = [b"7.0", b"7.1", b"7.2", b"7.3", b"7.4", b"7.5"];
    stage.set(&[&[b"HDEL", b"{sg:0}h:h0" as &[u8]], &rest[..]].concat()).await;
    check(&stage, 0..28, "{sg:0}h:h0 7.0: missing, and those behind it").await;
}

#[tokio::test]
async fn readings_of_another_span_are_refused() {
    let stage = filled().await;
    let stored = |at, value| stage::stored(at, value);
    for wrong in [[stored(8, 1.0), stored(HOUR_MS, 1.0)], [stored(-1, 1.0), stored(9, 1.0)]] {
        let block = stage::encode(&wrong);
        stage.set(&[b"HSET", b"{sg:0}h:h0", b"7.2", &block]).await;
        check(&stage, 8..12, "{sg:0}h:h0 7.2: ").await;
    }
}

#[tokio::test]
async fn a_state_that_is_none_leaves_its_shard_out() {
    let stage = filled().await;
    stage.set(&[b"HSET", b"{sg:1}st", &series().field(), b"not a state"]).await;
    check(&stage, 0..0, "{sg:1}st t1 temperature: not a state").await;
    assert_eq!(stage.read(all()).await.position.len(), 1);
    assert_eq!(stage.reader().reach(&series()).await.unwrap(), Reach::default());
}

#[tokio::test]
async fn strange_fields_of_the_inventory_do_no_harm() {
    let stage = filled().await;
    stage.set(&[b"HSET", b"{sg:0}hs", b"h:x1", b"?", b"\xff", b"", b"h:h9", b"1 1"]).await;
    let found = stage.read(all()).await;
    assert_eq!((found.readings.len(), found.faults.count), (32, 0));
}
