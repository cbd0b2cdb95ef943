//! The live path: publish → frame, as one client, and thousands, see it.
//!
//! 1. [`stamp`]: publishes readings whose value is the time of their publishing.
//! 2. [`frames`] and [`conversation`]: RFC 6455 as a client speaks it; no I/O.
//! 3. [`sight`]: what a frame shows, scanned and now and then parsed.
//! 4. [`viewer`], [`journal`] and [`follow`]: one client on everything, every reading compared.
//! 5. [`member`], [`signals`], [`crowd`], [`stuck`] and [`gather`]: thousands of clients, some of
//!    which never read, or all of which return at once; `findings`: what is told of them.
//! 6. [`watched`]: what a client on everything costs at full speed.

pub mod conversation;
pub mod crowd;
mod findings;
pub mod follow;
pub mod frames;
pub mod gather;
pub mod journal;
pub mod member;
pub mod sight;
pub mod signals;
mod stage;
pub mod stamp;
pub mod stuck;
pub mod viewer;
pub mod watched;
