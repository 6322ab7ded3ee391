//! [`SocketAddr`]: a path, an abstract name, or nothing.

use std::fmt;
use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::Path;

use rustix::net::SocketAddrUnix;
use socket2::SockAddr;

/// The address of a Unix socket.
///
/// It is a path, on Linux it may be an abstract name, and the socket of a client
/// usually has none.
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
    /// The address that is the path `path`.
    ///
    /// # Errors
    ///
    /// If the path is too long, which is some 100 bytes, or has a zero byte.
    pub fn from_pathname<P: AsRef<Path>>(path: P) -> io::Result<SocketAddr> {
        net::SocketAddr::from_pathname(path).map(SocketAddr)
    }

    /// The abstract address `name`, which is in no file system and goes with its
    /// last socket.
    ///
    /// # Errors
    ///
    /// If the name is too long, which is some 100 bytes.
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
    pub fn from_abstract_name<N: AsRef<[u8]>>(name: N) -> io::Result<SocketAddr> {
        abstract_address(name.as_ref()).map(SocketAddr)
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    /// The path, if it is one.
    #[must_use]
    pub fn as_pathname(&self) -> Option<&Path> {
        self.0.as_pathname()
    }

    /// The abstract name, if it is one. It is only on Linux.
    #[must_use]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        abstract_name(&self.0)
    }

    /// What the methods that take a path mean by it: tokio's users write an abstract
    /// name as a path that starts with a zero byte.
    pub(super) fn of_path(path: &Path) -> io::Result<SocketAddr> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let [0, name @ ..] = path.as_os_str().as_bytes() {
            return SocketAddr::from_abstract_name(name);
        }
        SocketAddr::from_pathname(path)
    }

    /// What the system says.
    pub(super) fn of_system(address: &SockAddr) -> io::Result<SocketAddr> {
        if let Some(path) = address.as_pathname() {
            return SocketAddr::from_pathname(path);
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.as_abstract_namespace() {
            return SocketAddr::from_abstract_name(name);
        }
        SocketAddr::unnamed()
    }

    /// What the system takes.
    pub(super) fn to_system(&self) -> io::Result<SocketAddrUnix> {
        if let Some(path) = self.as_pathname() {
            return Ok(SocketAddrUnix::new(path)?);
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = self.as_abstract_name() {
            return Ok(SocketAddrUnix::new_abstract_name(name)?);
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a socket without a name cannot be named",
        ))
    }

    /// The standard library makes none but from an empty path.
    pub(super) fn unnamed() -> io::Result<SocketAddr> {
        SocketAddr::from_pathname("")
    }
}

#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address(name: &[u8]) -> io::Result<net::SocketAddr> {
    net::SocketAddr::from_abstract_name(name)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_name(address: &net::SocketAddr) -> Option<&[u8]> {
    address.as_abstract_name()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_name(_: &net::SocketAddr) -> Option<&[u8]> {
    None
}

impl From<net::SocketAddr> for SocketAddr {
    fn from(address: net::SocketAddr) -> SocketAddr {
        SocketAddr(address)
    }
}

impl From<SocketAddr> for net::SocketAddr {
    fn from(address: SocketAddr) -> net::SocketAddr {
        address.0
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
