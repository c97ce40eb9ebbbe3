//! Files and folders on the way to an instance: each read whole or not at all, up to a limit, and
//! looked at for who else may read or write it.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::error::Error;
use crate::config::CaSettings;

/// Largest key, chain or key set file read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Makes the folder, its owner's alone, unless it is there.
pub(super) fn make_private(path: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::StateDirectory {
            path: path.to_owned(),
            source,
        })?;
    owners_alone(path)
}

/// Refuses a state directory that group or world can write to: whoever can move the store or the
/// audit log away can have it begun anew. One that is not there is made private.
pub(super) fn owners_alone(path: &Path) -> Result<(), Error> {
    let mode = match std::fs::metadata(path) {
        Ok(folder) => folder.permissions().mode() & 0o7777,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(Error::StateDirectory {
                path: path.to_owned(),
                source,
            });
        }
    };
    match mode & 0o022 {
        0 => Ok(()),
        _ => Err(Error::StateDirectoryOpen {
            path: path.to_owned(),
            mode,
        }),
    }
}

/// Whether files can be made in the folder or, where it is not there yet, in the one it will be made
/// in. The file that is tried has no name, and nothing of it is left.
pub(super) fn writable(path: &Path) -> Result<(), Error> {
    let there = path
        .ancestors()
        .map(|folder| match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        })
        .find(|folder| folder.exists())
        .unwrap_or(path);
    tempfile::tempfile_in(there)
        .map(drop)
        .map_err(|source| Error::StateDirectory {
            path: path.to_owned(),
            source,
        })
}

/// A file of a usual size.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_at_most(path, MAX_FILE_BYTES)
}

/// A file of at most `limit` octets.
pub(super) fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(unreadable)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

pub(super) fn read_optional(path: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
    path.map(read).transpose()
}

pub(super) fn read_text(path: &Path) -> Result<String, Error> {
    text(path, read(path)?)
}

/// What this file held, as text.
pub(super) fn text(path: &Path, content: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(content).map_err(|e| Error::Unreadable {
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, e.utf8_error()),
    })
}

/// Warned of and not refused: orchestrators mount secrets world-readable where nobody else lives.
pub(super) fn is_open_to_everybody(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
}

/// Says that such a secret is one.
pub(super) fn warn_of_open(path: &Path) {
    tracing::warn!(path = %path.display(), "every user of this machine can get at this secret");
}

/// The passphrase itself, or the first line of its file.
pub(super) fn passphrase(
    ca: &CaSettings,
    read_text: impl FnOnce(&Path) -> Result<String, Error>,
) -> Result<Option<SecretString>, Error> {
    Ok(match (&ca.passphrase, &ca.passphrase_file) {
        (Some(passphrase), _) => Some(passphrase.clone()),
        (None, Some(path)) => {
            let text = Zeroizing::new(read_text(path)?);
            Some(SecretString::from(text.lines().next().unwrap_or_default()))
        }
        (None, None) => None,
    })
}

/// The secret files that are not their owner's alone.
pub(super) fn open_secrets(ca: &CaSettings) -> impl Iterator<Item = &PathBuf> {
    let secrets = [Some(&ca.key), ca.passphrase_file.as_ref()];
    secrets
        .into_iter()
        .flatten()
        .filter(|path| is_open_to_everybody(path))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_secret_that_every_user_can_read_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, open) in [(0o600, false), (0o440, false), (0o644, true), (0o602, true)] {
            std::fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_everybody(file.path()), open, "{mode:o}");
        }
        assert!(!is_open_to_everybody(Path::new("/nonexistent")));
    }
}
