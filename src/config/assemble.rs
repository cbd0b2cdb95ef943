//! Given values → settings, with everything that is wrong collected on the way.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{SettingError, shown};
use super::settings::{Effective, MqttListen, Roles, RollupRetention, Secret, Settings};
use super::sources::{Environment, Flags, Given, Origin, Sources};
use super::table::{self, VARIABLES};
use super::value::{self, Impossible, Parsed};
use crate::ingest::Credentials;

/// Readings older than a century are nobody's measurement: a guess.
const RETENTION_MAX: Duration = Duration::from_hours(100 * 365 * 24);
/// Committed entries are only kept for those who read a moment later: a guess.
const STREAM_RETENTION_MAX: Duration = Duration::from_hours(7 * 24);
/// Below a mebibyte not even the spans of few series find room: a guess.
const HISTORY_BYTES_MIN: u64 = 1 << 20;
/// A guess at the largest machine: a pebibyte.
const HISTORY_BYTES_MAX: u64 = 1 << 50;
/// What an MQTT 3.1.1 packet can carry (§2.2.3).
const PAYLOAD_BYTES_MAX: u64 = 268_435_455;
/// Each series takes a few hundred bytes of Redis; a guess at the largest machine.
const SENSORS_MAX: u64 = 1_000_000_000;
/// A guess: far more connections than one broker needs to be drained.
const CONNECTIONS_MAX: u64 = 256;
/// Below this a secret is worth a warning; 16 characters of base64 are 96 bits.
const SECRET_BYTES_MIN: usize = 16;
/// A guess at what one process can pretend to be.
const SIMULATED_MAX: u32 = 100_000;

impl Settings {
    /// Decides every setting. Asks nobody but `read`, which reads the files that `<NAME>_FILE`
    /// variables name.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the table; the caller prints it and exits.
    pub fn from(
        flags: &Flags,
        simulate: Option<u32>,
        environment: &Environment,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Vec<SettingError>> {
        let sources = Sources::collect(flags, environment, read);
        let mut reader = Reader { sources };
        let settings = reader.settings(simulate);
        let mut errors = reader.sources.errors;
        errors.extend(contradictions(&settings));
        // The order of the table, names that are not in it last.
        let place = |error: &SettingError| {
            VARIABLES
                .iter()
                .position(|variable| variable.name == error.name)
                .unwrap_or(VARIABLES.len())
        };
        errors.sort_by_key(place);
        errors.dedup();
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }
}

struct Reader {
    sources: Sources,
}

impl Reader {
    /// What was given, as a value; `None` when nothing was, or when it is impossible.
    fn optional<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let Given { text, origin } = self.sources.get(name)?.clone();
        match parse(&text) {
            Ok(value) => Some(value),
            Err(Impossible { why, allowed }) => {
                let why = match origin {
                    Origin::Flag => format!("(from the command line) {why}"),
                    Origin::File => format!("(from {name}_FILE) {why}"),
                    Origin::Environment | Origin::Default => why,
                };
                self.sources.errors.push(SettingError::new(name, Some(text), why, allowed));
                None
            }
        }
    }

    /// The same, with the default of the table.
    fn or_default<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> T {
        match self.optional(name, &parse) {
            Some(value) => value,
            None => default(name, parse),
        }
    }

    fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.optional(name, |text| Ok(Secret::new(text)))
    }

    fn settings(&mut self, simulate: Option<u32>) -> Settings {
        let port = self.or_default("MQTT_BROKER_PORT", value::port);
        let brokers = self.optional("MQTT_BROKER_HOST", |text| {
            value::list(text).map(|broker| value::broker(broker, port)).collect()
        });
        let hours = |low, high| move |text: &str| value::duration(text, low, high);
        self.optional("STREAMGAUGE_CORS_ORIGINS", value::unbuilt_setting::<()>);
        Settings {
            brokers: brokers.unwrap_or_default(),
            mqtt_credentials: self.credentials(),
            topics: self.or_default("MQTT_TOPICS", value::topics),
            redis: self.optional("REDIS_URL", value::redis_target),
            secret_key: self.secret("SECRET_KEY"),
            port: self.or_default("PORT", value::port),
            bind: self.or_default("STREAMGAUGE_BIND", value::bind),
            public_url: self.optional("STREAMGAUGE_PUBLIC_URL", value::public_url),
            mqtt_listen: self
                .optional("STREAMGAUGE_MQTT_LISTEN", value::mqtt_listen)
                .unwrap_or(MqttListen::Unset),
            mqtt_anonymous: self.or_default("STREAMGAUGE_MQTT_ANONYMOUS", value::boolean),
            data_dir: self.or_default("STREAMGAUGE_DATA_DIR", |text| Ok(PathBuf::from(text))),
            redis_memory: self.or_default("STREAMGAUGE_REDIS_MEMORY", value::redis_memory),
            roles: self.or_default("STREAMGAUGE_ROLES", value::roles),
            shards: self.optional("STREAMGAUGE_SHARDS", value::shards),
            durability: self.optional("STREAMGAUGE_DURABILITY", value::durability),
            mqtt_connections: self.or_default("STREAMGAUGE_MQTT_CONNECTIONS", |text| {
                value::number(text, 1, CONNECTIONS_MAX).map(|n| u16::try_from(n).unwrap_or(1))
            }),
            mqtt_share: self.optional("STREAMGAUGE_MQTT_SHARE", value::share),
            naive_time: self.or_default("STREAMGAUGE_NAIVE_TIME", value::naive_time),
            readings_retention: self.or_default(
                "STREAMGAUGE_READINGS_RETENTION",
                hours(Duration::from_secs(1), RETENTION_MAX),
            ),
            rollup_retention: self.or_default("STREAMGAUGE_ROLLUP_RETENTION", |text| {
                value::rollup_retention(text, RollupRetention::default(), RETENTION_MAX)
            }),
            history_bytes: self.optional("STREAMGAUGE_HISTORY_BYTES", |text| {
                value::bytes(text, HISTORY_BYTES_MIN, HISTORY_BYTES_MAX)
            }),
            stream_retention: self.or_default(
                "STREAMGAUGE_STREAM_RETENTION",
                hours(Duration::ZERO, STREAM_RETENTION_MAX),
            ),
            max_sensors: self
                .or_default("STREAMGAUGE_MAX_SENSORS", |text| value::number(text, 1, SENSORS_MAX)),
            max_payload_bytes: self.or_default("STREAMGAUGE_MAX_PAYLOAD_BYTES", |text| {
                let bytes = value::bytes(text, 1, PAYLOAD_BYTES_MAX)?;
                Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
            }),
            auth: self.or_default("STREAMGAUGE_AUTH", value::auth),
            api_token: self
                .optional("STREAMGAUGE_API_TOKEN", |text| value::api_token(text).map(Secret::new)),
            log: self.or_default("STREAMGAUGE_LOG", value::log_filter),
            log_format: self.or_default("STREAMGAUGE_LOG_FORMAT", value::log_format),
            simulate: self.simulate(simulate),
            warnings: self.warnings(),
            effective: self.effective(),
        }
    }

    fn credentials(&mut self) -> Option<Credentials> {
        let username = self.optional("MQTT_USERNAME", |text| Ok(text.to_owned()));
        let password = self.secret("MQTT_PASSWORD");
        match (username, password) {
            (None, None) => None,
            (None, Some(_)) => {
                let why = "is set without MQTT_USERNAME";
                let error = SettingError::new("MQTT_PASSWORD", None, why, "both or neither");
                self.sources.errors.push(error);
                None
            }
            (Some(username), password) => {
                let password = password.map_or_else(String::new, |word| word.reveal().to_owned());
                Some(Credentials { username, password })
            }
        }
    }

    fn simulate(&mut self, simulate: Option<u32>) -> Option<u32> {
        let count = simulate?;
        if !(1..=SIMULATED_MAX).contains(&count) {
            self.sources.errors.push(SettingError::new(
                "--simulate",
                Some(count.to_string()),
                "is out of range",
                format!("1 to {SIMULATED_MAX} sensors"),
            ));
        }
        Some(count)
    }

    /// Values that have no effect, and secrets that are easily guessed.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.sources.warnings.clone();
        let given = |name| self.sources.get(name).is_some();
        let mut useless = |name: &str, why: &str| {
            warnings.push(format!("{name} has no effect: {why}"));
        };
        if given("MQTT_BROKER_PORT") && !given("MQTT_BROKER_HOST") {
            useless("MQTT_BROKER_PORT", "MQTT_BROKER_HOST is unset");
        }
        if given("STREAMGAUGE_REDIS_MEMORY") && given("REDIS_URL") {
            useless("STREAMGAUGE_REDIS_MEMORY", "REDIS_URL names a Redis that others run");
        }
        for name in ["SECRET_KEY", "STREAMGAUGE_API_TOKEN"] {
            if self.sources.get(name).is_some_and(|given| given.text.len() < SECRET_BYTES_MIN) {
                warnings.push(format!("{name} is short and may be guessed"));
            }
        }
        warnings
    }

    fn effective(&self) -> Vec<Effective> {
        let effective = VARIABLES.iter().map(|variable| match self.sources.get(variable.name) {
            Some(Given { text, origin }) => Effective {
                name: variable.name,
                value: shown(variable.kind, text),
                origin: *origin,
            },
            None => Effective {
                name: variable.name,
                value: variable.default.to_owned(),
                origin: Origin::Default,
            },
        });
        effective.collect()
    }
}

/// What the table says holds when a variable is unset.
///
/// # Panics
/// When the table's text is not a possible value; a test reads every default.
fn default<T>(name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> T {
    let parsed = table::find(name).map(|variable| parse(variable.default));
    match parsed {
        Some(Ok(value)) => value,
        _ => unreachable!("the default of {name} is not a value of it"),
    }
}

/// What is possible alone and impossible together.
fn contradictions(settings: &Settings) -> Vec<SettingError> {
    let mut errors = Vec::new();
    let mut wrong = |name, why: &str, allowed: &str| {
        let shown = settings.effective.iter().find(|effective| effective.name == name);
        let value = shown.filter(|effective| effective.origin != Origin::Default);
        errors.push(SettingError::new(name, value.map(|e| e.value.clone()), why, allowed));
    };
    if settings.roles != Roles::ALL && settings.redis.is_none() {
        let why = "leaves roles to other processes, which cannot reach a supervised Redis";
        wrong("STREAMGAUGE_ROLES", why, "all three roles, or REDIS_URL beside it");
    }
    if settings.simulate.is_some() && !settings.roles.ingest {
        let why = "leaves nobody who takes the readings of --simulate";
        wrong("STREAMGAUGE_ROLES", why, "ingest among the roles");
    }
    // What the simulated sensors publish under.
    if settings.simulate.is_some() && !settings.topics.accepts("sensors/kitchen/temperature") {
        let why = "takes none of the readings of --simulate";
        wrong("MQTT_TOPICS", why, "sensors/+/+ among the filters");
    }
    if settings.mqtt_connections > 1 && settings.mqtt_share.is_none() {
        let why = "without STREAMGAUGE_MQTT_SHARE would get every message several times";
        wrong("STREAMGAUGE_MQTT_CONNECTIONS", why, "1, or STREAMGAUGE_MQTT_SHARE beside it");
    }
    if let MqttListen::Address(address) = settings.mqtt_listen
        && !address.ip().is_loopback()
        && !settings.mqtt_anonymous
    {
        let nameless = settings.mqtt_credentials.is_none() && !settings.uses_data_dir();
        if nameless {
            let why = "is open beyond this machine, devices need no password, and the data \
                directory, where a generated one would be kept, is not used";
            let allowed = "MQTT_USERNAME and MQTT_PASSWORD, or STREAMGAUGE_MQTT_ANONYMOUS=true";
            wrong("STREAMGAUGE_MQTT_LISTEN", why, allowed);
        }
        let wordless = |login: &Credentials| login.password.is_empty();
        if settings.mqtt_credentials.as_ref().is_some_and(wordless) {
            let why = "is open beyond this machine and MQTT_USERNAME comes without a password";
            let allowed = "MQTT_PASSWORD beside it, or STREAMGAUGE_MQTT_ANONYMOUS=true";
            wrong("STREAMGAUGE_MQTT_LISTEN", why, allowed);
        }
    }
    errors
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
