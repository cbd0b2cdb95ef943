//! Clients that subscribe to everything and then never read.
//!
//! A server lets go of such a client sooner or later, which the client does not notice, for it
//! does not read. So each is replaced by a new one after a while: there are always as many.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::conversation::{Conversation, Subscription, request};

/// How long one is kept: longer than a server may take to notice that a client does not read.
const KEPT: Duration = Duration::from_secs(30);

/// Longest wait for the answer to the handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks whether one is to be replaced.
const LOOK: Duration = Duration::from_millis(5);

/// Clients that never read.
#[derive(Debug)]
pub struct Stuck {
    /// The server.
    pub to: SocketAddr,
    /// Its API token.
    pub token: String,
    /// How many at a time.
    pub clients: usize,
    /// What they subscribe to.
    pub subscription: Subscription,
    /// How many have subscribed so far.
    pub subscribed: AtomicU64,
    /// Set to end them.
    pub stop: AtomicBool,
}

impl Stuck {
    /// Connects them, and replaces the oldest in turn until told to stop.
    ///
    /// # Errors
    /// The server refuses one.
    pub fn run(&self) -> Result<()> {
        let mut held = VecDeque::with_capacity(self.clients);
        let subscribe = self.subscription.frame();
        while held.len() < self.clients && !self.stop.load(Relaxed) {
            held.push_back(self.connect(&subscribe)?);
        }
        let every = KEPT / self.clients.max(1) as u32;
        let mut next = Instant::now() + every;
        while !self.stop.load(Relaxed) {
            if Instant::now() < next {
                std::thread::park_timeout(LOOK.min(every));
                continue;
            }
            next += every;
            held.pop_front();
            held.push_back(self.connect(&subscribe)?);
        }
        Ok(())
    }

    /// Reads the answer to the handshake, asks, and never reads again.
    fn connect(&self, subscribe: &[u8]) -> Result<TcpStream> {
        let connected = || -> Result<TcpStream> {
            let mut stream = TcpStream::connect(self.to)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(&request(self.to, &self.token))?;
            let mut conversation = Conversation::default();
            let mut out = Vec::new();
            while out.is_empty() {
                // Byte by byte, so that as little as possible is read beyond the answer.
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                conversation.hear(&byte, subscribe, &mut out, |_| Ok(()))?;
            }
            stream.write_all(&out)?;
            Ok(stream)
        };
        let stream = connected().context("a client that is not to read")?;
        self.subscribed.fetch_add(1, Relaxed);
        Ok(stream)
    }
}
