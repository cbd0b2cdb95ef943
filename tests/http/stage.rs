//! A Redis of the test's own, a server in this process, and a client that speaks raw HTTP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use streamgauge::aggregate::state::State;
use streamgauge::clock::Clock;
use streamgauge::history::Retentions;
use streamgauge::history::{Budget, OpenEnd, Resolution, StoredReading};
use streamgauge::ingest::TopicFilters;
use streamgauge::payload::NaiveTime;
use streamgauge::reading::{SeriesKey, UnixMillis};
use streamgauge::serve::{AuthMode, Deps, ListenerInfo, Patience, Readiness, ServeConfig, Server};
use streamgauge::shard::ShardId;
use streamgauge::statistic::Statistic;
use streamgauge::stream::{self, EntryId, Link, Position, ShardKeys};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::aggregator::Aggregator;

pub const TOKEN: &str = "a-token-of-the-tests";
/// The defaults (design §4).
const RETENTIONS: Retentions = Retentions {
    readings: Duration::from_hours(24),
    minutes: Duration::from_hours(7 * 24),
    hours: Duration::from_hours(400 * 24),
};
const DEADLINE: Duration = Duration::from_secs(60);

/// Everything a test needs; all of it ends when this is dropped.
pub struct Stage {
    pub address: SocketAddr,
    pub readiness: Readiness,
    pub stop: CancellationToken,
    redis: Child,
    directory: TempDir,
    runtime: Option<Runtime>,
    served: Option<tokio::task::JoinHandle<()>>,
}

/// What a stage may have otherwise.
pub struct Plan {
    pub auth: AuthMode,
    pub public_url: Option<String>,
    pub bind: &'static str,
    pub live_clients_max: u64,
    pub patience: Patience,
}

impl Default for Plan {
    fn default() -> Self {
        let auth = AuthMode::Token { token: TOKEN.to_owned() };
        Self {
            auth,
            public_url: None,
            bind: "127.0.0.1:0",
            live_clients_max: 100,
            patience: Patience::default(),
        }
    }
}

/// One answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Whether nothing is missing at the end.
    pub is_whole: bool,
}

impl Reply {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Stage {
    pub fn start() -> Self {
        Self::with(Plan::default())
    }

    pub fn with(plan: Plan) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let redis = start_redis(&directory);
        let runtime = Runtime::new().expect("a runtime");
        let readiness = Readiness::default();
        let stop = CancellationToken::new();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (runtime, served) = (Some(runtime), None);
        let mut stage = Self { address, readiness, stop, redis, directory, runtime, served };
        stage.serve(plan);
        stage
    }

    /// Starts a server, on what there is in Redis.
    fn serve(&mut self, plan: Plan) {
        let config = ServeConfig {
            address: plan.bind.parse().expect("an address"),
            public_url: plan.public_url,
            auth: plan.auth,
            secret_key: b"a key of the tests".to_vec(),
            naive_time: NaiveTime::default(),
            retentions: RETENTIONS,
            topics: TopicFilters::parse("sensors/+/+,plant/#").expect("filters"),
            live_clients_max: plan.live_clients_max,
            patience: plan.patience,
        };
        let link = Link::new(stream::Server::new(&self.redis_url()).expect("an address of Redis"));
        let keys: Arc<[ShardKeys]> = keys().into();
        let info = ListenerInfo { port: 1883, username: Some("device".to_owned()) };
        let deps = Deps {
            link: Arc::new(link),
            shards: watch::channel(keys).1,
            budget: watch::channel(Some(Budget { bytes: 1 << 20 })).1,
            listener: watch::channel(Some(info)).1,
            clock: Clock::system(),
            readiness: self.readiness.clone(),
            prometheus: PrometheusBuilder::new().build_recorder().handle(),
        };
        let runtime = self.runtime.as_ref().expect("a runtime");
        let server = runtime.block_on(Server::bind(config)).expect("a free port");
        self.address = SocketAddr::from(([127, 0, 0, 1], server.local_addr().port()));
        self.served = Some(runtime.spawn(server.run(deps, self.stop.clone())));
    }

    /// Stops the server and starts another one.
    pub fn restart(&mut self) {
        self.stop();
        (self.stop, self.readiness) = (CancellationToken::new(), Readiness::default());
        self.serve(Plan::default());
    }

    /// Sends bytes and reads until the server closes.
    pub fn raw(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("the request is taken");
        let mut answer = Vec::new();
        // A reset after the answer is an end too.
        let _reset = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }

    /// One request with these further headers.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            request += &format!("Host: localhost:{}\r\n", self.address.port());
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request += "Content-Type: application/x-www-form-urlencoded\r\n";
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut stream = self.connect();
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("the request is taken");
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        reply(&answer)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[("Authorization", &format!("Bearer {TOKEN}"))], "")
    }

    /// Asks until the answer is as wanted.
    pub fn get_until(&self, path: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let until = Instant::now() + DEADLINE;
        loop {
            let reply = self.get(path);
            if wanted(&reply) {
                return reply;
            }
            assert!(Instant::now() < until, "{path}: {} {}", reply.status, reply.text());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The cookie of a fresh session.
    pub fn cookie(&self) -> String {
        let reply = self.ask("GET", &format!("/signin?token={TOKEN}"), &[], "");
        assert_eq!(reply.status, 303, "{}", reply.text());
        let cookie = &reply.headers["set-cookie"];
        cookie.split(';').next().unwrap_or_default().to_owned()
    }

    /// Where Redis is.
    pub fn redis_url(&self) -> String {
        format!("unix://{}", self.directory.path().join("redis.sock").display())
    }

    /// Aggregates what is in the streams, and what comes.
    pub fn aggregate(&self) -> Aggregator {
        Aggregator::start(&self.redis_url(), keys().len())
    }

    /// Runs a command in Redis.
    pub fn redis(&self, command: &redis::Cmd) -> redis::Value {
        let client = redis::Client::open(self.redis_url());
        let mut connection = client.and_then(|client| client.get_connection()).expect("Redis");
        command.query(&mut connection).expect("Redis takes the command")
    }

    /// What Redis answers to a command.
    pub fn ask_redis<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        redis::from_redis_value(self.redis(command)).expect("Redis answers so")
    }

    /// Writes a series as a commit would.
    pub fn put_series(&self, shard: u16, number: u64, key: (&str, &str), readings: &[(f64, i64)]) {
        let keys = ShardKeys::new(ShardId(shard));
        let series = SeriesKey { sensor_id: key.0.into(), sensor_type: key.1.into() };
        let mut state = State {
            number,
            attributes: 1,
            version: 1,
            applied: Position { entry: EntryId { ms: 1, seq: 0 }, index: 0 },
            ..State::default()
        };
        let mut open = OpenEnd::default();
        for (value, at) in readings {
            let measured_at = UnixMillis(*at);
            state.statistics.fold(*value, measured_at);
            let reading = StoredReading { measured_at, value: *value, attributes: 1 };
            open.keep(reading, Clock::system().now());
            for resolution in Resolution::ALL {
                open.windows_mut(resolution).fold(resolution, &reading);
            }
        }
        let attributes = r#"{"unit":"°C","location":"Room A","metadata":{"calibrated":true}}"#;
        self.redis(redis::cmd("HSET").arg(&keys.attributes).arg(number).arg(attributes));
        self.redis(redis::cmd("HSET").arg(&keys.index).arg(key.0).arg(key.1));
        let packed = state.pack(&open);
        self.redis(redis::cmd("HSET").arg(&keys.states).arg(series.field()).arg(packed));
        self.redis(redis::cmd("HINCRBY").arg(&keys.meta).arg("version").arg(1));
    }

    /// Appends an entry of plain messages.
    pub fn append(&self, shard: u16, number: u64, messages: &[(&str, &str)]) {
        let keys = ShardKeys::new(ShardId(shard));
        let count = messages.len() as u64;
        let now = Clock::system().now();
        let header = format!("1 00000000000000ab {number} {count} {now} {}", number * count);
        let mut command = redis::cmd("XADD");
        command.arg(&keys.stream).arg("*").arg("@").arg(header);
        for (topic, payload) in messages {
            command.arg(*topic).arg(*payload);
        }
        self.redis(&command);
    }

    /// Ends Redis as a power cut would.
    pub fn kill_redis(&mut self) {
        self.redis.kill().expect("Redis can be killed");
        self.redis.wait().expect("Redis ends");
    }

    /// Starts Redis where it was, with nothing in it.
    pub fn start_redis_again(&mut self) {
        self.redis = start_redis(&self.directory);
    }

    /// Stops the server and waits for it.
    pub fn stop(&mut self) {
        self.stop.cancel();
        if let (Some(runtime), Some(served)) = (&self.runtime, self.served.take()) {
            let ended = runtime.block_on(async { tokio::time::timeout(DEADLINE, served).await });
            ended.expect("the server ends in time").expect("the server does not panic");
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        // It may have been killed by the test.
        let _gone = self.redis.kill();
        let _gone = self.redis.wait();
    }
}

pub fn keys() -> Vec<ShardKeys> {
    (0..2).map(|shard| ShardKeys::new(ShardId(shard))).collect()
}

fn start_redis(directory: &TempDir) -> Child {
    let child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is needed for this test: install the package redis-server");
    let socket = directory.path().join("redis.sock");
    let until = Instant::now() + DEADLINE;
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < until, "redis-server did not start");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    child
}

fn reply(answer: &[u8]) -> Reply {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<String, String> =
        headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let rest = &answer[end + 4..];
    let (body, is_whole) = match headers.get("content-length") {
        _ if headers.contains_key("transfer-encoding") => unchunked(rest),
        Some(length) => (rest.to_vec(), length.parse() == Ok(rest.len())),
        None => (rest.to_vec(), true),
    };
    Reply { status: status.parse().expect("a status"), headers, body, is_whole }
}

/// What stands in the chunks, and whether the last one is there.
fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return (body, false);
        };
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16);
        let size = size.expect("the size of a chunk");
        rest = &rest[end + 2..];
        if size == 0 || rest.len() < size + 2 {
            return (body, size == 0);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}
