//! How much memory history may take.

use bytesize::ByteSize;

use crate::config::Settings;
use crate::embedded::memory_bytes;
use crate::history::Budget;
use crate::stream::Dataset;

/// What was set, else half of what Redis may use, else a quarter of the memory of its machine.
pub(super) fn budget(settings: &Settings, dataset: &Dataset) -> Budget {
    let half = Some(dataset.maxmemory / 2).filter(|_| dataset.maxmemory > 0);
    let bytes = settings.history_bytes.or(half).unwrap_or_else(|| machine_memory(dataset) / 4);
    Budget { bytes: bytes.max(1) }
}

/// The memory of Redis's machine; where it does not say, of this one.
fn machine_memory(dataset: &Dataset) -> u64 {
    match dataset.system_memory {
        0 => memory_bytes(),
        bytes => bytes,
    }
}

/// Says what a person would not expect: a budget that follows from nothing they set, or one that
/// Redis cannot hold.
pub(super) fn announce(settings: &Settings, dataset: &Dataset) {
    let budget = budget(settings, dataset).bytes;
    let (named, limit) = (ByteSize(budget).display().iec(), dataset.maxmemory);
    if settings.history_bytes.is_none() && limit == 0 {
        tracing::info!(
            "this Redis has no maxmemory: history takes up to {named}, a quarter of its \
             machine's memory; STREAMGAUGE_HISTORY_BYTES sets another limit"
        );
    }
    if limit > 0 && budget >= limit {
        let limit = ByteSize(limit).display().iec();
        tracing::warn!(
            "STREAMGAUGE_HISTORY_BYTES is {named}, but Redis takes {limit} at most: it will be \
             full, and nothing acknowledged, before history gives anything"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::read_file;
    use crate::shard::ShardCount;
    use crate::stream::Durability;

    #[test]
    fn the_budget_is_what_was_set_or_follows_from_the_memory_of_redis() {
        let check = |given: &str, maxmemory, system_memory, expected| {
            let environment = [("STREAMGAUGE_HISTORY_BYTES".into(), given.into())].into();
            let settings = Settings::from(&BTreeMap::new(), None, &environment, &read_file);
            let dataset = Dataset {
                shards: ShardCount::DEFAULT,
                generation: String::new(),
                durability: Durability::Memory,
                maxmemory,
                system_memory,
            };
            assert_eq!(budget(&settings.unwrap(), &dataset).bytes, expected);
        };
        check("", 100 << 20, 1 << 40, 50 << 20);
        check("", 0, 64 << 30, 16 << 30);
        check("2GiB", 100 << 20, 1 << 40, 2 << 30);
        check("2GiB", 0, 0, 2 << 30);
        check("", 0, 0, memory_bytes() / 4);
    }
}
