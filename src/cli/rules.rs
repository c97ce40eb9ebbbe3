//! `rules check`, `rules lint`, `rules explain` and `rules test`.

mod cases;
mod explain;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::config::{ConfigArgs, unusable};
use super::exit::Exit;
use super::files;
use super::output::{Failure, Output, chain};
use crate::config::{IssuerSettings, Settings};
use crate::hex;
use crate::instance::whom;
use crate::rules::{Finding, MAX_FILE_BYTES, Mode, RuleSet, Severity};

const DOC: &str = "docs/rules.md";

#[derive(Subcommand, Debug)]
pub(super) enum RulesCommand {
    /// Say whether a rule file can be used
    Check {
        /// The rule file [default: the configuration's identity.rules]
        file: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// The same, and print everything worth a look
    Lint {
        /// The rule file [default: the configuration's identity.rules]
        file: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print how each rule stands to a token; exit 0 allowed, 25 refused, 4 token unusable
    Explain(explain::ExplainArgs),
    /// Decide about each case of a file; exit 25 if one differs
    Test {
        /// The rule file, and the cases; alone, the cases, about the configuration's identity.rules
        #[arg(required = true, num_args = 1..=2, value_names = ["FILE", "CASES"])]
        files: Vec<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub(super) fn run(command: &RulesCommand, out: &Output) -> Result<(), Failure> {
    match command {
        RulesCommand::Check { file, config } => {
            check(file.as_deref(), config, Warnings::Counted, out)
        }
        RulesCommand::Lint { file, config } => {
            check(file.as_deref(), config, Warnings::Listed, out)
        }
        RulesCommand::Explain(args) => explain::run(args, out),
        RulesCommand::Test { files, config } => test(files, config, out),
    }
    .map_err(|failure| match failure.exit == Exit::Configuration {
        // The configuration's own errors are explained beside the configuration.
        true => failure,
        false => Failure {
            doc: DOC,
            ..failure
        },
    })
}

/// Rules, where they stand, and whose tokens they are held against.
struct Source {
    path: PathBuf,
    rules: RuleSet,
    /// `None` without a configuration.
    issuers: Option<Vec<IssuerSettings>>,
}

impl Source {
    /// The named file, or the configuration's. Naming a file asks for no configuration unless one is
    /// named too.
    fn read(file: Option<&Path>, config: &ConfigArgs) -> Result<Self, Failure> {
        if let Some(path) = file.filter(|_| config.config.is_none() && config.set.is_empty()) {
            return Ok(Self {
                path: path.to_owned(),
                rules: read(path)?,
                issuers: None,
            });
        }
        let mut settings: Settings = config.load_to_look()?.settings;
        let configured = settings.identity.rules.take();
        let path = file.map(Path::to_owned).or(configured).ok_or_else(|| {
            Failure::new(
                Exit::Configuration,
                "the configuration has no identity.rules",
            )
            .hint("name a rule file; config/rules.toml in the repository shows one")
        })?;
        let believed = whom::believed(&settings).map_err(|e| unusable(&e))?;
        Ok(Self {
            rules: read(&path)?,
            path,
            issuers: Some(believed.issuers),
        })
    }

    /// Whether the server would load them: decisions of rules it refuses are nobody's.
    fn loads(&self, out: &Output) -> Result<(), Failure> {
        let (path, found) = (self.path.display(), self.findings().into_iter());
        let errors: Vec<_> = found
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| refused(told(&self.path, &finding)))
            .collect();
        for failure in &errors {
            out.failure(failure);
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(
                refused(format!("the server would not load this file: {path}"))
                    .hint("shortleaf rules lint says what else is worth a look in it"),
            ),
        }
    }

    fn findings(&self) -> Vec<Finding> {
        match &self.issuers {
            Some(issuers) => whom::findings(&self.rules, issuers),
            None => whom::findings_alone(&self.rules),
        }
    }
}

fn test(files: &[PathBuf], config: &ConfigArgs, out: &Output) -> Result<(), Failure> {
    let (file, cases) = match files {
        [file, cases] => (Some(file.as_path()), cases),
        [cases] => (None, cases),
        // clap takes one or two.
        _ => {
            return Err(
                Failure::new(Exit::Usage, "one file of rules and one of cases")
                    .hint("shortleaf rules test rules.toml cases.toml"),
            );
        }
    };
    let source = Source::read(file, config)?;
    source.loads(out)?;
    cases::run(&source.rules, cases, out)
}

/// What becomes of the warnings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Warnings {
    Counted,
    Listed,
}

fn check(
    file: Option<&Path>,
    config: &ConfigArgs,
    how: Warnings,
    out: &Output,
) -> Result<(), Failure> {
    let source = Source::read(file, config)?;
    let path = source.path.display();
    let is_lint = how == Warnings::Listed;
    let (errors, warnings): (Vec<_>, Vec<_>) = source
        .findings()
        .into_iter()
        .partition(|finding| finding.severity == Severity::Error);
    let told = |finding: &Finding| told(&source.path, finding);
    if let Some((last, before)) = errors.split_last() {
        for finding in warnings.iter().filter(|_| is_lint) {
            out.warn(&told(finding));
        }
        let failure =
            |finding| refused(told(finding)).hint("docs/rules.md says why a rule has to name ids");
        for finding in before {
            out.failure(&failure(finding));
        }
        return Err(failure(last));
    }
    let (rules, found) = (&source.rules, warnings.len());
    if out.json {
        let mut facts = json!({ "ok": true, "rules": rules.len(), "mode": word(rules.mode()), "hash": hex::encode(rules.hash()) });
        if is_lint {
            let row = |f: &Finding| json!({ "line": f.line, "rule": f.rule, "text": f.text });
            facts["findings"] = warnings.iter().map(row).collect();
        } else {
            facts["warnings"] = json!(found);
        }
        return out.json(facts);
    }
    for finding in warnings.iter().filter(|_| is_lint) {
        out.result(&told(finding))?;
    }
    if rules.is_empty() {
        out.warn(&format!("{path} has no rules: everybody is refused"));
    }
    if rules.mode() == Mode::Shadow {
        out.warn(&format!(
            "{path} is in shadow mode: whom it refuses gets a certificate all the same"
        ));
    }
    let ok = out.ok();
    out.result(&format!("{ok} {} rule(s), {found} warning(s)", rules.len()))
}

fn told(path: &Path, finding: &Finding) -> String {
    let Finding {
        line, rule, text, ..
    } = finding;
    format!("{}:{line}: rule {rule:?}: {text}", path.display())
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    }
}

fn refused(message: String) -> Failure {
    Failure {
        doc: DOC,
        ..Failure::new(Exit::Configuration, message)
    }
}

fn read(path: &Path) -> Result<RuleSet, Failure> {
    let text = files::read_text(path, MAX_FILE_BYTES as u64)?;
    RuleSet::parse(&text).map_err(|error| {
        let text = chain(&error);
        let at_line = text
            .strip_prefix("line ")
            .and_then(|rest| rest.split_once(": "));
        refused(match at_line {
            Some((line, problem)) => format!("{}:{line}: {problem}", path.display()),
            None => format!("{}: {text}", path.display()),
        })
        .hint("config/rules.toml in the repository documents every key")
    })
}
