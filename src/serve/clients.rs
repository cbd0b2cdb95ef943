//! Live clients, by what they are connected with: how many there are, and why they ended.

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};

use super::live::Ending;
use super::metrics::{Held, Level};

/// What a live client is connected with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// `/ws`.
    WebSocket,
    /// `/api/stream`.
    Sse,
    /// `/socket.io/`, over a WebSocket or polling.
    #[cfg(feature = "socketio")]
    SocketIo,
}

impl Transport {
    /// Every one, in the order of its number.
    const ALL: &[Self] = &[
        Self::WebSocket,
        Self::Sse,
        #[cfg(feature = "socketio")]
        Self::SocketIo,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            #[cfg(feature = "socketio")]
            Self::SocketIo => "socketio",
        }
    }
}

/// All of them.
pub(super) struct Clients {
    /// The places that WebSockets and server-sent events share.
    places: Arc<Level>,
    refused: Counter,
    /// By [`Transport::ALL`].
    kinds: Vec<Kind>,
}

/// Those of one transport.
struct Kind {
    now: Arc<Level>,
    /// By [`Ending::ALL`].
    endings: Vec<Counter>,
}

/// One of them; gone when dropped.
pub(super) struct Present {
    _place: Option<Held>,
    _client: Held,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self {
            places: Level::new(Gauge::noop()),
            refused: counter!("streamgauge_live_clients_refused_total"),
            kinds: Transport::ALL.iter().map(|transport| Kind::new(*transport)).collect(),
        }
    }

    /// One more with a place, unless so many have one already.
    pub(super) fn admit(&self, transport: Transport, most: u64) -> Option<Present> {
        let Some(place) = Held::below(&self.places, most) else {
            self.refused.increment(1);
            return None;
        };
        Some(Present { _place: Some(place), _client: self.kind(transport).come() })
    }

    /// One more, whose places are counted elsewhere.
    #[cfg(feature = "socketio")]
    pub(super) fn come(&self, transport: Transport) -> Present {
        Present { _place: None, _client: self.kind(transport).come() }
    }

    /// One ended.
    pub(super) fn ended(&self, transport: Transport, ending: Ending) {
        if let Some(counter) = self.kind(transport).endings.get(ending as usize) {
            counter.increment(1);
        }
    }

    /// How many there are.
    pub(super) fn number(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.now.number()).sum()
    }

    fn kind(&self, transport: Transport) -> &Kind {
        &self.kinds[transport as usize]
    }
}

impl Kind {
    fn new(transport: Transport) -> Self {
        const ENDED: &str = "streamgauge_live_ended_total";
        let transport = transport.name();
        let ended =
            |ending: Ending| counter!(ENDED, "transport" => transport, "reason" => ending.name());
        Self {
            now: Level::new(gauge!("streamgauge_live_clients", "transport" => transport)),
            endings: Ending::ALL.map(ended).to_vec(),
        }
    }

    fn come(&self) -> Held {
        Held::new(&self.now)
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn numbers_are_places_in_the_list() {
        for (place, transport) in Transport::ALL.iter().enumerate() {
            assert_eq!(*transport as usize, place);
        }
    }

    #[test]
    fn clients_are_counted_by_transport_and_share_the_places() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let text = metrics::with_local_recorder(&recorder, || {
            let clients = Clients::new();
            let websocket = clients.admit(Transport::WebSocket, 2).unwrap();
            let _sse = clients.admit(Transport::Sse, 2).unwrap();
            assert!(clients.admit(Transport::Sse, 2).is_none());
            assert_eq!(clients.number(), 2);
            drop(websocket);
            clients.ended(Transport::WebSocket, Ending::Slow);
            assert_eq!(clients.number(), 1);
            assert!(clients.admit(Transport::Sse, 2).is_some());
            handle.render()
        });
        for line in [
            "streamgauge_live_clients{transport=\"websocket\"} 0",
            "streamgauge_live_clients{transport=\"sse\"} 1",
            "streamgauge_live_clients_refused_total 1",
            "streamgauge_live_ended_total{transport=\"websocket\",reason=\"slow\"} 1",
            "streamgauge_live_ended_total{transport=\"sse\",reason=\"slow\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is missing in {text}");
        }
    }
}
