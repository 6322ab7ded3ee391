//! [`Connector`]: connecting with options.

use std::fmt;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::rc::Rc;
use std::time::Duration;

use super::connect::Unconnected;
use super::happy_eyeballs::{ATTEMPT_DELAY, Race};
use super::{TcpSocket, TcpStream};
use crate::addr::{self, Resolve, SystemResolver, ToSocketAddrs};

/// The minimum that RFC 8305 permits.
const MIN_ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// A builder that connects like [`TcpStream::connect`], with options.
///
/// # Examples
///
/// ```
/// use coreloop::net::{Connector, TcpListener};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let connector = Connector::new()
///         .attempt_delay(Duration::from_millis(100))
///         .bind_to("127.0.0.1:0".parse().expect("an address"))
///         .nodelay(true)
///         .configure(|socket| socket.set_keepalive(true));
///     let stream = connector.connect(listener.local_addr()?).await?;
///     assert!(stream.nodelay()? && stream.keepalive()?);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a connector does nothing until `connect`"]
pub struct Connector {
    attempt_delay: Duration,
    local_v4: Option<SocketAddrV4>,
    local_v6: Option<SocketAddrV6>,
    nodelay: bool,
    resolver: Rc<dyn Resolve>,
    configure: Option<Rc<Configure>>,
}

type Configure = dyn Fn(&TcpSocket) -> io::Result<()>;

impl Connector {
    /// Creates a connector that does the same as [`TcpStream::connect`].
    pub fn new() -> Self {
        Self {
            attempt_delay: ATTEMPT_DELAY,
            local_v4: None,
            local_v6: None,
            nodelay: false,
            resolver: Rc::new(SystemResolver),
            configure: None,
        }
    }

    /// Sets how long an address has to answer before the next one is tried as well, if there
    /// are several: 250 ms by default, and at least 10 ms.
    ///
    /// With [`Duration::MAX`], an address is tried only after the previous one has failed.
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.attempt_delay = delay.max(MIN_ATTEMPT_DELAY);
        self
    }

    /// Sets the local address to connect from, whose port is usually 0.
    ///
    /// It may be called once for each family. Addresses of a family for which it was not
    /// called are then left out.
    pub fn bind_to(mut self, local: SocketAddr) -> Self {
        match local {
            SocketAddr::V4(local) => self.local_v4 = Some(local),
            SocketAddr::V6(local) => self.local_v6 = Some(local),
        }
        self
    }

    /// Sets `TCP_NODELAY`: see [`TcpStream::set_nodelay`].
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Resolves names with `resolver` instead of the system.
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Rc::new(resolver);
        self
    }

    /// Calls `configure` with each socket before it is bound and connected, to set its
    /// options. An error counts as a failure of that address.
    pub fn configure(mut self, configure: impl Fn(&TcpSocket) -> io::Result<()> + 'static) -> Self {
        self.configure = Some(Rc::new(configure));
        self
    }

    /// Connects to `address`, or to the first to answer if it stands for several.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempts are abandoned and their sockets closed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpStream::connect`], or the error of the resolver. Also
    /// returns [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if there are addresses,
    /// but none of a family given to [`bind_to`](Self::bind_to).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn connect() -> std::io::Result<()> {
    /// use coreloop::net::Connector;
    /// use coreloop::time::timeout;
    /// use std::time::Duration;
    ///
    /// let connector = Connector::new().nodelay(true);
    /// let stream = timeout(Duration::from_secs(5), connector.connect("example.com:80")).await??;
    /// println!("connected to {}", stream.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<TcpStream> {
        let found: Vec<_> = addr::resolve_by(address, &*self.resolver).await?.collect();
        let usable = found.iter().copied().filter(|&to| self.may_reach(to));
        let race = Race::new(usable, |to| self.open(to)).delay(self.attempt_delay);
        if race.is_empty() && !found.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "no address is of the family of the local one",
            ));
        }
        race.await
    }

    fn may_reach(&self, to: SocketAddr) -> bool {
        self.local(to).is_some() || (self.local_v4.is_none() && self.local_v6.is_none())
    }

    /// Returns the local address to connect from.
    fn local(&self, to: SocketAddr) -> Option<SocketAddr> {
        match to {
            SocketAddr::V4(_) => self.local_v4.map(SocketAddr::V4),
            SocketAddr::V6(_) => self.local_v6.map(SocketAddr::V6),
        }
    }

    fn open(&self, to: SocketAddr) -> io::Result<Unconnected> {
        let socket = TcpSocket::for_address(to)?;
        if self.nodelay {
            socket.set_nodelay(true)?;
        }
        if let Some(configure) = &self.configure {
            configure(&socket)?;
        }
        if let Some(local) = self.local(to) {
            socket.bind(local)?;
        }
        Unconnected::new(socket)
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("attempt_delay", &self.attempt_delay)
            .field("local_v4", &self.local_v4)
            .field("local_v6", &self.local_v6)
            .field("nodelay", &self.nodelay)
            .finish_non_exhaustive()
    }
}
