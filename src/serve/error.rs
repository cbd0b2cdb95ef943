//! What may go wrong: for the room, and for one request.

use std::io;
use std::net::SocketAddr;

use hyper::{Method, StatusCode};

/// Why the room cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody can listen there; the person who configured it must act.
    #[error("cannot listen for HTTP on {address}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The public address cannot be understood; the person who configured it must act.
    #[error("{url:?} is not a public address: expected http(s)://host[:port][/prefix]")]
    PublicUrl {
        /// What was given.
        url: String,
    },
}

/// Why one request gets no ordinary answer. `Display` is what the client reads.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// A parameter or the request itself cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// The range has more than one answer is made of; windows may have less.
    #[error("{0}")]
    TooMuch(String),
    /// No credential, or a wrong one.
    #[error("sign in, or send an Authorization header with the API token")]
    Unauthorized,
    /// Too many wrong guesses from there.
    #[error("too many wrong credentials from your address; try again in a moment")]
    Throttled,
    /// A foreign page wants to act for the user.
    #[error("requests from this origin are not accepted")]
    ForeignOrigin,
    /// Asked under a name that is not ours.
    #[error("this server does not answer under this host name; see STREAMGAUGE_PUBLIC_URL")]
    ForeignHost,
    /// Nothing is there.
    #[error("Resource not found")]
    NotFound,
    /// Nothing is known of this sensor.
    #[error("sensor {0:?} is not known")]
    UnknownSensor(String),
    /// The sensor is known, but not with this type.
    #[error("sensor {sensor_id:?} has no type {sensor_type:?}; it has {known}")]
    UnknownType {
        /// What was asked for.
        sensor_id: String,
        /// What was asked for.
        sensor_type: String,
        /// Some of the types that there are.
        known: String,
    },
    /// A block of history cannot be decoded, and no answer is right without it.
    #[error(
        "a block of history in this range cannot be read, and without it percentiles would not \
         be exact; `/api/stats` names it under `history`"
    )]
    Damaged,
    /// Another method is allowed there.
    #[error("the method is not allowed here")]
    MethodNotAllowed {
        /// What is allowed.
        allowed: Vec<Method>,
    },
    /// The address of the request is over its limit.
    #[error("the address is longer than {0} bytes")]
    UriTooLong(usize),
    /// The body is over its limit.
    #[error("the body is longer than {0} bytes")]
    BodyTooLarge(usize),
    /// The client did not send in time what it announced.
    #[error("the request did not arrive in time")]
    TooSlow,
    /// The request asks for a WebSocket in a way that RFC 6455 does not know.
    #[error("{0}")]
    UpgradeRequired(&'static str),
    /// Redis cannot be asked; the inside message is logged where it is handled.
    #[error("{outside}")]
    Unavailable {
        /// For the client.
        outside: &'static str,
        /// For the log.
        inside: String,
    },
}

impl Fault {
    pub(super) fn redis(error: &crate::stream::Error) -> Self {
        Self::Unavailable { outside: "Redis does not answer", inside: error.to_string() }
    }

    pub(super) fn history(error: &crate::history::Error) -> Self {
        Self::Unavailable { outside: "history cannot be read now", inside: error.to_string() }
    }

    /// The order of a page is not that of the page before.
    pub(super) fn of_another_sort(cursor: &str, asked: &str) -> Self {
        Self::BadRequest(format!(
            "parameter `cursor` is of a list with `sort={cursor}`, and this is `sort={asked}`; \
             allowed: the `next` of the page before, with everything else as there"
        ))
    }

    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::TooMuch(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound | Self::UnknownSensor(_) | Self::UnknownType { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UpgradeRequired(_) => StatusCode::UPGRADE_REQUIRED,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
