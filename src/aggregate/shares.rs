//! Which shards a process takes, and which it gives away. No I/O, no clock.
//!
//! Shards that nobody owns, or that a dead node owns, are taken up to a fair share: the number of
//! shards over the number of living aggregators, rounded up. What is over the share is handed
//! over one by one, each only when the one before was taken, so that at most one shard per process
//! waits for its next owner. What this node owned in an earlier life is taken back at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::shard::ShardId;
use crate::stream::{Fence, Holder, NodeId};

/// A shard that this process folds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Under which fence.
    pub fence: Fence,
    /// Its owner was asked to end, and has not ended yet.
    pub is_leaving: bool,
}

/// What one process sees.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// This process.
    pub node: &'a NodeId,
    /// Who holds each shard, in their order.
    pub holders: &'a [Option<Holder>],
    /// What this process folds.
    pub held: BTreeMap<ShardId, &'a Held>,
    /// Living nodes that may own shards, this one among them.
    pub aggregators: usize,
    /// Nodes that are dead.
    pub dead: BTreeSet<&'a NodeId>,
}

/// What to do about a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody else holds it now: end its owner, who cannot commit any more.
    Abandon(ShardId),
    /// Take it, if its fence is still this one.
    Claim(ShardId, Option<Fence>),
    /// End its owner and give the shard back, for others to take.
    HandOver(ShardId),
}

/// What to do now, at most one hand-over among it. Asked about once a second.
#[must_use]
pub fn plan(view: &View<'_>) -> Vec<Step> {
    let shards = (0..=u16::MAX).map(ShardId).zip(view.holders);
    let share = view.holders.len().div_ceil(view.aggregators.max(1));
    let (mut lost, mut back, mut free, mut owned) = (vec![], vec![], vec![], vec![]);
    for (shard, holder) in shards {
        let seen = holder.as_ref().map(|holder| &holder.fence);
        let claim = || Step::Claim(shard, seen.cloned());
        match (view.held.get(&shard), holder) {
            (Some(held), _) if held.is_leaving => {}
            (Some(held), _) if seen == Some(&held.fence) => owned.push(shard),
            (Some(_), _) => lost.push(Step::Abandon(shard)),
            (None, Some(holder)) if holder.owner == *view.node => back.push(claim()),
            (None, Some(holder)) if view.dead.contains(&holder.owner) => free.push(claim()),
            (None, None) => free.push(claim()),
            (None, Some(_)) => {}
        }
    }
    let room = share.saturating_sub(owned.len() + back.len());
    let is_moving = !free.is_empty() || view.held.values().any(|held| held.is_leaving);
    free.truncate(room);
    let over = owned.len() > share && !is_moving;
    let hand_over = owned.pop().filter(|_| over).map(Step::HandOver);
    lost.into_iter().chain(back).chain(free).chain(hand_over).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(number: usize) -> NodeId {
        NodeId::new(&format!("n{number}"))
    }

    /// Redis and the processes around it, as far as ownership goes.
    #[derive(Default)]
    struct World {
        holders: Vec<Option<Holder>>,
        held: Vec<BTreeMap<ShardId, Held>>,
        alive: Vec<bool>,
    }

    impl World {
        fn new(shards: usize, nodes: usize) -> Self {
            let alive = vec![true; nodes];
            Self { holders: vec![None; shards], held: vec![BTreeMap::new(); nodes], alive }
        }

        fn plan(&self, who: usize) -> Vec<Step> {
            let names: Vec<_> = (0..self.alive.len()).map(node).collect();
            plan(&View {
                node: &names[who],
                holders: &self.holders,
                held: self.held[who].iter().map(|(shard, held)| (*shard, held)).collect(),
                aggregators: self.alive.iter().filter(|alive| **alive).count(),
                dead: names
                    .iter()
                    .zip(&self.alive)
                    .filter(|(_, up)| !**up)
                    .map(|it| it.0)
                    .collect(),
            })
        }

        /// One second of a process: what was leaving has ended, then its plan is done.
        fn round(&mut self, who: usize) -> Vec<Step> {
            let (leaving, held) = std::mem::take(&mut self.held[who])
                .into_iter()
                .partition(|(_, held)| held.is_leaving);
            self.held[who] = held;
            for (shard, held) in BTreeMap::<ShardId, Held>::from_iter(leaving) {
                let holder = &mut self.holders[shard.index()];
                holder.take_if(|holder| holder.fence == held.fence);
            }
            let steps = self.plan(who);
            for step in &steps {
                match step {
                    Step::Abandon(shard) | Step::HandOver(shard) => {
                        self.held[who].get_mut(shard).unwrap().is_leaving = true;
                    }
                    Step::Claim(shard, seen) => {
                        let holder = &mut self.holders[shard.index()];
                        assert_eq!(holder.as_ref().map(|it| &it.fence), seen.as_ref());
                        let fence = Fence::random();
                        *holder = Some(Holder { fence: fence.clone(), owner: node(who) });
                        let before =
                            self.held[who].insert(*shard, Held { fence, is_leaving: false });
                        assert_eq!(before, None, "claimed what it holds");
                    }
                }
            }
            steps
        }

        fn owned(&self, who: usize) -> usize {
            self.holders.iter().flatten().filter(|holder| holder.owner == node(who)).count()
        }
    }

    #[test]
    fn one_process_takes_all_at_once() {
        let mut world = World::new(8, 1);
        assert_eq!(world.round(0).len(), 8);
        assert_eq!(world.plan(0), []);
    }

    #[test]
    fn a_second_process_gets_its_share_one_by_one() {
        let mut world = World::new(8, 2);
        world.alive[1] = false;
        world.round(0);
        world.alive[1] = true;
        assert_eq!(world.round(1), []);
        for moved in 1..=4 {
            assert_eq!(world.round(0), [Step::HandOver(ShardId(8 - moved))]);
            assert_eq!(world.round(0), [], "waits until it was taken");
            assert_eq!(world.round(1), [Step::Claim(ShardId(8 - moved), None)]);
        }
        assert_eq!((world.round(0), world.round(1)), (vec![], vec![]));
    }

    #[test]
    fn a_dead_nodes_shards_are_taken_with_the_fence_that_was_seen() {
        let mut world = World::new(4, 2);
        world.round(0);
        world.round(1);
        assert_eq!((world.owned(0), world.owned(1)), (2, 2));
        let fence = world.holders[3].clone().map(|holder| holder.fence);
        world.alive[1] = false;
        assert!(world.plan(0).contains(&Step::Claim(ShardId(3), fence)));
        assert_eq!(world.round(0).len(), 2);
    }

    /// The process was killed and started again under the same name.
    #[test]
    fn what_an_earlier_life_owned_is_taken_back_beyond_the_share() {
        let mut world = World::new(4, 2);
        world.alive[1] = false;
        world.round(0);
        world.alive[1] = true;
        world.held[0].clear();
        assert_eq!(world.round(0).len(), 4);
    }

    #[test]
    fn who_was_taken_over_abandons_the_shard() {
        let mut world = World::new(1, 2);
        world.round(0);
        world.alive[0] = false;
        world.round(1);
        world.alive[0] = true;
        assert_eq!(world.round(0), [Step::Abandon(ShardId(0))]);
        assert_eq!(world.round(0), []);
        assert_eq!(world.owned(1), 1);
    }

    proptest! {
        /// Whatever happened before: once the processes stay, all shards are owned by living
        /// ones, none has more than its share, and nothing moves any more.
        #[test]
        fn shares_settle_after_any_history(
            shards in 1usize..20,
            nodes in 1usize..5,
            history in prop::collection::vec((0usize..5, 0u8..4), 0..60),
        ) {
            let mut world = World::new(shards, nodes);
            for (who, what) in history {
                let who = who % nodes;
                match what {
                    0 => world.alive[who] = false,
                    1 => world.alive[who] = true,
                    2 => world.held[who].clear(),
                    _ if world.alive[who] => drop(world.round(who)),
                    _ => {}
                }
            }
            world.alive[0] = true;
            let alive: Vec<_> = (0..nodes).filter(|who| world.alive[*who]).collect();
            for _ in 0..3 * shards + 5 {
                for who in &alive {
                    world.round(*who);
                }
            }
            let share = shards.div_ceil(alive.len());
            for who in &alive {
                prop_assert_eq!(world.plan(*who), []);
                prop_assert!(world.owned(*who) <= share);
            }
            prop_assert_eq!(alive.iter().map(|who| world.owned(*who)).sum::<usize>(), shards);
        }
    }
}
