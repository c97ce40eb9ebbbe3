//! The command line: each subcommand is arguments, one library call, a printed result.

mod audit;
mod ca;
mod cert;
mod claims;
mod config;
mod demo;
mod dev;
pub mod exit;
mod files;
mod help;
mod identity;
mod inspect;
mod issuer;
mod output;
mod roots;
mod rules;
mod serve;
mod signal;
mod trust;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;
use output::{Failure, Form, Output, Talk};

use crate::client::shape::is_token;

/// Keyless-signing certificate authority: OIDC token in, ten-minute certificate with a verified SCT out.
#[derive(Parser, Debug)]
#[command(
    name = "shortleaf",
    version,
    disable_help_subcommand = true,
    propagate_version = true
)]
pub struct Cli {
    /// Results and errors as JSON
    #[arg(long, global = true)]
    json: bool,
    /// No talk on stderr
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show the whole story in one process: token, certificate, verification, a refusal
    Demo,
    /// Run a development instance with its own token issuer until interrupted
    Dev(Box<dev::DevArgs>),
    /// Run the server
    Serve(Box<serve::ServeArgs>),
    /// Make a certificate authority
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Get one certificate
    Cert(Box<cert::CertArgs>),
    /// Show what a certificate says
    Inspect(inspect::InspectArgs),
    /// Write the trust files clients need
    #[command(subcommand)]
    Trust(trust::TrustCommand),
    /// Check the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Check, explain or test claim rules
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Show the configured issuers
    #[command(subcommand)]
    Issuer(issuer::IssuerCommand),
    /// Show what certificates would say
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    /// Print a completion script
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print help, of one command too, or one of the tables: exit-codes, environment, files
    Help {
        /// Which command or table
        #[arg(value_name = "COMMAND|TOPIC")]
        words: Vec<String>,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let talk = match cli.quiet {
        true => Talk::Warnings,
        false => Talk::All,
    };
    let out = Output::new(form(cli.json), talk);
    match run(cli.command, &out) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit.into()
        }
    }
}

fn form(is_json: bool) -> Form {
    match is_json {
        true => Form::Json,
        false => Form::Text,
    }
}

/// The end of a command line that clap did not take. `--help` and `--version` are results; all
/// else is wrong usage, told in clap's words, which name the nearest flag.
fn usage(error: &clap::Error) -> Exit {
    let out = Output::new(
        form(std::env::args_os().any(|argument| argument == "--json")),
        Talk::All,
    );
    if !error.use_stderr() {
        return match output::written(error.print()) {
            Ok(()) => Exit::Ok,
            Err(lost) => {
                out.failure(&lost);
                lost.exit
            }
        };
    }
    if std::env::args_os().any(|argument| argument.to_str().is_some_and(is_token)) {
        // clap would repeat it.
        let text = "a token stands among the arguments, where others can see it";
        let hint = "--token FILE, or --token - and the token on standard input";
        out.failure(&Failure::new(Exit::Usage, text).hint(hint));
        return Exit::Usage;
    }
    if !out.json {
        let _ = error.print();
        return Exit::Usage;
    }
    let text = error.render().to_string();
    let first = text.lines().take_while(|line| !line.is_empty());
    let message = first.map(str::trim).collect::<Vec<_>>().join(" ");
    let message = message.trim_start_matches("error: ");
    out.failure(&Failure::new(Exit::Usage, message).hint("shortleaf --help"));
    Exit::Usage
}

fn run(command: Command, out: &Output) -> Result<(), Failure> {
    match command {
        Command::Demo => runtime()?.block_on(demo::run(out)),
        Command::Dev(args) => runtime()?.block_on(dev::run(*args, out)),
        Command::Serve(args) => runtime()?.block_on(serve::run(*args, out)),
        Command::Cert(args) => runtime()?.block_on(cert::run(&args, out)),
        Command::Ca(command) => ca::run(&command, out),
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Trust(command) => trust::run(&command, out),
        Command::Audit(command) => audit::run(&command, out),
        Command::Config(command) => config::run(&command, out),
        Command::Rules(command) => rules::run(&command, out),
        Command::Issuer(command) => issuer::run(&command, out),
        Command::Identity(command) => identity::run(&command, out),
        Command::Completion { shell } => help::completion(shell, out),
        Command::Help { words } => help::run(&words, out),
    }
}

/// The runtime of commands that talk to somebody; the others need none, and nobody's roots.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    roots::check()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Unexpected, format!("cannot start the runtime: {e}")))
}
