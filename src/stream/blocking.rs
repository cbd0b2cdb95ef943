//! A connection of our own for commands that block and bring many entries.
//!
//! The client crate's connection is shared by many tasks: a task of its own, two channels, and a
//! tree of values for each reply. One that blocks has one user, who waits for one reply at a time;
//! it needs a socket and a buffer.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use redis::{Cmd, ConnectionAddr, ErrorKind, RedisConnectionInfo, RedisError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::connection::{CONNECT_TIMEOUT, REPLY_TIMEOUT, Server};
use super::error::Error;
use super::reply::{Reply, Scan, Unreadable};

/// Room for what is read next; as much as Redis hands to the socket at a time.
const READ_BYTES: usize = 16 << 10;
/// A buffer over this is used again only while replies fill a good part of it: making room anew
/// for megabytes costs more than reading them, and one large reply must not stay for ever.
const KEPT_BYTES: usize = 1 << 20;
/// That part of it.
const FILLED_PART: usize = 8;

/// One connection, used by one task for one command at a time.
pub(super) struct Blocking {
    socket: Socket,
    /// What is being read. Its room is used again as soon as the entries of the reply before are
    /// gone.
    buffer: BytesMut,
    /// The command being written.
    packed: Vec<u8>,
    reply_timeout: Duration,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Blocking {
    /// Connects, says who we are and which database we mean. No command on it blocks longer than
    /// `block_max`.
    ///
    /// # Errors
    /// [`Error::Redis`] when there is no answer in time, or Redis refuses.
    pub(super) async fn connect(server: &Server, block_max: Duration) -> Result<Self, Error> {
        let info = server.info();
        let socket = Socket::connect(info.addr());
        let socket = timeout(CONNECT_TIMEOUT, socket).await.map_err(|_late| no_answer())??;
        let mut connection = Self {
            socket,
            buffer: BytesMut::new(),
            packed: Vec::new(),
            reply_timeout: REPLY_TIMEOUT,
        };
        connection.introduce(info.redis_settings()).await?;
        connection.reply_timeout = REPLY_TIMEOUT + block_max;
        Ok(connection)
    }

    async fn introduce(&mut self, settings: &RedisConnectionInfo) -> Result<(), Error> {
        if let Some(password) = settings.password() {
            let mut command = redis::cmd("AUTH");
            if let Some(username) = settings.username() {
                command.arg(username);
            }
            command.arg(password);
            self.ask(&command).await.map_err(|error| match error {
                Error::Redis(error) if error.code().is_some() => {
                    let kind = ErrorKind::AuthenticationFailed;
                    RedisError::from((kind, "Password authentication failed")).into()
                }
                other => other,
            })?;
        }
        if settings.db() != 0 {
            let mut command = redis::cmd("SELECT");
            command.arg(settings.db());
            self.ask(&command).await?;
        }
        Ok(())
    }

    /// Sends a command and waits for its reply, which is not an error.
    ///
    /// # Errors
    /// [`Error::Redis`]: an error that Redis answered, or no usable answer. After any of them the
    /// connection must not be used again: on one that timed out, the next reply would be the late
    /// one.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped call may have been answered. The connection must not be used
    /// again then, either.
    pub(super) async fn ask(&mut self, command: &Cmd) -> Result<Reply, Error> {
        self.packed.clear();
        command.write_packed_command(&mut self.packed);
        let exchange = timeout(self.reply_timeout, self.exchange());
        let reply = exchange.await.map_err(|_late| no_answer())??;
        let reply = Reply::new(reply);
        match reply.as_error() {
            // The client crate reads it, so that errors are the same wherever they come from.
            Some(error) => Err(refusal(error)),
            None => Ok(reply),
        }
    }

    async fn exchange(&mut self) -> Result<Bytes, Error> {
        match &mut self.socket {
            Socket::Tcp(socket) => exchange(socket, &self.packed, &mut self.buffer).await,
            Socket::Unix(socket) => exchange(socket, &self.packed, &mut self.buffer).await,
        }
    }
}

impl Socket {
    async fn connect(address: &ConnectionAddr) -> Result<Self, Error> {
        match address {
            ConnectionAddr::Tcp(host, port) => {
                let socket = TcpStream::connect((host.as_str(), *port)).await.map_err(broken)?;
                socket.set_nodelay(true).map_err(broken)?;
                Ok(Self::Tcp(socket))
            }
            ConnectionAddr::Unix(path) => {
                Ok(Self::Unix(UnixStream::connect(path).await.map_err(broken)?))
            }
            // TLS, which this build's client crate refuses when it reads the address.
            _ => {
                let kind = ErrorKind::InvalidClientConfig;
                Err(RedisError::from((kind, "this kind of address is not supported")).into())
            }
        }
    }
}

async fn exchange(
    socket: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    command: &[u8],
    buffer: &mut BytesMut,
) -> Result<Bytes, Error> {
    socket.write_all(command).await.map_err(broken)?;
    buffer.clear();
    // All of its room is there again if the entries of the reply before are gone.
    let was_large = buffer.try_reclaim(KEPT_BYTES);
    let mut scan = Scan::default();
    loop {
        // It at least doubles when it is full, so that a long reply takes few steps.
        buffer.reserve(READ_BYTES);
        if socket.read_buf(buffer).await.map_err(broken)? == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        match scan.end(buffer).map_err(unreadable)? {
            None => {}
            Some(end) if end == buffer.len() => break,
            // Nobody asked for more than one.
            Some(_) => return Err(unreadable(Unreadable::Malformed)),
        }
    }
    let room = buffer.capacity();
    let reply = buffer.split().freeze();
    if was_large && reply.len() < room / FILLED_PART {
        *buffer = BytesMut::new();
    }
    Ok(reply)
}

fn broken(error: io::Error) -> Error {
    RedisError::from(error).into()
}

fn no_answer() -> Error {
    broken(io::ErrorKind::TimedOut.into())
}

fn unreadable(cause: Unreadable) -> Error {
    RedisError::from((ErrorKind::Parse, "Unusable reply", cause.to_string())).into()
}

fn refusal(reply: &[u8]) -> Error {
    match redis::parse_redis_value(reply).and_then(redis::Value::extract_error) {
        Err(error) => error.into(),
        Ok(_) => unreadable(Unreadable::Malformed),
    }
}

#[cfg(test)]
#[path = "blocking_tests.rs"]
mod tests;
