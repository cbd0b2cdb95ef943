use std::sync::Mutex;

use tokio::sync::Notify;

use super::super::state::State;
use super::super::{FoldConfig, OwnerContext, own};
use super::*;
use crate::clock::Clock;
use crate::history::{Range, Reader, Retentions, SeriesReadings};
use crate::ingest::{INTAKE_LIMITS, Intake};
use crate::message::{Flags, Message};
use crate::payload::NaiveTime;
use crate::reading::{SeriesKey, UnixMillis};
use crate::stream::Writer;
use crate::stream::testing::RedisServer;

/// Fast, and still longer than a busy machine lets a task wait.
const PACE: Pace = Pace { beat: Duration::from_millis(40), dead_after: Duration::from_millis(600) };
/// Design: a dead owner is taken over within 5 s.
const PATIENCE: Duration = Duration::from_secs(5);

const RETENTIONS: Retentions = Retentions {
    readings: Duration::from_hours(24),
    minutes: Duration::from_hours(7 * 24),
    hours: Duration::from_hours(400 * 24),
};

/// Who folds what: node and shard of each running owner.
type Board = Arc<Mutex<BTreeSet<(&'static str, u16)>>>;

struct Stage {
    redis: RedisServer,
    board: Board,
    dataset: Dataset,
    runs: JoinSet<()>,
}

impl Stage {
    async fn new() -> Self {
        let redis = RedisServer::start(&[]).await;
        let dataset = Dataset::open(&redis.link(), None, None).await.unwrap();
        Self { redis, board: Board::default(), dataset, runs: JoinSet::new() }
    }

    /// A process whose owners fold nothing, and end when they are told.
    fn process(
        &self,
        name: &'static str,
    ) -> Ownership<impl Fn(ShardKeys, Fence, CancellationToken) -> BoxedOwner + use<>> {
        let board = self.board.clone();
        let owner = move |keys: ShardKeys, _fence, stop: CancellationToken| -> BoxedOwner {
            let board = board.clone();
            Box::pin(async move {
                board.lock().unwrap().insert((name, keys.shard.0));
                stop.cancelled().await;
                board.lock().unwrap().remove(&(name, keys.shard.0));
                Ended::Stopped
            })
        };
        let member = Member { node: NodeId::new(name), roles: "ingest,aggregate".into() };
        Ownership::new(Arc::new(self.redis.link()), member, self.dataset.clone(), owner)
            .with_pace(PACE)
    }

    /// Runs a process; the token stops it, the handle kills it.
    fn start(&mut self, name: &'static str) -> (CancellationToken, tokio::task::AbortHandle) {
        let stop = CancellationToken::new();
        let run = self.process(name).run(stop.clone());
        (stop, self.runs.spawn(run))
    }

    fn folds(&self, name: &str) -> usize {
        self.board.lock().unwrap().iter().filter(|(who, _)| *who == name).count()
    }

    async fn owners(&self) -> Vec<Option<String>> {
        let keys: Vec<_> = self.dataset.shards.ids().map(ShardKeys::new).collect();
        let found = holders(&self.redis.link(), &keys).await.unwrap();
        found.into_iter().map(|it| it.map(|it| it.owner.to_string())).collect()
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            let board = self.board.lock().unwrap().clone();
            assert!(Instant::now() < deadline, "{what}: {board:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

type BoxedOwner = std::pin::Pin<Box<dyn Future<Output = Ended> + Send>>;

#[tokio::test]
async fn a_process_takes_all_shards_at_once_and_gives_them_back() {
    let mut stage = Stage::new().await;
    let stop = CancellationToken::new();
    let slow = Pace { beat: Duration::from_secs(60), ..PACE };
    let process = stage.process("a").with_pace(slow);
    let mut ready = process.all_owned();
    stage.runs.spawn(process.run(stop.clone()));
    timeout(PATIENCE, ready.wait_for(|owned| *owned)).await.unwrap().unwrap();
    stage.until("all are folded", |stage| stage.folds("a") == 8).await;
    stop.cancel();
    timeout(PATIENCE, stage.runs.join_next()).await.unwrap().unwrap().unwrap();
    assert!(!*ready.borrow());
    assert_eq!(stage.owners().await, vec![None; 8]);
    assert_eq!(stage.redis.ask("HGET sg:nodes a").await, None);
}

#[tokio::test]
async fn two_processes_share_and_the_rest_returns_when_one_stops() {
    let mut stage = Stage::new().await;
    let (_a, _) = stage.start("a");
    stage.until("a has all", |stage| stage.folds("a") == 8).await;
    let (b, _) = stage.start("b");
    stage.until("halves", |stage| stage.folds("a") == 4 && stage.folds("b") == 4).await;
    b.cancel();
    stage.until("a has all again", |stage| stage.folds("a") == 8).await;
}

#[tokio::test]
async fn contenders_from_the_start_agree() {
    let mut stage = Stage::new().await;
    let (_a, _) = stage.start("a");
    let (_b, _) = stage.start("b");
    let (_c, _) = stage.start("c");
    let shared = |stage: &Stage| {
        let each = ["a", "b", "c"].map(|name| stage.folds(name));
        each.iter().sum::<usize>() == 8 && each.iter().all(|folds| *folds <= 3)
    };
    stage.until("three shares", shared).await;
}

#[tokio::test]
async fn a_dead_owner_is_taken_over_and_forgotten() {
    let mut stage = Stage::new().await;
    let (_a, killed) = stage.start("a");
    stage.until("a has all", |stage| stage.folds("a") == 8).await;
    killed.abort();
    stage.runs.join_next().await;
    stage.board.lock().unwrap().clear();
    let (_b, _) = stage.start("b");
    stage.until("b has all", |stage| stage.folds("b") == 8).await;
    assert_eq!(stage.owners().await, vec![Some("b".into()); 8]);
    let deadline = Instant::now() + PATIENCE;
    while stage.redis.ask("HGET sg:nodes a").await.is_some() {
        assert!(Instant::now() < deadline, "the dead node is still listed");
    }
}

/// Killed and started again: nobody has to be found dead first.
#[tokio::test]
async fn a_successor_takes_its_shards_back_at_once() {
    let mut stage = Stage::new().await;
    let (_a, killed) = stage.start("a");
    stage.until("a has all", |stage| stage.folds("a") == 8).await;
    killed.abort();
    stage.runs.join_next().await;
    stage.board.lock().unwrap().clear();
    let process = stage.process("a").with_pace(Pace { beat: Duration::from_secs(60), ..PACE });
    stage.runs.spawn(process.run(CancellationToken::new()));
    stage.until("the first round took all", |stage| stage.folds("a") == 8).await;
}

#[tokio::test]
async fn a_paused_process_loses_its_fences_and_ends_its_owners() {
    let mut stage = Stage::new().await;
    let stop = CancellationToken::new();
    // Nobody polls it but the two selects: between them it sleeps.
    let mut paused = Box::pin(stage.process("a").run(stop.clone()));
    tokio::select! {
        () = &mut paused => panic!("ended"),
        () = stage.until("a has all", |stage| stage.folds("a") == 8) => {}
    }
    let (b, _) = stage.start("b");
    stage.until("b has all", |stage| stage.folds("b") == 8).await;
    b.cancel();
    stage.runs.join_next().await;
    let before = stage.owners().await;
    assert_eq!(before, vec![None; 8]);
    let (_c, _) = stage.start("c");
    stage.until("c has its share", |stage| stage.folds("c") >= 4).await;
    tokio::select! {
        () = &mut paused => panic!("ended"),
        () = stage.until("halves", |stage| stage.folds("a") == 4 && stage.folds("c") == 4) => {}
    }
}

/// FLUSHALL under a running process: fences are gone, so owners end and shards are claimed anew.
#[tokio::test]
async fn a_lost_data_set_is_made_anew_under_another_generation() {
    let mut stage = Stage::new().await;
    let (_a, _) = stage.start("a");
    stage.until("a has all", |stage| stage.folds("a") == 8).await;
    stage.redis.ask("FLUSHALL").await;
    let deadline = Instant::now() + PATIENCE;
    while stage.owners().await != vec![Some("a".into()); 8] {
        assert!(Instant::now() < deadline, "the shards were not claimed anew");
    }
    let again = Dataset::open(&stage.redis.link(), None, None).await.unwrap();
    assert_ne!(again.generation, stage.dataset.generation);
    assert_eq!(again.shards, stage.dataset.shards);
}

#[tokio::test]
async fn an_owner_that_panics_is_started_again() {
    let stage = Stage::new().await;
    let (board, counted) = (stage.board.clone(), Arc::new(Mutex::new(0)));
    let owner = move |keys: ShardKeys, _fence, stop: CancellationToken| -> BoxedOwner {
        *counted.lock().unwrap() += 1;
        let (board, is_first) = (board.clone(), *counted.lock().unwrap() == 1);
        Box::pin(async move {
            assert!(!is_first, "the first owner fails on purpose");
            board.lock().unwrap().insert(("a", keys.shard.0));
            stop.cancelled().await;
            Ended::Stopped
        })
    };
    let member = Member { node: NodeId::new("a"), roles: "aggregate".into() };
    let link = Arc::new(stage.redis.link());
    let process = Ownership::new(link, member, stage.dataset.clone(), owner).with_pace(PACE);
    tokio::select! {
        () = process.run(CancellationToken::new()) => panic!("ended"),
        () = stage.until("all are folded", |stage| stage.folds("a") == 8) => {}
    }
}

#[tokio::test]
async fn a_process_whose_redis_is_gone_goes_on_trying_and_still_stops() {
    let mut stage = Stage::new().await;
    let process = stage.process("a");
    let mut ready = process.all_owned();
    let stop = CancellationToken::new();
    stage.runs.spawn(process.run(stop.clone()));
    timeout(PATIENCE, ready.wait_for(|owned| *owned)).await.unwrap().unwrap();
    let Stage { redis, mut runs, .. } = stage;
    drop(redis);
    timeout(PATIENCE, ready.wait_for(|owned| !*owned)).await.unwrap().unwrap();
    stop.cancel();
    timeout(PATIENCE, runs.join_next()).await.unwrap().unwrap().unwrap();
}

/// Sensors in the test below, a few to each shard.
const SENSORS: i64 = 20;
/// Seconds between two readings of a sensor: 100 of them fill several blocks.
const STEP_S: i64 = 300;

impl Stage {
    /// One reading of every sensor for each of `times`.
    async fn publish(&self, times: std::ops::Range<i64>) {
        let shards = self.dataset.shards;
        let intake = Arc::new(Intake::new(shards, INTAKE_LIMITS));
        for time in times {
            for sensor in 0..SENSORS {
                let topic = format!("sensors/s{sensor}/t");
                let payload = format!(r#"{{"value":{time},"timestamp":{}}}"#, time * STEP_S);
                let message = Message {
                    topic: &topic,
                    payload: payload.as_bytes(),
                    flags: Flags::NONE,
                    received_at: Clock::system().now(),
                    refused: None,
                };
                intake.offer(&message, &Arc::new(Notify::new())).unwrap();
            }
        }
        let stop = CancellationToken::new();
        stop.cancel();
        let keys = shards.ids().map(ShardKeys::new).collect();
        Writer::new(self.redis.server(), intake, keys).run(stop).await;
    }

    /// A process with real owners; the token stops it, the handle kills it.
    fn start_folding(
        &mut self,
        name: &'static str,
    ) -> (CancellationToken, tokio::task::AbortHandle) {
        let context = Arc::new(OwnerContext {
            server: self.redis.server(),
            clock: Clock::system(),
            fold: FoldConfig {
                series_max: 100,
                retentions: RETENTIONS,
                naive_time: NaiveTime::Utc,
            },
            stream_retention: Duration::from_secs(2),
            cut: watch::Sender::default().subscribe(),
            topics_max: 100,
        });
        let owner = move |keys, fence: Fence, stop| {
            own(context.clone(), keys, fence.as_str().to_owned(), stop)
        };
        let member = Member { node: NodeId::new(name), roles: "aggregate".into() };
        let link = Arc::new(self.redis.link());
        let process = Ownership::new(link, member, self.dataset.clone(), owner).with_pace(PACE);
        let stop = CancellationToken::new();
        (stop.clone(), self.runs.spawn(process.run(stop)))
    }

    async fn history(&self, sensor: i64) -> SeriesReadings {
        let keys: Vec<_> = self.dataset.shards.ids().map(ShardKeys::new).collect();
        let series = SeriesKey { sensor_id: format!("s{sensor}").into(), sensor_type: "t".into() };
        let all = Range::new(UnixMillis(0), UnixMillis(i64::MAX));
        let (link, now) = (self.redis.link(), Clock::system().now());
        let (keys, unpack, retentions) = (&keys[..], State::newest, RETENTIONS);
        let reader = Reader { link: &link, keys, unpack, now, retentions };
        reader.readings(&series, all).await.unwrap()
    }

    async fn until_kept(&self, readings: usize) {
        let deadline = Instant::now() + 2 * PATIENCE;
        for sensor in 0..SENSORS {
            while self.history(sensor).await.readings.len() < readings {
                assert!(Instant::now() < deadline, "sensor {sensor} misses readings");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// A process dies in the middle, another stops in the middle: what was published is in history
/// and in the statistics once, in order.
#[tokio::test]
async fn every_reading_is_kept_once_whatever_becomes_of_its_owners() {
    let mut stage = Stage::new().await;
    let (_a, killed) = stage.start_folding("a");
    stage.publish(0..30).await;
    stage.until_kept(1).await;
    killed.abort();
    stage.runs.join_next().await;
    stage.publish(30..60).await;
    let (b, _) = stage.start_folding("b");
    stage.until_kept(31).await;
    let (_c, _) = stage.start_folding("c");
    stage.publish(60..80).await;
    b.cancel();
    stage.publish(80..100).await;
    stage.until_kept(100).await;
    for sensor in 0..SENSORS {
        let found = stage.history(sensor).await;
        let times: Vec<_> = found.readings.iter().map(|it| it.measured_at.0).collect();
        let expected: Vec<_> = (0..100).map(|time| time * STEP_S * 1000).collect();
        assert_eq!(times, expected, "sensor {sensor}");
        assert!(found.readings.iter().zip(0_u32..).all(|(it, time)| it.value == f64::from(time)));
        assert_eq!((found.faults.count, found.position.len()), (0, 1));
    }
}
