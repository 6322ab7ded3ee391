//! The argument of `bind` and `connect`, and how it becomes socket addresses.
//!
//! Invariant: only a host name is ever looked up on another thread. A numeric address is
//! converted at once, without a system call.

mod lookup;
mod resolver;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::vec;

pub use resolver::{Resolve, Resolving, SystemResolver};

use lookup::Lookup;

/// A value that stands for one or more socket addresses.
///
/// It is implemented for every type that implements [`std::net::ToSocketAddrs`]:
///
/// - [`SocketAddr`], [`SocketAddrV4`], [`SocketAddrV6`];
/// - `(IpAddr, u16)`, `(Ipv4Addr, u16)`, `(Ipv6Addr, u16)`;
/// - `(&str, u16)`, `(String, u16)`, where the string is an address or a name;
/// - [`str`] and [`String`], as `"host:port"`;
/// - `&[SocketAddr]`;
/// - a reference to any of these.
///
/// A numeric address costs nothing. A host name is looked up with the resolver of the system,
/// on a thread of the blocking pool, so the loop continues to run.
///
/// The trait is sealed, and its methods are not part of the public interface.
///
/// # Examples
///
/// ```
/// use coreloop::net::{TcpListener, ToSocketAddrs};
/// use std::net::Ipv4Addr;
///
/// async fn listen<A: ToSocketAddrs>(address: A) -> std::io::Result<u16> {
///     Ok(TcpListener::bind(address).await?.local_addr()?.port())
/// }
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     assert_ne!(listen("127.0.0.1:0").await?, 0);
///     assert_ne!(listen((Ipv4Addr::LOCALHOST, 0)).await?, 0);
///     Ok(())
/// })
/// # }
/// ```
pub trait ToSocketAddrs: sealed::ToTarget {}

/// Resolves an address, a pair or a `"host:port"` string to socket addresses.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost. A lookup that waits for a thread of the pool does not run;
/// one that has started finishes there, and its answer is discarded.
///
/// # Errors
///
/// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if a string is no `"host:port"`, the
/// error of the resolver, or an error if no thread can be started for it.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     for address in coreloop::net::lookup_host("localhost:80").await? {
///         assert!(address.ip().is_loopback());
///     }
///     Ok(())
/// })
/// # }
/// ```
pub async fn lookup_host<A: ToSocketAddrs>(
    host: A,
) -> io::Result<impl Iterator<Item = SocketAddr> + use<A>> {
    resolve(host).await
}

/// Returns the addresses that `address` stands for, and looks a name up.
pub(crate) async fn resolve<A: ToSocketAddrs>(address: A) -> io::Result<Addresses> {
    match address.to_target()? {
        Target::Known(addresses) => Ok(addresses),
        Target::Name(host, port) => Ok(Addresses::Many(
            Lookup::start(host, port)?.await?.into_iter(),
        )),
    }
}

/// Resolves like [`resolve`], with `resolver` for a name.
pub(crate) async fn resolve_by<A: ToSocketAddrs>(
    address: A,
    resolver: &dyn Resolve,
) -> io::Result<Addresses> {
    match address.to_target()? {
        Target::Known(addresses) => Ok(addresses),
        Target::Name(host, port) => {
            let addresses = resolver.resolve(&host, port).await?;
            Ok(Addresses::Many(addresses.into_iter()))
        }
    }
}

/// Returns the error of `bind` and `connect` if there is no address to try.
pub(crate) fn no_addresses() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "could not resolve to any addresses",
    )
}

/// Resolved addresses. A single one, which is usual, needs no allocation.
#[derive(Debug)]
pub(crate) enum Addresses {
    One(Option<SocketAddr>),
    Many(vec::IntoIter<SocketAddr>),
}

impl Addresses {
    /// Returns the address if it is the only one.
    pub(crate) fn single(&self) -> Option<SocketAddr> {
        match self {
            Self::One(address) => *address,
            Self::Many(addresses) => match addresses.as_slice() {
                &[address] => Some(address),
                _ => None,
            },
        }
    }
}

impl Iterator for Addresses {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match self {
            Self::One(address) => address.take(),
            Self::Many(addresses) => addresses.next(),
        }
    }
}

/// The target of an address, before a lookup.
#[derive(Debug)]
pub(crate) enum Target {
    Known(Addresses),
    Name(String, u16),
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Known(Addresses::One(Some(address)))
    }
}

mod sealed {
    use std::io;

    /// The sealed half of [`ToSocketAddrs`](super::ToSocketAddrs).
    pub trait ToTarget {
        #[expect(
            private_interfaces,
            reason = "sealed: no other crate can name the trait"
        )]
        fn to_target(&self) -> io::Result<super::Target>;
    }
}

/// Implements the trait and its sealed half for a type, given how a value is converted.
macro_rules! to_socket_addrs {
    ($($type:ty: |$self:ident| $target:expr;)*) => {$(
        impl ToSocketAddrs for $type {}

        impl sealed::ToTarget for $type {
            #[expect(private_interfaces, reason = "sealed: no other crate can name the trait")]
            fn to_target(&self) -> io::Result<Target> {
                let $self = self;
                $target
            }
        }
    )*};
}

to_socket_addrs! {
    SocketAddr: |address| Ok((*address).into());
    SocketAddrV4: |address| Ok(SocketAddr::V4(*address).into());
    SocketAddrV6: |address| Ok(SocketAddr::V6(*address).into());
    (IpAddr, u16): |pair| Ok(SocketAddr::from(*pair).into());
    (Ipv4Addr, u16): |pair| Ok(SocketAddr::from(*pair).into());
    (Ipv6Addr, u16): |pair| Ok(SocketAddr::from(*pair).into());
    (&str, u16): |pair| Ok(host_and_port(pair.0, pair.1));
    (String, u16): |pair| Ok(host_and_port(&pair.0, pair.1));
    str: |text| parse(text);
    String: |text| parse(text);
    &[SocketAddr]: |addresses| Ok(Target::Known(Addresses::Many(Vec::from(*addresses).into_iter())));
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}

impl<T: ToSocketAddrs + ?Sized> sealed::ToTarget for &T {
    #[expect(
        private_interfaces,
        reason = "sealed: no other crate can name the trait"
    )]
    fn to_target(&self) -> io::Result<Target> {
        (**self).to_target()
    }
}

/// Parses `host` as an address first, because only a name needs a thread.
fn host_and_port(host: &str, port: u16) -> Target {
    match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).into(),
        Err(_) => Target::Name(host.to_owned(), port),
    }
}

fn parse(text: &str) -> io::Result<Target> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address.into());
    }
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| invalid("invalid socket address"))?;
    let port = port.parse().map_err(|_| invalid("invalid port value"))?;
    Ok(host_and_port(host, port))
}
