//! Is there a broker at an address that nobody named? (design §3)

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, Subscribe, SubscribeFilter, SubscribeReasonCode};
use rumqttc::{ConnectionError, Event, EventLoop, MqttOptions};
use tokio::time::timeout;

use super::{Credentials, TopicFilters};

/// How long a broker on the same machine may take to answer everything (design §3).
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// What stands at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A broker that grants every filter.
    Broker,
    /// Something else, or a broker that does not want us; why, in a fragment of a sentence.
    NotABroker(String),
    /// Nobody listens.
    Refused,
}

/// Connects and subscribes as the subscriber would, and leaves no session behind.
pub async fn probe(
    address: SocketAddr,
    filters: &TopicFilters,
    credentials: Option<&Credentials>,
) -> Probe {
    let client_id = format!("streamgauge-probe-{}", std::process::id());
    let mut options = MqttOptions::new(client_id, host(address), address.port());
    options.set_max_packet_size(usize::MAX, usize::MAX);
    if let Some(credentials) = credentials {
        options.set_credentials(&credentials.username, &credentials.password);
    }
    let mut eventloop = EventLoop::new(options, 1);
    let probed = match timeout(ANSWER_WITHIN, ask(&mut eventloop, filters)).await {
        Ok(Ok(probe)) => probe,
        Ok(Err(ConnectionError::Io(error)))
            if error.kind() == std::io::ErrorKind::ConnectionRefused =>
        {
            Probe::Refused
        }
        Ok(Err(error)) => Probe::NotABroker(error.to_string()),
        Err(_) => Probe::NotABroker("it does not answer within a second".to_owned()),
    };
    leave(&mut eventloop).await;
    probed
}

/// rumqttc looks up `host:port`, so an IPv6 address needs its brackets.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

async fn ask(eventloop: &mut EventLoop, filters: &TopicFilters) -> Result<Probe, ConnectionError> {
    eventloop.poll().await?;
    let asked = filters.iter();
    let asked = asked.map(|filter| SubscribeFilter::new(filter.to_owned(), QoS::AtLeastOnce));
    let subscribe = Subscribe { pkid: 1, filters: asked.collect() };
    if let Some(network) = &mut eventloop.network {
        network.write(Packet::Subscribe(subscribe)).await?;
        network.flush().await?;
    }
    loop {
        if let Event::Incoming(Packet::SubAck(suback)) = eventloop.poll().await? {
            let codes = suback.return_codes;
            let refused = filters
                .iter()
                .zip(codes.iter().chain(std::iter::repeat(&SubscribeReasonCode::Failure)))
                .find(|(_, code)| **code == SubscribeReasonCode::Failure);
            return Ok(match refused {
                None => Probe::Broker,
                Some((filter, _)) => Probe::NotABroker(format!("it refuses the filter {filter}")),
            });
        }
    }
}

/// Says goodbye, so that the broker does not log a lost client.
async fn leave(eventloop: &mut EventLoop) {
    let Some(network) = &mut eventloop.network else { return };
    let goodbye = async {
        network.write(Packet::Disconnect).await?;
        network.flush().await
    };
    // Nothing depends on it: the socket closes anyway.
    if let Ok(Err(error)) = timeout(ANSWER_WITHIN, goodbye).await {
        tracing::debug!(%error, "after probing");
    }
}
