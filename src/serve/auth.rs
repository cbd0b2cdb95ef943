//! Who is asking: nobody, the holder of the token, or a session (design §4).

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use hyper::header::{self, HeaderMap};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::config::{AuthMode, ServeConfig};
use super::error::Fault;
use super::session::{AGE_MS_MAX, SessionName, Sessions, keyed_hash};
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::stream::Link;

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// No credential.
    Anonymous,
    /// The token itself, or everybody where no token is asked for.
    Trusted,
    /// A browser that signed in.
    Session(SessionName),
}

impl Identity {
    pub(super) const fn is_known(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Trusted | Self::Session(_) => true,
        }
    }
}

/// What is needed to judge credentials.
#[derive(Debug)]
pub(super) struct Auth {
    /// `None`: everybody is trusted.
    guard: Option<Guard>,
}

#[derive(Debug)]
struct Guard {
    /// A keyed hash of the token: comparing it says nothing of the token's length.
    token: String,
    key: Vec<u8>,
    cookie: String,
    secure: bool,
    sessions: Sessions,
    since: Instant,
    /// Guards who guessed how often; never held across an await.
    throttle: Mutex<Throttle>,
}

impl Auth {
    pub(super) fn new(config: &ServeConfig, port: u16, secure: bool, clock: Clock) -> Self {
        let AuthMode::Token { token } = &config.auth else { return Self { guard: None } };
        let key = config.secret_key.clone();
        let guard = Guard {
            token: keyed_hash(&key, "token", token),
            sessions: Sessions::new(&key, token, clock),
            key,
            // Cookies are shared by all ports of a host.
            cookie: format!("streamgauge_{port}"),
            secure,
            since: Instant::now(),
            throttle: Mutex::default(),
        };
        Self { guard: Some(guard) }
    }

    /// Who is asking. A wrong bearer token is a fault even beside a good cookie.
    pub(super) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        link: &Link,
    ) -> Result<Identity, Fault> {
        let Some(guard) = &self.guard else { return Ok(Identity::Trusted) };
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer);
            guard.judge(token.unwrap_or_default(), peer)?;
            return Ok(Identity::Trusted);
        }
        for cookie in guard.cookies(headers) {
            if let Some(session) = guard.sessions.check(link, cookie).await? {
                return Ok(Identity::Session(session));
            }
        }
        Ok(Identity::Anonymous)
    }

    /// Who is asking with a bare token, as clients of Socket.IO do.
    #[cfg(feature = "socketio")]
    pub(super) fn present(&self, token: &str, peer: IpAddr) -> Result<Identity, Fault> {
        if let Some(guard) = &self.guard {
            guard.judge(token, peer)?;
        }
        Ok(Identity::Trusted)
    }

    /// Whether a session that was good still is.
    pub(super) async fn is_alive(&self, identity: &Identity, link: &Link) -> bool {
        match (identity, &self.guard) {
            // While Redis is away nobody can be told to be revoked.
            (Identity::Session(name), Some(guard)) => {
                guard.sessions.is_alive(link, name).await.unwrap_or(true)
            }
            (Identity::Session(_) | Identity::Trusted | Identity::Anonymous, _) => true,
        }
    }

    /// Opens a session for whoever has the token; gives the `Set-Cookie`, or nothing where nobody
    /// needs one.
    pub(super) async fn sign_in(
        &self,
        token: &str,
        peer: IpAddr,
        link: &Link,
    ) -> Result<Option<String>, Fault> {
        let Some(guard) = &self.guard else { return Ok(None) };
        guard.judge(token, peer)?;
        let session = guard.sessions.open(link).await?;
        let (cookie, secure) = (&guard.cookie, if guard.secure { "; Secure" } else { "" });
        let seconds = AGE_MS_MAX / 1000;
        Ok(Some(format!(
            "{cookie}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        )))
    }
}

impl Guard {
    fn judge(&self, guess: &str, peer: IpAddr) -> Result<(), Fault> {
        let now = self.since.elapsed();
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if !throttle.admits(peer, now) {
            return Err(Fault::Throttled);
        }
        let guess = keyed_hash(&self.key, "token", guess);
        let is_right = bool::from(guess.as_bytes().ct_eq(self.token.as_bytes()));
        throttle.judged(peer, is_right, now);
        if is_right { Ok(()) } else { Err(Fault::Unauthorized) }
    }

    /// Every cookie with our name: another path of the host may have set one too.
    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let lines = headers.get_all(header::COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .map(|(_, value)| value)
            .take(4)
    }
}

/// The token in `Bearer <token>`; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens_are_found() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
