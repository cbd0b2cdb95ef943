//! Tasks that look at other parts and say in the readiness how they are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::ingest::{ConnectionState, SubscriberStatus};
use crate::serve::Part;
use crate::stream::{Dataset, Link};

/// How often Redis is asked whether it takes writes.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Asks Redis every second whether it takes writes and still holds the same data set.
pub(super) async fn redis(
    link: Arc<Link>,
    mut dataset: Dataset,
    part: Part,
    stop: CancellationToken,
) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_well = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match dataset.check(&link).await {
            Ok(is_other) => {
                if is_other {
                    tracing::error!("Redis holds another data set than before: it was emptied?");
                }
                if !was_well {
                    tracing::info!("Redis takes writes again");
                }
                was_well = true;
                part.ready();
            }
            Err(error) => {
                if was_well {
                    tracing::warn!(%error, "Redis does not take writes");
                }
                was_well = false;
                part.not_ready(error.to_string());
            }
        }
    }
}

/// Says how the subscriber's connections are.
pub(super) async fn subscriber(
    mut status: watch::Receiver<SubscriberStatus>,
    part: Part,
    stop: CancellationToken,
) {
    loop {
        {
            let now = status.borrow_and_update();
            let troubled = now.connections.iter().find_map(|connection| match &connection.state {
                ConnectionState::Subscribed => None,
                ConnectionState::Connecting { why } => Some((&connection.broker, why)),
            });
            match troubled {
                None => part.ready(),
                Some((broker, why)) => {
                    part.not_ready(format!("not subscribed to {broker}: {why}"));
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}

/// Says whether every shard has an owner, here or elsewhere.
pub(super) async fn owners(
    mut all_owned: watch::Receiver<bool>,
    part: Part,
    stop: CancellationToken,
) {
    loop {
        if *all_owned.borrow_and_update() {
            part.ready();
        } else {
            part.not_ready("not every shard has an owner");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = all_owned.changed() => if changed.is_err() { return },
        }
    }
}
