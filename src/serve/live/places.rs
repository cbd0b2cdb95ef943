//! Which slot a series has: found by sensor and type, and given up with the sensor.

use std::collections::HashMap;

use crate::reading::SeriesKey;

/// The slots' numbers, by sensor and type.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// A sensor's types in order, each with its slot; mostly there is one.
    sensors: HashMap<Box<str>, Vec<(Box<str>, u32)>>,
}

impl Places {
    /// The slot of a series, if it has one.
    pub(super) fn find(&self, series: &SeriesKey) -> Option<u32> {
        let types = self.sensors.get(&series.sensor_id)?;
        let found = types.binary_search_by(|(kind, _)| kind.cmp(&series.sensor_type)).ok()?;
        Some(types[found].1)
    }

    /// Gives a series a slot; it had none.
    pub(super) fn insert(&mut self, series: &SeriesKey, place: u32) {
        let types = self.sensors.entry(series.sensor_id.clone()).or_default();
        let at = types.partition_point(|(kind, _)| *kind < series.sensor_type);
        types.reserve_exact(1);
        types.insert(at, (series.sensor_type.clone(), place));
    }

    /// Every sensor with its slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = u32>)> {
        self.sensors.iter().map(|(id, types)| (&**id, types.iter().map(|(_, place)| *place)))
    }

    /// The slots of a sensor.
    pub(super) fn of(&self, sensor_id: &str) -> Vec<u32> {
        let types = self.sensors.get(sensor_id);
        types.into_iter().flatten().map(|(_, place)| *place).collect()
    }

    /// Forgets a sensor; gives the slots it had.
    pub(super) fn remove(&mut self, sensor_id: &str) -> Vec<u32> {
        let types = self.sensors.remove(sensor_id);
        types.into_iter().flatten().map(|(_, place)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, kind: &str) -> SeriesKey {
        SeriesKey { sensor_id: id.into(), sensor_type: kind.into() }
    }

    #[test]
    fn a_sensor_goes_with_all_its_types_and_no_others() {
        let mut places = Places::default();
        let all = [("a", "t"), ("ab", "t"), ("a", "h"), ("a", "u")];
        for (place, (id, kind)) in (0..).zip(&all) {
            places.insert(&key(id, kind), place);
        }
        assert_eq!(places.find(&key("a", "h")), Some(2));
        assert_eq!(places.find(&key("a", "x")), None);
        assert_eq!(places.of("a"), [2, 0, 3]);
        assert_eq!(places.remove("a"), [2, 0, 3]);
        assert_eq!((places.find(&key("a", "t")), places.of("a")), (None, vec![]));
        assert_eq!(places.find(&key("ab", "t")), Some(1));
    }
}
