//! Fixed-width fields, read back.

/// Reads fixed-width little-endian fields from the front of a slice.
#[derive(Debug)]
pub struct Unpack<'a>(pub &'a [u8]);

impl Unpack<'_> {
    /// The next `N` bytes; `None` at the end.
    pub fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next unsigned number.
    pub fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// The next signed number.
    pub fn i64(&mut self) -> Option<i64> {
        self.bytes().map(i64::from_le_bytes)
    }

    /// The next short unsigned number.
    pub fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// The next double, bit for bit.
    pub fn f64(&mut self) -> Option<f64> {
        self.bytes().map(f64::from_le_bytes)
    }
}
