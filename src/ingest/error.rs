//! What can keep a door from opening.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

/// Why a door cannot be opened.
#[derive(Debug, Error)]
pub enum Error {
    /// Somebody else listens there; another address or port must be chosen.
    #[error("cannot listen for MQTT on {address}: the address is already in use")]
    AddressInUse {
        /// Where.
        address: SocketAddr,
    },
    /// The system refuses for another reason: not ours, not allowed, no such address.
    #[error("cannot listen for MQTT on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn bind(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { address },
            _ => Self::Bind { address, source },
        }
    }
}
