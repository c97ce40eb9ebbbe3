//! A program from outside, given files in a folder that goes away.

use std::path::PathBuf;
use std::process::Command;

#[path = "../world/parts.rs"]
mod parts;

pub(crate) struct Tool {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Tool {
    /// `None`, said aloud, where the program is missing and may be.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Some(Self {
            program: parts::require_or_skip(name)?,
            folder: tempfile::tempdir().unwrap(),
        })
    }

    /// Writes a file for the program to read.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Runs the program in the folder. Its output, or what it complained about.
    pub(crate) fn run(&self, arguments: &str) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stdout) + &text(&output.stderr)),
        }
    }
}
