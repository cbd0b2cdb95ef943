//! How live connections end, as it is counted.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::support::stage::Stage;
use crate::support::{seconds, within};

/// A WebSocket that has got its first frame.
fn websocket(url: &str) -> TcpStream {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(b"\r\n\r\n\x81") {
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    stream
}

/// A client that went without a word counted as one that broke the protocol.
#[test]
fn whoever_goes_has_left() {
    let streamgauge = Stage::new().start();
    let ended = |reason: &str| -> usize {
        let head =
            format!("streamgauge_live_ended_total{{transport=\"websocket\",reason=\"{reason}\"}} ");
        let metrics = streamgauge.try_get("/metrics").expect("it answers").text;
        let line = metrics.lines().find_map(|line| line.strip_prefix(&head));
        line.unwrap_or_else(|| panic!("no {head}")).parse().unwrap()
    };
    let url = streamgauge.url("/");
    drop(websocket(&url));
    websocket(&url).shutdown(Shutdown::Write).unwrap();
    let reset = websocket(&url);
    set_socket_linger(&reset, Some(Duration::ZERO)).unwrap();
    drop(reset);
    websocket(&url).write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
    within(seconds(20), "all are counted", || {
        let (left, protocol) = (ended("left"), ended("protocol"));
        (left + protocol == 4).then(|| assert_eq!((left, protocol), (4, 0)))
    });
    // Without a mask.
    websocket(&url).write_all(&[0x88, 0]).unwrap();
    within(seconds(20), "it is counted", || (ended("protocol") == 1).then_some(()));
}
