//! Every setting: name, default, meaning, bounds.
//!
//! `table.rs` is the one list; `sources.rs` finds out who said what; `value.rs` turns one text
//! into one value; `assemble.rs` puts them together and collects everything that is wrong, so
//! that a person sees all mistakes at once. All of that is pure; only [`environment`] asks the
//! process, and [`read_file`] the disk.

mod arguments;
mod assemble;
mod error;
mod settings;
mod sources;
mod table;
mod value;

pub use arguments::{Cli, Command, HealthArguments, SimulateArguments};
pub use error::SettingError;
pub use settings::{
    Auth, Broker, Durability, Effective, LogFormat, MqttListen, PublicUrl, RedisMemory,
    RedisTarget, Roles, RollupRetention, Secret, Settings,
};
pub use sources::{Environment, Flags, Origin};
pub use table::{Kind, VARIABLES, Variable};

use std::io;
use std::path::Path;

/// Exit code for settings that cannot be: `EX_CONFIG` of BSD's sysexits.h.
pub const EXIT_SETTINGS: u8 = 78;

/// The environment of the process.
#[must_use]
pub fn environment() -> Environment {
    std::env::vars_os().collect()
}

/// Reads a secret's file.
///
/// # Errors
/// What the system says, or that it is not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}
