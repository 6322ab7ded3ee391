//! [`Address`], where a manager listens.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use coreloop_net::lookup_host;

use crate::error::{Error, Kind};

/// Where a manager listens: a TCP address, or the path of a Unix socket.
///
/// A text is `host:port`, or `unix:` and a path. A [`Path`] is a Unix socket.
///
/// # Examples
///
/// ```
/// use std::path::Path;
///
/// use coreloop::jobs::Address;
///
/// let here = Address::from("127.0.0.1:5000");
/// assert_eq!(here.to_string(), "127.0.0.1:5000");
/// let socket = Address::from(Path::new("/run/tasks"));
/// assert_eq!(socket, Address::from("unix:/run/tasks"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(Place);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// `host:port`, which is looked up at each connect.
    Name(String),
    Internet(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    pub(super) fn place(&self) -> &Place {
        &self.0
    }

    /// Refuses TLS on a Unix socket.
    pub(crate) fn check_tls(&self) -> Result<(), Error> {
        let Place::Unix(_) = &self.0 else {
            return Ok(());
        };
        let text = format!(
            "TLS is for TCP addresses, and {self} is a Unix socket, which only this machine can \
             use: leave `tls` out on both sides, or use a TCP address"
        );
        Err(Error::new(Kind::Invalid, text))
    }
}

/// Looks a name up, and refuses addresses beyond this machine if what is sent is not encrypted.
pub(super) async fn resolve(name: &str, allows_network: bool) -> Result<Vec<SocketAddr>, Error> {
    let found: Vec<_> = match lookup_host(name).await {
        Ok(found) => found.collect(),
        Err(error) => {
            let text = format!("cannot find {name}: {error}");
            return Err(Error::new(Kind::Io(error.kind()), text));
        }
    };
    for address in &found {
        check(*address, allows_network)?;
    }
    Ok(found)
}

/// Refuses an address beyond this machine if what is sent is not encrypted.
pub(super) fn check(address: SocketAddr, allows_network: bool) -> Result<(), Error> {
    let is_loopback = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    };
    if allows_network || is_loopback {
        return Ok(());
    }
    let text = format!(
        "{address} is an address of a network, on which others could read what is sent: the key \
         protects messages from changes, and does not encrypt them. Set up TLS with `tls`, or \
         allow it with `plaintext_network(true)`"
    );
    Err(Error::new(Kind::Invalid, text))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Name(name) => f.write_str(name),
            Place::Internet(address) => address.fmt(f),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self(Place::Unix(path.into()));
        }
        match text.parse() {
            Ok(address) => Self(Place::Internet(address)),
            Err(_) => Self(Place::Name(text.to_owned())),
        }
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for Address {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(Place::Internet(address))
    }
}

impl From<(&str, u16)> for Address {
    fn from((host, port): (&str, u16)) -> Self {
        match host.parse::<IpAddr>() {
            Ok(ip) => Self(Place::Internet((ip, port).into())),
            Err(_) => Self(Place::Name(format!("{host}:{port}"))),
        }
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self(Place::Unix(path.to_owned()))
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self(Place::Unix(path))
    }
}

impl From<&Self> for Address {
    fn from(address: &Self) -> Self {
        address.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, check};

    #[test]
    fn addresses_beyond_this_machine_need_tls_or_a_permission() {
        for here in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(check(here.parse().unwrap(), false).is_ok(), "{here}");
        }
        for there in [
            "0.0.0.0:1",
            "[::]:1",
            "10.0.0.1:1",
            "192.0.2.1:1",
            "[2001:db8::1]:1",
        ] {
            let there = there.parse().unwrap();
            let error = check(there, false).unwrap_err().to_string();
            assert!(error.contains("plaintext_network(true)"), "{error}");
            assert!(check(there, true).is_ok());
        }
    }

    #[test]
    fn a_unix_socket_has_no_tls() {
        let error = Address::from("unix:/run/tasks").check_tls().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("unix:/run/tasks is a Unix socket"), "{text}");
        assert!(text.contains("leave `tls` out"), "{text}");
        for address in ["127.0.0.1:5000", "localhost:80"] {
            assert!(Address::from(address).check_tls().is_ok());
        }
    }

    #[test]
    fn addresses_are_shown_as_they_are_read() {
        for text in [
            "127.0.0.1:5000",
            "[::1]:80",
            "localhost:80",
            "unix:/run/tasks",
        ] {
            let address = Address::from(text);
            assert_eq!(address.to_string(), text);
            assert_eq!(Address::from(address.to_string()), address);
        }
        assert_eq!(Address::from(("::1", 80)), Address::from("[::1]:80"));
        assert_eq!(Address::from(("host", 80)), Address::from("host:80"));
    }
}
