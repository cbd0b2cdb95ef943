//! How WebSockets end, read byte by byte: a library would hide what is missing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use streamgauge::serve::Patience;

use crate::stage::{Plan, Stage, TOKEN};

const DEADLINE: Duration = Duration::from_secs(30);
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// A WebSocket as bytes.
struct Raw(TcpStream);

impl Raw {
    fn connect(stage: &Stage, credential: &str) -> Self {
        let mut stream = stage.connect();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\n{credential}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let mut raw = Self(stream);
        assert_eq!(raw.frame().unwrap().0, TEXT, "its status");
        raw
    }

    fn welcomed(stage: &Stage) -> Self {
        Self::connect(stage, &format!("Authorization: Bearer {TOKEN}"))
    }

    fn send(&mut self, frame: &[u8]) {
        self.0.write_all(frame).unwrap();
    }

    fn subscribe(&mut self, data: &serde_json::Value) {
        let event = json!({"event": "subscribe", "data": data}).to_string();
        self.send(&masked(TEXT, event.as_bytes()));
    }

    /// The next frame; `None` at an end that is none in the middle of one.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut first = [0];
        if self.0.read(&mut first).unwrap() == 0 {
            return None;
        }
        assert_eq!(first[0] & 0xf0, 0x80, "one frame, final and plain");
        let mut take = |bytes: usize| {
            let mut taken = vec![0; bytes];
            self.0.read_exact(&mut taken).expect("a frame is whole");
            taken
        };
        let bytes = match take(1)[0] {
            126 => u64::from(u16::from_be_bytes(take(2).try_into().unwrap())),
            127 => u64::from_be_bytes(take(8).try_into().unwrap()),
            short => u64::from(short),
        };
        Some((first[0] & 0x0f, take(bytes as usize)))
    }

    /// What the close frame carries, with which the server's words must end.
    fn farewell(&mut self) -> Vec<u8> {
        let until = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < until, "it does not end");
            let Some((opcode, payload)) = self.frame() else { panic!("ended without a code") };
            if opcode == CLOSE {
                assert_eq!(self.frame(), None, "nothing comes behind it");
                return payload;
            }
        }
    }

    /// The code and the reason with which it ends.
    fn ending(&mut self) -> (u16, String) {
        let payload = self.farewell();
        let (code, reason) = payload.split_at(2);
        let code = u16::from_be_bytes(code.try_into().unwrap());
        (code, String::from_utf8(reason.to_vec()).unwrap())
    }
}

/// A frame of a client, under a mask of zeros.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The answer was put by and the connection closed without it: browsers saw 1006.
#[test]
fn a_close_is_answered_with_its_code() {
    let stage = Stage::start();
    for (said, answered) in [
        (&[0x03, 0xe8][..], &[0x03, 0xe8][..]),
        (&[0x0f, 0xa5, b'b', b'y', b'e'], &[0x0f, 0xa5, b'b', b'y', b'e']),
        // A close without a code is answered without one.
        (&[], &[]),
    ] {
        let mut raw = Raw::welcomed(&stage);
        raw.send(&masked(CLOSE, said));
        assert_eq!(raw.farewell(), answered, "{said:?}");
    }
    // 1005 says that there is none, and is none itself (RFC 6455 §7.4.1).
    let mut raw = Raw::welcomed(&stage);
    raw.send(&masked(CLOSE, &1005_u16.to_be_bytes()));
    assert_eq!(raw.ending().0, 1002);
}

/// Clients that take nothing, each with this subscription; all of them have been given up.
fn stuck<const N: usize>(stage: &Stage, subscriptions: [serde_json::Value; N]) -> [Raw; N] {
    let raws = subscriptions.map(|data| {
        let mut raw = Raw::welcomed(stage);
        raw.subscribe(&data);
        raw
    });
    let text = "x".repeat(4000);
    let topics: Vec<String> = (0..200).map(|n| format!("s/{n}/t")).collect();
    let (started, mut number) = (Instant::now(), 0);
    loop {
        number += 1;
        let payload = json!({"value": number, "metadata": {"text": text}}).to_string();
        let messages: Vec<_> = topics.iter().map(|topic| (&**topic, &*payload)).collect();
        stage.append(0, number, &messages);
        // The places are given back at once, whatever the sockets still hold.
        if stage.get("/api/stats").json()["clients"] == 0 {
            return raws;
        }
        assert!(started.elapsed() < DEADLINE, "{}", stage.get("/api/stats").text());
    }
}

fn impatient() -> Stage {
    let patience = Patience { still_max: Duration::from_millis(500), ..Patience::default() };
    Stage::with(Plan { patience, ..Plan::default() })
}

/// Waits until the server has no descriptor for its end of a connection any more.
fn closed(raw: &Raw) {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let ours = port(raw.0.local_addr().unwrap());
    let theirs = port(raw.0.peer_addr().unwrap());
    let until = Instant::now() + DEADLINE;
    loop {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let is_held = |line: &str| {
            // Number, local and remote address, …, and the inode, which is 0 without a descriptor.
            let columns: Vec<&str> = line.split_whitespace().collect();
            columns[1].ends_with(&theirs) && columns[2].ends_with(&ours) && columns[9] != "0"
        };
        if !table.lines().skip(1).any(is_held) {
            return;
        }
        assert!(Instant::now() < until, "{table}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Half a frame was left on the socket, and the code would have been written into it.
#[test]
fn who_was_stuck_and_reads_on_finds_whole_frames_and_the_code() {
    let stage = impatient();
    // One in the middle of a small frame, one in the middle of one that no socket takes at once.
    let small = json!({"sensors": ["*"], "every": true});
    let large = json!({"sensors": ["*"], "batch": true});
    for mut raw in stuck(&stage, [small, large]) {
        assert_eq!(raw.ending(), (4000, "slow".to_owned()));
    }
}

#[test]
fn who_reads_on_when_the_server_has_closed_finds_the_code_too() {
    let stage = impatient();
    let [mut raw] = stuck(&stage, [json!({"sensors": ["*"], "every": true})]);
    closed(&raw);
    assert_eq!(raw.ending(), (4000, "slow".to_owned()));
}

/// The socket was closed with the rest of the flood unread: a reset destroyed the code.
#[test]
fn a_flood_is_told_that_it_is_one() {
    let stage = Stage::start();
    for (opcode, payload) in [(TEXT, vec![b'x'; 2000]), (PING, vec![b'x'; 100]), (PING, vec![])] {
        let mut raw = Raw::welcomed(&stage);
        raw.send(&masked(opcode, &payload).repeat(1000));
        assert_eq!(raw.ending(), (1008, "too_many_events".to_owned()), "{opcode}");
    }
    // Frames of a message that never is whole.
    let mut raw = Raw::welcomed(&stage);
    raw.send(&[0x01, 0x80, 0, 0, 0, 0]);
    raw.send(&[0x00, 0x80, 0, 0, 0, 0].repeat(200_000));
    assert_eq!(raw.ending(), (1008, "too_many_events".to_owned()));
    // What any client may need is taken.
    let mut raw = Raw::welcomed(&stage);
    raw.send(&masked(PING, b"?").repeat(50));
    raw.send(&masked(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(raw.ending().0, 1000);
}

#[test]
fn a_session_that_ends_is_told_so() {
    let patience = Patience { ping_every: Duration::from_millis(100), ..Patience::default() };
    let stage = Stage::with(Plan { patience, ..Plan::default() });
    let mut raw = Raw::connect(&stage, &format!("Cookie: {}", stage.cookie()));
    let mut trusted = Raw::welcomed(&stage);
    stage.redis(redis::cmd("DEL").arg("sg:auth"));
    assert_eq!(raw.ending(), (4001, "signed_out".to_owned()));
    // Whoever has the token itself has no session that could end.
    for _ in 0..3 {
        assert_eq!(trusted.frame().unwrap().0, PING);
    }
}

#[test]
fn who_never_reads_its_end_is_not_waited_for() {
    let stage = Stage::start();
    let mut raw = Raw::welcomed(&stage);
    raw.send(&masked(2, b"binary"));
    // The connection stays open on this side, and nothing is read.
    closed(&raw);
    assert_eq!(raw.ending(), (1003, "not_text".to_owned()));
}
