//! What may go wrong between us and Redis, by who must act.

/// An error of the stream room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be used; the person who configured it must act.
    #[error("the Redis address cannot be used: {0}")]
    Address(#[source] redis::RedisError),
    /// Redis did not answer, or refused; back off and try again.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// Some shards did not take what all of them must have; try again, under a new producer.
    #[error("{refused} of {all} shards refused it, the first of them shard {shard}: {cause}")]
    Partly {
        /// How many refused it.
        refused: usize,
        /// How many were asked.
        all: usize,
        /// The first that refused it.
        shard: u16,
        /// What Redis said there.
        #[source]
        cause: redis::RedisError,
    },
    /// Redis answered something that our protocol does not know; the data was touched by others.
    #[error("{key} holds something unexpected: {what}")]
    Foreign {
        /// The key that was read.
        key: String,
        /// What was found, without any payload.
        what: String,
    },
    /// The data set belongs to other settings; the person who configured it must act.
    #[error("{0}")]
    Settings(String),
}

impl Error {
    /// Trying again cannot help until a person acts. A server that is down, loading or full is
    /// not permanent.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Address(_) | Self::Foreign { .. } | Self::Settings(_) => true,
            Self::Redis(_) | Self::Partly { .. } => false,
        }
    }

    /// Redis answered, and does not let us do this: no permission, or no such command.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use redis::{ErrorKind, ServerErrorKind};
        let Self::Redis(error) = self else { return false };
        matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError)
        )
    }

    /// Whether the stream or its group was removed by somebody.
    #[must_use]
    pub fn is_group_missing(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("NOGROUP"))
    }
}
