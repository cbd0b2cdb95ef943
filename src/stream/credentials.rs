//! Where `serve` keeps sessions: one hash that all processes share.
//!
//! Only keyed hashes of sessions are stored, so whoever reads Redis cannot sign in with what is
//! found there. What the values mean is the business of the room that writes them.

use redis::cmd;

use super::connection::Link;
use super::error::Error;
use super::keys::CREDENTIALS;

/// A session that was removed or changed meanwhile stays so.
const RENEW: &str = "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then \
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end return redis.status_reply('OK')";

/// The stored value of a session; `None` when it does not exist (any more).
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn session(link: &Link, name: &str) -> Result<Option<String>, Error> {
    link.run(cmd("HGET").arg(CREDENTIALS).arg(name)).await
}

/// Stores a new session.
///
/// # Errors
/// [`Error::Redis`] when there is no answer: the session may or may not exist.
pub async fn add_session(link: &Link, name: &str, value: &str) -> Result<(), Error> {
    link.run(cmd("HSET").arg(CREDENTIALS).arg(name).arg(value)).await
}

/// Changes a session from `old` to `new`, unless somebody removed or changed it meanwhile.
///
/// # Errors
/// [`Error::Redis`] when there is no answer: the change may or may not have been made.
pub async fn renew_session(link: &Link, name: &str, old: &str, new: &str) -> Result<(), Error> {
    // EVAL and not EVALSHA: it runs once per session and some minutes.
    link.run(cmd("EVAL").arg(RENEW).arg(1).arg(CREDENTIALS).arg(name).arg(old).arg(new)).await
}

/// Every session with its value. Callers keep their number bounded.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn sessions(link: &Link) -> Result<Vec<(String, String)>, Error> {
    link.run(cmd("HGETALL").arg(CREDENTIALS)).await
}

/// Removes sessions; those that do not exist are no error.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn remove_sessions(link: &Link, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    link.run(cmd("HDEL").arg(CREDENTIALS).arg(names)).await
}
