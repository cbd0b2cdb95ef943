//! The data set: what Redis must be, and what was decided when the data set was created.
//!
//! Any number of processes may open it at once: each offers its own answer, the first stays, and
//! all adopt what they then read.

use std::sync::LazyLock;

use super::connection::Link;
use super::error::Error;
use super::keys::CONFIGURATION;
use super::random::random_hex;
use crate::shard::ShardCount;

/// The first version of Redis whose commands and scripts are enough (Valkey answers at least 7.2).
const VERSION_MIN: (u32, u32) = (7, 0);

/// How states and history are laid out. A data set without a number is of format 1, which kept
/// readings in a key per series and hour, and no windows: it cannot be read any more.
const FORMAT: &str = "3";
/// States of this format are read too; they have no interval. A data set of it is adopted and
/// raised to [`FORMAT`], because its states are written anew from then on.
const FORMAT_BEFORE: &str = "2";

static RAISE: LazyLock<redis::Script> =
    LazyLock::new(|| redis::Script::new(include_str!("raise.lua")));

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Redis has it in memory.
    Memory,
    /// Redis has it on disk: it answers after its fsync.
    Disk,
}

impl Durability {
    /// The value of `STREAMGAUGE_DURABILITY`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// The data set in a Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// How many shards it has, for good.
    pub shards: ShardCount,
    /// Its own random name, 16 hex digits: when it is another, everything known is of another
    /// data set.
    pub generation: String,
    /// What an acknowledgement promises here.
    pub durability: Durability,
    /// Bytes that Redis may use; 0 when it has no limit.
    pub maxmemory: u64,
    /// Bytes of memory of the machine Redis runs on; 0 when it does not say.
    pub system_memory: u64,
}

impl Dataset {
    /// Checks the server, then adopts the data set, or creates it.
    ///
    /// With `shards` unset the stored number is adopted, or [`ShardCount::DEFAULT`] in a new data
    /// set; with `durability` unset it is what the server gives.
    ///
    /// # Errors
    /// [`Error::Settings`] when the server's settings or ours must change first, and
    /// [`Error::Foreign`] when the configuration is not one: a person must act. Anything else may
    /// be tried again (see [`Error::is_permanent`]).
    pub async fn open(
        link: &Link,
        shards: Option<ShardCount>,
        durability: Option<Durability>,
    ) -> Result<Self, Error> {
        let about = About::ask(link).await?;
        about.check()?;
        let durability = promise(durability, about.sync(link).await?)?;
        let (shards, generation) = adopt(link, shards).await?;
        let About { maxmemory, system_memory, .. } = about;
        Ok(Self { shards, generation, durability, maxmemory, system_memory })
    }

    /// Looks whether the data set is still the one that was opened, and writes it anew when it
    /// is gone; true when its generation is another now.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub async fn renew(&mut self, link: &Link) -> Result<bool, Error> {
        let (_shards, generation) = adopt(link, Some(self.shards)).await?;
        let is_another = generation != self.generation;
        self.generation = generation;
        Ok(is_another)
    }

    /// Asks whether Redis takes writes, then looks as [`Dataset::renew`] does.
    ///
    /// # Errors
    /// [`Error::Redis`] when Redis is away, full, read-only or loading; [`Error::Settings`] when
    /// the other data set has another number of shards.
    pub async fn check(&mut self, link: &Link) -> Result<bool, Error> {
        // Changes nothing, and is refused like any write: a full server says so here.
        let mut write = redis::cmd("HSETNX");
        write.arg(CONFIGURATION).arg("shards").arg(self.shards.get());
        link.run::<()>(&write).await?;
        self.renew(link).await
    }
}

/// What INFO says of a server.
#[derive(Debug, PartialEq, Eq)]
struct About {
    version: String,
    policy: String,
    appends: bool,
    maxmemory: u64,
    system_memory: u64,
}

/// How the server syncs what it appends.
#[derive(Debug, PartialEq, Eq)]
enum Sync {
    /// `appendonly no`.
    Never,
    /// `appendonly yes` and this `appendfsync`.
    Policy(String),
    /// The server does not let us see.
    Unknown,
}

impl About {
    async fn ask(link: &Link) -> Result<Self, Error> {
        let text: String = link.run(&redis::cmd("INFO")).await?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.unwrap_or_default().trim()
        };
        let bytes = |name| field(name).parse().unwrap_or(0);
        Self {
            version: field("redis_version").to_owned(),
            policy: field("maxmemory_policy").to_owned(),
            appends: field("aof_enabled") == "1",
            maxmemory: bytes("maxmemory"),
            system_memory: bytes("total_system_memory"),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version < VERSION_MIN {
            let (major, minor) = VERSION_MIN;
            return Err(Error::Settings(format!(
                "this Redis is version {:?}; {major}.{minor} or newer is needed (Valkey: 7.2)",
                self.version,
            )));
        }
        if self.policy != "noeviction" {
            return Err(Error::Settings(format!(
                "maxmemory-policy of this Redis is {:?}, which drops readings when memory is \
                 full; set maxmemory-policy noeviction",
                self.policy,
            )));
        }
        Ok(())
    }

    async fn sync(&self, link: &Link) -> Result<Sync, Error> {
        if !self.appends {
            return Ok(Sync::Never);
        }
        let mut ask = redis::cmd("CONFIG");
        ask.arg("GET").arg("appendfsync");
        match link.run::<Vec<String>>(&ask).await {
            Ok(answer) => Ok(answer.into_iter().nth(1).map_or(Sync::Unknown, Sync::Policy)),
            Err(error) if error.is_refusal() => {
                tracing::warn!(%error, "redis does not show its appendfsync setting");
                Ok(Sync::Unknown)
            }
            Err(error) => Err(error),
        }
    }
}

/// What an acknowledgement can promise, given what is wanted and what the server does.
fn promise(wanted: Option<Durability>, sync: Sync) -> Result<Durability, Error> {
    let given = match &sync {
        Sync::Policy(policy) if policy == "always" => Durability::Disk,
        Sync::Policy(_) | Sync::Never | Sync::Unknown => Durability::Memory,
    };
    match (wanted, given) {
        (Some(Durability::Disk), Durability::Memory) => {
            let has = match sync {
                Sync::Never => "appendonly no".to_owned(),
                Sync::Policy(policy) => format!("appendfsync {policy}"),
                Sync::Unknown => "refused to show its appendfsync setting".to_owned(),
            };
            Err(Error::Settings(format!(
                "STREAMGAUGE_DURABILITY is disk, but this Redis has {has}; set appendonly yes and \
                 appendfsync always there, or STREAMGAUGE_DURABILITY=memory here"
            )))
        }
        (Some(wanted), Durability::Memory | Durability::Disk) => Ok(wanted),
        (None, given) => Ok(given),
    }
}

/// The stored number of shards and generation; stored first when they are missing.
async fn adopt(link: &Link, wanted: Option<ShardCount>) -> Result<(ShardCount, String), Error> {
    let mut ask = redis::cmd("HMGET");
    ask.arg(CONFIGURATION).arg("shards").arg("generation").arg("format");
    let mut stored: (Option<String>, Option<String>, Option<String>) = link.run(&ask).await?;
    // Asked first: a server that is full refuses HSETNX, even where it would change nothing.
    if stored.0.is_none() || stored.1.is_none() {
        let offered = wanted.unwrap_or(ShardCount::DEFAULT).get();
        let mut offer = redis::pipe();
        offer.atomic();
        offer.cmd("HSETNX").arg(CONFIGURATION).arg("shards").arg(offered).ignore();
        offer.cmd("HSETNX").arg(CONFIGURATION).arg("generation").arg(random_hex()).ignore();
        offer.cmd("HSETNX").arg(CONFIGURATION).arg("format").arg(FORMAT).ignore();
        offer.add_command(ask);
        (stored,) = link.run_all(&offer).await?;
    }
    let foreign = |what: &str| Error::Foreign { key: CONFIGURATION.to_owned(), what: what.into() };
    let text = stored.0.unwrap_or_default();
    let shards = text.parse().ok().and_then(ShardCount::new);
    let shards = shards.ok_or_else(|| foreign(&format!("a number of shards of {text:?}")))?;
    let generation = stored.1.ok_or_else(|| foreign("no generation"))?;
    let mut format = stored.2.unwrap_or_else(|| "1".to_owned());
    if format == FORMAT_BEFORE {
        let mut raise = RAISE.key(CONFIGURATION);
        raise.arg(FORMAT_BEFORE).arg(FORMAT);
        format = link.invoke(&raise).await?;
        tracing::info!(
            "the data set was of format {FORMAT_BEFORE} and is of format {FORMAT} from here on; \
             older programs will refuse it"
        );
    }
    if format != FORMAT {
        return Err(Error::Settings(format!(
            "the data set in this Redis is of format {format}, this program knows {FORMAT}; run \
             the program that wrote it, or begin with another Redis or an empty \
             STREAMGAUGE_DATA_DIR"
        )));
    }
    match wanted {
        Some(wanted) if wanted != shards => Err(Error::Settings(format!(
            "STREAMGAUGE_SHARDS is {}, but the data set in this Redis has {} shards, for good; \
             unset it, or use another Redis",
            wanted.get(),
            shards.get(),
        ))),
        Some(_) | None => Ok((shards, generation)),
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
