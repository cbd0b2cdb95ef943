//! What a client is told of the past, in order: of a series every reading, or the latest.

use std::collections::HashMap;
use std::sync::Arc;

use super::event;
use super::frame::Frame;
use super::group::READINGS_PER_FRAME;
use super::recent::What;
use super::shown::Shown;
use super::subscription::{Pace, Subscription};
use crate::reading::SeriesKey;

/// Collects it.
#[derive(Default)]
pub(super) struct Told {
    items: Vec<Option<What>>,
    conflated: u64,
    latest: HashMap<SeriesKey, usize>,
}

impl Told {
    /// Takes what happened to a sensor that may be wanted.
    pub(super) fn take(&mut self, what: &What, wanted: &Subscription) {
        match what {
            What::Reading(shown) => match wanted.pace(&shown.observed.series.sensor_id) {
                Some(Pace::Every) => self.items.push(Some(what.clone())),
                Some(Pace::Apart(_)) => self.replace(shown),
                None => {}
            },
            What::Removed(sensor_id) if wanted.wants(sensor_id) => {
                self.latest.retain(|series, _| series.sensor_id != *sensor_id);
                for item in &mut self.items {
                    let is_of_it = |it: &mut What| match it {
                        What::Reading(shown) => shown.observed.series.sensor_id == *sensor_id,
                        What::Removed(_) => false,
                    };
                    item.take_if(is_of_it);
                }
                self.items.push(Some(what.clone()));
            }
            What::Removed(_) => {}
        }
    }

    fn replace(&mut self, shown: &Arc<Shown>) {
        let series = &shown.observed.series;
        let known = self.latest.get(series).copied();
        if let Some(Some(What::Reading(last))) = known.and_then(|at| self.items.get_mut(at)) {
            self.conflated += 1;
            if last.observed.measured_at <= shown.observed.measured_at {
                *last = shown.clone();
            }
            return;
        }
        self.latest.insert(series.clone(), self.items.len());
        self.items.push(Some(What::Reading(shown.clone())));
    }

    /// What is written.
    pub(super) fn frames(self, batch: bool) -> Vec<Frame> {
        let (mut frames, mut together) = (Vec::new(), Vec::new());
        for item in self.items.into_iter().flatten() {
            match item {
                What::Reading(shown) if batch => together.push(shown),
                What::Reading(shown) => frames.push(shown.frame().clone()),
                What::Removed(sensor_id) => frames.push(event::sensor_removed(&sensor_id)),
            }
        }
        for chunk in together.chunks(READINGS_PER_FRAME) {
            frames.push(event::sensor_updates(chunk.iter().map(|it| &**it), 0));
        }
        if self.conflated > 0 && batch {
            frames.push(event::sensor_updates(std::iter::empty(), self.conflated));
        }
        frames
    }
}
