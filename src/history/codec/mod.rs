//! How history is written as bytes: small, bit for bit, and readable whatever the bytes are.
//!
//! In: readings and windows. Out: the same, after any time.
//! Refused: bytes that nobody of this program wrote; an error that says what is wrong with them.
//! Knows nothing of: Redis, keys, when something is written.
//!
//! [`varint`] and [`decimal`] are the words: a number in as many bytes as it needs, and an `f64`
//! as the whole number that it is a decimal fraction of. [`tail`] takes the newest readings one
//! at a time, as they arrive; [`readings`] packs them for good, in columns. [`windows`]
//! are records of whole bytes, in blocks and alone.

mod column;
pub mod decimal;
pub mod readings;
mod scale;
#[cfg(test)]
mod stored_tests;
pub mod tail;
#[cfg(test)]
mod testing;
mod unreadable;
pub mod varint;
pub mod windows;

pub use unreadable::Unreadable;
