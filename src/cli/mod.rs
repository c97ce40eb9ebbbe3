//! The command line: each subcommand is arguments, one library call, a printed result.

mod config;
pub mod exit;
mod help;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;
use output::{Failure, Output};

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
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print help, or one of the tables: exit-codes, environment, files
    Help {
        /// Which table
        topic: Option<help::Topic>,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version are results; everything else is wrong usage.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Ok.into()
            };
        }
    };
    let out = Output::new(cli.json, cli.quiet);
    match run(cli.command, &out) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit.into()
        }
    }
}

fn run(command: Command, out: &Output) -> Result<(), Failure> {
    match command {
        Command::Config(command) => config::run(&command, out),
        Command::Completion { shell } => {
            help::completion(shell, out);
            Ok(())
        }
        Command::Help { topic } => {
            help::run(topic, out);
            Ok(())
        }
    }
}
