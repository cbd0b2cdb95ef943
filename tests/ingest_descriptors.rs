//! A listener without descriptors to spare. Alone in its file: it changes a limit of the process.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs::File;
use std::io::Seek;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use streamgauge::clock::Clock;
use streamgauge::ingest::{INTAKE_LIMITS, Intake, Listener, ListenerConfig, TopicFilters};
use streamgauge::shard::ShardCount;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const CONNECT: [u8; 14] = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0];

async fn is_welcome(client: &mut TcpStream, within: Duration) -> bool {
    let mut answer = [0; 4];
    timeout(within, client.read_exact(&mut answer)).await.is_ok_and(|read| read.is_ok())
}

/// User and system time of this process, in hundredths of a second. `stat` is an open
/// `/proc/self/stat`.
fn cpu_ticks(stat: &mut File) -> u64 {
    stat.rewind().unwrap();
    let stat = std::io::read_to_string(stat).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let field = |index| fields.split(' ').nth(index).unwrap().parse::<u64>().unwrap();
    field(11) + field(12)
}

#[tokio::test]
async fn accepting_pauses_without_descriptors_and_heals() {
    let config = ListenerConfig {
        address: ([127, 0, 0, 1], 0).into(),
        filters: TopicFilters::parse("#").unwrap(),
        credentials: None,
        payload_bytes_max: 1000,
    };
    let listener = Listener::bind(&config).unwrap();
    let address = listener.local_addr();
    let intake = Arc::new(Intake::new(ShardCount::DEFAULT, INTAKE_LIMITS));
    let stop = CancellationToken::new();
    let tracker = TaskTracker::new();
    let served = tracker.spawn(listener.serve(intake, Clock::system(), stop.clone()));
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(&CONNECT).await.unwrap();
    assert!(is_welcome(&mut first, Duration::from_secs(20)).await);

    // One descriptor is left for the second client, none for the listener's side of it.
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
    let mut stat = File::open("/proc/self/stat").unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files.pop();
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(&CONNECT).await.unwrap();
    assert!(File::open("/dev/null").is_err());
    let ticks = cpu_ticks(&mut stat);
    assert!(!is_welcome(&mut second, Duration::from_millis(700)).await);
    let busy = cpu_ticks(&mut stat) - ticks;
    assert!(busy < 15, "{busy} of 70 hundredths of a second were spent");

    // Others go on meanwhile.
    first.write_all(&[0xC0, 0]).await.unwrap();
    let mut pong = [0; 2];
    first.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, [0xD0, 0]);

    drop(files);
    assert!(is_welcome(&mut second, Duration::from_secs(20)).await);
    stop.cancel();
    drop((first, second));
    served.await.unwrap();
}
