//! Outside parts: other people's programs, started on 127.0.0.1 and driven by tests.
//!
//! `.ci/parts` installs them into `${SHORTLEAF_PARTS:-$HOME/.cache/shortleaf-parts}`. A test asks
//! with [`require_or_skip`]: on a developer's machine a missing part skips the test and says so;
//! with `SHORTLEAF_TEST_REQUIRE=all` (as `.ci/run` sets it) a missing part fails it. A started
//! program lives in its own process group and dies with its [`Running`]. Nothing here is killed
//! by name, and no port is fixed.
//!
//! Only the standard library is used, so any test binary may include this file alone:
//! `#[path = "../world/parts.rs"] mod parts;`.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::secrets;

/// A bound against hanging, not a claim about speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(20);
/// How much of a program's output a failing test shows, per stream.
const SHOWN_BYTES: usize = 8 * 1024;

/// Where `.ci/parts` puts what it installs.
pub(crate) fn cache() -> PathBuf {
    match env::var_os("SHORTLEAF_PARTS") {
        Some(folder) => folder.into(),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into()))
            .join(".cache/shortleaf-parts"),
    }
}

/// A program by its name, or anything in the cache by its path there (`node/node_modules/@sigstore/sign`).
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let cache = cache();
    let path = env::var_os("PATH").unwrap_or_default();
    ["bin", "venv/bin", ""]
        .into_iter()
        .map(|folder| cache.join(folder))
        .chain(env::split_paths(&path))
        // Daemons stand here; a developer's PATH often leaves it out.
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.exists())
}

/// The part, or `None` after saying so: the test returns then. Panics instead where
/// `SHORTLEAF_TEST_REQUIRE=all` asks for every part.
pub(crate) fn require_or_skip(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        let thread = thread::current();
        let test = thread.name().unwrap_or("a test");
        let required = env::var("SHORTLEAF_TEST_REQUIRE").is_ok_and(|what| what == "all");
        assert!(
            !required,
            "{test}: {name} is not installed and SHORTLEAF_TEST_REQUIRE=all; run .ci/parts"
        );
        // Straight to the stream: the test harness swallows what `eprintln!` writes in a passing test.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {name} is not installed");
    }
    found
}

/// How often to repeat: `short`, or `long` where `.ci/long NAME` runs this very `form`.
pub(crate) fn rounds(form: &str, short: usize, long: usize) -> usize {
    match env::var("SHORTLEAF_TEST_LONG") {
        Ok(name) if name == form => long,
        _ => short,
    }
}

/// A port of 127.0.0.1 that the system picked and hands to nobody else for a minute. Prefer port 0
/// where the program can say what it got.
///
/// A connection over it ends here from the listening side, which leaves the port in TIME_WAIT: the
/// kernel then gives it to no one who asks for any port, be it to listen or to connect from, but
/// lets a server that names it have it (`SO_REUSEADDR`, which servers set for just this).
pub(crate) fn free_port() -> u16 {
    let reserve = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let connecting = TcpStream::connect(address)?;
        drop(listener.accept()?);
        drop(connecting);
        Ok::<_, std::io::Error>(address.port())
    };
    reserve().expect("127.0.0.1 has a free port")
}

/// Looks again until `ready` answers or `deadline` has passed.
pub(crate) fn wait_until<T>(deadline: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = ready() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// One plain HTTP/1.0 request to a loopback `http://` URL: status and body, `None` if nothing
/// answered. Enough to see whether a server is up; tests of answers use a real client.
pub(crate) fn http(method: &str, url: &str, body: Option<&str>) -> Option<(u16, String)> {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let address: SocketAddr = authority
        .replace("localhost", "127.0.0.1")
        .parse()
        .expect("host and port");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let body = body.unwrap_or_default();
    // 1.0: no chunks, and the end of the stream is the end of the body.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A program that runs beside the test, in its own process group, its output in two files.
/// Dropped, it and everything it started is killed; a failing test then shows what it wrote. A
/// program of ours that wrote a secret fails the test that ran it.
pub(crate) struct Running {
    name: String,
    child: Child,
    exited: Option<ExitStatus>,
    folder: PathBuf,
    /// Whether what it writes is ours to answer for.
    is_ours: bool,
}

/// A program that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How.
    pub(crate) status: ExitStatus,
    /// What it wrote to standard output.
    pub(crate) stdout: String,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
}

impl Running {
    /// Starts `command`; `name` is what messages call it.
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder =
            env::temp_dir().join(format!("shortleaf-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the output");
        let stream =
            |name: &str| fs::File::create(folder.join(name)).expect("a file for the output");
        let child = command
            .stdin(Stdio::null())
            .stdout(stream("stdout"))
            .stderr(stream("stderr"))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name: name.to_owned(),
            child,
            exited: None,
            folder,
            is_ours: is_ours(command),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        read_lossy(&self.folder.join("stdout"))
    }

    /// What it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        read_lossy(&self.folder.join("stderr"))
    }

    /// Waits for a line of standard output that starts with `prefix`; answers with the rest of it.
    pub(crate) fn wait_for_line(&mut self, prefix: &str, deadline: Duration) -> String {
        self.wait_for(&format!("a line {prefix:?}"), deadline, |this| {
            // Only whole lines: the last one may still be on its way.
            this.stdout()
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'))
                .find_map(|line| line.strip_prefix(prefix).map(|rest| rest.trim().to_owned()))
        })
    }

    /// Waits until a GET of `url` answers 200; answers with the body.
    pub(crate) fn wait_for_url(&mut self, url: &str, deadline: Duration) -> String {
        self.wait_for(url, deadline, |_| {
            http("GET", url, None).and_then(|(status, body)| (status == 200).then_some(body))
        })
    }

    /// Waits until `ready` answers. Panics when the program ends first, or at the deadline.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let end = Instant::now() + deadline;
        loop {
            if let Some(value) = ready(self) {
                return value;
            }
            if let Some(status) = self.poll() {
                panic!("{} ended ({status}) before {what}", self.name);
            }
            assert!(
                Instant::now() < end,
                "{}: no {what} within {deadline:?}",
                self.name
            );
            thread::sleep(POLL);
        }
    }

    /// Waits for its end. Panics at the deadline, which kills it.
    pub(crate) fn finish(mut self, deadline: Duration) -> Finished {
        let status = wait_until(deadline, || self.poll())
            .unwrap_or_else(|| panic!("{} still runs after {deadline:?}", self.name));
        Finished {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// Sends a signal (`TERM`, `INT`, `STOP`, `KILL`) to the program and all it started.
    pub(crate) fn signal(&mut self, signal: &str) {
        // Once reaped, the number may belong to someone else.
        if self.poll().is_none() {
            signal_group(signal, self.child.id());
        }
    }

    /// `kill -9`, as a crash would: nothing gets to clean up. Returns when it is dead.
    pub(crate) fn kill(&mut self) {
        if self.exited.is_none() {
            // The group first: while the leader is not reaped, its number is still ours.
            signal_group("KILL", self.child.id());
            let _ = self.child.kill();
            self.exited = self.child.wait().ok();
        }
    }

    /// How it ended, if it has.
    pub(crate) fn poll(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = self.child.try_wait().ok().flatten();
        }
        self.exited
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let (stdout, stderr) = (self.stdout(), self.stderr());
        let _ = fs::remove_dir_all(&self.folder);
        if thread::panicking() {
            eprintln!("--- {} ({:?})", self.name, self.exited);
            eprintln!("{}", tail(&stdout));
            eprintln!("{}", tail(&stderr));
            eprintln!("--- end of {}", self.name);
        } else if self.is_ours {
            secrets::none_in(&format!("the output of {}", self.name), stdout);
            secrets::none_in(&format!("the errors of {}", self.name), stderr);
        }
    }
}

/// `shortleaf`, unless a token is what it was asked for.
fn is_ours(command: &Command) -> bool {
    let program = Path::new(command.get_program());
    let mut words = command.get_args();
    let mints = words.next() == Some("dev".as_ref()) && words.next() == Some("token".as_ref());
    program.file_name() == Some("shortleaf".as_ref()) && !mints
}

/// Runs `command` to its end and demands success. The failure shows its output.
pub(crate) fn run(name: &str, command: &mut Command, deadline: Duration) -> Finished {
    let finished = Running::start(name, command).finish(deadline);
    assert!(
        finished.status.success(),
        "{name} failed ({})\n{}\n{}",
        finished.status,
        tail(&finished.stdout),
        tail(&finished.stderr)
    );
    finished
}

fn signal_group(signal: &str, leader: u32) {
    // The shell's own `kill`: the system call would need `unsafe` or another crate, and a small
    // image may lack the program.
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -s {signal} -- -{leader}")])
        .stderr(Stdio::null())
        .status();
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(SHOWN_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}
