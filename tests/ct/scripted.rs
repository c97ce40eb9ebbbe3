//! An HTTP server on 127.0.0.1 that answers by a script, as badly as the script says, and keeps
//! what it was asked.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// An HTTP answer: status, further header lines, body.
    Answer(u16, &'static str, String),
    /// Like `Answer(200, …)`, with header lines made at run time.
    Throttle(String),
    /// Nothing, for longer than anyone waits.
    Hang,
    /// A body that arrives octet by octet and never ends.
    Trickle,
    /// The connection closes after half of this body.
    Half(String),
    /// Octets that are not HTTP.
    Raw(&'static str),
    /// A body without an end, as fast as it is read.
    Flood,
    /// The head of an answer, octet by octet.
    SlowHead,
}

/// What answers the n-th request, from 0.
type Answer = dyn Fn(usize, &Request) -> Reply + Send + Sync;

/// A 200 with this body.
pub(crate) fn ok(body: impl Into<String>) -> Reply {
    Reply::Answer(200, "", body.into())
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    /// The `Host` header.
    pub(crate) host: String,
    /// The request line and all headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// On which connection, from 0.
    pub(crate) connection: usize,
}

/// The running server.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers the n-th request by the n-th reply, and everything after the last with 418.
    pub(crate) async fn start(script: Vec<Reply>) -> Self {
        Self::answering(move |number, _| {
            let exhausted = || Reply::Answer(418, "", "the script is over".into());
            script.get(number).cloned().unwrap_or_else(exhausted)
        })
        .await
    }

    /// Answers each request as it deserves.
    pub(crate) async fn answering(
        answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            let answer: Arc<Answer> = Arc::new(answer);
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(serve(stream, connection, seen, answer));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    seen: Arc<Mutex<Vec<Request>>>,
    answer: Arc<Answer>,
) -> Option<()> {
    loop {
        let request = read(&mut stream, connection).await?;
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        reply(&mut stream, &answer(number, &request)).await?;
    }
}

async fn read(stream: &mut TcpStream, connection: usize) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let len = header("content-length").map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        line: head.lines().next()?.trim_end_matches(" HTTP/1.1").into(),
        host: header("host")?,
        head,
        body,
        connection,
    })
}

impl Request {
    /// The header of this name, if there is exactly one.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let (_, value) = values.next()?;
        values.next().is_none().then(|| value.trim())
    }
}

/// `None` closes the connection.
async fn reply(stream: &mut TcpStream, reply: &Reply) -> Option<()> {
    let head = |status: u16, headers: &str, len: usize| {
        format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {len}\r\n{headers}\r\n")
    };
    let whole = match reply {
        Reply::Answer(status, headers, body) => head(*status, headers, body.len()) + body,
        Reply::Throttle(headers) => head(429, headers, 0),
        Reply::Hang => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return None;
        }
        Reply::Trickle => {
            stream
                .write_all(head(200, "", 60_000).as_bytes())
                .await
                .ok()?;
            loop {
                stream.write_all(b" ").await.ok()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Reply::Half(body) => {
            let cut = head(200, "", body.len()) + &body[..body.len() / 2];
            stream.write_all(cut.as_bytes()).await.ok()?;
            return None;
        }
        Reply::Flood => {
            let endless = head(200, "", 1 << 40);
            stream.write_all(endless.as_bytes()).await.ok()?;
            loop {
                stream.write_all(&[b' '; 4096]).await.ok()?;
            }
        }
        Reply::SlowHead => {
            for octet in head(200, "", 0).bytes().cycle() {
                stream.write_all(&[octet]).await.ok()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            return None;
        }
        Reply::Raw(octets) => {
            stream.write_all(octets.as_bytes()).await.ok()?;
            return None;
        }
    };
    stream.write_all(whole.as_bytes()).await.ok()
}
