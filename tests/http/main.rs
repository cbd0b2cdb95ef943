//! The HTTP and WebSocket side against a real Redis: one server and one Redis per test.

mod access;
mod hosts;
mod live;
mod pages;
mod resources;
mod stage;
mod wire;
