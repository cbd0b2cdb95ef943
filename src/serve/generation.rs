//! The name of the data set that is served. A client that was away compares it with the one it
//! knows: what it missed of `reset` is then not lost on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::stream::catalogue::ShardVersion;

/// The generation of the data set, as of the last look at the shards.
#[derive(Debug)]
pub(super) struct Generation {
    /// `None` before the first look; empty while no shard has begun.
    name: watch::Sender<Option<Arc<str>>>,
}

impl Generation {
    pub(super) fn new() -> Self {
        Self { name: watch::channel(None).0 }
    }

    /// A look at all shards. Whoever is told of a reset is told after this.
    pub(super) fn learn(&self, versions: &[ShardVersion]) {
        let learned = name(versions);
        self.name.send_if_modified(|name| {
            let is_another = name.as_deref() != Some(learned.as_str());
            if is_another {
                *name = Some(learned.into());
            }
            is_another
        });
    }

    /// Waits for the first look.
    pub(super) async fn name(&self) -> Arc<str> {
        let mut names = self.name.subscribe();
        let name = names.wait_for(Option::is_some).await.map(|name| name.clone());
        // The sender is ours: the wait does not end without a name.
        name.ok().flatten().unwrap_or_default()
    }
}

/// All shards have the same generation, unless some were lost and began anew. Then it is another
/// data set, whose name says of which parts it is.
fn name(versions: &[ShardVersion]) -> String {
    let generations: BTreeSet<_> = versions
        .iter()
        .filter(|version| !version.generation.is_empty())
        .map(|version| String::from_utf8_lossy(&version.generation))
        .collect();
    generations.into_iter().collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(generations: &[&str]) -> Vec<ShardVersion> {
        let version = |generation: &&str| ShardVersion {
            generation: generation.as_bytes().to_vec(),
            ..ShardVersion::default()
        };
        generations.iter().map(version).collect()
    }

    #[test]
    fn shards_that_began_anew_make_it_another_data_set() {
        let check = |generations: &[&str], expected| {
            assert_eq!(name(&shards(generations)), expected, "{generations:?}");
        };
        check(&["", ""], "");
        check(&["one", ""], "one");
        check(&["one", "one"], "one");
        check(&["two", "one"], "one+two");
        check(&["two", "two"], "two");
    }

    #[tokio::test]
    async fn who_asks_before_the_first_look_waits_for_it() {
        let generation = Generation::new();
        let look = async { generation.learn(&shards(&["one"])) };
        let (name, ()) = tokio::join!(biased; generation.name(), look);
        assert_eq!(&*name, "one");
        generation.learn(&shards(&["two"]));
        assert_eq!(&*generation.name().await, "two");
    }
}
