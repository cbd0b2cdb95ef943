//! Which doors are opened: the listener, the subscriber, or what is found on this machine.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;

use crate::config::{MqttListen, Settings};
use crate::ingest::{
    self, Credentials, Listener, ListenerConfig, Probe, Subscriber, SubscriberConfig, TopicFilters,
    probe,
};

/// Where a broker is looked for, and where devices are expected, when nothing is configured.
const MQTT_PORT: u16 = 1883;
/// Where the listener goes when something else is on that port.
const OTHER_PORTS: std::ops::RangeInclusive<u16> = 1884..=1893;

/// The doors of this process: bound, not yet open.
pub(super) struct Doors {
    pub listener: Option<Listener>,
    pub subscriber: Option<Subscriber>,
}

impl Doors {
    /// Decides and binds.
    ///
    /// # Errors
    /// When an address that was given is taken; the text names it and the variable.
    pub async fn choose(
        settings: &Settings,
        devices: Option<Credentials>,
        node: &str,
    ) -> anyhow::Result<Self> {
        if !settings.roles.ingest {
            return Ok(Self { listener: None, subscriber: None });
        }
        let filters = settings.topics.clone();
        let listen = ListenerConfig {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, MQTT_PORT)),
            filters: filters.clone(),
            credentials: devices,
            payload_bytes_max: settings.max_payload_bytes,
        };
        let subscribe = SubscriberConfig {
            brokers: settings.brokers.iter().map(|it| (it.host.clone(), it.port)).collect(),
            credentials: settings.mqtt_credentials.clone(),
            filters,
            connections: settings.mqtt_connections,
            share: settings.mqtt_share.clone(),
            client_id: format!("streamgauge-{node}"),
            payload_bytes_max: settings.max_payload_bytes,
        };
        let mut doors = Self { listener: None, subscriber: None };
        match settings.mqtt_listen {
            MqttListen::Address(address) => {
                let bound = Listener::bind(&ListenerConfig { address, ..listen });
                doors.listener = Some(bound.context("STREAMGAUGE_MQTT_LISTEN")?);
            }
            MqttListen::Unset if settings.brokers.is_empty() => {
                return Self::look_around(settings, listen, subscribe).await;
            }
            MqttListen::Unset | MqttListen::Off => {}
        }
        if !settings.brokers.is_empty() {
            doors.subscriber = Some(Subscriber::new(subscribe));
        }
        if settings.simulate.is_some() && doors.listener.is_none() {
            doors.listener = Some(loopback_listener(settings, None)?);
        }
        Ok(doors)
    }

    /// Nothing is configured: a broker on this machine is used as the predecessor did; else
    /// devices come straight here.
    async fn look_around(
        settings: &Settings,
        listen: ListenerConfig,
        subscribe: SubscriberConfig,
    ) -> anyhow::Result<Self> {
        let address = listen.address;
        let found = probe(address, &listen.filters, subscribe.credentials.as_ref()).await;
        match found {
            Probe::Broker => {
                tracing::info!(%address, "found a broker and subscribed to it");
                let brokers = vec![(address.ip().to_string(), address.port())];
                let subscriber = Subscriber::new(SubscriberConfig { brokers, ..subscribe });
                let listener = match settings.simulate {
                    Some(_) => Some(loopback_listener(settings, listen.credentials)?),
                    None => None,
                };
                Ok(Self { listener, subscriber: Some(subscriber) })
            }
            Probe::Refused => match Listener::bind(&listen) {
                Ok(listener) => Ok(Self { listener: Some(listener), subscriber: None }),
                Err(error) => Self::listen_elsewhere(&listen, &error.to_string()),
            },
            Probe::NotABroker(why) => Self::listen_elsewhere(&listen, &why),
        }
    }

    fn listen_elsewhere(listen: &ListenerConfig, why: &str) -> anyhow::Result<Self> {
        for port in OTHER_PORTS {
            let mut address = listen.address;
            address.set_port(port);
            match Listener::bind(&ListenerConfig { address, ..listen.clone() }) {
                Ok(listener) => {
                    let taken = listen.address;
                    tracing::info!(%taken, why, %address, "no broker for us; listening elsewhere");
                    return Ok(Self { listener: Some(listener), subscriber: None });
                }
                Err(ingest::Error::AddressInUse { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!(
            "no free port for MQTT among {MQTT_PORT} and {}–{} of 127.0.0.1; set \
             STREAMGAUGE_MQTT_LISTEN to an address, or MQTT_BROKER_HOST to a broker",
            OTHER_PORTS.start(),
            OTHER_PORTS.end(),
        )
    }
}

/// A listener for the simulator alone, where there would be none: it never publishes to a broker.
fn loopback_listener(
    settings: &Settings,
    credentials: Option<Credentials>,
) -> anyhow::Result<Listener> {
    // The simulator's topics, whatever the filters are.
    let filters = TopicFilters::parse("sensors/+/+")?;
    let listener = Listener::bind(&ListenerConfig {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        filters,
        credentials,
        payload_bytes_max: settings.max_payload_bytes,
    })?;
    Ok(listener)
}
