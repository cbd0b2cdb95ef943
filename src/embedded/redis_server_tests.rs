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
