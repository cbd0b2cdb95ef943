//! Measures Streamgauge, and proves afterwards that nothing was lost.
//!
//! The way of a measurement, in reading order:
//!
//! 1. [`plan`]: how many connections, sensors and messages, how fast, what each message looks like.
//! 2. [`value`] and [`packet`]: the readings are a formula of (sensor, number), the packets one
//!    template, so that neither needs memory per message.
//! 3. [`session`]: what one connection has sent and what is acknowledged; no I/O.
//!    [`pace`], `device` and [`publisher`]: the one thread and the sockets that drive all sessions.
//! 4. [`ledger`]: what was published, acknowledged and left unknown, per sensor.
//! 5. [`api`] and [`check`]: what Streamgauge says, compared with the ledger.
//! 6. [`process`], [`server`], [`machine`]: processor time and memory from `/proc`, the servers
//!    started for a run, the machine it ran on.
//! 7. [`scenario`], [`reference`], [`report`], [`record`]: runs, medians and result files.
//! 8. [`past`], [`backfill`], [`footprint`], [`exported`], [`history`]: readings with times in the
//!    past, what they take in Redis, and whether they come out as they went in.
//! 9. [`live`]: clients on WebSockets, one or thousands, and how long a reading takes to them.
//!
//! [`sink`] is the other end for measuring the publisher itself and for tests.
//! [`workload`] is series of readings for the benchmarks of Streamgauge.
//! The kill tests of Streamgauge use 1 to 5 as a library.

pub mod api;
pub mod backfill;
pub mod check;
mod device;
pub mod exported;
pub mod footprint;
pub mod history;
pub mod latency;
pub mod ledger;
pub mod live;
pub mod machine;
pub mod options;
pub mod pace;
pub mod packet;
pub mod past;
pub mod plan;
pub mod process;
pub mod publisher;
pub mod record;
pub mod reference;
pub mod report;
pub mod scenario;
pub mod server;
pub mod session;
pub mod sink;
pub mod value;
pub mod workload;
