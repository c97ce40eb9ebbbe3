//! `audit verify`: walks the audit log's chain.

use std::io::BufReader;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::exit::Exit;
use super::files;
use super::output::{Failure, Output};
use crate::audit;
use crate::hex;

#[derive(Subcommand, Debug)]
pub(super) enum AuditCommand {
    /// Walk the chain from its first line; exit 1 names the first line that breaks it, exit 2 says
    /// that the file cannot be read
    Verify {
        /// The log, `<state.dir>/audit.log`
        file: PathBuf,
    },
}

pub(super) fn run(command: &AuditCommand, out: &Output) -> Result<(), Failure> {
    let AuditCommand::Verify { file } = command;
    let opened = files::open(file)?;
    let summary = audit::verify(BufReader::new(opened)).map_err(|e| broken(&e))?;
    let head = hex::encode(&summary.head);
    if out.json {
        out.json(json!({ "ok": true, "lines": summary.lines, "signing": summary.signing, "signed": summary.signed, "head": head, "torn_tail": summary.torn_tail }))?;
    } else {
        out.result(&format!(
            "{} {} lines, {} signatures announced, {} made, head {head}",
            out.ok(),
            summary.lines,
            summary.signing,
            summary.signed
        ))?;
    }
    if summary.torn_tail > 0 {
        out.warn(&format!("the last line is cut short ({} bytes), as a crash leaves it; the next start repairs and records it", summary.torn_tail));
    }
    Ok(())
}

/// A line that does not fit, or a disk that does not give it: only one of them is somebody's doing.
fn broken(error: &audit::Broken) -> Failure {
    match error {
        audit::Broken::Line { .. } => {
            let mut failure = Failure::from_error(Exit::Unexpected, error).hint(
                "compare with a copy kept elsewhere: everything from this line on is in doubt",
            );
            failure.code = "AUDIT_BROKEN".to_owned();
            failure
        }
        audit::Broken::Read { .. } => Failure::from_error(Exit::Usage, error)
            .hint("give the file itself, <state.dir>/audit.log; nothing is known of its chain"),
    }
}
