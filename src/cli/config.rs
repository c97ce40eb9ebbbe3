//! `config check` and `config show`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::Exit;
use super::output::{Failure, Output};
use super::roots;
use crate::config::{self, Effective, Inputs, Loaded};
use crate::instance::examine::{Found, Passphrase, examine};
use crate::instance::parts;
use crate::system::SystemClock;
use crate::time::Clock;

/// Where settings come from on the command line; shared by every command that reads them.
#[derive(Args, Debug, Default)]
pub(super) struct ConfigArgs {
    /// Configuration file [default: $SHORTLEAF_CONFIG, ./shortleaf.toml,
    /// $XDG_CONFIG_HOME/shortleaf/config.toml, /etc/shortleaf/config.toml]
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Set one setting, over file and environment; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

#[derive(Subcommand, Debug)]
pub(super) enum ConfigCommand {
    /// Say whether the configuration and the files it names can be used, and what it warns of
    Check {
        #[command(flatten)]
        args: ConfigArgs,
        /// Judge the values alone and open none of the files they name
        #[arg(long)]
        no_files: bool,
        /// Leave an encrypted CA key closed whose passphrase is given to `serve` alone
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Print the settings
    Show {
        #[command(flatten)]
        args: ConfigArgs,
        /// Print every value in force and where it came from, secrets hidden
        #[arg(long)]
        effective: bool,
    },
}

pub(super) fn run(command: &ConfigCommand, out: &Output) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check {
            args,
            no_files,
            no_passphrase,
        } => {
            let Loaded {
                settings,
                effective,
                inputs,
                ..
            } = args.load()?;
            let passphrase = match no_passphrase {
                true => Passphrase::Elsewhere,
                false => Passphrase::Here,
            };
            let found = match no_files {
                true => Found::default(),
                false => examine(&settings, passphrase, SystemClock.now().seconds()),
            };
            let warnings = [&settings.warnings[..], &found.warnings].concat();
            for warning in &warnings {
                out.warn(warning);
            }
            let roots = match no_files {
                true => None,
                false => roots::check().err(),
            };
            let problems = found.problems.iter();
            let problems = problems.map(|problem| unusable_in(&inputs, &effective, problem));
            let problems = roots.into_iter().chain(problems);
            let mut problems: Vec<Failure> = problems.collect();
            if let Some(last) = problems.pop() {
                for problem in &problems {
                    out.failure(problem);
                }
                return Err(last);
            }
            // Those of a file that is not opened are not known.
            let issuers = found.issuers.max(settings.issuers.len());
            if out.json {
                out.json(json!({ "ok": true, "issuers": issuers, "warnings": warnings }))?;
            } else {
                let (ok, warnings) = (out.ok(), warnings.len());
                let others = match (no_files, &settings.identity.fulcio_config) {
                    (true, Some(path)) => format!(" beside those of {}", path.display()),
                    (true, None) | (false, _) => String::new(),
                };
                out.result(&format!(
                    "{ok} {issuers} issuer(s){others}, {warnings} warning(s)"
                ))?;
            }
        }
        ConfigCommand::Show { args, effective } => {
            let loaded = args.load()?;
            let shown: Vec<_> = loaded
                .effective
                .0
                .iter()
                .filter(|(_, _, source)| *effective || *source != config::Source::Default)
                .collect();
            if out.json {
                let rows: Vec<_> = shown.iter().map(|(key, value, source)| json!({ "key": key, "value": value, "source": source.to_string() })).collect();
                out.json(json!({ "settings": rows }))?;
            } else {
                for (key, value, source) in shown {
                    out.result(&format!("{key} = {value}   # {source}"))?;
                }
            }
        }
    }
    Ok(())
}

/// Settings that do not become an instance, with what to try where there is something.
pub(super) fn unusable(error: &parts::Error) -> Failure {
    let failure = Failure::from_error(Exit::Configuration, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The same, beginning with the setting that is at fault and its place.
pub(super) fn unusable_in(inputs: &Inputs, effective: &Effective, error: &parts::Error) -> Failure {
    let mut failure = unusable(error);
    let text = error.path().and_then(Path::to_str).or(error.issuer());
    if let Some(key) = text.and_then(|text| effective.key_of(text)) {
        let place = config::place_of(inputs, key);
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        failure.message = format!("{place}`{key}`: {}", failure.message);
    }
    failure
}

impl ConfigArgs {
    /// Reads the configuration; its errors end with what to try.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let inputs = self.inputs()?;
        config::load(&inputs).map_err(|e| refused(&inputs, &e))
    }

    /// The same for commands that only look: they need no log.
    pub(super) fn load_to_look(&self) -> Result<Loaded, Failure> {
        let inputs = self.inputs()?;
        config::load_to_look(&inputs).map_err(|e| refused(&inputs, &e))
    }

    /// Where values come from.
    pub(super) fn inputs(&self) -> Result<Inputs, Failure> {
        let mut flags = Vec::new();
        for pair in &self.set {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Failure::new(Exit::Usage, format!("--set {pair:?} is not KEY=VALUE"))
                    .hint("--set server.listen=127.0.0.1:9000")
            })?;
            flags.push((key.to_owned(), value.to_owned()));
        }
        Ok(Inputs {
            file: self.file(),
            environment: environment(),
            flags,
        })
    }

    /// The first file that is named or present.
    fn file(&self) -> Option<PathBuf> {
        if let Some(file) = &self.config {
            return Some(file.clone());
        }
        if let Some(file) = std::env::var_os("SHORTLEAF_CONFIG") {
            return Some(file.into());
        }
        places().into_iter().find(|place| place.is_file())
    }
}

/// Where a file is looked for that nobody named.
fn places() -> Vec<PathBuf> {
    let home = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    let places = [
        Some("shortleaf.toml".into()),
        home.map(|h| h.join("shortleaf/config.toml")),
        Some("/etc/shortleaf/config.toml".into()),
    ];
    places.into_iter().flatten().collect()
}

/// What is wrong, with where it stands before it and what to try after it.
fn refused(inputs: &Inputs, error: &config::Error) -> Failure {
    if inputs.file.is_none() && matches!(error, config::Error::Missing { .. }) {
        let looked: Vec<_> = places().iter().map(|p| p.display().to_string()).collect();
        let looked = looked.join(", ");
        return Failure::new(
            Exit::Configuration,
            format!("no configuration file: looked for {looked}; without one {error}"),
        )
        .hint(
            "name one with --config FILE; config/first-run.toml in the repository is the shortest",
        );
    }
    let mut failure = Failure::from_error(Exit::Configuration, error)
        .hint("config/shortleaf.toml in the repository documents every key");
    if let Some(place) = config::place(inputs, error) {
        failure.message = format!("{place}: {}", failure.message);
    }
    failure
}

/// Our variables that are text; one that is not cannot be a setting.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("SHORTLEAF_"))
        .collect()
}
