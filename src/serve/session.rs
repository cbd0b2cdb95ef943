//! Sessions: what a browser's cookie stands for.
//!
//! A session is 256 random bits. Redis holds its keyed hash (HMAC-SHA-256 with `SECRET_KEY`), so
//! all `serve` processes know it and nobody can sign in with what is stored. Its value says when
//! it began, when it was last used, and with which token: another token ends all sessions.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::time::Instant;

use super::error::Fault;
use super::hex;
use crate::clock::Clock;
use crate::reading::UnixMillis;
use crate::stream::{Link, credentials};

/// A session that was not used for so long has ended. A guess: a page looked at weekly stays.
const IDLE_MS_MAX: i64 = 14 * 24 * 3_600_000;
/// No session lives longer. A guess.
pub(super) const AGE_MS_MAX: i64 = 90 * 24 * 3_600_000;
/// The time of last use is written at most this often.
const RENEW_MS: i64 = 600_000;
/// For so long a look into Redis counts: a revoked session lives on no longer.
const CHECKED_FOR: Duration = Duration::from_secs(5);
/// While Redis does not answer, a session known this long is still believed.
const BELIEVED_FOR: Duration = Duration::from_secs(600);
/// Sessions remembered by this process; beyond it all are looked up again.
const REMEMBERED_MAX: usize = 10_000;
/// Sessions stored: beyond it the one unused for longest ends.
const STORED_MAX: usize = 1_000;

/// The name under which a session is stored; of no use to sign in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionName(String);

/// What is stored of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    began: UnixMillis,
    used: UnixMillis,
    /// Which token opened it.
    token: String,
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let stored = Self {
            began: UnixMillis(words.next()?.parse().ok()?),
            used: UnixMillis(words.next()?.parse().ok()?),
            token: words.next()?.to_owned(),
        };
        words.next().is_none().then_some(stored)
    }

    fn write(&self) -> String {
        format!("{} {} {}", self.began, self.used, self.token)
    }

    /// A clock that was set back ends nothing.
    fn is_alive(&self, token: &str, now: UnixMillis) -> bool {
        self.token == token
            && now.0.saturating_sub(self.used.0) < IDLE_MS_MAX
            && now.0.saturating_sub(self.began.0) < AGE_MS_MAX
    }
}

/// Opens and checks sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    key: Vec<u8>,
    /// Stands for the token that opens sessions now.
    token: String,
    clock: Clock,
    /// When a session was last seen in Redis. Guards itself; never held across an await.
    checked: Mutex<HashMap<SessionName, Instant>>,
}

impl Sessions {
    pub(super) fn new(key: &[u8], token: &str, clock: Clock) -> Self {
        let token = keyed_hash(key, "token", token)[..16].to_owned();
        Self { key: key.to_vec(), token, clock, checked: Mutex::default() }
    }

    /// Opens a session and gives what the cookie holds.
    pub(super) async fn open(&self, link: &Link) -> Result<String, Fault> {
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|error| Fault::Unavailable {
            outside: "no random numbers to be had",
            inside: error.to_string(),
        })?;
        let session = hex::write(&random);
        let now = self.clock.now();
        let stored = Stored { began: now, used: now, token: self.token.clone() };
        self.make_room(link).await?;
        credentials::add_session(link, &self.name(&session).0, &stored.write())
            .await
            .map_err(|error| Fault::redis(&error))?;
        Ok(session)
    }

    /// The session that a cookie stands for; `None` when it has ended or never was.
    pub(super) async fn check(
        &self,
        link: &Link,
        cookie: &str,
    ) -> Result<Option<SessionName>, Fault> {
        if cookie.len() != 64 || !cookie.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let name = self.name(cookie);
        Ok(self.is_alive(link, &name).await?.then_some(name))
    }

    /// Whether a session still lives; asks Redis at most every five seconds.
    pub(super) async fn is_alive(&self, link: &Link, name: &SessionName) -> Result<bool, Fault> {
        let checked = self.checked().get(name).copied();
        if checked.is_some_and(|at| at.elapsed() < CHECKED_FOR) {
            return Ok(true);
        }
        let stored = match credentials::session(link, &name.0).await {
            Ok(stored) => stored,
            Err(_) if checked.is_some_and(|at| at.elapsed() < BELIEVED_FOR) => return Ok(true),
            Err(error) => return Err(Fault::redis(&error)),
        };
        let now = self.clock.now();
        let alive = stored.as_deref().and_then(Stored::parse);
        let Some(alive) = alive.filter(|stored| stored.is_alive(&self.token, now)) else {
            self.checked().remove(name);
            return Ok(false);
        };
        self.remember(name);
        if now.0.saturating_sub(alive.used.0) >= RENEW_MS {
            let renewed = Stored { used: now, ..alive.clone() };
            let renewed =
                credentials::renew_session(link, &name.0, &alive.write(), &renewed.write()).await;
            if let Err(error) = renewed {
                // The session is good; only its time of last use is a little older than true.
                tracing::debug!(%error, "a session was not renewed");
            }
        }
        Ok(true)
    }

    fn remember(&self, name: &SessionName) {
        let mut checked = self.checked();
        if checked.len() >= REMEMBERED_MAX {
            checked.clear();
        }
        checked.insert(name.clone(), Instant::now());
    }

    /// Ends what has run out, and the longest unused when there are too many.
    async fn make_room(&self, link: &Link) -> Result<(), Fault> {
        let stored = credentials::sessions(link).await.map_err(|error| Fault::redis(&error))?;
        let ended = ended(stored, &self.token, self.clock.now());
        credentials::remove_sessions(link, &ended).await.map_err(|error| Fault::redis(&error))
    }

    fn name(&self, session: &str) -> SessionName {
        SessionName(format!("s:{}", keyed_hash(&self.key, "session", session)))
    }

    fn checked(&self) -> MutexGuard<'_, HashMap<SessionName, Instant>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names to remove so that one more finds room.
fn ended(stored: Vec<(String, String)>, token: &str, now: UnixMillis) -> Vec<String> {
    let sessions = stored.into_iter().filter(|(name, _)| name.starts_with("s:"));
    let mut ended = Vec::new();
    let mut alive = Vec::new();
    for (name, value) in sessions {
        match Stored::parse(&value).filter(|stored| stored.is_alive(token, now)) {
            Some(stored) => alive.push((stored.used, name)),
            None => ended.push(name),
        }
    }
    let surplus = (alive.len() + 1).saturating_sub(STORED_MAX);
    alive.sort();
    ended.extend(alive.into_iter().take(surplus).map(|(_, name)| name));
    ended
}

/// HMAC-SHA-256 of a text under a purpose, as hex digits.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub(super) fn keyed_hash(key: &[u8], purpose: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    mac.update(&[0]);
    mac.update(text.as_bytes());
    hex::write(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    fn stored(began: i64, used: i64) -> Stored {
        Stored { began: UnixMillis(began), used: UnixMillis(used), token: "t".to_owned() }
    }

    #[test]
    fn sessions_end_by_idleness_and_by_age() {
        let check = |began, used, now, alive| {
            let judged = stored(began, used).is_alive("t", UnixMillis(now));
            assert_eq!(judged, alive, "{began} {used} {now}");
        };
        check(0, 0, 14 * DAY_MS - 1, true);
        check(0, 0, 14 * DAY_MS, false);
        check(0, 89 * DAY_MS, 90 * DAY_MS - 1, true);
        check(0, 89 * DAY_MS, 90 * DAY_MS, false);
        check(5, 5, 0, true);
        assert!(!stored(0, 0).is_alive("another", UnixMillis(0)));
    }

    #[test]
    fn stored_sessions_survive_their_text() {
        assert_eq!(Stored::parse(&stored(1, 2).write()), Some(stored(1, 2)));
        for wrong in ["", "1", "1 2", "1 2 t x", "a 2 t"] {
            assert_eq!(Stored::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn room_is_made_for_one_more() {
        let full = |count: i64| (0..count).map(|n| (format!("s:{n}"), stored(n, n).write()));
        let now = UnixMillis(1_000);
        assert!(ended(full(999).collect(), "t", now).is_empty());
        assert_eq!(ended(full(1000).collect(), "t", now), ["s:0"]);
        let mixed = vec![
            ("s:old".to_owned(), stored(-100 * DAY_MS, 0).write()),
            ("s:odd".to_owned(), "nonsense".to_owned()),
            ("another".to_owned(), "nonsense".to_owned()),
        ];
        assert_eq!(ended(mixed, "t", now), ["s:old", "s:odd"]);
    }

    #[test]
    fn hashes_depend_on_key_purpose_and_text() {
        let one = keyed_hash(b"k", "p", "t");
        assert_eq!(one.len(), 64);
        assert_ne!(one, keyed_hash(b"l", "p", "t"));
        assert_ne!(one, keyed_hash(b"k", "q", "t"));
        assert_ne!(one, keyed_hash(b"k", "p", "u"));
    }
}
