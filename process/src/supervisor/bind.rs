//! What a [`Supervisor`] listens at.

use std::fmt::Display;
use std::io;
use std::path::Path;

use super::Supervisor;
use super::activation::Activation;
use crate::channel::{Inherited, SocketKind};
use crate::sockets::Bound;

impl Supervisor {
    /// Listens for TCP connections at "host:port", or any address that reads so. In
    /// the worker, [`listener`](crate::Worker::listener) accepts them.
    ///
    /// Each worker has a socket of its own, and the kernel spreads connections over
    /// them; where it cannot, which is everywhere but on Linux, they share one.
    ///
    /// Sockets are numbered from 0, in the order of all calls of this and its kin.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound. Never in a worker, where nothing is.
    pub fn bind(self, address: impl Display) -> io::Result<Supervisor> {
        let address = address.to_string();
        let kinds = [SocketKind::Tcp, SocketKind::SharedTcp];
        self.bound(&address, &kinds, || Bound::tcp(&address))
    }

    /// Binds UDP sockets, as [`bind`](Supervisor::bind) does.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Supervisor::bind).
    pub fn bind_udp(self, address: impl Display) -> io::Result<Supervisor> {
        let address = address.to_string();
        let kinds = [SocketKind::Udp, SocketKind::SharedUdp];
        self.bound(&address, &kinds, || Bound::udp(&address))
    }

    /// Listens at a Unix socket, which all workers share. A file that is left of a
    /// socket nobody listens to is replaced.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Supervisor::bind).
    pub fn bind_unix(self, path: impl AsRef<Path>) -> io::Result<Supervisor> {
        let path = path.as_ref();
        let address = path.to_string_lossy();
        self.bound(&address, &[SocketKind::SharedUnix], || Bound::unix(path))
    }

    /// Takes over a socket that systemd, or another service manager, has bound for
    /// this program and passes in `LISTEN_FDS`: the one that `LISTEN_FDNAMES` calls
    /// `name`, or if none is called so, that of the position, "0" being the first.
    ///
    /// All workers share it. It is a TCP or Unix socket that listens, or a UDP socket.
    ///
    /// The environment is trusted: what `LISTEN_FDS` names, if `LISTEN_PID` is this
    /// process, belongs to nothing else in it. So build the supervisor first in `main`,
    /// do not set these variables in the process itself, and do not take the same sockets
    /// by another crate too, as each would close them.
    ///
    /// # Errors
    ///
    /// If there is none, or it is of another kind. Never in a worker.
    pub fn bind_activated(self, name: &str) -> io::Result<Supervisor> {
        let kinds = [
            SocketKind::SharedTcp,
            SocketKind::SharedUnix,
            SocketKind::SharedUdp,
        ];
        self.bound(name, &kinds, || {
            let socket = Activation::from_env()?.take(name)?;
            Bound::shared(name, socket)
        })
    }

    /// Takes over what the old master had bound there, or binds it.
    fn bound(
        mut self,
        address: &str,
        kinds: &[SocketKind],
        bind: impl FnOnce() -> io::Result<Bound>,
    ) -> io::Result<Supervisor> {
        if self.is_worker() {
            return Ok(self);
        }
        if let Some(error) = self.disinherited.take() {
            return Err(error);
        }
        let bound = match self.inherited(address, kinds)? {
            Some(bound) => Ok(bound),
            None => bind(),
        };
        match bound {
            Ok(bound) => self.bounds.push(bound),
            Err(error) => {
                if let Some(inheritance) = self.inheritance.take() {
                    inheritance.failed(&error);
                }
                return Err(error);
            }
        }
        Ok(self)
    }

    fn inherited(&mut self, address: &str, kinds: &[SocketKind]) -> io::Result<Option<Bound>> {
        let Some(inheritance) = &mut self.inheritance else {
            return Ok(None);
        };
        let mut found = kinds.iter().filter_map(|&kind| {
            let address = address.to_owned();
            let sockets = inheritance.take(&address, kind)?;
            Some(Bound::from_inherited(Inherited { address, kind }, sockets))
        });
        found.next().transpose()
    }
}
