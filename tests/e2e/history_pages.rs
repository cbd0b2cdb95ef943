//! Pages of history while more of it arrives and is moved into blocks.

use std::collections::HashSet;

use crate::support::at_rest::{connection, recount, shard_of};
use crate::support::history::{lines, pages, query};
use crate::support::numbered::{Fleet, Source, Values};
use crate::support::random::Random;
use crate::support::stage::Stage;
use crate::support::{seconds, within};

/// Readings of each device before the first page, and with each page while there are more.
const BEFORE: usize = 1500;
const WITH_EACH_PAGE: usize = 40;
const COUNT: usize = 5000;
const LIMIT: usize = 101;

#[test]
fn pages_neither_repeat_nor_skip_while_blocks_are_sealed_in_two_shards() {
    let mut random = Random::seeded();
    assert_ne!(shard_of("sensors/both-a/level"), shard_of("sensors/both-b/level"));
    let streamgauge = Stage::new().set("STREAMGAUGE_READINGS_RETENTION", "400d").start();
    let sources = vec![
        Source { values: Values::Scattered, ..Source::new("both", "both-a") },
        Source { values: Values::Binary, lane: 1, ..Source::new("both", "both-b") },
    ];
    let devices = sources.len();
    let now = jiff::Timestamp::now().as_millisecond();
    let fleet = Fleet::start(streamgauge.mqtt(), sources, COUNT, now, &mut random);
    let mut released = BEFORE;
    fleet.release(released);
    streamgauge.wait_count("both", "level", (devices * BEFORE) as u64);
    let asked = query("both", "raw", 0);
    let before = lines(&streamgauge, &asked);
    let full_blocks = || recount(&mut connection(&streamgauge.stage)).full_blocks;
    let full_before = full_blocks();

    let paged = pages(&streamgauge, &asked, LIMIT, || {
        // As much as was released is acknowledged with the page before, or soon.
        fleet.release(WITH_EACH_PAGE);
        released = COUNT.min(released + WITH_EACH_PAGE);
        fleet.wait_settled((devices * released) as u64);
    });
    fleet.finish();
    let after = within(seconds(30), "everything is there", || {
        let all = lines(&streamgauge, &asked);
        (all.len() == devices * COUNT).then_some(all)
    });
    assert!(full_blocks() > full_before, "no block was filled meanwhile");

    // In the order in which they are in the end, so none twice; what was there before, and what
    // came ahead of the cursor, is among them.
    let mut rest = after.iter();
    assert!(paged.iter().all(|row| rest.any(|kept| kept == row)), "not in order, or twice");
    let seen: HashSet<u64> = paged.iter().map(|row| row.value.to_bits()).collect();
    assert_eq!(seen.len(), paged.len());
    let skipped = before.iter().filter(|row| !seen.contains(&row.value.to_bits())).count();
    assert_eq!(skipped, 0, "of those that were there before");
    assert!(paged.len() > before.len() + 1000, "little arrived ahead: {}", paged.len());
}
