//! Live readings as server-sent events (HTML Living Standard §9.2): for `curl`, and for networks
//! that let no WebSocket through.
//!
//! A task holds the client's place in the hub and lets one page at a time wait for the socket; it
//! takes more frames only when that page is gone, and ends when the body is: because the client
//! went, or because its [`Line`] stood still. Events carry no `id`: with one a browser would send
//! it back as `Last-Event-ID` and expect to be told what it missed, but that is read from history,
//! from the `position` of `status` and of each reading.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{empty, once, poll_fn};
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::serve::answer::{self, Answer};
use crate::serve::auth::Identity;
use crate::serve::body::Pages;
use crate::serve::clients::{Present, Transport};
use crate::serve::error::Fault;
use crate::serve::live::{Ending, Frame, Seat, Subscribe, Wish};
use crate::serve::query::{Kind, Parameter, Query};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::socket::Line;

pub(in crate::serve) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "sensors",
        about: "`*`, ids, or prefixes that end in `*`, at most 100; everything unless given. \
                Commas stand between them, and the parameter may be repeated; a comma that \
                belongs to an id is written `%2C`.",
        kind: Kind::List,
    },
    Parameter {
        name: "max_hz",
        about: "How often each series is shown at most, 0.1 to 60 a second; 10 unless given.",
        kind: Kind::Number,
    },
    Parameter { name: "every", about: "Every reading, none conflated.", kind: Kind::Switch },
    Parameter {
        name: "batch",
        about: "Readings come together, as `sensor_updates`.",
        kind: Kind::Switch,
    },
    Parameter {
        name: "stats",
        about: "Statistics come too, as `sensor_stats`: all at first, then those that changed.",
        kind: Kind::Switch,
    },
];

/// What a good answer is.
pub(in crate::serve) const TEXTS: &[&str] = &["text/event-stream"];

/// A browser comes again after so long when the stream has ended.
const BEFORE_ALL: &str = "retry: 3000\n\n";
/// Nothing, in the form of a comment: proxies close what is silent, often after a minute.
const ALIVE: &[u8] = b":\n\n";
/// A page is what is there, up to this and one frame more. Guesses: enough to write with few
/// calls; little enough that the hub hears often from a client that is slow.
const PAGE_FRAMES_MAX: usize = 64;
const PAGE_BYTES_MAX: usize = 16 << 10;

/// `GET /api/stream`.
pub(in crate::serve) fn follow(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let wish = wish(&asked.query)?;
        if asked.parts.method == Method::HEAD {
            return Ok(event_stream(Box::pin(empty())));
        }
        let open = service.live_place(Transport::Sse)?;
        // Every request has one (`accept.rs`).
        let line = asked.parts.extensions.get::<Arc<Line>>().cloned().unwrap_or_default();
        line.carry_live(service.config.patience.still_max);
        let (pages, mut body) = mpsc::channel(1);
        let ((begun, answered), (ended, ending)) = (oneshot::channel(), oneshot::channel());
        let shared = service.clone();
        let identity = asked.identity;
        let client = Client { service: shared, identity, line, pages, _open: open };
        service.tasks.spawn(async move {
            let ending = client.talk(wish, begun).await;
            // Who has gone misses nothing.
            let _gone = ended.send(ending);
        });
        match answered.await {
            Ok(Ok(())) => {
                let pages = poll_fn(move |context| body.poll_recv(context).map(|it| it.map(Ok)));
                // Whoever reads on is told why it ends, however slow it was.
                let last = once(async {
                    let ending = ending.await.unwrap_or(Ending::Stopping);
                    Ok(Page::new(&[last(ending)]).text.into())
                });
                Ok(event_stream(Box::pin(pages.chain(last))))
            }
            Ok(Err(Ending::TryAgain)) => Err(unavailable("Redis does not answer")),
            Ok(Err(_)) | Err(_) => Err(unavailable("the server is stopping")),
        }
    })
}

fn unavailable(outside: &'static str) -> Fault {
    Fault::Unavailable { outside, inside: String::new() }
}

fn event_stream(pages: Pages) -> Answer {
    let mut answer = answer::pages("text/event-stream", pages);
    // nginx would hold events back until they fill a buffer.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    answer.headers_mut().insert(unbuffered, HeaderValue::from_static("no"));
    answer
}

/// The last event.
fn last(ending: Ending) -> Frame {
    Frame::new("end", &json!({ "reason": ending.name() }))
}

/// What is wanted, in the words of a `subscribe`; `None` is everything.
fn wish(query: &Query) -> Result<Option<Wish>, Fault> {
    if PARAMETERS.iter().all(|parameter| !query.has(parameter.name)) {
        return Ok(None);
    }
    let switch = |name| {
        let word = |it| if it { "true" } else { "false" };
        Ok(Some(query.one_of(name, &[true, false], word)?.unwrap_or(query.has(name))))
    };
    let max_hz = query.text("max_hz").map(|text| {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| {
            Fault::BadRequest(format!("parameter `max_hz` is {text:?}; allowed: a number"))
        })
    });
    let asked = Subscribe {
        sensors: query.list("sensors").map_or_else(|| vec!["*".to_owned()], <[_]>::to_vec),
        max_hz: max_hz.transpose()?,
        every: switch("every")?,
        batch: switch("batch")?,
        stats: switch("stats")?,
    };
    Wish::subscribe(asked).map(Some).map_err(Fault::BadRequest)
}

/// Who listens. Its pages wait in a queue of one.
struct Client {
    service: Arc<Service>,
    identity: Identity,
    line: Arc<Line>,
    pages: mpsc::Sender<Bytes>,
    _open: Present,
}

/// There is no good end, only reasons.
enum Never {}

impl Client {
    /// Takes a place in the hub, says so, and hands pages over until one of both has enough.
    async fn talk(self, wish: Option<Wish>, begun: oneshot::Sender<Result<(), Ending>>) -> Ending {
        let mut seat = match Seat::take(&self.service).await {
            Ok(seat) => seat,
            Err(ending) => {
                self.ended(ending);
                // Who does not wait for the answer any more misses nothing.
                let _gone = begun.send(Err(ending));
                return ending;
            }
        };
        let entered = match wish {
            Some(wish) => seat.grant(Ok(wish)).await,
            None => seat.enter().await,
        };
        let ending = match entered {
            Ok(frames) => {
                // Who does not wait for the answer has no body either: that is noticed.
                let _gone = begun.send(Ok(()));
                let Err(ending) = self.run(&mut seat, &frames).await;
                ending
            }
            Err(ending) => {
                let _gone = begun.send(Err(ending));
                ending
            }
        };
        seat.leave().await;
        self.ended(ending);
        ending
    }

    async fn run(&self, seat: &mut Seat, first: &[Frame]) -> Result<Never, Ending> {
        let stop = &self.service.stop;
        // Made once: each frame would otherwise register them anew.
        let mut over = pin!(async {
            tokio::select! {
                () = stop.cancelled() => Ending::Stopping,
                () = self.pages.closed() => self.gone(),
            }
        });
        let check_every = self.service.config.patience.check_every;
        let mut checks = interval_at(Instant::now() + check_every, check_every);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut page = Page::new(first);
        page.text.insert_str(0, BEFORE_ALL);
        self.pages.send(page.text.into()).await.map_err(|_gone| self.gone())?;
        // What of the hub's queue is in the page that waits.
        let (mut frames, mut bytes) = (0, 0);
        loop {
            let room = tokio::select! {
                ending = &mut over => return Err(ending),
                _ = checks.tick() => {
                    self.check().await?;
                    continue;
                }
                room = self.pages.reserve() => room.map_err(|_gone| self.gone())?,
            };
            // There is room because the socket took the page before.
            seat.written(std::mem::take(&mut frames), std::mem::take(&mut bytes)).await;
            tokio::select! {
                ending = &mut over => return Err(ending),
                _ = checks.tick() => {
                    self.check().await?;
                    room.send(Bytes::from_static(ALIVE));
                }
                next = seat.next() => match next {
                    Some(frame) => {
                        let page = Page::of_queue(frame, seat);
                        (frames, bytes) = (page.frames, page.bytes);
                        room.send(page.text.into());
                    }
                    // The hub lets go of one that is slow, and of everybody when it stops.
                    None if stop.is_cancelled() => return Err(Ending::Stopping),
                    None => return Err(Ending::Slow),
                },
            }
        }
    }

    /// Why the body is gone.
    fn gone(&self) -> Ending {
        if self.line.stood_still() { Ending::Slow } else { Ending::Left }
    }

    fn ended(&self, ending: Ending) {
        self.service.metrics.clients.ended(Transport::Sse, ending);
    }

    async fn check(&self) -> Result<(), Ending> {
        let is_alive = self.service.auth.is_alive(&self.identity, &self.service.deps.link).await;
        if is_alive { Ok(()) } else { Err(Ending::SignedOut) }
    }
}

/// Events as they are written, and what they were in the hub's queue.
#[derive(Default)]
struct Page {
    text: String,
    frames: usize,
    bytes: usize,
}

impl Page {
    fn new(frames: &[Frame]) -> Self {
        let mut page = Self::default();
        frames.iter().for_each(|frame| page.push(frame));
        page
    }

    /// A frame and those that wait behind it.
    fn of_queue(first: Frame, seat: &mut Seat) -> Self {
        let mut page = Self::new(&[first]);
        while page.frames < PAGE_FRAMES_MAX
            && page.bytes < PAGE_BYTES_MAX
            && let Some(frame) = seat.try_next()
        {
            page.push(&frame);
        }
        page
    }

    /// Metadata stands as it was sent, which may be on several lines; the client puts them
    /// together again.
    fn push(&mut self, frame: &Frame) {
        self.text.extend(["event: ", frame.event(), "\n"]);
        for line in frame.data().split(['\n', '\r']) {
            self.text.extend(["data: ", line, "\n"]);
        }
        self.text.push('\n');
        self.frames += 1;
        self.bytes += frame.len();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn each_line_of_an_event_has_its_name() {
        let check = |data: &str, expected: &str| {
            let data = RawValue::from_string(data.to_owned()).unwrap();
            assert_eq!(Page::new(&[Frame::new("status", &data)]).text, expected);
        };
        check("{}", "event: status\ndata: {}\n\n");
        check("[1,\n2]", "event: status\ndata: [1,\ndata: 2]\n\n");
        check("[1,\r\n2]", "event: status\ndata: [1,\ndata: \ndata: 2]\n\n");
    }

    #[test]
    fn parameters_say_what_subscribe_says() {
        let wish = |query| {
            let query = Query::of(query, PARAMETERS).unwrap();
            wish(&query).map_err(|it| it.to_string())
        };
        let check = |query, data: &str| {
            let said = Wish::of("subscribe", data).unwrap();
            assert_eq!(wish(query).unwrap(), Some(said), "{query}");
        };
        let none = r#""every":false,"batch":false,"stats":false"#;
        assert_eq!(wish(""), Ok(None));
        check("sensors=a,room/*", &format!(r#"{{"sensors":["a","room/*"],{none}}}"#));
        check("sensors=a,b&sensors=c", &format!(r#"{{"sensors":["a","b","c"],{none}}}"#));
        check("sensors=a%2Cb,c%252C", &format!(r#"{{"sensors":["a,b","c%2C"],{none}}}"#));
        check("max_hz=0.5", &format!(r#"{{"sensors":["*"],"max_hz":0.5,{none}}}"#));
        check(
            "every&batch=false&stats=true",
            r#"{"sensors":["*"],"every":true,"batch":false,"stats":true}"#,
        );
        check("batch", r#"{"sensors":["*"],"every":false,"batch":true,"stats":false}"#);
        check("stats=false", &format!(r#"{{"sensors":["*"],{none}}}"#));
        let refused = |query, said: &str| {
            let error = wish(query).unwrap_err();
            assert!(error.contains(said), "{query}: {error}");
        };
        refused("max_hz=100", "`max_hz` is 100; allowed: 0.1 to 60");
        refused("max_hz=NaN", "parameter `max_hz` is \"NaN\"; allowed: a number");
        refused("every=1", "parameter `every` is \"1\"; allowed: true, false");
        refused("stats=yes", "parameter `stats` is \"yes\"; allowed: true, false");
        refused("sensors=a*b", "a * before its end");
        refused("sensors=a,,b", "0 bytes; allowed: 1 to 129");
    }
}
