//! The socket of one device, or of any other client.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;

use crate::packet::{CONNACK_ACCEPTED, connect};

/// How long a connection may take from SYN to CONNACK.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// More connections than the soft limit of descriptors are ordinary here. When the limit cannot
/// be raised, connecting says so.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        // Losing this is right: few connections need no higher limit, many will fail by name.
    }
}

/// Connects and waits for CONNACK; blocking, for it happens once.
pub(crate) fn opened(
    to: SocketAddr,
    credentials: Option<&(String, String)>,
    client_id: &str,
) -> Result<std::net::TcpStream> {
    let mut stream = std::net::TcpStream::connect_timeout(&to, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    stream.write_all(&connect(client_id, credentials))?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).context("no CONNACK")?;
    if answer != CONNACK_ACCEPTED {
        bail!("CONNECT was answered by {answer:02x?} instead of {CONNACK_ACCEPTED:02x?}");
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Writes what the socket takes; nothing is taken by one that is full.
pub(crate) fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<usize> {
    loop {
        match stream.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}
