//! Creates listening Unix sockets, and removes their files.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::options::SocketOptions;
use crate::name_lock::NameLock;

/// Listens at `path`. A socket there to which no process listens is replaced. Returns
/// `AddrInUse` if a process listens there, or if the file is not a socket.
///
/// The file has its name before its permissions, but no process can connect until the socket
/// listens. A file that was made elsewhere, and then renamed, would leave the socket with an
/// address that no client knows.
pub(super) fn listen(path: &Path, options: &SocketOptions) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    if options.is_for_a_file() && path.as_os_str().as_encoded_bytes().starts_with(b"\0") {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "an abstract name has no file, and so neither permissions nor an owner",
        ));
    }
    let socket = new()?;
    // Held until `listen` below, so that no other process finds the file before.
    let _lock = NameLock::of(path);
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if !is_stale(path, &address)? {
                return Err(error);
            }
            fs::remove_file(path).or_else(unless_gone)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    if options.is_for_a_file()
        && let Err(error) = options.protect(path)
    {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    options.listen(&socket)?;
    Ok(socket)
}

fn new() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Returns whether `path` is a socket to which no process listens. A socket whose queue is
/// full has a listener.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // An abstract name is not a path, and there is nothing to replace.
        Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Ok(false);
    }
    let answer = new()?.connect(address);
    Ok(answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}

fn unless_gone(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

/// The file of a socket, and its identity: another file may take its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    /// Identifies the file at `path`. `None` if it is not a socket, or if `path` is an
    /// abstract name.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        metadata.file_type().is_socket().then(|| Self {
            // The process may change its working directory.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            id: id(&metadata),
        })
    }

    /// Removes the file, unless another file has taken its place.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) if id(&metadata) == self.id => {
                fs::remove_file(&self.path).or_else(unless_gone)
            }
            Ok(_) => Ok(()),
            Err(error) => unless_gone(error),
        }
    }
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
