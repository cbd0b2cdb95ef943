//! Who is let in: judged when the client connects to the namespace `/`.

use std::fmt;
use std::sync::{Arc, Weak};

use serde::Deserialize;
use socketioxide::extract::{SocketRef, TryData};

use super::heard::listen;
use super::session::{Presented, Session};
use crate::serve::error::Fault;
use crate::serve::service::Service;

/// What the client calls `auth`.
#[derive(Deserialize)]
pub(super) struct Credentials {
    token: Option<String>,
}

/// Why it is not let in, as the client reads it.
#[derive(Debug)]
pub(super) enum Refused {
    /// Without, or with a wrong one.
    Unauthorized,
    /// As an answer would say it.
    Fault(Fault),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("pass the API token as `auth.token`, or sign in"),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unauthorized => Self::Unauthorized,
            other => Self::Fault(other),
        }
    }
}

/// The session that a socket belongs to.
pub(super) fn session_of(socket: &SocketRef) -> Option<Arc<Session>> {
    socket.req_parts().extensions.get().cloned()
}

/// Lets a client in, or says why not. A token that the client brings goes before all that the
/// handshake brought.
pub(super) async fn admit(
    service: Weak<Service>,
    socket: SocketRef,
    auth: TryData<Credentials>,
) -> Result<(), Refused> {
    let stopping = || {
        let outside = "the server is stopping";
        Refused::Fault(Fault::Unavailable { outside, inside: String::new() })
    };
    let service = service.upgrade().ok_or_else(stopping)?;
    let session = session_of(&socket).ok_or_else(stopping)?;
    // What is no object with a token is no credential.
    let identity = match auth.0.ok().and_then(|credentials| credentials.token) {
        Some(token) => service.auth.present(&token, session.peer)?,
        None => match session.presented.clone() {
            Presented::Known(identity) => identity,
            Presented::Nothing | Presented::Wrong => return Err(Refused::Unauthorized),
        },
    };
    session.is_named(socket.id.as_str());
    session.is_admitted(listen(&socket, &session, identity));
    Ok(())
}
