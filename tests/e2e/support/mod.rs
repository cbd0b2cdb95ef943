//! The stage in two lines: `let stage = Stage::new(); let streamgauge = stage.start();`.
//!
//! [`stage`] says how a Streamgauge is started, [`streamgauge`] is one that runs, [`servers`] are
//! the Redis and the broker it may be given, [`device`], [`flood`], [`load`] and [`numbered`]
//! publish to it, [`http`] and [`history`] ask it.

pub mod at_rest;
pub mod device;
pub mod flood;
pub mod history;
pub mod http;
pub mod load;
pub mod numbered;
pub mod ports;
pub mod random;
pub mod servers;
pub mod stage;
pub mod streamgauge;

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Between two looks at something awaited.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is something to see, and says what was awaited when there never is.
pub fn within<T>(limit: Duration, awaited: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        // A look that began in time counts, however long it took on a busy machine.
        let was_late = Instant::now() > deadline;
        if let Some(seen) = look() {
            return seen;
        }
        assert!(!was_late, "not within {limit:?}: {awaited}");
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// So many seconds.
pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sends a signal; one to a process that has ended goes nowhere, and that is fine.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    if let Err(error) = kill_process(pid, signal) {
        assert_eq!(error, rustix::io::Errno::SRCH, "cannot send {signal:?} to {pid:?}");
    }
}
