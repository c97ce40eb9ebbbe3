//! GitHub's token service as a job sees it, made to fail on request.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the runner gives the job to show there; a secret like the token.
pub(crate) const CREDENTIAL: &str = "runner-credential-0123456789";

/// The service on a free port. Its thread ends with the test's process.
pub(crate) struct TokenService {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// With its query.
    pub(crate) path: String,
    pub(crate) authorization: String,
}

impl TokenService {
    /// Answers with these, in order, the last one again and again: a status, and a body.
    pub(crate) fn start(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                let authorization = lines
                    .take_while(|line| !line.is_empty())
                    .filter_map(|line| {
                        Some(line.split_once(": ")?).map(|(n, v)| (n.to_lowercase(), v.to_owned()))
                    })
                    .fold(String::new(), |found, (name, value)| {
                        if name == "authorization" {
                            value
                        } else {
                            found
                        }
                    });
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().unwrap().push(Asked {
                    path,
                    authorization,
                });
                let (status, body) = &answers[number.min(answers.len() - 1)];
                let _ = write!(
                    &stream,
                    "HTTP/1.1 {status} -\r\nRetry-After: 1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { address, asked }
    }

    /// As it stands in `ACTIONS_ID_TOKEN_REQUEST_URL`: there is a query already.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/token?api-version=2.0", self.address)
    }

    /// The same as the URL of a server, which is asked beneath it.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}
