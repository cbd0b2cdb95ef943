//! The readings: a formula of (sensor, number), so that any of them can be recomputed.
//!
//! A reading is counted in tenths (`215` is `21.5`): sums of tenths are exact, and `tenths / 10.0`
//! is the same double that a correct parser makes of the text `21.5`.
//! The shape is that of a real sensor (a level of its own, a slow wave, a little noise), because a
//! history codec treats white noise and real measurements differently.

/// Bytes of a value's text: right-aligned with spaces, which JSON allows before a number.
pub const TEXT_BYTES: usize = 5;

/// The largest magnitude, in tenths, that fits [`TEXT_BYTES`] with a sign.
const TENTHS_MAX: i64 = 999;

/// Readings per wave: ten minutes of a sensor that speaks once a second.
const WAVE_READINGS: u64 = 600;

/// The reading number `number` (from 0) of `sensor`, in tenths, within ±99.9.
#[must_use]
pub fn tenths(sensor: u32, number: u64) -> i16 {
    let level = (mixed(u64::from(sensor)) % 1_201) as i64 - 600;
    let phase = (number + u64::from(sensor)) % WAVE_READINGS;
    let wave = (phase.abs_diff(WAVE_READINGS / 2) / 3) as i64 - 50;
    let noise = (mixed(u64::from(sensor) << 40 ^ number) % 9) as i64 - 4;
    (level + wave + noise) as i16
}

/// A bijective mixer of 64 bits: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// The texts of all values from −99.9 to 99.9: 10 KiB that stay in the first-level cache.
#[derive(Debug)]
pub struct Texts(Vec<[u8; TEXT_BYTES]>);

impl Texts {
    /// Formats every value once.
    #[must_use]
    pub fn new() -> Self {
        Self((-TENTHS_MAX..=TENTHS_MAX).map(text).collect())
    }

    /// The text of a value given in tenths, within ±99.9 (what [`tenths`] promises).
    #[must_use]
    pub fn of(&self, tenths: i16) -> &[u8; TEXT_BYTES] {
        &self.0[(i64::from(tenths) + TENTHS_MAX) as usize]
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self::new()
    }
}

fn text(tenths: i64) -> [u8; TEXT_BYTES] {
    let magnitude = tenths.unsigned_abs();
    let sign = if tenths < 0 { "-" } else { "" };
    let number = format!("{sign}{}.{}", magnitude / 10, magnitude % 10);
    let mut text = [b' '; TEXT_BYTES];
    text[TEXT_BYTES - number.len()..].copy_from_slice(number.as_bytes());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_parses_to_its_tenths() {
        let texts = Texts::new();
        for tenths in -999..=999_i16 {
            let text = std::str::from_utf8(texts.of(tenths)).unwrap();
            let value: f64 = serde_json::from_str(text).unwrap();
            assert_eq!(value, f64::from(tenths) / 10.0, "{text:?}");
        }
    }

    #[test]
    fn values_stay_within_what_fits_and_are_not_all_alike() {
        let mut seen = std::collections::HashSet::new();
        for sensor in (0..1_000_000).step_by(997) {
            for number in [0, 1, 299, 300, 599, 600, 10_000_000_000] {
                let value = tenths(sensor, number);
                assert!((-999..=999).contains(&value), "{sensor} {number}: {value}");
                seen.insert(value);
            }
        }
        assert!(seen.len() > 500, "only {} different values", seen.len());
    }

    #[test]
    fn the_formula_does_not_change_between_versions() {
        let first: Vec<i16> = (0..4).map(|number| tenths(42, number)).collect();
        assert_eq!(first, [-515, -517, -518, -519]);
    }
}
