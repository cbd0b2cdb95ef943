//! Against a real Redis, and against servers that no longer say what one expects of them.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::*;
use crate::shard::ShardId;
use crate::stream::tail::Tail;
use crate::stream::testing::RedisServer;
use crate::stream::{Consumer, EntryId, Patience, ShardKeys, keys};

const BLOCK: Duration = Duration::from_millis(50);

/// A server that says `says` as soon as it is asked, and then nothing more or hangs up.
struct Impostor {
    directory: TempDir,
    task: JoinHandle<()>,
}

impl Impostor {
    fn start(says: &'static [u8], hangs_up: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let task = TaskTracker::new().spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
            socket.write_all(says).await.unwrap();
            if !hangs_up {
                std::future::pending().await
            }
        });
        Self { directory, task }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn server(&self) -> Server {
        Server::new(&format!("unix://{}", self.path().display())).unwrap()
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(says: &'static [u8], hangs_up: bool) -> Result<Reply, RedisError> {
    let impostor = Impostor::start(says, hangs_up);
    let mut connection = Blocking::connect(&impostor.server(), BLOCK).await.unwrap();
    connection.ask(&redis::cmd("PING")).await.map_err(inner)
}

fn inner(error: Error) -> RedisError {
    match error {
        Error::Redis(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_error_that_redis_answers_is_the_one_of_the_client_crate() {
    let check = async |says: &'static [u8], code: &str| {
        let error = answer(says, false).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert!(!error.is_io_error());
    };
    check(b"-NOGROUP No such key 's' or consumer group\r\n", "NOGROUP").await;
    check(b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING").await;
    check(b"-UNBLOCKED the stream key no longer exists\r\n", "UNBLOCKED").await;
    check(b"-NOPERM this user has no permissions\r\n", "NOPERM").await;
    check(b"-ERR unknown command\r\n", "ERR").await;
    let missing = answer(b"-NOGROUP gone\r\n", false).await.map_err(Error::from).unwrap_err();
    assert!(missing.is_group_missing());
}

#[tokio::test]
async fn half_a_reply_and_two_of_them_are_errors() {
    assert!(answer(b"*1\r\n$5\r\nab", true).await.unwrap_err().is_io_error());
    assert!(answer(b"", true).await.unwrap_err().is_io_error());
    assert_eq!(answer(b"+OK\r\n+OK\r\n", false).await.unwrap_err().kind(), ErrorKind::Parse);
    assert_eq!(answer(b"HTTP/1.1 400\r\n", false).await.unwrap_err().kind(), ErrorKind::Parse);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_come_is_given_up() {
    let impostor = Impostor::start(b"*1\r\n", false);
    let mut connection = Blocking::connect(&impostor.server(), BLOCK).await.unwrap();
    let before = tokio::time::Instant::now();
    let error = inner(connection.ask(&redis::cmd("PING")).await.unwrap_err());
    assert!(error.is_timeout(), "{error}");
    assert!(before.elapsed() >= REPLY_TIMEOUT + BLOCK);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let gone = Server::new("unix:///nowhere/redis.sock").unwrap();
    assert!(inner(Blocking::connect(&gone, BLOCK).await.err().unwrap()).is_io_error());
}

#[tokio::test]
async fn name_password_and_database_of_the_address_count() {
    let redis = RedisServer::start(&["--user", "ann", "on", ">secret", "~*", "+@all"]).await;
    let socket = redis.socket();
    let address = |rest: &str| Server::new(&format!("unix://{}?{rest}", socket.display())).unwrap();
    let ours = address("db=3&user=ann&pass=secret");
    let mut connection = Blocking::connect(&ours, BLOCK).await.unwrap();
    connection.ask(redis::cmd("SET").arg("key").arg("here")).await.unwrap();
    let who =
        connection.ask(redis::cmd("ACL").arg("WHOAMI")).await.unwrap().string().unwrap().to_vec();
    assert_eq!(who, b"ann");
    let link = crate::stream::Link::new(ours);
    assert_eq!(link.run::<String>(redis::cmd("GET").arg("key")).await.unwrap(), "here");

    let wrong = Blocking::connect(&address("user=ann&pass=guess"), BLOCK).await.err().unwrap();
    assert_eq!(inner(wrong).kind(), ErrorKind::AuthenticationFailed);
    assert!(Blocking::connect(&address("db=99"), BLOCK).await.is_err());
}

#[tokio::test]
async fn it_speaks_over_tcp_too() {
    let redis = RedisServer::start(&[]).await;
    // No free port can be asked for before the server runs; it takes one while it does.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    redis.run(&[b"CONFIG", b"SET", b"port", port.to_string().as_bytes()]).await;
    let server = Server::new(&format!("redis://127.0.0.1:{port}/1")).unwrap();
    let mut connection = Blocking::connect(&server, BLOCK).await.unwrap();
    let reply =
        connection.ask(redis::cmd("ECHO").arg("a")).await.unwrap().string().unwrap().to_vec();
    assert_eq!(reply, b"a");
}

#[tokio::test]
async fn long_replies_come_whole_and_room_is_used_again() {
    let redis = RedisServer::start(&[]).await;
    let mut connection = Blocking::connect(&redis.server(), BLOCK).await.unwrap();
    let mut check = async |length, room: std::ops::RangeInclusive<usize>| {
        let sent = vec![b'x'; length];
        let mut reply = connection.ask(redis::cmd("ECHO").arg(&sent[..])).await.unwrap();
        assert!(reply.string().unwrap() == sent, "{length}");
        drop(reply);
        let is_kept = connection.buffer.try_reclaim(*room.start());
        assert!(is_kept && connection.buffer.capacity() <= *room.end(), "{length}");
    };
    let large = 3 * KEPT_BYTES;
    for length in [0, 1, READ_BYTES, KEPT_BYTES / 2] {
        check(length, 0..=KEPT_BYTES + READ_BYTES).await;
    }
    check(large, large..=2 * large + READ_BYTES).await;
    check(large / 2, large..=2 * large + READ_BYTES).await;
    // One that needs none of it gives it back.
    check(5, 0..=0).await;
    check(large, large..=2 * large + READ_BYTES).await;
}

#[tokio::test]
async fn a_consumer_reads_claims_and_waits_in_vain() {
    let redis = RedisServer::start(&[]).await;
    let keys = ShardKeys::new(ShardId(0));
    let stream = keys.stream.as_bytes();
    let group = keys::GROUP.as_bytes();
    redis.run(&[b"XGROUP", b"CREATE", stream, group, b"0", b"MKSTREAM"]).await;
    for id in ["1-0", "2-0", "3-0"] {
        redis.run(&[b"XADD", stream, id.as_bytes(), b"a", b"1", b"b", b"2"]).await;
    }
    let consumer = |name: &str| Consumer::new(redis.server(), keys.clone(), name.to_owned(), BLOCK);
    let mut first = consumer("first");
    let read = first.read(2, Patience::None).await.unwrap();
    assert_eq!(
        read.iter().map(|entry| (entry.id.ms, entry.len())).collect::<Vec<_>>(),
        [(1, 2), (2, 2)]
    );
    assert_eq!(first.read(9, Patience::UpTo(BLOCK)).await.unwrap().len(), 1);
    assert!(first.read(9, Patience::UpTo(BLOCK)).await.unwrap().is_empty());
    assert!(first.read(9, Patience::None).await.unwrap().is_empty());

    redis.run(&[b"XDEL", stream, b"2-0"]).await;
    let claimed = consumer("second").claim_everything().await.unwrap();
    assert_eq!(claimed.iter().map(|entry| entry.id.ms).collect::<Vec<_>>(), [1, 3]);

    redis.run(&[b"DEL", stream]).await;
    let error = first.read(9, Patience::UpTo(BLOCK)).await.unwrap_err();
    assert!(error.is_group_missing(), "{error}");
}

#[tokio::test]
async fn a_tail_of_many_shards_knows_that_more_waits() {
    let redis = RedisServer::start(&[]).await;
    let keys: Vec<ShardKeys> = (0..128).map(|shard| ShardKeys::new(ShardId(shard))).collect();
    let mut tail = Tail::new(redis.server(), keys.clone(), vec![EntryId::ZERO; keys.len()]);
    let stream = keys[100].stream.as_bytes();
    for id in ["1-0", "2-0", "3-0"] {
        redis.run(&[b"XADD", stream, id.as_bytes(), b"a", b"1"]).await;
    }
    // Of so many shards two entries each are asked for.
    let mut read = async || {
        let reads = tail.read().await.unwrap();
        let entries: usize = reads.iter().map(|(_, _, entries)| entries.len()).sum();
        assert!(reads.iter().all(|(place, shard, _)| (*place, shard.0) == (100, 100)));
        (entries, tail.is_behind(), tail.reached()[100].ms)
    };
    assert_eq!(read().await, (2, true, 2));
    assert_eq!(read().await, (1, false, 3));
    assert_eq!(read().await, (0, false, 3));
}
