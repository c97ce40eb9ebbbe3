//! `SSL_CERT_FILE` and `SSL_CERT_DIR`: the roots to believe in the place of the system's. The TLS
//! library passes over what it cannot read; here it is told, before anybody is connected to.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::exit::Exit;
use super::output::Failure;

/// As much of one file as is read; Mozilla's whole list is a quarter of a megabyte.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Says whether the roots that the environment names can be believed.
pub(super) fn check() -> Result<(), Failure> {
    let set = |name: &'static str| Some((name, std::env::var_os(name)?));
    if let Some((name, file)) = set("SSL_CERT_FILE") {
        return usable(name, &file, roots_in(Path::new(&file)));
    }
    if let Some((name, folders)) = set("SSL_CERT_DIR") {
        return usable(name, &folders, roots_below(&folders));
    }
    Ok(())
}

fn usable(name: &str, value: &OsStr, roots: io::Result<usize>) -> Result<(), Failure> {
    let problem = match roots {
        Ok(0) => "it holds no certificate (PEM)".to_owned(),
        Ok(_) => return Ok(()),
        Err(error) => error.to_string(),
    };
    let message = format!("{name} is {value:?}: {problem}");
    Err(Failure {
        doc: "docs/cli.md",
        ..Failure::new(Exit::Configuration, message)
            .hint(format!("unset {name} believes the system's roots"))
    })
}

fn roots_in(path: &Path) -> io::Result<usize> {
    let mut pem = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut pem)?;
    let roots = reqwest::Certificate::from_pem_bundle(&pem);
    Ok(roots.map_or(0, |roots| roots.len()))
}

/// The certificates of every folder; a folder that is not there is an error only among such.
fn roots_below(folders: &OsStr) -> io::Result<usize> {
    let (mut roots, mut lost) = (0, None);
    for folder in std::env::split_paths(folders) {
        match fs::read_dir(&folder) {
            // What stands beside the certificates does not count against them.
            Ok(entries) => {
                let files = entries.flatten().map(|entry| entry.path());
                roots += files.filter_map(|file| roots_in(&file).ok()).sum::<usize>();
            }
            Err(error) => lost = Some(error),
        }
    }
    match lost {
        Some(error) if roots == 0 => Err(error),
        _ => Ok(roots),
    }
}
