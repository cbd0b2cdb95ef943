//! What the hub told before a client came, and is not committed yet: read for this client alone,
//! when the commits are too far behind to wait for them.

use std::collections::HashMap;

use super::event;
use super::every::Every;
use super::follow::Follower;
use super::frame::Frame;
use super::listen::knowing;
use super::shown::{Change, Observed, Shown};
use super::subscription::{Pace, Subscription};
use crate::reading::SeriesKey;
use crate::serve::history::token;
use crate::serve::service::Service;
use crate::stream::{EntryId, Error, Position, catalogue, random_u64, tail};

/// Entries of a shard that are read for one client; beyond it the client is told of a gap.
const ENTRIES_MAX: usize = 64;

/// The position that is committed, and the frames of what is wanted between it and `reached`.
///
/// # Errors
/// [`Error`] when Redis does not answer.
pub(super) async fn past(
    service: &Service,
    reached: &[EntryId],
    wanted: &Subscription,
    batch: bool,
) -> Result<(String, Vec<Frame>), Error> {
    let keys = service.deps.shards.borrow().clone();
    let link = &service.deps.link;
    let metas = catalogue::metas(link, &keys).await?;
    let (mut positions, mut gaps) = (Vec::new(), Vec::new());
    let mut told = Told::default();
    let mut follower = Follower::new(service.config.naive_time.clone(), random_u64());
    follower.want_every(Every::new(["*".into()].into()));
    for (place, (keys, meta)) in keys.iter().zip(metas).enumerate() {
        let from = meta.pos;
        // The whole entry is committed, so every index of it is.
        positions.push((keys.shard, Position { entry: from, index: u32::MAX }));
        let to = reached.get(place).copied().unwrap_or(EntryId::ZERO);
        if from >= to {
            continue;
        }
        let entries = tail::between(link, keys, from, to, ENTRIES_MAX).await?;
        if entries.len() == ENTRIES_MAX {
            gaps.push(event::gap(keys.shard));
        }
        follower.begin(keys.shard, &meta);
        let round = knowing(service, |known| follower.take(keys.shard, &entries, known));
        round.changes.into_iter().for_each(|change| told.take(change, wanted));
    }
    gaps.extend(told.frames(batch));
    Ok((token(&positions), gaps))
}

/// What a client is told of the past, in order: of a series every reading, or the latest.
#[derive(Default)]
struct Told {
    items: Vec<Option<Item>>,
    conflated: u64,
    latest: HashMap<SeriesKey, usize>,
}

enum Item {
    Reading(Box<Shown>),
    Removed(Box<str>),
}

impl Told {
    fn take(&mut self, change: Change, wanted: &Subscription) {
        match change {
            Change::Reading(observed) => match wanted.pace(&observed.series.sensor_id) {
                Some(Pace::Every) => self.push(observed),
                Some(Pace::Apart(_)) => self.replace(observed),
                None => {}
            },
            Change::Removed { sensor_id } if wanted.wants(&sensor_id) => {
                self.latest.retain(|series, _| series.sensor_id != sensor_id);
                for item in &mut self.items {
                    let of_it = |it: &Item| match it {
                        Item::Reading(shown) => shown.observed.series.sensor_id == sensor_id,
                        Item::Removed(_) => false,
                    };
                    item.take_if(|it| of_it(it));
                }
                self.items.push(Some(Item::Removed(sensor_id)));
            }
            Change::Removed { .. } => {}
        }
    }

    fn push(&mut self, observed: Observed) {
        self.items.push(Some(Item::Reading(Box::new(Shown::new(observed)))));
    }

    fn replace(&mut self, observed: Observed) {
        let series = observed.series.clone();
        let known = self.latest.get(&series).copied();
        if let Some(Some(Item::Reading(shown))) = known.and_then(|at| self.items.get_mut(at)) {
            self.conflated += 1;
            if shown.observed.measured_at <= observed.measured_at {
                **shown = Shown::new(observed);
            }
            return;
        }
        self.latest.insert(series, self.items.len());
        self.push(observed);
    }

    fn frames(self, batch: bool) -> Vec<Frame> {
        let (mut frames, mut together) = (Vec::new(), Vec::new());
        for item in self.items.into_iter().flatten() {
            match item {
                Item::Reading(shown) if batch => together.push(shown),
                Item::Reading(shown) => frames.push(shown.frame().clone()),
                Item::Removed(sensor_id) => frames.push(event::sensor_removed(&sensor_id)),
            }
        }
        for chunk in together.chunks(super::group::READINGS_PER_FRAME) {
            frames.push(event::sensor_updates(chunk.iter().map(|it| &**it), 0));
        }
        if self.conflated > 0 && batch {
            frames.push(event::sensor_updates(std::iter::empty(), self.conflated));
        }
        frames
    }
}
