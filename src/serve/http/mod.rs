//! One file per resource.
//!
//! In: a request that was let in. Out: its answer.
//! Refused: parameters that make no sense, by name.
//! Knows nothing of: credentials, host names, limits; those were judged before.

pub(super) mod dead_letters;
pub(super) mod health;
pub(super) mod metrics;
pub(super) mod openapi;
pub(super) mod pages;
pub(super) mod readings;
pub(super) mod sensors;
pub(super) mod signin;
pub(super) mod stats;
pub(super) mod stream;
pub(super) mod topics;
pub(super) mod websocket;
