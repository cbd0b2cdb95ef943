//! `streamgauge health`: asks a running Streamgauge, for container health checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that needs longer is not well; shorter than what container engines wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// What to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Alive,
    Ready,
}

/// Asks `/livez`, or `/readyz` when `ready`, of the Streamgauge on this machine; gives whether
/// it said yes, with a line that says what it said.
pub async fn ask_health(bind: IpAddr, port: u16, ready: bool) -> (bool, String) {
    let question = if ready { Question::Ready } else { Question::Alive };
    let address = SocketAddr::new(reachable(bind), port);
    match timeout(ANSWER_TIMEOUT, ask(address, question)).await {
        Ok(Ok(status)) if status.is_success() => {
            (true, format!("{} is well", url(address, question)))
        }
        Ok(Ok(status)) => (false, format!("{} answers {status}", url(address, question))),
        Ok(Err(error)) => (false, format!("{} does not answer: {error:#}", url(address, question))),
        Err(_) => (false, format!("{} does not answer in time", url(address, question))),
    }
}

fn url(address: SocketAddr, question: Question) -> String {
    let path = match question {
        Question::Alive => "livez",
        Question::Ready => "readyz",
    };
    format!("http://{address}/{path}")
}

/// A server that listens on every address is asked on loopback.
fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

async fn ask(address: SocketAddr, question: Question) -> Result<hyper::StatusCode, AskError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(url(address, question))
        .header("Host", address.to_string())
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    // The answer comes while the connection is polled; when that ends first, it has come too, or
    // never will.
    let answer = tokio::select! {
        answer = &mut answer => answer?,
        ended = connection => {
            ended?;
            answer.await?
        }
    };
    Ok(answer.status())
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    async fn asked(answer: &'static [u8], ready: bool) -> (bool, String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::task::spawn_blocking(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let (well, line) = ask_health(Ipv4Addr::UNSPECIFIED.into(), port, ready).await;
        (well, line, server.await.unwrap())
    }

    #[tokio::test]
    async fn the_status_decides() {
        let (well, line, request) =
            asked(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false).await;
        assert!(well && line.contains("/livez"), "{line}");
        assert!(request.contains("/livez"), "{request}");
        let (well, line, request) =
            asked(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", true).await;
        assert!(!well && line.contains("503"), "{line}");
        assert!(request.contains("/readyz"), "{request}");
    }

    #[tokio::test]
    async fn nobody_there_is_not_well() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (well, line) = ask_health(Ipv4Addr::LOCALHOST.into(), free, false).await;
        assert!(!well && line.contains("does not answer"), "{line}");
        let (well, line, _) = asked(b"", false).await;
        assert!(!well && line.contains("does not answer"), "{line}");
    }
}
