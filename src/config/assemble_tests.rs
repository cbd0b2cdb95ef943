use std::collections::BTreeMap;

use super::*;
use crate::config::settings::{Auth, Durability, LogFormat, RedisMemory};
use crate::history::Retentions;
use crate::payload::NaiveTime;

fn files(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("/secret") => Ok("from the file\n".to_owned()),
        Some("/empty") => Ok("\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Vec<SettingError>> {
    Settings::from(&BTreeMap::new(), None, &environment(pairs), &files)
}

fn good(pairs: &[(&str, &str)]) -> Settings {
    settings(pairs).unwrap_or_else(|errors| panic!("{pairs:?}: {errors:?}"))
}

/// One variable with a value that cannot be.
const WRONG: &[(&str, &str)] = &[
    ("MQTT_BROKER_HOST", "mqtts://broker"),
    ("MQTT_BROKER_HOST", "http://broker"),
    ("MQTT_BROKER_HOST", "mqtt://user:hunter2@broker"),
    ("MQTT_BROKER_HOST", "broker:0"),
    ("MQTT_BROKER_HOST", "broker:x"),
    ("MQTT_BROKER_HOST", "broker:1883,mqtts://other"),
    ("MQTT_BROKER_HOST", "mqtt://broker/path"),
    ("MQTT_BROKER_HOST", "two words"),
    ("MQTT_BROKER_HOST", "[1.2.3.4]:1883"),
    ("MQTT_BROKER_PORT", "0"),
    ("MQTT_BROKER_PORT", "65536"),
    ("MQTT_BROKER_PORT", "mqtt"),
    ("MQTT_TOPICS", "sensors/#/x"),
    ("MQTT_TOPICS", "sensors/a+/x"),
    ("MQTT_TOPICS", ","),
    ("MQTT_TOPICS", "$share/group/sensors/+/+"),
    ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "rediss://localhost"),
    ("REDIS_URL", "redis+cluster://a,b"),
    ("REDIS_URL", "redis://a,b"),
    ("REDIS_URL", "redis://:hunter2@"),
    ("REDIS_URL", "redis://host:99999"),
    ("REDIS_URL", "redis://host/name"),
    ("REDIS_URL", "unix://relative"),
    ("REDIS_URL", "http://host"),
    ("PORT", "0"),
    ("PORT", "-1"),
    ("PORT", "70000"),
    ("PORT", "http"),
    ("STREAMGAUGE_BIND", "0.0.0.0:5000"),
    ("STREAMGAUGE_BIND", "example.org"),
    ("STREAMGAUGE_PUBLIC_URL", "example.org"),
    ("STREAMGAUGE_PUBLIC_URL", "ftp://example.org"),
    ("STREAMGAUGE_PUBLIC_URL", "https://example.org/?q"),
    ("STREAMGAUGE_PUBLIC_URL", "https://user:hunter2@example.org"),
    ("STREAMGAUGE_PUBLIC_URL", "https://"),
    ("STREAMGAUGE_CORS_ORIGINS", "*"),
    ("STREAMGAUGE_MQTT_LISTEN", "example.org:1883"),
    ("STREAMGAUGE_MQTT_LISTEN", "0.0.0.0"),
    ("STREAMGAUGE_MQTT_LISTEN", "127.0.0.1:0"),
    ("STREAMGAUGE_MQTT_LISTEN", "::1:1883"),
    ("STREAMGAUGE_MQTT_LISTEN", "on"),
    ("STREAMGAUGE_MQTT_ANONYMOUS", "maybe"),
    ("STREAMGAUGE_REDIS_MEMORY", "0"),
    ("STREAMGAUGE_REDIS_MEMORY", "101%"),
    ("STREAMGAUGE_REDIS_MEMORY", "0%"),
    ("STREAMGAUGE_REDIS_MEMORY", "lots"),
    ("STREAMGAUGE_ROLES", "ingest,cook"),
    ("STREAMGAUGE_ROLES", ","),
    ("STREAMGAUGE_ROLES", "serve"),
    ("STREAMGAUGE_SHARDS", "0"),
    ("STREAMGAUGE_SHARDS", "1025"),
    ("STREAMGAUGE_SHARDS", "8.5"),
    ("STREAMGAUGE_DURABILITY", "replica:1"),
    ("STREAMGAUGE_DURABILITY", "tape"),
    ("STREAMGAUGE_MQTT_CONNECTIONS", "0"),
    ("STREAMGAUGE_MQTT_CONNECTIONS", "4"),
    ("STREAMGAUGE_MQTT_SHARE", "a/b"),
    ("STREAMGAUGE_NAIVE_TIME", "Mars/Olympus"),
    ("STREAMGAUGE_READINGS_RETENTION", "24"),
    ("STREAMGAUGE_READINGS_RETENTION", "0s"),
    ("STREAMGAUGE_READINGS_RETENTION", "-1h"),
    ("STREAMGAUGE_ROLLUP_RETENTION", "7d"),
    ("STREAMGAUGE_ROLLUP_RETENTION", "1m=7d,1d=400d"),
    ("STREAMGAUGE_ROLLUP_RETENTION", "1m=0s"),
    ("STREAMGAUGE_ROLLUP_RETENTION", "1m=7d,1h=soon"),
    ("STREAMGAUGE_ROLLUP_RETENTION", "1h=1d,1h=2d"),
    ("STREAMGAUGE_ROLLUP_RETENTION", ","),
    ("STREAMGAUGE_HISTORY_BYTES", "0"),
    ("STREAMGAUGE_HISTORY_BYTES", "50%"),
    ("STREAMGAUGE_HISTORY_BYTES", "1023KiB"),
    ("STREAMGAUGE_HISTORY_BYTES", "all"),
    ("STREAMGAUGE_STREAM_RETENTION", "soon"),
    ("STREAMGAUGE_MAX_SENSORS", "0"),
    ("STREAMGAUGE_MAX_SENSORS", "many"),
    ("STREAMGAUGE_MAX_PAYLOAD_BYTES", "0"),
    ("STREAMGAUGE_MAX_PAYLOAD_BYTES", "1GiB"),
    ("STREAMGAUGE_AUTH", "basic"),
    ("STREAMGAUGE_API_TOKEN", "hunter2 with spaces"),
    ("STREAMGAUGE_LOG", "streamgauge=loud"),
    ("STREAMGAUGE_LOG_FORMAT", "xml"),
    ("STREAMGAUGE_SHARD", "8"),
    ("STREAMGAUGE_PORT", "5000"),
    ("STREAMGAUGE_SHARDS_FILE", "/secret"),
    ("MQTT_PASSWORD", "hunter2"),
    ("SECRET_KEY_FILE", "/nowhere"),
    ("STREAMGAUGE_API_TOKEN_FILE", "/empty"),
];

#[test]
fn every_wrong_value_is_named_with_what_is_allowed() {
    for &(name, value) in WRONG {
        let errors = settings(&[(name, value)]).expect_err(&format!("{name}={value}"));
        assert_eq!(errors.len(), 1, "{name}={value}: {errors:?}");
        assert_eq!(errors[0].name, name);
        let said = errors[0].to_string();
        assert!(said.contains("allowed: "), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        if let (Some(shown), false) = (&errors[0].value, value.contains("hunter2")) {
            assert_eq!(shown, value);
        }
    }
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_table() {
    let mut worst: BTreeMap<&str, &str> = BTreeMap::new();
    for &(name, value) in WRONG {
        worst.entry(name).or_insert(value);
    }
    worst.remove("SECRET_KEY_FILE");
    let pairs: Vec<_> = worst.iter().map(|(&name, &value)| (name, value)).collect();
    let errors = settings(&pairs).unwrap_err();
    let mut named: Vec<_> = errors.iter().map(|error| error.name.as_str()).collect();
    assert_eq!(named.first(), Some(&"MQTT_BROKER_HOST"));
    named.sort_unstable();
    // The token is set and also read from a file, which is one mistake more.
    named.dedup();
    assert_eq!(named, worst.keys().copied().collect::<Vec<_>>());
}

#[test]
fn nothing_given_is_the_default_of_every_setting() {
    let settings = good(&[]);
    assert_eq!(settings.brokers, []);
    assert_eq!(settings.mqtt_credentials, None);
    assert_eq!(settings.topics.to_string(), "sensors/+/+");
    assert_eq!(settings.redis, None);
    assert_eq!((settings.port, settings.bind.to_string()), (5000, "127.0.0.1".to_owned()));
    assert_eq!(settings.public_url, None);
    assert_eq!(settings.mqtt_listen, MqttListen::Unset);
    assert!(!settings.mqtt_anonymous);
    assert_eq!(settings.data_dir, Path::new("./data"));
    assert_eq!(settings.redis_memory, RedisMemory::Percent(45));
    assert_eq!(settings.roles, Roles::ALL);
    assert_eq!((settings.shards, settings.durability), (None, None));
    assert_eq!((settings.mqtt_connections, settings.mqtt_share), (1, None));
    assert_eq!(settings.naive_time, NaiveTime::parse("utc").unwrap());
    assert_eq!(settings.readings_retention, Duration::from_hours(24));
    assert_eq!(settings.rollup_retention, RollupRetention::default());
    assert_eq!((settings.history_bytes, settings.stream_retention), (None, Duration::from_secs(2)));
    assert_eq!((settings.max_sensors, settings.max_payload_bytes), (1_000_000, 65_536));
    assert_eq!((settings.auth, settings.api_token), (Auth::Token, None));
    assert_eq!((settings.log.as_str(), settings.log_format), ("info", LogFormat::Text));
    assert_eq!((settings.simulate, settings.warnings.len()), (None, 0));
}

#[test]
fn an_empty_value_is_an_unset_one() {
    let empty: Vec<_> = VARIABLES.iter().map(|variable| (variable.name, " ")).collect();
    let empty: Vec<_> = empty.into_iter().chain([("SECRET_KEY_FILE", "")]).collect();
    assert_eq!(good(&empty).effective, good(&[]).effective);
}

#[test]
fn brokers_are_names_addresses_or_urls() {
    let pairs = [
        ("MQTT_BROKER_HOST", "one, two:1884 ,mqtt://three:1885/,[::1]:1886,fe80::1"),
        ("MQTT_BROKER_PORT", "1999"),
    ];
    let brokers: Vec<_> =
        good(&pairs).brokers.into_iter().map(|broker| (broker.host, broker.port)).collect();
    let expected =
        [("one", 1999), ("two", 1884), ("three", 1885), ("::1", 1886), ("fe80::1", 1999)];
    assert_eq!(brokers, expected.map(|(host, port)| (host.to_owned(), port)));
}

#[test]
fn the_listener_is_an_address_a_port_or_off() {
    for (text, expected) in [
        ("off", None),
        ("1883", Some("127.0.0.1:1883")),
        (":1883", Some("0.0.0.0:1883")),
        ("localhost:1884", Some("127.0.0.1:1884")),
        ("[::]:1883", Some("[::]:1883")),
    ] {
        let listen = good(&[("STREAMGAUGE_MQTT_LISTEN", text)]).mqtt_listen;
        let expected = expected
            .map_or(MqttListen::Off, |address| MqttListen::Address(address.parse().unwrap()));
        assert_eq!(listen, expected, "{text}");
    }
}

#[test]
fn other_values_are_read_as_written() {
    let settings = good(&[
        ("REDIS_URL", "redis://:p%2Fw@host:6380/3"),
        ("STREAMGAUGE_PUBLIC_URL", "https://Example.org/gauge/"),
        ("STREAMGAUGE_ROLES", "ingest, serve"),
        ("STREAMGAUGE_SHARDS", "64"),
        ("STREAMGAUGE_DURABILITY", "memory"),
        ("STREAMGAUGE_MQTT_CONNECTIONS", "4"),
        ("STREAMGAUGE_MQTT_SHARE", "gauges"),
        ("STREAMGAUGE_READINGS_RETENTION", "7d"),
        ("STREAMGAUGE_MAX_PAYLOAD_BYTES", "64KiB"),
        ("STREAMGAUGE_REDIS_MEMORY", "2GiB"),
        ("STREAMGAUGE_HISTORY_BYTES", "1.5GiB"),
        ("STREAMGAUGE_AUTH", "none"),
        ("MQTT_USERNAME", "me"),
        ("MQTT_PASSWORD", " spaced "),
    ]);
    let redis = settings.redis.unwrap();
    assert_eq!(redis.url(), "redis://:p%2Fw@host:6380/3");
    assert_eq!(redis.to_string(), "redis://:***@host:6380/3");
    assert_eq!(settings.public_url.unwrap().to_string(), "https://example.org/gauge");
    assert_eq!(settings.roles, Roles { ingest: true, aggregate: false, serve: true });
    assert_eq!(settings.shards.unwrap().get(), 64);
    assert_eq!(settings.durability, Some(Durability::Memory));
    assert_eq!((settings.mqtt_connections, settings.mqtt_share.as_deref()), (4, Some("gauges")));
    assert_eq!(settings.readings_retention, Duration::from_hours(168));
    assert_eq!(settings.max_payload_bytes, 65_536);
    assert_eq!(settings.redis_memory, RedisMemory::Bytes(2 << 30));
    assert_eq!(settings.history_bytes, Some(3 << 29));
    assert_eq!(settings.auth, Auth::None);
    assert_eq!(settings.mqtt_credentials.unwrap().password, " spaced ");
}

#[test]
fn the_retention_of_windows_may_name_one_kind_and_keeps_the_other() {
    let kept = |text| {
        let Retentions { minutes, hours, .. } =
            good(&[("STREAMGAUGE_ROLLUP_RETENTION", text)]).retentions();
        [minutes, hours].map(|retention| retention.as_secs() / 3600)
    };
    assert_eq!(kept("1m=7d,1h=400d"), [168, 9600]);
    assert_eq!(kept(" 1h = 30d , 1m=1h"), [1, 720]);
    assert_eq!(kept("1m=2d"), [48, 9600]);
    assert_eq!(kept("1h=1d"), [168, 24]);
}

#[test]
fn a_flag_wins_over_the_environment_and_a_secret_may_be_a_file() {
    let flags = BTreeMap::from([("PORT", "6000".to_owned())]);
    let pairs = [("PORT", "7000"), ("SECRET_KEY_FILE", "/secret"), ("STREAMGAUGE_AUTH", "none")];
    let settings = Settings::from(&flags, Some(12), &environment(&pairs), &files).unwrap();
    assert_eq!((settings.port, settings.simulate), (6000, Some(12)));
    assert_eq!(settings.secret_key.unwrap().reveal(), "from the file");
    let origin = |name| settings.effective.iter().find(|e| e.name == name).unwrap().origin;
    assert_eq!(origin("PORT"), Origin::Flag);
    assert_eq!(origin("SECRET_KEY"), Origin::File);
    assert_eq!(origin("STREAMGAUGE_AUTH"), Origin::Environment);
    assert_eq!(origin("STREAMGAUGE_BIND"), Origin::Default);
}

#[test]
fn a_secret_given_twice_is_an_error() {
    let errors = settings(&[("SECRET_KEY", "a"), ("SECRET_KEY_FILE", "/secret")]).unwrap_err();
    assert_eq!(errors[0].name, "SECRET_KEY_FILE");
}

#[test]
fn secrets_are_masked_in_the_effective_settings() {
    let settings = good(&[
        ("SECRET_KEY", "hunter2"),
        ("STREAMGAUGE_API_TOKEN", "hunter2"),
        ("MQTT_USERNAME", "me"),
        ("MQTT_PASSWORD", "hunter2"),
        ("REDIS_URL", "redis://:hunter2@host"),
    ]);
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert_eq!(settings.warnings.len(), 2, "short secrets: {:?}", settings.warnings);
}

#[test]
fn container_links_are_ignored_and_former_names_noticed() {
    let settings = good(&[
        ("STREAMGAUGE_SERVICE_HOST", "10.0.0.1"),
        ("STREAMGAUGE_PORT", "tcp://10.0.0.1:5000"),
        ("STREAMGAUGE_PORT_5000_TCP_PROTO", "tcp"),
        ("MQTT_BROKER_PORT", "tcp://10.0.0.2:1883"),
        ("CELERY_BROKER_URL", "redis://old"),
        ("FLASK_ENV", "production"),
    ]);
    assert_eq!(settings.effective, good(&[]).effective);
    assert_eq!(settings.warnings.len(), 2);
}

#[test]
fn a_listener_beyond_loopback_needs_a_password_from_somewhere() {
    let outside = [
        ("REDIS_URL", "redis://host"),
        ("SECRET_KEY", "0123456789abcdef"),
        ("STREAMGAUGE_API_TOKEN", "0123456789abcdef"),
        ("STREAMGAUGE_MQTT_LISTEN", "0.0.0.0:1883"),
    ];
    let errors = settings(&outside).unwrap_err();
    assert_eq!((errors.len(), errors[0].name.as_str()), (1, "STREAMGAUGE_MQTT_LISTEN"));
    good(&outside[1..]);
    let with = |more: &[(&'static str, &'static str)]| [&outside[..], more].concat();
    good(&with(&[("STREAMGAUGE_MQTT_ANONYMOUS", "true")]));
    good(&with(&[("MQTT_USERNAME", "a"), ("MQTT_PASSWORD", "b")]));
    settings(&with(&[("MQTT_USERNAME", "a")])).unwrap_err();
}

#[test]
fn roles_apart_need_a_redis_that_all_can_reach() {
    let apart = [("STREAMGAUGE_ROLES", "serve"), ("REDIS_URL", "redis://host")];
    assert!(!good(&apart).roles.ingest);
    let flags = BTreeMap::new();
    let errors = Settings::from(&flags, Some(1), &environment(&apart), &files).unwrap_err();
    assert!(errors[0].why.contains("--simulate"));
}
