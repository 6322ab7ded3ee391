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
                if !is_abandoned(path).await {
                    return Err(error);
                }
                if !remove_abandoned(path).await? {
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
async fn remove_abandoned(path: &Path) -> io::Result<bool> {
    // Under a name that no other process uses, it cannot be replaced any more.
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{:016x}", fastrand::u64(..)));
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside)?;
    let was_abandoned = is_abandoned(&aside).await;
    if !was_abandoned {
        // If a third one is there now, that one stays.
        let _ = fs::hard_link(&aside, path);
    }
    fs::remove_file(&aside)?;
    Ok(was_abandoned)
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
