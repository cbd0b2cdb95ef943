//! Deleting a sensor, in its place among the readings. No I/O, no clock.
//!
//! Everything that is known of its series in this shard goes: states, types, attributes, blocks;
//! totals stay, and numbers are not used again. A reading that comes after it makes a new series.
//! Like a reading, the deletion of a series is skipped when its state says that it was applied.

use super::fold::Fold;
use crate::history::OpenEnd;
use crate::reading::write_field;
use crate::stream::Position;

use super::state::State;

impl Fold {
    pub(super) fn delete(&mut self, sensor_id: &str, position: Position) {
        let Some(types) = self.types.get_mut(sensor_id) else { return };
        let mut field = Vec::new();
        let mut left: Vec<&str> = Vec::new();
        for sensor_type in types.split('\0').filter(|it| !it.is_empty()) {
            field.clear();
            write_field(sensor_id, sensor_type, &mut field);
            let slot = self.table.intern(&field);
            let series = &mut self.table[slot];
            let number = series.state.number;
            if number > 0 && position <= series.floor {
                left.push(sensor_type);
                continue;
            }
            let (dirty, is_first) = series.touch();
            if number > 0 {
                dirty.remove(number);
                self.meta.series = self.meta.series.saturating_sub(1);
            }
            if is_first {
                self.dirty.push(slot);
            }
            series.state = State::default();
            series.open = OpenEnd::default();
            series.versions = None;
        }
        *types = left.join("\0");
    }
}
