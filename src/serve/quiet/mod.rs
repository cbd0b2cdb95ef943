//! Quiet sensors: which series are heard as often as they use to be, which are late, and which
//! are silent for so long that nobody should wait.
//!
//! A series is judged by its own interval and by what its state says of its last message, so that
//! a restart changes nothing: both are stored.

mod clocks;
mod status;
mod watch;

pub(super) use clocks::Clocks;
pub(super) use status::{Status, Turned};
pub(super) use watch::{Heard, Place, Watch};
