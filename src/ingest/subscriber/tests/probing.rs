//! What stands at an address that nobody named.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::ingest::testing::Settler;
use crate::ingest::testing::mosquitto::Mosquitto;
use crate::ingest::{
    Credentials, INTAKE_LIMITS, Listener, ListenerConfig, Probe, TopicFilters, probe,
};

fn filters() -> TopicFilters {
    TopicFilters::parse("sensors/+/+,other/#").unwrap()
}

#[tokio::test]
async fn a_broker_is_known_by_granting_every_filter() {
    let broker = Mosquitto::start().await;
    assert_eq!(probe(broker.address, &filters(), None).await, Probe::Broker);
}

#[tokio::test]
async fn another_streamgauge_is_no_broker() {
    let config = ListenerConfig {
        address: ([127, 0, 0, 1], 0).into(),
        filters: filters(),
        credentials: Some(Credentials { username: "a".into(), password: "b".into() }),
        payload_bytes_max: 10,
    };
    let listener = Listener::bind(&config).unwrap();
    let address = listener.local_addr();
    let settler = Settler::start(1, INTAKE_LIMITS);
    let stop = CancellationToken::new();
    let serve = listener.serve(Arc::clone(&settler.intake), Clock::system(), stop);
    TaskTracker::new().spawn(serve);
    let refused = probe(address, &filters(), config.credentials.as_ref()).await;
    assert_eq!(refused, Probe::NotABroker("it refuses the filter sensors/+/+".into()));
    let stranger = probe(address, &filters(), None).await;
    assert!(matches!(&stranger, Probe::NotABroker(why) if why.contains("NotAuthorized")));
}

#[tokio::test]
async fn nobody_and_somebody_silent_are_told_apart() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let silent = probe(address, &filters(), None).await;
    assert_eq!(silent, Probe::NotABroker("it does not answer within a second".into()));
    drop(socket);
    assert_eq!(probe(address, &filters(), None).await, Probe::Refused);
}
