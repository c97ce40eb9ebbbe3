//! What people and programs read: results on stdout, talk on stderr, colour only where it is wanted.

use std::io::{ErrorKind, IsTerminal, Write};

use serde_json::{Value, json};

use super::exit::Exit;
use crate::fault;

/// How to speak, decided once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// `--json`: results and errors as JSON, each with `"v":1`.
    pub(super) json: bool,
    talk: Talk,
    colour: Colour,
}

/// For whom results and errors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// People.
    Text,
    /// Programs: `--json`.
    Json,
}

/// What is said beside results and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Talk {
    /// Whatever somebody may want to know.
    All,
    /// `--quiet`.
    Warnings,
}

/// What a word is painted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hue {
    /// It went well: green.
    Good,
    /// It wants a look: yellow.
    Warning,
    /// It went wrong: red.
    Bad,
}

impl Hue {
    /// As terminals call it (ECMA-48 SGR).
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
        }
    }
}

/// Where colour is wanted: one stream may be a terminal and the other a file.
#[derive(Clone, Copy, Debug)]
struct Colour {
    stdout: bool,
    stderr: bool,
}

/// A command that did not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    /// How the process ends.
    pub(super) exit: Exit,
    /// A stable word for programs.
    pub(super) code: String,
    /// What happened, and to which value.
    pub(super) message: String,
    /// One thing to try next.
    pub(super) hint: Option<String>,
    /// Where it is explained, as a path in the repository.
    pub(super) doc: &'static str,
}

impl Failure {
    /// A failure whose code is the exit code's own word.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            code: exit.word().to_owned(),
            message: message.into(),
            hint: None,
            doc: if exit == Exit::Configuration {
                "config/shortleaf.toml"
            } else {
                "docs/cli.md"
            },
        }
    }

    /// A failure from an error and its causes.
    pub(super) fn from_error(exit: Exit, error: &dyn std::error::Error) -> Self {
        Self::new(exit, chain(error))
    }

    /// The same with something to try next.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An error and its causes, outermost first.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    fault::chain(error)
}

/// What became of a result. A reader that went away (`| head`) is not an error of ours; a full
/// disk is, or a file cut short would pass for the whole.
pub(super) fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Unexpected,
            format!("cannot write the result to standard output: {error}"),
        )
        .hint("is there room where standard output goes?")),
        _ => Ok(()),
    }
}

impl Output {
    /// Decides about colour from the terminal and `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`.
    pub(super) fn new(form: Form, talk: Talk) -> Self {
        let json = form == Form::Json;
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
        let off = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("CLICOLOR").is_some_and(|v| v == "0");
        let wanted = |terminal: bool| !json && (set("CLICOLOR_FORCE") || (!off && terminal));
        let colour = Colour {
            stdout: wanted(std::io::stdout().is_terminal()),
            stderr: wanted(std::io::stderr().is_terminal()),
        };
        Self { json, talk, colour }
    }

    /// A line of the result.
    pub(super) fn result(&self, line: &str) -> Result<(), Failure> {
        written(writeln!(std::io::stdout().lock(), "{line}"))
    }

    /// A line of a result that is told for people; with `--json` its facts come at the end.
    pub(super) fn tell(&self, line: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        self.result(line)
    }

    /// The line people and programs wait for: the server at `url` answers. `facts` go with it
    /// under `--json`.
    pub(super) fn ready(&self, url: &str, facts: Value) -> Result<(), Failure> {
        if !self.json {
            return self.result(&format!("READY {url}"));
        }
        let mut all = serde_json::Map::new();
        all.insert("ready".to_owned(), json!(url));
        if let Value::Object(facts) = facts {
            all.extend(facts);
        }
        self.json(Value::Object(all))
    }

    /// Bytes of the result, as they are.
    pub(super) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        written(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// The result as JSON, with `"v":1`.
    pub(super) fn json(&self, value: Value) -> Result<(), Failure> {
        let mut all = serde_json::Map::new();
        all.insert("v".to_owned(), json!(1));
        if let Value::Object(members) = value {
            all.extend(members);
        }
        self.result(&Value::Object(all).to_string())
    }

    /// A line of talk.
    pub(super) fn say(&self, line: &str) {
        if self.talk == Talk::All && !self.json {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }

    /// Has GitHub's runner hide a value from every later line of the job's log. The runner takes
    /// this line itself out of the log.
    pub(super) fn mask(&self, value: &str) {
        let _ = writeln!(std::io::stderr().lock(), "::add-mask::{value}");
    }

    /// A decision that fell meanwhile: a line of talk, with `--json` an object on standard error.
    pub(super) fn event(&self, word: &str, hue: Hue, line: &str, mut facts: Value) {
        if self.talk == Talk::Warnings {
            return;
        }
        let mut err = std::io::stderr().lock();
        let _ = if self.json {
            facts["v"] = json!(1);
            facts["event"] = json!(word);
            writeln!(err, "{facts}")
        } else {
            let space = " ".repeat(11_usize.saturating_sub(word.len()));
            let word = paint(word, hue, self.colour.stderr);
            writeln!(err, "{word}{space}{line}")
        };
    }

    /// A warning; shown even with `--quiet`.
    pub(super) fn warn(&self, line: &str) {
        if self.json {
            let _ = writeln!(
                std::io::stderr().lock(),
                "{}",
                json!({ "v": 1, "warning": line })
            );
            return;
        }
        let word = paint("warning", Hue::Warning, self.colour.stderr);
        let _ = writeln!(std::io::stderr().lock(), "{word}: {line}");
    }

    /// `ok` for a line of the result, in green where colour is wanted.
    pub(super) fn ok(&self) -> String {
        paint("ok", Hue::Good, self.colour.stdout)
    }

    /// The end of a command that failed.
    pub(super) fn failure(&self, failure: &Failure) {
        let mut err = std::io::stderr().lock();
        let _ = if self.json {
            writeln!(
                err,
                "{}",
                json!({ "v": 1, "code": failure.code, "exit": failure.exit.code(), "message": failure.message, "hint": failure.hint, "doc": failure.doc })
            )
        } else {
            writeln!(
                err,
                "{} {}  {}",
                paint("FAIL", Hue::Bad, self.colour.stderr),
                failure.exit.code(),
                failure.message
            )
            .and_then(|()| {
                failure
                    .hint
                    .as_ref()
                    .map_or(Ok(()), |hint| writeln!(err, "try: {hint}"))
            })
        };
    }
}

fn paint(word: &str, hue: Hue, is_wanted: bool) -> String {
    if is_wanted {
        format!("\x1b[{}m{word}\x1b[0m", hue.code())
    } else {
        word.to_owned()
    }
}
