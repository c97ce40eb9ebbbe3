//! Files on the command line: bounded reads, and writes that overwrite nothing secret.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::exit::Exit;
use super::output::Failure;
use crate::client::shape::is_token;

fn failed(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    if path.to_str().is_some_and(is_token) {
        // It stays unsaid: what we write may be anybody's to read.
        return Failure::new(
            Exit::Usage,
            "a token stands where the name of a file belongs",
        )
        .hint("put it into a file, or give - and the token on standard input");
    }
    let failure = Failure::new(
        Exit::Usage,
        format!("cannot {doing} {}: {error}", path.display()),
    );
    if error.kind() == ErrorKind::NotFound {
        failure.hint("is the path right? A relative one starts at the working directory")
    } else {
        failure.hint(format!("ls -ld {}", path.display()))
    }
}

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|e| failed("read", path, &e))
}

/// Reads a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    read_from(open(path)?, path, limit)
}

/// Reads a file, or standard input where `-` is its name, of at most `limit` bytes.
pub(super) fn read_or_stdin(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    match path == Path::new("-") {
        true => read_from(std::io::stdin().lock(), Path::new("standard input"), limit),
        false => read(path, limit),
    }
}

fn read_from(from: impl Read, name: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| failed("read", name, &e))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is larger than {limit} bytes", name.display()),
        )
        .hint("is it the right file?"));
    }
    Ok(bytes)
}

/// Reads a text file of at most `limit` bytes.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, Failure> {
    text(read(path, limit)?, path)
}

/// Reads text, from standard input where `-` is its name.
pub(super) fn read_text_or_stdin(path: &Path, limit: u64) -> Result<String, Failure> {
    text(read_or_stdin(path, limit)?, path)
}

fn text(bytes: Vec<u8>, path: &Path) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(Exit::Usage, format!("{} is not text", path.display()))
            .hint("is it the right file?")
    })
}

/// Writes a public file, replacing an old one.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| failed("write", path, &e))
}

/// Creates a file that must not exist, readable by its owner only from its first moment.
pub(super) fn write_new_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create(path, bytes, 0o600)
}

/// Creates a public file that must not exist.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create(path, bytes, 0o644)
}

fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|e| failed("create", path, &e))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|e| failed("write", path, &e))
}

/// Says early that a file is in the way.
pub(super) fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} exists already and is not overwritten", path.display()),
        )
        .hint("name another file, or move this one away"));
    }
    Ok(())
}

/// Says early that a file cannot be written, and leaves no trace: an old one keeps its content, and
/// what is made to see whether its folder takes a new one has no name and is gone at once.
pub(super) fn refuse_unwritable(path: &Path) -> Result<(), Failure> {
    let tried = if path.exists() {
        OpenOptions::new().write(true).open(path)
    } else {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        tempfile::tempfile_in(folder.unwrap_or(Path::new(".")))
    };
    tried.map(drop).map_err(|e| failed("write", path, &e))
}

/// Makes a folder only its owner can enter; an existing one is left as it is.
pub(super) fn private_folder(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| failed("create", path, &e))
}
