//! What runs when nothing is configured: a Redis of our own, and sensors that are made up.
//!
//! In: a data directory, a share of the memory, the address of a listener. Out: the address of
//! the supervised Redis and how it is doing; generated secrets; the node's identity.
//! Refused: a data directory that another Streamgauge uses; a Redis older than 7.0.
//! Knows nothing of: streams, payload formats, browsers.

mod aof;
mod data_dir;
mod error;
mod machine;
mod redis_child;
mod redis_home;
mod redis_server;
mod simulator;

pub use data_dir::{DataDir, Kept};
pub use error::Error;
pub use machine::memory_bytes;
pub use redis_server::{RedisServer, RedisState};
pub use simulator::Simulator;
