//! One setting's text → its value, or what is wrong with it and what is allowed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

use super::settings::{Auth, RedisTarget, Roles, RollupRetention};
use super::settings::{Broker, Durability, LogFormat, MqttListen, PublicUrl, RedisMemory};
use crate::history::Resolution;
use crate::ingest::TopicFilters;
use crate::payload::NaiveTime;
use crate::shard::ShardCount;

/// What is wrong, and what is allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Impossible {
    pub why: String,
    pub allowed: String,
}

pub(super) type Parsed<T> = Result<T, Impossible>;

pub(super) fn impossible<T>(why: impl Into<String>, allowed: impl Into<String>) -> Parsed<T> {
    Err(Impossible { why: why.into(), allowed: allowed.into() })
}

fn unbuilt<T>(what: &str, allowed: &str) -> Parsed<T> {
    impossible(format!("asks for {what}, which this version does not have"), allowed)
}

const PORT: &str = "a port from 1 to 65535";

pub(super) fn port(text: &str) -> Parsed<u16> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => impossible("is not a port", PORT),
    }
}

/// A whole number, `_` between its digits as in Rust.
pub(super) fn number(text: &str, low: u64, high: u64) -> Parsed<u64> {
    let allowed = format!("a whole number from {low} to {high}");
    match text.replace('_', "").parse::<u64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        Ok(_) => impossible("is out of range", allowed),
        Err(_) => impossible("is not a whole number", allowed),
    }
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => impossible("is neither true nor false", "true or false"),
    }
}

pub(super) fn duration(text: &str, low: Duration, high: Duration) -> Parsed<Duration> {
    let named = |duration| humantime::format_duration(duration).to_string();
    let allowed = format!("a time such as 90s, 24h or 7d, from {} to {}", named(low), named(high));
    match humantime::parse_duration(text) {
        Ok(duration) if (low..=high).contains(&duration) => Ok(duration),
        Ok(_) => impossible("is out of range", allowed),
        Err(error) => impossible(format!("is not a time ({error})"), allowed),
    }
}

pub(super) fn bytes(text: &str, low: u64, high: u64) -> Parsed<u64> {
    let allowed = format!(
        "a size such as 65536, 64KiB or 2GB, from {} to {}",
        ByteSize(low).display().iec(),
        ByteSize(high).display().iec()
    );
    match ByteSize::from_str(text) {
        Ok(size) if (low..=high).contains(&size.0) => Ok(size.0),
        Ok(_) => impossible("is out of range", allowed),
        Err(_) => impossible("is not a size", allowed),
    }
}

/// How long windows are kept, such as `1m=7d,1h=400d`; what is left out is as in `rest`.
pub(super) fn rollup_retention(
    text: &str,
    rest: RollupRetention,
    high: Duration,
) -> Parsed<RollupRetention> {
    const ALLOWED: &str = "1m=<time>,1h=<time>, or one of both, each once, such as 1m=7d,1h=400d";
    let mut given = [None, None];
    for item in list(text) {
        let Some((window, time)) = item.split_once('=') else {
            return impossible(format!("has {item:?}, which is not window=time"), ALLOWED);
        };
        let resolutions = Resolution::ALL.into_iter().zip(&mut given);
        let named = resolutions.filter(|(resolution, _)| resolution.name() == window.trim());
        let Some((_, place)) = named.into_iter().next() else {
            return impossible(format!("has windows of {window:?}, which are not kept"), ALLOWED);
        };
        let time = duration(time.trim(), Duration::from_secs(1), high)
            .or_else(|it| impossible(format!("has {item:?}, whose time {}", it.why), ALLOWED))?;
        if place.replace(time).is_some() {
            return impossible(format!("says {} twice", window.trim()), ALLOWED);
        }
    }
    match given {
        [None, None] => impossible("says nothing", ALLOWED),
        [minutes, hours] => Ok(RollupRetention {
            minutes: minutes.unwrap_or(rest.minutes),
            hours: hours.unwrap_or(rest.hours),
        }),
    }
}

pub(super) fn broker(text: &str, default_port: u16) -> Parsed<Broker> {
    const ALLOWED: &str = "host, host:port or mqtt://host:port, or a comma list of them";
    let rest = match text.split_once("://") {
        None => text,
        Some(("mqtt" | "tcp", rest)) => rest.strip_suffix('/').unwrap_or(rest),
        Some(("mqtts" | "ssl" | "tls", _)) => return unbuilt("a broker over TLS", ALLOWED),
        Some(_) => return impossible("has a scheme that is not mqtt://", ALLOWED),
    };
    if rest.contains('@') {
        let why = "has a user's name in it, which belongs in MQTT_USERNAME and MQTT_PASSWORD";
        return impossible(why, ALLOWED);
    }
    let (host, port) = host_and_port(rest, ALLOWED)?;
    Ok(Broker { host, port: port.unwrap_or(default_port) })
}

/// `host`, `host:port`, `[v6]:port`, or a bare IPv6 address.
fn host_and_port(text: &str, allowed: &str) -> Parsed<(String, Option<u16>)> {
    let (host, rest) = if let Some(inner) = text.strip_prefix('[') {
        match inner.split_once(']') {
            Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, rest),
            _ => return impossible("has brackets without an IPv6 address in them", allowed),
        }
    } else if text.matches(':').count() > 1 {
        match text.parse::<std::net::Ipv6Addr>() {
            Ok(_) => (text, ""),
            Err(_) => return impossible("is not an address", allowed),
        }
    } else {
        text.split_at(text.find(':').unwrap_or(text.len()))
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return impossible("is not an address", allowed),
        Some(digits) => Some(
            port(digits)
                .or_else(|_| impossible("has a port that is none", format!("{allowed}; {PORT}")))?,
        ),
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(is_name) {
        return impossible("has no host that could be one", allowed);
    }
    Ok((host.to_owned(), port))
}

pub(super) fn redis_target(text: &str) -> Parsed<RedisTarget> {
    const ALLOWED: &str = "redis://[user:password@]host[:port][/database] or unix:///path";
    let Some((scheme, rest)) = text.split_once("://") else {
        return impossible("has no scheme", ALLOWED);
    };
    match scheme {
        "redis" => {
            let rest = rest.split(['?', '#']).next().unwrap_or_default();
            // A password may hold a slash only percent-encoded, so the first one ends the host.
            let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
            if !database.is_empty() && database.parse::<u16>().is_err() {
                return impossible("has a database that is no number", ALLOWED);
            }
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            if host.contains(',') {
                return unbuilt("several Redis servers", ALLOWED);
            }
            host_and_port(host, ALLOWED)?;
        }
        "unix" | "redis+unix" => {
            let path = rest.split('?').next().unwrap_or_default();
            if !path.starts_with('/') || path.len() == 1 {
                return impossible("has no absolute path", ALLOWED);
            }
        }
        "rediss" => return unbuilt("Redis over TLS", ALLOWED),
        "redis+cluster" | "rediss+cluster" => return unbuilt("a Redis Cluster", ALLOWED),
        _ => return impossible("has a scheme that is unknown", ALLOWED),
    }
    Ok(RedisTarget::new(text))
}

pub(super) fn bind(text: &str) -> Parsed<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if bare == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    bare.parse().or_else(|_| {
        impossible(
            "is not an IP address",
            "an IP address without a port, such as 127.0.0.1, 0.0.0.0 or ::",
        )
    })
}

pub(super) fn mqtt_listen(text: &str) -> Parsed<MqttListen> {
    const ALLOWED: &str = "off, an IP address with a port such as 0.0.0.0:1883, \
        a port (on loopback), or :port (on every address)";
    if text.eq_ignore_ascii_case("off") {
        return Ok(MqttListen::Off);
    }
    let (host, digits) = match text.rsplit_once(':') {
        None => ("localhost", text),
        Some(("", digits)) => ("0.0.0.0", digits),
        Some(parts) => parts,
    };
    let Ok(port) = port(digits) else {
        return impossible("has no port that could be one", format!("{ALLOWED}; {PORT}"));
    };
    match bind(host) {
        // A bare IPv6 address with its last group taken for a port.
        Ok(IpAddr::V6(_)) if !host.starts_with('[') => {
            impossible("is an IPv6 address without brackets", ALLOWED)
        }
        Ok(address) => Ok(MqttListen::Address(SocketAddr::new(address, port))),
        Err(_) => impossible("has no IP address that could be one", ALLOWED),
    }
}

pub(super) fn public_url(text: &str) -> Parsed<PublicUrl> {
    const ALLOWED: &str = "http://host[:port][/path] or https://host[:port][/path]";
    let (https, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return impossible("is not an http address", ALLOWED),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = path.trim_end_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
    if !path.chars().all(is_plain) || path.contains("//") || path.contains("/.") {
        return impossible("has a path that cannot be a prefix", ALLOWED);
    }
    let (host, port) = host_and_port(authority, ALLOWED)?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_lowercase() };
    Ok(PublicUrl { https, host, port, path: path.to_owned() })
}

pub(super) fn redis_memory(text: &str) -> Parsed<RedisMemory> {
    const ALLOWED: &str = "a size of at least 16 MiB, such as 2GiB, or 1% to 100%";
    if let Some(percent) = text.strip_suffix('%') {
        return match percent.trim().parse::<u8>() {
            Ok(percent) if (1..=100).contains(&percent) => Ok(RedisMemory::Percent(percent)),
            _ => impossible("is not a share of the memory", ALLOWED),
        };
    }
    // Less than 16 MiB does not even hold the states of a few thousand sensors: a guess.
    match bytes(text, 16 << 20, 1 << 50) {
        Ok(bytes) => Ok(RedisMemory::Bytes(bytes)),
        Err(Impossible { why, .. }) => impossible(why, ALLOWED),
    }
}

pub(super) fn roles(text: &str) -> Parsed<Roles> {
    const ALLOWED: &str = "a comma list of ingest, aggregate and serve";
    let mut roles = Roles { ingest: false, aggregate: false, serve: false };
    for role in list(text) {
        match role {
            "ingest" => roles.ingest = true,
            "aggregate" => roles.aggregate = true,
            "serve" => roles.serve = true,
            _ => return impossible("has a role that is unknown", ALLOWED),
        }
    }
    if roles == (Roles { ingest: false, aggregate: false, serve: false }) {
        return impossible("has no role", ALLOWED);
    }
    Ok(roles)
}

pub(super) fn shards(text: &str) -> Parsed<ShardCount> {
    let number = number(text, 1, u64::from(ShardCount::MAX))?;
    let count = u16::try_from(number).ok().and_then(ShardCount::new);
    count.map_or_else(|| impossible("is out of range", "a number of shards"), Ok)
}

pub(super) fn durability(text: &str) -> Parsed<Durability> {
    const ALLOWED: &str = "memory or disk";
    match text {
        "memory" => Ok(Durability::Memory),
        "disk" => Ok(Durability::Disk),
        _ if text.starts_with("replica") => unbuilt("waiting for replicas", ALLOWED),
        _ => impossible("is not a durability", ALLOWED),
    }
}

pub(super) fn share(text: &str) -> Parsed<String> {
    if text.contains(['/', '+', '#', '\0']) || text.len() > 128 {
        return impossible("cannot name a group", "1 to 128 bytes without /, + and #");
    }
    Ok(text.to_owned())
}

pub(super) fn naive_time(text: &str) -> Parsed<NaiveTime> {
    NaiveTime::parse(text).or_else(|_| {
        impossible(
            "is not a zone that this machine knows",
            "utc, local, or an IANA name such as Europe/Berlin",
        )
    })
}

pub(super) fn topics(text: &str) -> Parsed<TopicFilters> {
    TopicFilters::parse(text).or_else(|error| {
        impossible(
            format!("cannot be used ({error})"),
            "a comma list of MQTT filters such as sensors/+/+ or plant/#",
        )
    })
}

pub(super) fn auth(text: &str) -> Parsed<Auth> {
    match text {
        "token" => Ok(Auth::Token),
        "none" => Ok(Auth::None),
        _ => impossible("is not a way to sign in", "token or none"),
    }
}

pub(super) fn api_token(text: &str) -> Parsed<String> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => {
            impossible("cannot be sent in a header", "visible ASCII characters without spaces")
        }
    }
}

pub(super) fn log_filter(text: &str) -> Parsed<String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => impossible(
            format!("is not a log filter ({error})"),
            "error, warn, info, debug, trace or off, or target=level pairs in a comma list",
        ),
    }
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => impossible("is not a format", "text or json"),
    }
}

pub(super) fn unbuilt_setting<T>(_: &str) -> Parsed<T> {
    impossible("is not built into this version", "leaving it unset")
}

/// The items of a comma list, trimmed, without empty ones.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}
