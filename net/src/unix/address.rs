//! [`SocketAddr`]: the address of a Unix socket.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::Path;

use rustix::net::SocketAddrUnix;

use crate::sys;

/// The address of a Unix socket.
///
/// An address is a path, or on Linux an abstract name. The socket of a client usually is
/// unnamed.
///
/// # Examples
///
/// ```
/// use coreloop::net::unix::SocketAddr;
///
/// # fn main() -> std::io::Result<()> {
/// let address = SocketAddr::from_pathname("/run/greeter.sock")?;
/// assert_eq!(address.as_pathname(), Some("/run/greeter.sock".as_ref()));
/// assert!(!address.is_unnamed());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SocketAddr(net::SocketAddr);

impl SocketAddr {
    /// Returns the address of the path `path`.
    ///
    /// # Errors
    ///
    /// Returns an error if the path is too long, which is some 100 bytes, or has a zero byte.
    pub fn from_pathname<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        net::SocketAddr::from_pathname(path).map(SocketAddr)
    }

    /// Returns the address of the abstract name `name`, which is in no file system and
    /// vanishes with its last socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is too long, which is some 100 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::{UnixListener, UnixStream, unix::SocketAddr};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let name = format!("coreloop example {}", std::process::id());
    /// let address = SocketAddr::from_abstract_name(name)?;
    /// let listener = UnixListener::bind_addr(&address)?;
    /// let _client = UnixStream::connect_addr(&address).await?;
    /// let (_server, _) = listener.accept().await?;
    /// # Ok(()) })
    /// # }
    /// ```
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn from_abstract_name<N: AsRef<[u8]>>(name: N) -> io::Result<Self> {
        sys::abstract_address(name.as_ref()).map(SocketAddr)
    }

    /// Returns whether the address is unnamed.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    /// Returns the path, if the address is one.
    #[must_use]
    pub fn as_pathname(&self) -> Option<&Path> {
        self.0.as_pathname()
    }

    /// Returns the abstract name, if the address is one, which it is only on Linux.
    #[must_use]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        sys::abstract_name(&self.0)
    }

    /// Returns the address that a method means by a path: like with tokio, a path that starts
    /// with a zero byte is an abstract name.
    pub(super) fn from_path(path: &Path) -> io::Result<Self> {
        match path.as_os_str().as_bytes() {
            [0, name @ ..] if sys::HAS_ABSTRACT_NAMES => sys::abstract_address(name).map(Self),
            _ => Self::from_pathname(path),
        }
    }

    /// Returns the address in the form that system calls take.
    pub(super) fn to_system(&self) -> io::Result<SocketAddrUnix> {
        sys::unix::to_system(&self.0)
    }
}

impl From<net::SocketAddr> for SocketAddr {
    fn from(address: net::SocketAddr) -> Self {
        Self(address)
    }
}

impl From<SocketAddr> for net::SocketAddr {
    fn from(address: SocketAddr) -> Self {
        address.0
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
