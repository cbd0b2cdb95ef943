//! How history is written as bytes: small, bit for bit, and readable whatever the bytes are.
//!
//! In: readings and windows. Out: the same, after any time.
//! Refused: bytes that nobody of this program wrote; an error that says what is wrong with them.
//! Knows nothing of: Redis, spans and shelves, when something is written.
//!
//! [`varint`] and [`decimal`] are the words: a number in as many bytes as it needs, and an `f64`
//! as the whole number that it is a decimal fraction of.

pub mod decimal;
pub mod varint;
