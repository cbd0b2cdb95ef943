use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval, timeout};

use super::*;

const STILL_MAX: Duration = Duration::from_millis(500);

/// A socket with its line, and its peer.
async fn pair() -> (Socket, Arc<Line>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let line = Arc::new(Line::default());
    (Socket::new(listener.accept().await.unwrap().0, line.clone()), line, peer)
}

#[tokio::test]
async fn something_live_ends_when_it_stands_still_and_the_kernel_drops_it() {
    let (mut socket, line, mut peer) = pair().await;
    line.carry_live(STILL_MAX);
    let started = Instant::now();
    let error = loop {
        if let Err(error) = socket.write_all(&[b'x'; 16 << 10]).await {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(started.elapsed() >= STILL_MAX && line.stood_still());
    drop(socket);
    let mut rest = Vec::new();
    let error = peer.read_to_end(&mut rest).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn whoever_takes_something_now_and_then_stays() {
    let (mut socket, line, peer) = pair().await;
    line.carry_live(STILL_MAX);
    let until = Instant::now() + 3 * STILL_MAX;
    let writing = async {
        while Instant::now() < until {
            socket.write_all(&[b'x'; 4 << 10]).await.unwrap();
        }
    };
    let taking = async {
        let (mut pauses, mut bytes) = (interval(STILL_MAX / 5), vec![0; 64 << 10]);
        loop {
            pauses.tick().await;
            while peer.try_read(&mut bytes).is_ok() {}
        }
    };
    tokio::select! {
        () = writing => {}
        () = taking => {}
    }
    assert!(!line.stood_still());
}

#[tokio::test]
async fn nothing_else_is_hurried() {
    let (mut socket, line, _peer) = pair().await;
    let writing = async {
        loop {
            socket.write_all(&[b'x'; 16 << 10]).await.unwrap();
        }
    };
    let ended: Result<(), _> = timeout(3 * STILL_MAX, writing).await;
    assert!(ended.is_err());
    assert!(!line.stood_still());
}

#[tokio::test]
async fn the_kernel_keeps_little_of_something_live() {
    let (mut socket, line, _peer) = pair().await;
    socket.write_all(b"x").await.unwrap();
    let bytes = |socket: &Socket| sockopt::socket_send_buffer_size(&socket.stream).unwrap();
    let before = bytes(&socket);
    assert!(before > 2 * LIVE_BYTES, "{before}");
    line.carry_live(STILL_MAX);
    socket.write_all(b"x").await.unwrap();
    assert_eq!(bytes(&socket), 2 * LIVE_BYTES);
}
