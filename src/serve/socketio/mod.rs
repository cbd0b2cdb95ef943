//! Live readings for clients of Socket.IO 4, such as those of the predecessor.
//!
//! In: requests below `/socket.io/`, whose host and origin were judged. Out: events of a
//! [`Seat`](super::live::Seat), over a WebSocket or in answers to polling requests.
//! Refused: who has neither token nor session, when the client connects to `/`; other namespaces,
//! attachments, events too large or too many; sessions beyond a number, and of those that show
//! nothing beyond a smaller one.
//! Knows nothing of: what the events mean; how frames are conflated.
//!
//! socketioxide speaks the protocol. Around it [`requests`] judges who comes in and [`guard`] what
//! they send, [`transport`] carries a WebSocket, and [`session`] knows, of each engine.io session,
//! who it is and what it holds unsent: the library says neither when there is room nor how to end a
//! connection.

mod admission;
mod client;
mod guard;
mod heard;
mod metrics;
mod mount;
mod places;
mod requests;
mod session;
mod transport;
mod window;

pub(super) use mount::{Mount, run};
pub(super) use requests::{get, post};
