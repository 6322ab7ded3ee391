//! [`Resolve`]: how names become addresses.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use super::lookup::Lookup;

/// The future of [`Resolve::resolve`].
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + 'a>>;

/// A resolver of host names, for [`Connector::resolver`](crate::Connector::resolver).
///
/// # Examples
///
/// ```
/// use coreloop::net::{Connector, Resolve, Resolving, TcpListener};
/// use std::net::{IpAddr, Ipv4Addr, SocketAddr};
///
/// /// Finds everything on this machine.
/// struct Here;
///
/// impl Resolve for Here {
///     fn resolve<'a>(&'a self, _host: &'a str, port: u16) -> Resolving<'a> {
///         let here = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
///         Box::pin(async move { Ok(vec![here]) })
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let port = listener.local_addr()?.port();
///     let connector = Connector::new().resolver(Here);
///     connector.connect(("example.com", port)).await?;
///     Ok(())
/// })
/// # }
/// ```
pub trait Resolve {
    /// Returns the addresses of `host`, the best first, each with `port`.
    ///
    /// The future is dropped if the answer is no longer needed.
    ///
    /// # Errors
    ///
    /// Returns an error if the addresses cannot be found. If there are none, a resolver may
    /// return an error or no addresses.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

impl<R: Resolve + ?Sized> Resolve for Rc<R> {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        (**self).resolve(host, port)
    }
}

/// The resolver of the system, which runs in the blocking pool.
///
/// [`TcpStream::connect`](crate::TcpStream::connect) and
/// [`lookup_host`](crate::lookup_host) use it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Lookup::start(host.to_owned(), port)?.await })
    }
}
