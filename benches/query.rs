//! What a day of one sensor costs: 86,400 readings asked for over HTTP.
//!
//! `cargo bench --bench query`. A Streamgauge of its own with an external Redis of its own; the
//! readings are put into a stream as ingest writes them and aggregated, so that they are stored as
//! always. Measured is from the request to the last byte of the answer on loopback, in one
//! connection, uncompressed.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::ItemsCount;
use serde_json::json;
use tempfile::TempDir;

#[path = "../tests/http/feed.rs"]
mod feed;

use feed::{Feed, Measured};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const READINGS: usize = 86_400;
const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Where the day is asked for.
static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();

fn main() {
    let day = Day::prepare();
    ADDRESS.get_or_init(|| day.address);
    divan::main();
}

/// A day of one sensor, and who answers for it, as long as it lives.
struct Day {
    address: SocketAddr,
    _streamgauge: Running,
    _redis: Running,
    _home: TempDir,
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// A picture for a screen.
#[divan::bench]
fn points_1000(bencher: Bencher<'_, '_>) {
    ask(bencher, "hours=25&points=1000");
}

/// Every reading.
#[divan::bench]
fn raw_json(bencher: Bencher<'_, '_>) {
    ask(bencher, "hours=25");
}

/// Every reading, as a file.
#[divan::bench]
fn raw_csv(bencher: Bencher<'_, '_>) {
    ask(bencher, "hours=25&format=csv");
}

/// Three percentiles of every reading.
#[divan::bench]
fn percentiles(bencher: Bencher<'_, '_>) {
    ask(bencher, "hours=25&points=2&percentiles=50,95,99");
}

fn ask(bencher: Bencher<'_, '_>, query: &str) {
    let mut client = Client::connect(*ADDRESS.get().unwrap());
    let path = format!("/api/sensors/day/readings?{query}");
    bencher.counter(ItemsCount::new(READINGS)).bench_local(|| {
        let (status, body) = client.get(&path);
        assert!(status == 200 && !body.is_empty());
        body
    });
}

impl Day {
    fn prepare() -> Self {
        let home = tempfile::tempdir().unwrap();
        let redis = start_redis(home.path());
        let url = format!("unix://{}", home.path().join("redis.sock").display());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let streamgauge = Command::new(env!("CARGO_BIN_EXE_streamgauge"))
            .env_clear()
            .env("REDIS_URL", &url)
            .env("PORT", port.to_string())
            .env("STREAMGAUGE_AUTH", "none")
            .env("STREAMGAUGE_ROLES", "aggregate,serve")
            .env("STREAMGAUGE_DATA_DIR", home.path().join("data"))
            .env("STREAMGAUGE_SHARDS", "8")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let streamgauge = Running(streamgauge);
        within("the server answers", || TcpStream::connect(address).is_ok());
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        for command in Feed::new(3).readings(("day", "temperature"), &readings(), &json!({})) {
            command.exec(&mut connection).unwrap();
        }
        let count = format!("\"count\":{READINGS},");
        within("every reading is counted", || {
            let (_status, body) = Client::connect(address).get("/api/sensors/day");
            String::from_utf8_lossy(&body).contains(&count)
        });
        Self { address, _streamgauge: streamgauge, _redis: redis, _home: home }
    }
}

/// A reading a second with one decimal, as of a thermometer, until a minute ago.
fn readings() -> Vec<Measured> {
    let now = streamgauge::clock::Clock::system().now().0;
    let from = (now / 1000 - 60 - 86_400) * 1000;
    let mut random = 1_u64;
    let mut tenths = 215_i64;
    let reading = |second: i64| {
        // Marsaglia, "Xorshift RNGs", 2003.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tenths += i64::try_from(random % 3).unwrap() - 1;
        #[expect(clippy::cast_precision_loss, reason = "a temperature")]
        (from + second * 1000, tenths as f64 / 10.0)
    };
    (0..86_400).map(reading).collect()
}

struct Client {
    stream: BufReader<TcpStream>,
    port: u16,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::with_capacity(256 << 10, stream), port: address.port() }
    }

    /// The status, and the body, chunked or not.
    fn get(&mut self, path: &str) -> (u16, Vec<u8>) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", self.port);
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = None;
        loop {
            let line = self.line().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = Some(value.parse().unwrap());
            }
        }
        let body = match length {
            Some(length) => self.bytes(length),
            None => self.chunks(),
        };
        (status, body)
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            body.append(&mut self.bytes(size));
            self.line();
            if size == 0 {
                return body;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}

fn start_redis(home: &Path) -> Running {
    let redis = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
        .current_dir(home)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is needed for this bench: install the package redis-server");
    let redis = Running(redis);
    let socket = home.join("redis.sock");
    within("Redis answers", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    redis
}

fn within(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + READY_WAIT_MAX;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
