use std::sync::Mutex;

use super::*;
use crate::stream::testing::RedisServer;

/// Fast, and still longer than a busy machine lets a task wait.
const PACE: Pace = Pace { beat: Duration::from_millis(40), dead_after: Duration::from_millis(600) };
/// Design: a dead owner is taken over within 5 s.
const PATIENCE: Duration = Duration::from_secs(5);

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
