//! Sealing within a batch: which blocks are needed, and what becomes of them. No I/O, no clock.

use super::fold::Fold;
use super::needs::{Footprint, Needs};
use super::series::{Dirty, Removed};
use crate::history::codec::Unreadable;
use crate::history::{Sealing, Span};
use crate::reading::UnixMillis;

impl Fold {
    /// Takes out of the changed series what is due to move into blocks, and says which blocks
    /// must be loaded for that. Nothing is folded between this and [`Fold::plan`].
    pub fn begin_sealing(&mut self, now: UnixMillis) -> Needs {
        let mut needs = Needs::default();
        for slot in &self.dirty {
            let series = &mut self.table[*slot];
            let Some(dirty) = &mut series.dirty else { continue };
            for removed in &dirty.removed {
                let spans = self.inventory.iter().map(|(span, _)| (span, removed.number));
                needs.footprints.extend(spans);
            }
            if series.open.is_due(now, self.config.retentions.readings) {
                let sealing = Sealing::of(&mut series.open);
                let spans = sealing.spans().filter(|span| !self.evicting.contains(span));
                needs.blocks.extend(spans.map(|span| (span, series.state.number)));
                dirty.sealing = Some(sealing);
            }
        }
        needs
    }

    /// Merges what is due with the blocks that were loaded.
    ///
    /// # Errors
    /// [`Unreadable`]: a newer version of the program wrote one of them. Nothing can be committed
    /// until that version runs again.
    pub fn seal(
        &mut self,
        blocks: Vec<Option<Vec<u8>>>,
        footprints: Vec<Footprint>,
    ) -> Result<(), Unreadable> {
        let (mut blocks, mut footprints) = (blocks.into_iter(), footprints.into_iter());
        for slot in &self.dirty {
            let series = &mut self.table[*slot];
            let Some(dirty) = &mut series.dirty else { continue };
            for removed in &mut dirty.removed {
                let spans = self.inventory.iter().map(|(span, _)| span);
                let found = spans.zip(footprints.by_ref());
                removed.blocks = found.filter(|(_, footprint)| footprint.is_there).collect();
            }
            let Some(sealing) = dirty.sealing.take() else { continue };
            let wanted: Vec<Span> = sealing.spans().collect();
            let loaded = wanted.into_iter().map(|span| {
                if self.evicting.contains(&span) { None } else { blocks.next().flatten() }
            });
            dirty.blocks = sealing.into_blocks(loaded)?;
            let damaged = dirty.blocks.iter().filter(|block| block.is_damaged);
            for block in damaged {
                self.meta.totals.damaged += 1;
                tracing::error!(
                    series = series.state.number,
                    span = %block.span,
                    "a block of history could not be read and is replaced"
                );
            }
        }
        Ok(())
    }
}

impl Dirty {
    /// Notes that a series was deleted.
    pub fn remove(&mut self, number: u64) {
        self.removed.push(Removed { number, blocks: Vec::new() });
        self.attributes = None;
    }
}
