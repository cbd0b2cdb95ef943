//! What `streamgauge` does beside running.
//!
//! In: the settings and the arguments of a command. Out: lines for people, and an exit code.
//! Refused: nothing; wrong settings and arguments never get here.
//! Knows nothing of: streams, statistics, the running application.

mod config;
mod health;
mod simulate;

pub use config::print_settings;
pub use health::ask_health;
pub use simulate::simulate;
