//! Ports that stay one's own while a server is down.
//!
//! A port that the system picks may be picked again for somebody's outgoing connection while the
//! server that had it is being restarted. These lie below the range from which Linux picks
//! (ip_local_port_range: from 32,768), and a locked file keeps other tests away from them.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

/// Above the well-known services of a developer's machine: a guess.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port of 127.0.0.1 that no other test uses while this lives.
#[derive(Debug)]
pub struct Port {
    /// The number.
    pub number: u16,
    _lock: File,
}

impl Port {
    /// Takes one that is free.
    pub fn take() -> Self {
        // Tests that start together begin their search at different places.
        let start = std::process::id().wrapping_mul(61);
        (0..COUNT)
            .find_map(|step| Self::try_take(FIRST + (start + step) % COUNT))
            .expect("no free port")
    }

    fn try_take(number: u32) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        let lock = lock_file(&number.to_string());
        lock.try_lock().ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _lock: lock })
    }

    /// With 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// Waits until this test may use what there is only one of: the port that MQTT has by default, or
/// the whole machine, where time is measured. Held until the value is dropped.
pub fn alone_with(what: &str) -> File {
    let lock = lock_file(what);
    lock.lock().unwrap();
    lock
}

fn lock_file(name: &str) -> File {
    let directory: PathBuf = std::env::temp_dir().join("streamgauge-tests");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap()
}
