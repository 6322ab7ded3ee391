//! [`SocketFile`], the file of a Unix socket at which a manager listens.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use coreloop_net::{UnixListener, UnixStream};

/// The file of a Unix socket, which the kernel leaves when the socket is closed. Dropping this
/// removes it, unless another file is at its path.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The device and the number of the file there.
    id: Option<(u64, u64)>,
}

impl SocketFile {
    /// Listens at a path. A socket that a killed manager has left there is replaced.
    pub(super) async fn bind(path: &Path) -> io::Result<(Self, UnixListener)> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let found = Aside(aside(path));
                if fs::hard_link(path, &found.0).is_err()
                    || !is_abandoned(path).await
                    || !remove_abandoned(path, &found)?
                {
                    return Err(error);
                }
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        let file = Self {
            path: path.to_owned(),
            id: id_of(path),
        };
        Ok((file, listener))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.id.is_some() && id_of(&self.path) == self.id {
            // It may have been removed meanwhile.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes an abandoned socket. Returns `false` if another process has replaced it meanwhile: that
/// one stays.
fn remove_abandoned(path: &Path, abandoned: &Aside) -> io::Result<bool> {
    // Under a name that no other process uses, it cannot be replaced any more.
    let taken = Aside(aside(path));
    fs::rename(path, &taken.0)?;
    // The first name keeps the number of the file from being used again.
    let is_same = id_of(&taken.0) == id_of(&abandoned.0);
    if !is_same {
        // If a third one is there now, that one stays.
        let _ = fs::hard_link(&taken.0, path);
    }
    Ok(is_same)
}

/// A second name of a socket file, which is removed when this is dropped.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Returns a name in the same folder that no file has.
fn aside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{:016x}", fastrand::u64(..)))
}

/// Returns whether a file is a socket at which no process listens. A connection to a file of
/// another kind is refused too.
async fn is_abandoned(path: &Path) -> bool {
    let file = fs::symlink_metadata(path);
    if !file.is_ok_and(|file| file.file_type().is_socket()) {
        return false;
    }
    let connected = UnixStream::connect(path).await;
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn id_of(path: &Path) -> Option<(u64, u64)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}
