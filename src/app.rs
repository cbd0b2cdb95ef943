//! The only file that knows every room: builds, connects, drains.
//!
//! Everything that can be refused is decided before anything runs: secrets, addresses, the data
//! directory. Then the page is served at once, saying that it is not ready, and the rest follows
//! when Redis is there. It ends in the order of the way of a reading.

mod announcement;
mod doors;
mod history;
mod identity;
mod measure;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch as value;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::announcement::{announced, announcement};
use self::doors::Doors;
use self::identity::Identity;
use self::measure::{install_metrics, keep_metrics};
use crate::aggregate::topics::topics_max;
use crate::aggregate::{FoldConfig, Keeper, Member, OwnerContext, Ownership, own};
use crate::clock::Clock;
use crate::config::{self, RedisMemory, Settings};
use crate::embedded::{RedisServer, RedisState, Simulator, memory_bytes};
use crate::ingest::{INTAKE_LIMITS, Intake};
use crate::serve::{self, Deps, LIVE_CLIENTS_MAX, ListenerInfo, Patience, Readiness, ServeConfig};
use crate::stream::nodes::keep_beating;
use crate::stream::{Dataset, Durability, Fence, Link, NodeId, Server, ShardKeys, Writer};

/// How long everything may take to end (design: SIGTERM, exit 0 within 10 s), with two seconds
/// left for Redis.
const DRAIN: Duration = Duration::from_secs(8);

/// Runs until SIGTERM or SIGINT; a second one ends the process at once.
///
/// # Errors
/// When something that was given cannot be used, or a room did not finish in time; the text says
/// what and what to do.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let prometheus = install_metrics()?;
    let asked = CancellationToken::new();
    let watcher = TaskTracker::new();
    watcher.spawn(listen_for_signals(asked.clone())?);
    let identity = Identity::establish(&settings).await?;
    let http = match settings.roles.serve {
        true => {
            let bound = serve::Server::bind(serve_config(&settings, &identity)?).await;
            Some(bound.context("PORT, STREAMGAUGE_BIND")?)
        }
        false => None,
    };
    let doors = Doors::choose(&settings, identity.devices.clone(), &identity.node).await?;
    let redis = start_redis(&settings, &identity).await?;
    let url = match (&redis, &settings.redis) {
        (Some(redis), _) => redis.url(),
        (None, Some(given)) => given.url(),
        (None, None) => anyhow::bail!("no Redis: set REDIS_URL"),
    };
    let server = Server::new(url)?;
    let listener = doors.listener.as_ref().map(|listener| listener.local_addr());
    let http_address = http.as_ref().map(serve::Server::local_addr);
    let announcement = announcement(&settings, &identity, http_address, listener);
    let app = App {
        announcement,
        redis_state: redis.as_ref().map(RedisServer::state),
        link: Arc::new(Link::new(server.clone())),
        server,
        settings,
        node: NodeId::new(&identity.node),
        clock: Clock::system(),
        readiness: Readiness::default(),
        prometheus,
    };
    let outcome = app.serve_until(asked, http, doors, &identity).await;
    if let Some(redis) = redis {
        anyhow::ensure!(redis.stop().await, "the supervised Redis did not end as asked");
    }
    drop(identity);
    outcome
}

struct App {
    /// Said when it can be acted on.
    announcement: String,
    settings: Settings,
    /// Of the supervised Redis, if there is one.
    redis_state: Option<value::Receiver<RedisState>>,
    server: Server,
    link: Arc<Link>,
    node: NodeId,
    clock: Clock,
    readiness: Readiness,
    prometheus: PrometheusHandle,
}

/// The rooms that run, in the order in which they end.
struct Running {
    simulator: Stage,
    doors: Stage,
    writer: Stage,
    owners: Stage,
}

/// Tasks that end together.
#[derive(Default)]
struct Stage {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Stage {
    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Says stop and waits; `false` when the deadline came first.
    async fn end(&self, deadline: Instant) -> bool {
        self.stop.cancel();
        self.tasks.close();
        timeout_at(deadline, self.tasks.wait()).await.is_ok()
    }
}

impl App {
    async fn serve_until(
        self,
        asked: CancellationToken,
        http: Option<serve::Server>,
        doors: Doors,
        identity: &Identity,
    ) -> anyhow::Result<()> {
        let serving = Stage::default();
        // Before anybody can ask: a process of which nothing is known yet is not ready.
        let redis_part = self.readiness.part("redis");
        let (shards, shards_seen) = value::channel(Arc::from([]));
        let (budget, budget_seen) = value::channel(None);
        let info = doors.listener.as_ref().map(|listener| ListenerInfo {
            port: listener.local_addr().port(),
            username: identity.devices.as_ref().map(|devices| devices.username.clone()),
        });
        let (_listener, listener) = value::channel(info);
        if let Some(http) = http {
            let deps = Deps {
                link: Arc::clone(&self.link),
                shards: shards_seen,
                budget: budget_seen,
                listener,
                clock: self.clock.clone(),
                readiness: self.readiness.clone(),
                prometheus: self.prometheus.clone(),
            };
            serving.spawn(http.run(deps, serving.stop.clone()));
        }
        serving.spawn(keep_metrics(self.prometheus.clone(), serving.stop.clone()));
        let opened = tokio::select! {
            opened = announced(&self.announcement, self.open_dataset(&redis_part)) => Some(opened?),
            () = asked.cancelled() => None,
        };
        let mut unfinished = Vec::new();
        if let Some(dataset) = opened {
            let keys: Vec<ShardKeys> = dataset.shards.ids().map(ShardKeys::new).collect();
            history::announce(&self.settings, &dataset);
            budget.send_replace(Some(history::budget(&self.settings, &dataset)));
            shards.send_replace(keys.clone().into());
            let running = self.start(&dataset, &keys, doors, identity)?;
            serving.spawn(watch::redis(
                Arc::clone(&self.link),
                dataset,
                redis_part,
                serving.stop.clone(),
            ));
            asked.cancelled().await;
            tracing::info!("stopping: finishing what was accepted");
            self.readiness.drain();
            unfinished = running.end(Instant::now() + DRAIN).await;
        }
        self.readiness.drain();
        if !serving.end(Instant::now() + Duration::from_secs(2)).await {
            unfinished.push("serve");
        }
        anyhow::ensure!(unfinished.is_empty(), "did not finish in time: {}", unfinished.join(", "));
        Ok(())
    }

    /// Waits for Redis as long as it takes; gives up only on what a person must mend.
    async fn open_dataset(&self, part: &serve::Part) -> anyhow::Result<Dataset> {
        let durability = self.settings.durability.map(|wanted| match wanted {
            config::Durability::Memory => Durability::Memory,
            config::Durability::Disk => Durability::Disk,
        });
        if let Some(mut state) = self.redis_state.clone() {
            // Not before: on the same socket a predecessor's orphan may still answer. When nobody
            // says any more how the server is, connecting will tell.
            let _is_ready = state.wait_for(|state| *state == RedisState::Ready).await.is_ok();
        }
        let mut backoff = Server::backoff();
        let mut was_said = false;
        loop {
            match Dataset::open(&self.link, self.settings.shards, durability).await {
                Ok(dataset) => {
                    let shards = dataset.shards.get();
                    let durability = dataset.durability.name();
                    tracing::info!(shards, durability, "the data set is open");
                    return Ok(dataset);
                }
                Err(error) if error.is_permanent() => return Err(error.into()),
                Err(error) => {
                    // The supervised Redis needs a moment; that is not worth a warning.
                    if !was_said && self.settings.redis.is_some() {
                        tracing::warn!(%error, "waiting for Redis");
                        was_said = true;
                    }
                    part.not_ready(error.to_string());
                    sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    fn start(
        &self,
        dataset: &Dataset,
        keys: &[ShardKeys],
        doors: Doors,
        identity: &Identity,
    ) -> anyhow::Result<Running> {
        let running = Running {
            simulator: Stage::default(),
            doors: Stage::default(),
            writer: Stage::default(),
            owners: Stage::default(),
        };
        if self.settings.roles.aggregate {
            self.start_owners(dataset, keys, &running.owners)?;
        } else {
            let (link, node) = (Arc::clone(&self.link), self.node.clone());
            let stop = running.owners.stop.clone();
            running.owners.spawn(keep_beating(link, node, self.roles(), stop));
        }
        if !self.settings.roles.ingest {
            return Ok(running);
        }
        let intake = Arc::new(Intake::new(dataset.shards, INTAKE_LIMITS));
        let writer = Writer::new(self.server.clone(), Arc::clone(&intake), keys.to_vec());
        running.writer.spawn(writer.run(running.writer.stop.clone()));
        let stop = &running.doors.stop;
        if let Some(subscriber) = doors.subscriber {
            let part = self.readiness.part("subscriber");
            running.doors.spawn(watch::subscriber(subscriber.status(), part, stop.clone()));
            let run = subscriber.run(Arc::clone(&intake), self.clock.clone(), stop.clone());
            running.doors.spawn(run);
        }
        if let Some(listener) = doors.listener {
            let address = listener.local_addr();
            self.start_simulator(address, identity, &running.simulator);
            self.readiness.part("listener").ready();
            running.doors.spawn(listener.serve(intake, self.clock.clone(), stop.clone()));
        }
        Ok(running)
    }

    fn start_owners(
        &self,
        dataset: &Dataset,
        keys: &[ShardKeys],
        stage: &Stage,
    ) -> anyhow::Result<()> {
        let budget = history::budget(&self.settings, dataset);
        let keeper = Keeper::new(Arc::clone(&self.link), keys.to_vec(), budget);
        let cut = keeper.cut();
        stage.spawn(keeper.run(stage.stop.clone()));
        let shards = u64::from(dataset.shards.get());
        let context = Arc::new(OwnerContext {
            server: self.server.clone(),
            clock: self.clock.clone(),
            fold: FoldConfig {
                // Sensors do not spread evenly over shards (design §6).
                series_max: (self.settings.max_sensors * 11).div_ceil(10 * shards) + 8,
                retentions: self.settings.retentions(),
                naive_time: self.settings.naive_time.clone(),
            },
            stream_retention: self.settings.stream_retention,
            cut,
            topics_max: topics_max(dataset.shards),
        });
        let part = self.readiness.part("aggregate");
        let owner = move |keys, fence: Fence, stop| {
            own(Arc::clone(&context), keys, fence.to_string(), stop)
        };
        let member = Member { node: self.node.clone(), roles: self.roles() };
        let ownership = Ownership::new(Arc::clone(&self.link), member, dataset.clone(), owner);
        stage.spawn(watch::owners(ownership.all_owned(), part, stage.stop.clone()));
        stage.spawn(ownership.run(stage.stop.clone()));
        Ok(())
    }

    /// As the other nodes are told.
    fn roles(&self) -> String {
        let roles = self.settings.roles;
        let all =
            [("ingest", roles.ingest), ("aggregate", roles.aggregate), ("serve", roles.serve)];
        let own: Vec<&str> = all.into_iter().filter(|it| it.1).map(|it| it.0).collect();
        own.join(",")
    }

    fn start_simulator(&self, address: SocketAddr, identity: &Identity, stage: &Stage) {
        let Some(sensors) = self.settings.simulate else { return };
        let host = match address.ip() {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            ip => ip.to_string(),
        };
        let target = (host, address.port());
        let simulator = Simulator::new(sensors, target, identity.devices.clone());
        stage.spawn(simulator.run(stage.stop.clone()));
    }
}

impl Running {
    /// Ends the rooms one after the other; gives the names of those that did not finish.
    async fn end(self, deadline: Instant) -> Vec<&'static str> {
        let stages = [
            ("simulator", self.simulator),
            ("ingest", self.doors),
            ("stream", self.writer),
            ("aggregate", self.owners),
        ];
        let mut unfinished = Vec::new();
        for (name, stage) in stages {
            if !stage.end(deadline).await {
                unfinished.push(name);
            }
        }
        unfinished
    }
}

async fn start_redis(
    settings: &Settings,
    identity: &Identity,
) -> anyhow::Result<Option<RedisServer>> {
    let (None, Some(data_dir)) = (&settings.redis, &identity.data_dir) else { return Ok(None) };
    let maxmemory = match settings.redis_memory {
        RedisMemory::Bytes(bytes) => bytes,
        RedisMemory::Percent(percent) => memory_bytes() / 100 * u64::from(percent),
    };
    Ok(Some(RedisServer::start(data_dir, maxmemory).await?))
}

fn serve_config(settings: &Settings, identity: &Identity) -> anyhow::Result<ServeConfig> {
    Ok(ServeConfig {
        address: SocketAddr::new(settings.bind, settings.port),
        public_url: settings.public_url.as_ref().map(ToString::to_string),
        auth: identity.auth.clone(),
        secret_key: identity.secret_key.clone(),
        naive_time: settings.naive_time.clone(),
        retentions: settings.retentions(),
        topics: settings.topics.clone(),
        live_clients_max: LIVE_CLIENTS_MAX,
        patience: Patience::default(),
    })
}

fn listen_for_signals(
    asked: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("asked twice to stop: ending at once");
        std::process::exit(1);
    })
}
