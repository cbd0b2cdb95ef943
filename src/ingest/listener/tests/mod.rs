//! The listener from outside: raw sockets in front, a fake producer behind.

mod conversation;
mod flow;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Listener, ListenerConfig};
use crate::clock::Clock;
use crate::ingest::testing::Settler;
use crate::ingest::testing::client::{self, Client};
use crate::ingest::{Credentials, INTAKE_LIMITS, IntakeLimits, TopicFilters};

const PAYLOAD_BYTES_MAX: usize = 1000;

fn config() -> ListenerConfig {
    ListenerConfig {
        address: ([127, 0, 0, 1], 0).into(),
        filters: TopicFilters::parse("sensors/+/+").unwrap(),
        credentials: None,
        payload_bytes_max: PAYLOAD_BYTES_MAX,
    }
}

/// A listener that runs.
struct Stage {
    settler: Settler,
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Stage {
    fn open() -> Self {
        Self::with(None, INTAKE_LIMITS)
    }

    fn with(credentials: Option<Credentials>, limits: IntakeLimits) -> Self {
        let listener = Listener::bind(&ListenerConfig { credentials, ..config() }).unwrap();
        let address = listener.local_addr();
        let settler = Settler::start(4, limits);
        let stop = CancellationToken::new();
        let serve = listener.serve(Arc::clone(&settler.intake), Clock::system(), stop.clone());
        let served = TaskTracker::new().spawn(serve);
        Self { settler, address, stop, served }
    }

    /// A client that is welcome.
    async fn client(&self, id: &str) -> Client {
        let mut client = Client::open(self.address).await;
        client.send(&client::connect(id, 60)).await;
        client.expect(&[0x20, 2, 0, 0]).await;
        client
    }
}
