//! One client on a thread of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::conversation::{Conversation, Heard, Subscription, request};

/// Longest wait for the answer to `subscribe`.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks whether it is to stop, when nothing comes.
const LOOK: Duration = Duration::from_millis(20);

/// What a loopback socket gives in one read.
const READ_BYTES: usize = 256 << 10;

/// A client whose subscription is in force.
#[derive(Debug)]
pub struct Viewer {
    stream: TcpStream,
    conversation: Conversation,
}

impl Viewer {
    /// Connects, and returns when the subscription is in force.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub fn open(to: SocketAddr, token: &str, subscription: &Subscription) -> Result<Self> {
        let mut stream =
            TcpStream::connect(to).with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.write_all(&request(to, token))?;
        let mut viewer = Self { stream, conversation: Conversation::default() };
        let subscribe = subscription.frame();
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = vec![0; READ_BYTES];
        while !viewer.conversation.is_subscribed() {
            ensure!(Instant::now() < deadline, "not subscribed within {PATIENCE:?}");
            viewer.read_some(&mut bytes, &subscribe, |_before| ())?;
        }
        Ok(viewer)
    }

    /// Gives every event to `each` until `stop` is set and nothing more comes.
    ///
    /// # Errors
    /// The server ends the connection.
    pub fn watch(mut self, stop: &AtomicBool, mut each: impl FnMut(&[u8])) -> Result<()> {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            // Looked at before the read, so that what came before the stop is seen.
            let is_over = stop.load(Relaxed);
            let is_silent = !self.read_some(&mut bytes, &[], &mut each)?;
            if is_over && is_silent {
                return Ok(());
            }
        }
    }

    /// One read; whether something came.
    fn read_some(
        &mut self,
        bytes: &mut [u8],
        subscribe: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<bool> {
        let length = match self.stream.read(bytes) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut out = Vec::new();
        self.conversation.hear(&bytes[..length], subscribe, &mut out, |heard| match heard {
            Heard::Subscribed => Ok(()),
            Heard::Event(event) => {
                each(event);
                Ok(())
            }
            Heard::Ended(code, reason) => bail!("the server ends with {code} {reason}"),
        })?;
        self.stream.write_all(&out)?;
        Ok(true)
    }
}
