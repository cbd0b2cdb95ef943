//! The real aggregation, as a process of its own.

use std::process::{Child, Command, Stdio};

/// A process that only aggregates; ends when it is dropped.
pub struct Aggregator(Child);

impl Aggregator {
    /// Of a Redis with so many shards.
    pub fn start(redis_url: &str, shards: usize) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_streamgauge"))
            .env_clear()
            .env("REDIS_URL", redis_url)
            .env("STREAMGAUGE_ROLES", "aggregate")
            // With both of these no data directory is needed.
            .env("SECRET_KEY", "a key of the tests")
            .env("STREAMGAUGE_API_TOKEN", "a-token-of-the-tests")
            .env("STREAMGAUGE_SHARDS", shards.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("the binary starts"))
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
