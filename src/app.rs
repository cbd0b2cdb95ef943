//! The only file that knows every room.

use tokio::signal::unix::{SignalKind, signal};

use crate::config::{RedisMemory, Settings};
use crate::embedded::{DataDir, RedisServer, memory_bytes};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When something that was given cannot be used; the text says what and what to do.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let data_dir = DataDir::open(&settings.data_dir).await?;
    let redis = match settings.redis {
        Some(_) => None,
        None => {
            let maxmemory = match settings.redis_memory {
                RedisMemory::Bytes(bytes) => bytes,
                RedisMemory::Percent(percent) => memory_bytes() / 100 * u64::from(percent),
            };
            Some(RedisServer::start(&data_dir, maxmemory).await?)
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    if let Some(redis) = redis {
        anyhow::ensure!(redis.stop().await, "the supervised Redis did not end as asked");
    }
    Ok(())
}
