//! Connections to Redis that say when they are new.
//!
//! A multiplexed connection never reconnects by itself, and a reply that did not come means
//! *unknown*, not *failed*. So a connection that failed once is dropped here, and whoever asks
//! next gets a fresh one.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo};
use tokio::sync::Mutex;

use super::error::Error;
use crate::backoff::Backoff;

/// How long connecting may take. A guess: a LAN answers in milliseconds.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a reply may take. A guess: above a slow fsync or a fork, below anybody's patience.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Where Redis is.
#[derive(Clone, Debug)]
pub struct Server {
    client: Client,
}

impl Server {
    /// The waits between tries to reach it. It is local or near; nobody wants to wait longer.
    #[must_use]
    pub const fn backoff() -> Backoff {
        Backoff::between(Duration::from_millis(50), Duration::from_secs(2))
    }

    /// Takes `redis://host:port/db` or `unix:///path`.
    ///
    /// # Errors
    /// [`Error::Address`] when the address cannot be read.
    pub fn new(url: &str) -> Result<Self, Error> {
        // TCP_NODELAY is off by default, which would hold back small pipelines.
        let info = url.into_connection_info().map_err(Error::Address)?;
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(Error::Address)?;
        Ok(Self { client })
    }

    /// The address as it was understood.
    pub(super) fn info(&self) -> &ConnectionInfo {
        self.client.get_connection_info()
    }

    /// A fresh connection for commands that are answered at once. Those that block have
    /// [`super::blocking::Blocking`].
    ///
    /// # Errors
    /// [`Error::Redis`] when there is no answer in time.
    pub async fn connect(&self) -> Result<MultiplexedConnection, Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(REPLY_TIMEOUT));
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }
}

/// One shared connection for short commands, renewed after a failure.
#[derive(Debug)]
pub struct Link {
    server: Server,
    /// Guards the making of a new connection, so that many callers make one.
    current: Mutex<Option<MultiplexedConnection>>,
}

impl Link {
    /// Not connected yet.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server, current: Mutex::new(None) }
    }

    /// The address behind the link.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Runs `command` on the shared connection. After an I/O error the connection is dropped.
    ///
    /// # Errors
    /// Whatever connecting or the command answered. A timeout means *unknown*.
    pub async fn run<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Error> {
        let mut connection = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        self.judge(answer).await
    }

    /// Runs a pipeline on the shared connection. After an I/O error the connection is dropped.
    ///
    /// # Errors
    /// Whatever connecting or a command answered. A timeout means *unknown*.
    pub async fn run_all<T>(&self, pipeline: &redis::Pipeline) -> Result<T, Error>
    where
        T: redis::FromRedisValue,
    {
        let mut connection = self.connection().await?;
        let answer = pipeline.query_async(&mut connection).await;
        self.judge(answer).await
    }

    /// Runs a script on the shared connection, loading it when Redis does not know it. After an
    /// I/O error the connection is dropped.
    ///
    /// # Errors
    /// Whatever connecting or the script answered. A timeout means *unknown*.
    pub async fn invoke<T>(&self, call: &redis::ScriptInvocation<'_>) -> Result<T, Error>
    where
        T: redis::FromRedisValue,
    {
        let mut connection = self.connection().await?;
        let answer = call.invoke_async(&mut connection).await;
        self.judge(answer).await
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Error> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &*current {
            return Ok(connection.clone());
        }
        let fresh = self.server.connect().await?;
        *current = Some(fresh.clone());
        Ok(fresh)
    }

    async fn judge<T>(&self, answer: redis::RedisResult<T>) -> Result<T, Error> {
        match answer {
            Ok(value) => Ok(value),
            Err(error) => {
                if !matches!(error.kind(), redis::ErrorKind::Server(_)) {
                    *self.current.lock().await = None;
                }
                Err(error.into())
            }
        }
    }
}
