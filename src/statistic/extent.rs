//! The smallest and the largest value.

use super::{Statistic, Unpack};
use crate::reading::UnixMillis;

/// Minimum and maximum; of no readings: +∞ and −∞.
#[derive(Clone, Debug, PartialEq)]
pub struct Extent {
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Default for Extent {
    fn default() -> Self {
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Statistic for Extent {
    const BYTES: usize = 16;

    fn fold(&mut self, value: f64, _measured_at: UnixMillis) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    fn write(&self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(&self.min.to_le_bytes());
        packed.extend_from_slice(&self.max.to_le_bytes());
    }

    fn read(packed: &mut Unpack<'_>) -> Option<Self> {
        Some(Self { min: packed.f64()?, max: packed.f64()? })
    }
}
