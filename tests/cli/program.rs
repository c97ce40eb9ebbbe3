//! Running the program: one call, or one process beside the test, each in a world of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs, io::Write, thread};

use serde_json::Value;

pub(crate) use crate::parts::PATIENCE;
use crate::parts::Running;
use crate::secrets;

/// The program under test.
pub(crate) const SHORTLEAF: &str = env!("CARGO_BIN_EXE_shortleaf");
/// Opens every private key the suite makes.
pub(crate) const PASSPHRASE: &str = "correct-horse-battery";

/// A folder, and commands whose working directory, home and temporary folder are in it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        secrets::plant_text("the passphrase", PASSPHRASE);
        secrets::plant_text("the runner's credential", crate::github::CREDENTIAL);
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// What `TMPDIR` holds.
    pub(crate) fn left_behind(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// A command in this place, with nothing of the developer's own environment but the path.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder())
            .env("TMPDIR", self.path("tmp"));
        command
    }

    /// `shortleaf` with these words, to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.call(words).run()
    }

    pub(crate) fn call(&self, words: &[&str]) -> Call {
        let mut command = self.command(SHORTLEAF);
        command.args(words);
        Call {
            line: words.join(" "),
            command,
            stdin: String::new(),
        }
    }

    /// `shortleaf` with these words, beside the test.
    pub(crate) fn start(&self, words: &[&str]) -> Beside {
        let name = format!("shortleaf {}", words.join(" "));
        Beside(Running::start(&name, self.command(SHORTLEAF).args(words)))
    }
}

/// What servers keep and publish holds no secret; the CA's key and its passphrase lie elsewhere.
impl Drop for Place {
    fn drop(&mut self) {
        if !thread::panicking() {
            secrets::none_below(&self.path("state"));
            secrets::none_below(&self.path("out"));
            secrets::none_below(&self.path("tmp"));
        }
    }
}

/// One command line, not run yet.
pub(crate) struct Call {
    line: String,
    command: Command,
    stdin: String,
}

impl Call {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    pub(crate) fn run(self) -> Ended {
        self.run_into(Stdio::piped())
    }

    /// Runs with standard output on a disk that has no room left.
    pub(crate) fn run_into_a_full_disk(self) -> Ended {
        let full = fs::File::create("/dev/full").unwrap();
        self.run_into(full.into())
    }

    fn run_into(mut self, stdout: Stdio) -> Ended {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who does not read its input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(self.stdin.as_bytes());
        Ended::from(self.line, &child.wait_with_output().unwrap())
    }
}

/// A command that ended.
pub(crate) struct Ended {
    line: String,
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    fn from(line: String, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let ended = Self {
            exit: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            line,
        };
        if !ended.line.contains("dev token") {
            no_secret(&ended.stdout);
        }
        no_secret(&ended.stderr);
        ended
    }

    /// Demands this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, code, "shortleaf {}\n{self}", self.line);
        self
    }

    /// Demands this text on standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "no {text:?}\nshortleaf {}\n{self}",
            self.line
        );
        self
    }

    /// The result of a command with `--json`.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        one_object(&self.stdout)
    }

    /// The error of a command with `--json`.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.stdout, "", "a result beside an error");
        one_object(self.stderr.lines().last().unwrap_or_default())
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// One line, one JSON object, of version 1.
#[track_caller]
fn one_object(text: &str) -> Value {
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(value["v"], 1, "{text}");
    value
}

/// A program that runs until it is told to stop.
pub(crate) struct Beside(pub(crate) Running);

impl Beside {
    /// Its URL, once it answers.
    pub(crate) fn ready(&mut self) -> String {
        self.0.wait_for_line("READY ", PATIENCE)
    }

    /// Waits until it says so on standard error.
    pub(crate) fn told(&mut self, words: &str) {
        self.0.wait_for(words, PATIENCE, |running| {
            running.stderr().contains(words).then_some(())
        });
    }

    /// The URL of the operators' doors, as its own words have it.
    pub(crate) fn operators(&mut self) -> String {
        self.0.wait_for("the operators' URL", PATIENCE, |running| {
            let text = running.stderr();
            let from = text.find("operators")?;
            let url = &text[from + text[from..].find("http://")?..];
            Some(url.split(['"', '\n', ' ']).next()?.to_owned())
        })
    }

    /// Ends it with a signal, demands a clean exit; answers with what it wrote.
    pub(crate) fn stop(mut self, signal: &str) -> (String, String) {
        self.0.signal(signal);
        let finished = self.0.finish(PATIENCE);
        assert_eq!(
            finished.status.code(),
            Some(0),
            "{}\n{}",
            finished.stdout,
            finished.stderr
        );
        no_secret(&finished.stdout);
        no_secret(&finished.stderr);
        (finished.stdout, finished.stderr)
    }
}

/// What a closing terminal sends; under `nohup`, where nobody is to end by it, another signal that
/// ends a server.
pub(crate) fn hang_up() -> &'static str {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    match ignored {
        Some(mask) if mask & 1 != 0 => "TERM",
        _ => "HUP",
    }
}

/// No token, no private key, no passphrase stands in what the program wrote, except on the one
/// line that has GitHub's runner hide the token.
#[track_caller]
pub(crate) fn no_secret(text: &str) {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.starts_with("::add-mask::"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert!(!text.contains("MHcCAQEE"), "a SEC 1 key stands in: {text}");
    secrets::none_in("the output", text);
}

#[test]
#[should_panic(expected = "the shape of a token stands in")]
fn a_token_in_the_output_is_seen() {
    no_secret("refused: eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln");
}
