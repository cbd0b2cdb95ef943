//! The one list of settings: names, defaults, and what is said about them.
//!
//! Checklist for a new setting: a row here, a field in [`super::Settings`] with its reading in
//! `settings.rs`, a row in the table of the README (a test compares them), a line in
//! `.env.example` (a test compares that too).

/// One environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// What holds when it is unset, as a person reads it.
    pub default: &'static str,
    /// What it is, in the words of `--help`.
    pub meaning: &'static str,
    /// How it may be given.
    pub kind: Kind,
}

/// How a variable may be given, and whether its value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Environment or flag.
    Plain,
    /// Environment or flag; a password in it is masked.
    Address,
    /// Environment, flag, or the file that `<NAME>_FILE` names; a password in it is masked.
    Private,
    /// Environment or the file that `<NAME>_FILE` names, never a flag; always masked.
    Secret,
}

impl Variable {
    /// The flag: the name in kebab case without `STREAMGAUGE_`. Secrets have none.
    #[must_use]
    pub fn flag(&self) -> Option<String> {
        let bare = self.name.strip_prefix("STREAMGAUGE_").unwrap_or(self.name);
        (self.kind != Kind::Secret).then(|| bare.to_lowercase().replace('_', "-"))
    }

    /// Whether `<NAME>_FILE` is a name too.
    #[must_use]
    pub fn has_file(&self) -> bool {
        matches!(self.kind, Kind::Private | Kind::Secret)
    }
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, kind: Kind::Plain }
}

const fn address(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, kind: Kind::Address }
}

const fn private(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, kind: Kind::Private }
}

const fn secret(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning, kind: Kind::Secret }
}

/// Every setting, in the order of the README.
pub const VARIABLES: &[Variable] = &[
    address(
        "MQTT_BROKER_HOST",
        "unset",
        "Broker to subscribe to: host, host:port or mqtt:// URL, or a comma list of them",
    ),
    plain("MQTT_BROKER_PORT", "1883", "Port of brokers that are given without one"),
    private("MQTT_USERNAME", "unset", "For the broker; required from devices when set"),
    secret("MQTT_PASSWORD", "unset", "Goes with MQTT_USERNAME"),
    plain("MQTT_TOPICS", "sensors/+/+", "Comma list of topic filters; the listener accepts these"),
    private("REDIS_URL", "unset: supervised child", "redis:// or unix:// address of Redis"),
    secret("SECRET_KEY", "generated and kept", "Keys the HMAC under which sessions are stored"),
    plain("PORT", "5000", "HTTP port"),
    plain("STREAMGAUGE_BIND", "127.0.0.1", "HTTP address"),
    address(
        "STREAMGAUGE_PUBLIC_URL",
        "unset",
        "The address people use; its path is a prefix of all links",
    ),
    plain("STREAMGAUGE_CORS_ORIGINS", "unset", "Other origins that may call the API"),
    plain(
        "STREAMGAUGE_MQTT_LISTEN",
        "unset",
        "Address of the MQTT listener, or off; unset: a free port unless a broker is found",
    ),
    plain(
        "STREAMGAUGE_MQTT_ANONYMOUS",
        "false",
        "Accept devices without credentials beyond loopback",
    ),
    plain("STREAMGAUGE_DATA_DIR", "./data", "Supervised Redis and generated secrets"),
    plain(
        "STREAMGAUGE_REDIS_MEMORY",
        "45%",
        "Memory of the supervised Redis: bytes, or per cent of the machine's or the cgroup's",
    ),
    plain("STREAMGAUGE_ROLES", "ingest,aggregate,serve", "What this process does"),
    plain("STREAMGAUGE_SHARDS", "8", "Fixed when a data set is created; unset adopts its number"),
    plain(
        "STREAMGAUGE_DURABILITY",
        "disk when Redis can, else memory",
        "What a PUBACK promises: memory, disk or replica:N",
    ),
    plain("STREAMGAUGE_MQTT_CONNECTIONS", "1", "Parallel connections to each broker"),
    plain("STREAMGAUGE_MQTT_SHARE", "unset", "Group of a shared subscription ($share)"),
    plain("STREAMGAUGE_NAIVE_TIME", "utc", "Zone of timestamps without one: utc, local or IANA"),
    plain("STREAMGAUGE_READINGS_RETENTION", "24h", "How long raw readings are kept"),
    plain(
        "STREAMGAUGE_ROLLUP_RETENTION",
        "1m=7d,1h=400d",
        "How long 1-minute and 1-hour windows are kept",
    ),
    plain(
        "STREAMGAUGE_HISTORY_BYTES",
        "half of maxmemory",
        "Memory for history; the oldest goes when it is used up",
    ),
    plain("STREAMGAUGE_STREAM_RETENTION", "2s", "How long committed entries stay in the streams"),
    plain("STREAMGAUGE_MAX_SENSORS", "1000000", "Series beyond this are counted as overflow"),
    plain("STREAMGAUGE_MAX_PAYLOAD_BYTES", "65536", "Larger payloads become dead letters"),
    plain("STREAMGAUGE_AUTH", "token", "token, or none for everybody"),
    secret("STREAMGAUGE_API_TOKEN", "generated and kept", "A fixed token"),
    plain("STREAMGAUGE_LOG", "info", "Log filter, such as info,streamgauge::stream=debug"),
    plain("STREAMGAUGE_LOG_FORMAT", "text", "text or json"),
];

/// The row of a variable.
#[must_use]
pub fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_are_unique() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        let mut flags: Vec<_> = VARIABLES.iter().filter_map(Variable::flag).collect();
        names.sort_unstable();
        flags.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(flags.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(flags.contains(&"mqtt-broker-host".to_owned()));
        assert!(flags.contains(&"data-dir".to_owned()));
        assert!(!flags.contains(&"secret-key".to_owned()));
    }
}
