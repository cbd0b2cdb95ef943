use std::sync::atomic::{AtomicU64, Ordering};

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::clock::Clock;
use crate::history::Retentions;
use crate::ingest::TopicFilters;
use crate::payload::NaiveTime;
use crate::reading::{SeriesKey, UnixMillis};
use crate::serve::auth::Auth;
use crate::serve::block_faults::BlockFaults;
use crate::serve::generation::Generation;
use crate::serve::host::HostRules;
use crate::serve::http::topics::Memory;
use crate::serve::live::door::{Door, queue};
use crate::serve::live::follow::Round;
use crate::serve::live::shown::{Change, Observed};
use crate::serve::live::subscription::{Addition, Entries, Pace};
use crate::serve::metrics::Metrics;
use crate::serve::rates::Rates;
use crate::serve::view::Attributes;
use crate::serve::{AuthMode, Deps, Patience, Readiness, ServeConfig};
use crate::shard::ShardId;
use crate::stream::{Link, Position, Server};

const DEADLINE: Duration = Duration::from_secs(60);
const A: ClientId = ClientId(1);

/// A desk whose tail tells what a test wants it to tell.
struct Stage {
    service: Arc<Service>,
    tails: mpsc::Receiver<Fake>,
    /// How often a tail was told what is wanted.
    changes: Arc<AtomicU64>,
}

/// A tail that has begun.
struct Fake {
    heard: mpsc::WeakSender<Heard>,
    stop: CancellationToken,
    fail: Arc<Notify>,
}

impl Fake {
    async fn tell(&self, heard: Heard) {
        let sender = self.heard.upgrade().expect("it runs");
        assert!(sender.send(heard).await.is_ok(), "the desk listens");
    }
}

impl Stage {
    fn new() -> Self {
        let (service, inbox) = service();
        let (tell_begun, tails) = mpsc::channel(16);
        let changes = Arc::new(AtomicU64::new(0));
        let apart = Hub::default().apart();
        let (attention, wanted) =
            watch::channel(Attention { number: 0, every: Every::default(), apart });
        let counted = changes.clone();
        let follow: Follow = Box::new(move |heard, stop| {
            let (tell_begun, counted) = (tell_begun.clone(), counted.clone());
            let mut wanted = wanted.clone();
            Box::pin(async move {
                let fail = Arc::new(Notify::new());
                let (weak, stopped) = (heard.downgrade(), stop.clone());
                let fake = Fake { heard: weak, stop: stopped, fail: fail.clone() };
                tell_begun.send(fake).await.expect("the test takes it");
                let _gone = heard.send(Heard::Started(vec![EntryId::ZERO])).await;
                wanted.mark_changed();
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = fail.notified() => panic!("asked to panic"),
                        changed = wanted.changed() => changed.expect("the desk runs"),
                    }
                    counted.fetch_add(1, Ordering::Relaxed);
                    let number = wanted.borrow_and_update().number;
                    let _gone = heard.send(Heard::Attentive(number)).await;
                }
            })
        });
        let desk = Desk::new(service.clone(), attention, follow);
        service.tasks.spawn(drive(desk, inbox));
        Self { service, tails, changes }
    }

    /// A client comes and wants every reading.
    async fn client(&self) -> mpsc::Receiver<Frame> {
        let (queue, frames) = queue();
        let (reply, begun) = oneshot::channel();
        self.service.door.tell(Command::Join { id: A, queue, reply }).await;
        soon(begun).await.expect("the tail begins");
        self.subscribe("*").await;
        frames
    }

    async fn subscribe(&self, entry: &str) {
        let entries = Entries::parse(vec![entry.to_owned()]).unwrap();
        let addition = Addition { entries, pace: Pace::Every, batch: None, stats: None };
        let (reply, answer) = oneshot::channel();
        self.service.door.tell(Command::Subscribe(Subscribe { id: A, addition, reply })).await;
        assert!(soon(answer).await.expect("it is answered").is_ok());
    }

    async fn unsubscribe(&self, entry: &str) {
        let entries = Entries::parse(vec![entry.to_owned()]).unwrap();
        let (reply, answer) = oneshot::channel();
        self.service.door.tell(Command::Unsubscribe { id: A, entries, reply }).await;
        soon(answer).await.expect("it is answered").expect("it is granted");
    }

    async fn tail(&mut self) -> Fake {
        soon(self.tails.recv()).await.expect("a tail begins")
    }
}

async fn soon<T>(waited: impl Future<Output = T>) -> T {
    timeout(DEADLINE, waited).await.expect("it comes in time")
}

fn service() -> (Arc<Service>, Inbox) {
    let hour = Duration::from_hours(1);
    let config = ServeConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        auth: AuthMode::None,
        secret_key: Vec::new(),
        naive_time: NaiveTime::default(),
        retentions: Retentions { readings: hour, minutes: hour, hours: hour },
        topics: TopicFilters::parse("sensors/+/+").unwrap(),
        live_clients_max: 10,
        patience: Patience::default(),
    };
    let deps = Deps {
        // Nobody is there, and nobody is asked: the tail is the test's own.
        link: Arc::new(Link::new(Server::new("unix:///nowhere").unwrap())),
        shards: watch::channel(Arc::from([])).1,
        budget: watch::channel(None).1,
        listener: watch::channel(None).1,
        clock: Clock::system(),
        readiness: Readiness::default(),
        prometheus: PrometheusBuilder::new().build_recorder().handle(),
    };
    let (door, inbox) = Door::new();
    let service = Service {
        rules: HostRules { loopback_only: true, public: None },
        auth: Auth::new(&config, 0, false, deps.clock.clone()),
        table: Arc::default(),
        rates: Rates::default(),
        metrics: Metrics::new(),
        block_faults: BlockFaults::new(),
        topics: Memory::default(),
        generation: Generation::new(),
        door,
        #[cfg(feature = "socketio")]
        socketio: crate::serve::socketio::Mount::new(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
        started: Instant::now(),
        config,
        deps,
    };
    (Arc::new(service), inbox)
}

fn read(value: f64) -> Heard {
    let entry = EntryId { ms: 5, seq: 0 };
    let series = SeriesKey { sensor_id: "s".into(), sensor_type: "t".into() };
    let position = Position { entry, index: 0 };
    let observed = Observed {
        series,
        value,
        measured_at: UnixMillis(5),
        attributes: Attributes::default(),
        shard: ShardId(0),
        position,
        replaced: 0,
    };
    let round = Round { changes: vec![Change::Reading(observed)], has_gap: false };
    Heard::Read(vec![ShardRound { place: 0, shard: ShardId(0), round, reached: entry }])
}

/// A bug in what the tail does with a message silenced live readings for good.
#[tokio::test(start_paused = true)]
async fn a_tail_that_panics_is_begun_anew_and_everybody_is_told_to_do_so_too() {
    let mut stage = Stage::new();
    let mut frames = stage.client().await;
    let mut tail = stage.tail().await;
    for round in 0..5 {
        tail.fail.notify_one();
        tail = stage.tail().await;
        assert_eq!(soon(frames.recv()).await.unwrap().event(), "reset", "{round}");
        tail.tell(read(f64::from(round))).await;
        assert_eq!(soon(frames.recv()).await.unwrap().event(), "sensor_update", "{round}");
    }
    stage.subscribe("more").await;
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_goes_on_panicking_is_begun_anew_less_and_less_often() {
    let mut stage = Stage::new();
    let _frames = stage.client().await;
    let began = Instant::now();
    for _ in 0..100 {
        stage.tail().await.fail.notify_one();
    }
    // By the back-off, 0.1 to 2 s once its waits are long.
    assert!(began.elapsed() > Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn everybody_is_told_reset_when_redis_was_started_anew() {
    let mut stage = Stage::new();
    let mut frames = stage.client().await;
    let tail = stage.tail().await;
    tail.tell(Heard::Restarted(vec![EntryId::ZERO])).await;
    tail.tell(read(1.0)).await;
    for event in ["reset", "sensor_update"] {
        assert_eq!(soon(frames.recv()).await.unwrap().event(), event);
    }
}

#[tokio::test(start_paused = true)]
async fn another_data_set_is_followed_from_where_it_stands() {
    let mut stage = Stage::new();
    let mut frames = stage.client().await;
    let before = stage.tail().await;
    stage.service.door.reset().await;
    assert_eq!(soon(frames.recv()).await.unwrap().event(), "reset");
    let tail = stage.tail().await;
    assert!(before.stop.is_cancelled() && !tail.stop.is_cancelled());
    tail.tell(read(1.0)).await;
    assert_eq!(soon(frames.recv()).await.unwrap().event(), "sensor_update");
}

#[tokio::test(start_paused = true)]
async fn the_tail_is_told_of_changes_a_few_times_a_second_and_of_the_first_at_once() {
    let stage = Stage::new();
    let began = Instant::now();
    let _frames = stage.client().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    sleep(DEADLINE).await;
    let (before, began) = (stage.changes.load(Ordering::Relaxed), Instant::now());
    stage.subscribe("first").await;
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody came or went just now");
    for number in 0..2000 {
        stage.unsubscribe(&format!("toggled{}", number % 5)).await;
        let entries = Entries::parse(vec![format!("toggled{}", number % 5)]).unwrap();
        let addition = Addition { entries, pace: Pace::Every, batch: None, stats: None };
        let (reply, _answer) = oneshot::channel();
        stage.service.door.tell(Command::Subscribe(Subscribe { id: A, addition, reply })).await;
        sleep(Duration::from_millis(1)).await;
    }
    stage.subscribe("last").await;
    let changes = u128::from(stage.changes.load(Ordering::Relaxed) - before);
    let allowed = began.elapsed().as_millis() / ATTEND_EVERY.as_millis() + 2;
    assert!((allowed / 2..=allowed).contains(&changes), "{changes} of {allowed}");
}

#[test]
fn who_gave_up_waiting_is_not_kept() {
    let mut waiting = Vec::new();
    let (patient, _answer) = oneshot::channel::<()>();
    push(&mut waiting, patient, oneshot::Sender::is_closed);
    for _ in 0..10_000 {
        let (gone, _) = oneshot::channel();
        push(&mut waiting, gone, oneshot::Sender::is_closed);
    }
    assert!(waiting.len() < 10, "{}", waiting.len());
    assert_eq!(waiting.iter().filter(|it| !it.is_closed()).count(), 1, "who waits is kept");
}
