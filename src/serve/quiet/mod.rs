//! Quiet sensors: which series are heard as often as they use to be, which are late, and which
//! are silent for so long that nobody should wait.

mod status;

pub(super) use status::*;
