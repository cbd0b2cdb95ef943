//! Nodes: which processes there are, and which of them still live.
//!
//! A node raises its counter about once a second. Whoever wants to know whether another lives
//! watches that counter by its own monotonic clock: no clock of another machine is ever asked,
//! and whoever was itself asleep is not to judge others by the time it slept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::connection::Link;
use super::error::Error;
use super::keys::NODES;
use super::random::random_hex;

/// How often a node raises its counter.
pub const BEAT: Duration = Duration::from_secs(1);
/// How long a counter stands still before its node is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(3);
/// How often our own counter was raised meanwhile, at least.
const BEATS_MIN: u64 = 2;
/// The role of nodes that may own shards.
const AGGREGATE: &str = "aggregate";

static SCRIPT: LazyLock<redis::Script> =
    LazyLock::new(|| redis::Script::new(include_str!("beat.lua")));

/// The name of a process, the same after a restart in the same data directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Box<str>);

impl NodeId {
    /// Takes a name that was kept.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// A new name: 16 random hex digits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex().into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Raised with every beat; begins anew with the process.
    pub counter: u64,
    /// Comma list: `ingest,aggregate,serve`.
    pub roles: String,
}

impl Node {
    fn parse(value: &str) -> Option<Self> {
        let (counter, roles) = value.split_once(' ')?;
        Some(Self { counter: counter.parse().ok()?, roles: roles.to_owned() })
    }

    /// Whether it may own shards.
    #[must_use]
    pub fn aggregates(&self) -> bool {
        self.roles.split(',').any(|role| role == AGGREGATE)
    }
}

/// Every node there is.
pub type Nodes = BTreeMap<NodeId, Node>;

/// Raises the counter of `node` to `counter` and returns all nodes. `roles` is a comma list.
///
/// # Errors
/// [`Error::Redis`]: try again with the next beat.
pub async fn beat(link: &Link, node: &NodeId, counter: u64, roles: &str) -> Result<Nodes, Error> {
    let mut call = SCRIPT.key(NODES);
    call.arg(node.as_str()).arg(format!("{counter} {roles}"));
    let fields: Vec<(String, String)> = link.invoke(&call).await?;
    // A node that cannot be read is one of a newer version: it is not known to live or be dead.
    let known = |(name, value): &(String, String)| Some((NodeId::new(name), Node::parse(value)?));
    Ok(fields.iter().filter_map(known).collect())
}

/// Takes a node off the list: it has ended, or is dead and owns nothing.
///
/// # Errors
/// [`Error::Redis`]; the node is then found to be dead by others.
pub async fn leave(link: &Link, node: &NodeId) -> Result<(), Error> {
    let mut command = redis::cmd("HDEL");
    command.arg(NODES).arg(node.as_str());
    link.run(&command).await
}

/// Beats for a process that owns no shards, until `stop`; then takes it off the list.
pub async fn keep_beating(link: Arc<Link>, node: NodeId, roles: String, stop: CancellationToken) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answers = true;
    let beating = async {
        for counter in 1.. {
            ticks.tick().await;
            let beaten = beat(&link, &node, counter, &roles).await;
            if let (Err(error), true) = (&beaten, answers) {
                tracing::warn!(%error, "cannot tell other nodes that this one lives");
            }
            answers = beaten.is_ok();
        }
    };
    stop.run_until_cancelled(beating).await;
    if let Err(error) = leave(&link, &node).await {
        tracing::debug!(%error, "could not take this node off the list");
    }
}

/// Which nodes live, as seen from one of them. No clock, no I/O.
#[derive(Debug)]
pub struct Liveness {
    dead_after: Duration,
    now: Duration,
    beats: u64,
    seen: BTreeMap<NodeId, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// `None`: it owns something, but is not on the list.
    counter: Option<u64>,
    aggregates: bool,
    /// When, and at which of our own beats, the counter was first seen as it is.
    since: Duration,
    beats: u64,
}

impl Liveness {
    /// Knows nobody yet. `dead_after`: how long a counter stands still before its node is dead.
    #[must_use]
    pub const fn new(dead_after: Duration) -> Self {
        Self { dead_after, now: Duration::ZERO, beats: 0, seen: BTreeMap::new() }
    }

    /// What was found after one more beat of our own: the list, and the owners of all shards.
    /// `now` is our own monotonic clock, from any beginning.
    pub fn observe<'a>(
        &mut self,
        now: Duration,
        nodes: &'a Nodes,
        owners: impl IntoIterator<Item = &'a NodeId>,
    ) {
        self.now = now;
        self.beats += 1;
        let known: BTreeSet<&NodeId> = nodes.keys().chain(owners).collect();
        self.seen.retain(|id, _| known.contains(id));
        for id in known {
            let node = nodes.get(id);
            let counter = node.map(|node| node.counter);
            let aggregates = node.is_some_and(Node::aggregates);
            match self.seen.get_mut(id) {
                Some(seen) if seen.counter == counter => seen.aggregates = aggregates,
                Some(_) | None => {
                    let seen = Seen { counter, aggregates, since: now, beats: self.beats };
                    self.seen.insert(id.clone(), seen);
                }
            }
        }
    }

    /// Whether a node's counter has stood still for too long. A node never seen is not dead yet.
    #[must_use]
    pub fn is_dead(&self, node: &NodeId) -> bool {
        self.seen.get(node).is_some_and(|seen| self.judge(seen))
    }

    /// Every node that is dead.
    pub fn dead(&self) -> impl Iterator<Item = &NodeId> {
        self.seen.iter().filter(|(_, seen)| self.judge(seen)).map(|(id, _)| id)
    }

    /// How many nodes that may own shards are on the list and not dead.
    #[must_use]
    pub fn aggregators(&self) -> usize {
        self.seen.values().filter(|seen| seen.aggregates && !self.judge(seen)).count()
    }

    fn judge(&self, seen: &Seen) -> bool {
        let stood = self.now.saturating_sub(seen.since);
        stood >= self.dead_after && self.beats - seen.beats >= BEATS_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::RedisServer;
    use super::*;

    fn id(name: &str) -> NodeId {
        NodeId::new(name)
    }

    fn nodes(list: &[(&str, u64)]) -> Nodes {
        let node = |counter| Node { counter, roles: "ingest,aggregate".into() };
        list.iter().map(|(name, counter)| (id(name), node(*counter))).collect()
    }

    /// Each step: seconds, then the counter of `a`, then whether it is dead by then.
    fn check(steps: &[(u64, u64, bool)]) {
        let mut liveness = Liveness::new(DEAD_AFTER);
        for &(seconds, counter, dead) in steps {
            liveness.observe(Duration::from_secs(seconds), &nodes(&[("a", counter)]), []);
            assert_eq!(liveness.is_dead(&id("a")), dead, "at {seconds} s of {steps:?}");
            assert_eq!(liveness.aggregators(), usize::from(!dead));
        }
    }

    #[test]
    fn a_counter_that_stands_still_for_three_seconds_is_a_dead_node() {
        check(&[(0, 5, false), (1, 5, false), (2, 5, false), (3, 5, true), (4, 6, false)]);
        check(&[(0, 5, false), (2, 6, false), (4, 6, false), (5, 6, true)]);
    }

    #[test]
    fn a_counter_that_begins_anew_is_a_living_node() {
        check(&[(0, 50, false), (3, 1, false), (5, 1, false), (6, 1, true)]);
    }

    /// A contender that slept for a minute finds an old counter: the other may be alive.
    #[test]
    fn who_was_asleep_does_not_judge_at_once() {
        check(&[(0, 5, false), (60, 5, false), (61, 5, true)]);
        check(&[(0, 5, false), (60, 5, false), (61, 64, false)]);
    }

    #[test]
    fn an_owner_that_is_not_on_the_list_dies_too() {
        let mut liveness = Liveness::new(DEAD_AFTER);
        for (seconds, dead) in [(0, false), (1, false), (3, true)] {
            liveness.observe(Duration::from_secs(seconds), &nodes(&[]), [&id("gone")]);
            assert_eq!(liveness.is_dead(&id("gone")), dead);
            assert_eq!(liveness.aggregators(), 0);
        }
        assert_eq!(liveness.dead().collect::<Vec<_>>(), [&id("gone")]);
        liveness.observe(Duration::from_secs(4), &nodes(&[]), []);
        assert!(!liveness.is_dead(&id("gone")), "what is forgotten is not dead");
    }

    #[tokio::test]
    async fn nodes_see_each_other_also_in_a_full_server() {
        let redis = RedisServer::start(&[]).await;
        let link = redis.link();
        beat(&link, &id("a"), 1, "ingest,serve").await.unwrap();
        redis.ask("CONFIG SET maxmemory 1").await;
        redis.ask("SCRIPT FLUSH").await;
        let seen = beat(&link, &id("b"), 7, "aggregate").await.unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[&id("b")], Node { counter: 7, roles: "aggregate".into() });
        assert!(!seen[&id("a")].aggregates() && seen[&id("b")].aggregates());
        leave(&link, &id("a")).await.unwrap();
        assert_eq!(beat(&link, &id("b"), 8, "aggregate").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_node_that_beats_leaves_when_it_stops() {
        let redis = RedisServer::start(&[]).await;
        let stop = CancellationToken::new();
        let link = Arc::new(redis.link());
        let beating = keep_beating(link.clone(), id("a"), "serve".into(), stop.clone());
        let watching = async {
            while redis.ask("HGET sg:nodes a").await.is_none() {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        tokio::join!(beating, watching);
        assert_eq!(redis.ask("HGET sg:nodes a").await, None);
    }
}
