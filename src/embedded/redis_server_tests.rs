//! These start a real redis-server (package redis-server) in a directory of their own.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

const MEMORY: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

async fn started(path: &Path) -> (DataDir, RedisServer) {
    let data_dir = DataDir::open(path).await.unwrap();
    let server = RedisServer::start(&data_dir, MEMORY)
        .await
        .expect("redis-server or valkey-server must be installed for this test");
    ready(&server).await;
    (data_dir, server)
}

async fn ready(server: &RedisServer) {
    let mut state = server.state();
    let ready = state.wait_for(|state| *state == RedisState::Ready);
    timeout(PATIENCE, ready).await.expect("not ready in time").unwrap();
}

async fn connection(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

async fn set(server: &RedisServer, key: &str) {
    redis::cmd("SET").arg(key).arg(1).exec_async(&mut connection(server).await).await.unwrap();
}

async fn keys(server: &RedisServer) -> usize {
    redis::cmd("DBSIZE").query_async(&mut connection(server).await).await.unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_after_a_stop() {
    let home = tempfile::tempdir().unwrap();
    let (data_dir, server) = started(home.path()).await;
    set(&server, "a").await;
    let pid = server.pid().unwrap();
    assert!(server.stop().await);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    drop(data_dir);
    let (_data_dir, server) = started(home.path()).await;
    assert_eq!(keys(&server).await, 1);
    assert!(server.stop().await);
}

#[tokio::test]
async fn a_killed_server_is_back_with_all_it_had() {
    let home = tempfile::tempdir().unwrap();
    let (_data_dir, server) = started(home.path()).await;
    set(&server, "a").await;
    let first = server.pid().unwrap();
    let mut state = server.state();
    state.mark_unchanged();
    let killed = Instant::now();
    signal(first, Signal::KILL);
    let restarting = |state: &RedisState| matches!(state, RedisState::Restarting { .. });
    timeout(PATIENCE, state.wait_for(restarting)).await.unwrap().unwrap();
    ready(&server).await;
    assert!(killed.elapsed() < Duration::from_secs(5), "took {:?}", killed.elapsed());
    assert_ne!(server.pid(), Some(first));
    assert_eq!(keys(&server).await, 1);
    assert!(server.stop().await);
}

#[tokio::test]
async fn an_orphan_is_asked_to_end_and_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(home.path()).await.unwrap();
    // What a kill -9 of Streamgauge leaves behind: a server that nobody watches, with the lock.
    let places = Home::prepare(data_dir.path(), MEMORY).unwrap();
    let lock = places.lock_file().unwrap();
    lock.try_lock().unwrap();
    let program = redis_child::find_program().await.unwrap();
    let logs = TaskTracker::new();
    let orphan = Server::start(&program, &places, lock, &logs).unwrap();
    let orphan_pid = orphan.pid().unwrap();
    std::mem::forget(orphan);
    let client = redis::Client::open(places.url()).unwrap();
    timeout(PATIENCE, until_ready(&client)).await.unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SET").arg("a").arg(1).exec_async(&mut connection).await.unwrap();

    signal(orphan_pid, Signal::STOP);
    let server = RedisServer::start(&data_dir, MEMORY).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.pid(), None, "two servers on one directory");
    signal(orphan_pid, Signal::CONT);
    ready(&server).await;
    assert_eq!(keys(&server).await, 1);
    assert!(server.stop().await);
}

#[tokio::test]
async fn a_torn_tail_is_cut_before_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    let (data_dir, server) = started(home.path()).await;
    set(&server, "a").await;
    assert!(server.stop().await);
    // What a kill in the middle of a transaction leaves behind.
    let file = home.path().join("redis/appendonlydir/appendonly.aof.1.incr.aof");
    let whole = std::fs::read(&file).unwrap();
    let torn = [&whole[..], b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1"].concat();
    std::fs::write(&file, torn).unwrap();
    std::fs::write(home.path().join("redis/unclean"), "").unwrap();
    let server = RedisServer::start(&data_dir, MEMORY).await.unwrap();
    ready(&server).await;
    assert_eq!(keys(&server).await, 1);
    set(&server, "c").await;
    let after = std::fs::read(&file).unwrap();
    assert!(after.starts_with(&whole) && !after.windows(5).any(|five| five == b"MULTI"));
    assert!(home.path().join("redis/torn").read_dir().unwrap().next().is_some());
    assert!(server.stop().await);
}

#[tokio::test]
async fn the_server_has_no_door_but_its_private_socket() {
    let home = tempfile::tempdir().unwrap();
    let (_data_dir, server) = started(home.path()).await;
    let mut connection = connection(&server).await;
    for (name, expected) in [
        ("port", "0"),
        ("appendfsync", "always"),
        ("maxmemory", "67108864"),
        ("maxmemory-policy", "noeviction"),
        ("enable-module-command", "no"),
    ] {
        let answer: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await.unwrap();
        assert_eq!(answer, [name, expected]);
    }
    let debug = redis::cmd("DEBUG").arg("SLEEP").arg(0).exec_async(&mut connection).await;
    assert!(debug.unwrap_err().to_string().contains("DEBUG command not allowed"));
    assert!(server.stop().await);
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_and_goes_on_trying() {
    let home = tempfile::tempdir().unwrap();
    let (data_dir, server) = started(home.path()).await;
    set(&server, "a").await;
    assert!(server.stop().await);
    let file = home.path().join("redis/appendonlydir/appendonly.aof.1.incr.aof");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, [b"damage", &whole[..]].concat()).unwrap();
    let server = RedisServer::start(&data_dir, MEMORY).await.unwrap();
    let mut state = server.state();
    let why = timeout(PATIENCE, state.wait_for(|s| matches!(s, RedisState::Restarting { .. })));
    let RedisState::Restarting { why } = why.await.unwrap().unwrap().clone() else { return };
    assert!(why.contains("append only file"), "{why}");
    std::fs::write(&file, whole).unwrap();
    ready(&server).await;
    assert_eq!(keys(&server).await, 1);
    assert!(server.stop().await);
}

/// A commit script's effects are logged as one transaction. Whatever byte the file is cut at,
/// they are all there or none is, after the next start and after the one behind it: Redis 7.0
/// alone gets the second one wrong.
#[tokio::test]
async fn a_file_cut_at_any_byte_never_splits_a_transaction() {
    const SCRIPT: &str = "for _, key in ipairs({'a', 'b'}) do redis.call('SET', key, ARGV[1]) end";
    let original = tempfile::tempdir().unwrap();
    let (data_dir, server) = started(original.path()).await;
    let file = "redis/appendonlydir/appendonly.aof.1.incr.aof";
    let mut lengths = Vec::new();
    for value in [1, 2] {
        let mut connection = connection(&server).await;
        let mut script = redis::cmd("EVAL");
        script.arg(SCRIPT).arg(0).arg(value);
        script.exec_async(&mut connection).await.unwrap();
        lengths.push(original.path().join(file).metadata().unwrap().len());
    }
    assert!(server.stop().await);
    drop(data_dir);
    let cuts: Vec<u64> = (lengths[0]..=lengths[1]).collect();
    assert!(cuts.len() > 80);
    for some in cuts.chunks(8) {
        let mut lives = tokio::task::JoinSet::new();
        for &cut in some {
            let home = tempfile::tempdir().unwrap();
            copy(original.path(), home.path());
            let shortened = std::fs::OpenOptions::new().write(true).open(home.path().join(file));
            shortened.unwrap().set_len(cut).unwrap();
            let expected = if cut == lengths[1] { "2" } else { "1" };
            lives.spawn(two_lives(home, expected));
        }
        while let Some(ended) = lives.join_next().await {
            ended.unwrap();
        }
    }
}

async fn two_lives(home: tempfile::TempDir, expected: &str) {
    for life in 0..2 {
        std::fs::write(home.path().join("redis/unclean"), "").unwrap();
        let (_data_dir, server) = started(home.path()).await;
        let mut connection = connection(&server).await;
        let mut get = redis::cmd("MGET");
        get.arg("a").arg("b").arg("c");
        let values: Vec<Option<String>> = get.query_async(&mut connection).await.unwrap();
        let (a, b) = (values[0].as_deref(), values[1].as_deref());
        assert_eq!((a, b, values[2].is_some()), (Some(expected), Some(expected), life == 1));
        set(&server, "c").await;
        assert!(server.stop().await);
    }
}

/// The server's files, one folder deep.
fn copy(from: &Path, to: &Path) {
    let folder = "redis/appendonlydir";
    std::fs::create_dir_all(to.join(folder)).unwrap();
    for entry in from.join(folder).read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
    }
}
