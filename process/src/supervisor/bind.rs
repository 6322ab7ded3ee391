//! The methods by which a [`Supervisor`] binds sockets.

use std::fmt::Display;
use std::io;
use std::path::Path;

use super::Supervisor;
use super::activation::Activation;
use super::upgrade::Inheritance;
use crate::channel::{Inherited, MAX_DESCRIPTORS, SocketKind};
use crate::sockets::{SocketGroup, SocketOptions};

impl Supervisor {
    /// Listens for TCP connections at an address that displays as "host:port". In a
    /// worker, [`listener`](crate::Worker::listener) accepts them.
    ///
    /// If a name has several addresses, this is the first that can be bound;
    /// [`bind_every`](Supervisor::bind_every) binds all.
    ///
    /// On Linux each worker has its own socket, and the kernel spreads connections over
    /// the sockets. On other systems the workers share one.
    ///
    /// Sockets are numbered from 0, in the order of the calls of all `bind` methods.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound. Never in a worker, which binds
    /// nothing.
    pub fn bind(self, address: impl Display) -> io::Result<Self> {
        self.bind_with(address, SocketOptions::new())
    }

    /// Listens for TCP connections like [`bind`](Supervisor::bind), with options.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound, or if an option is not for TCP.
    /// Never in a worker.
    pub fn bind_with(self, address: impl Display, options: SocketOptions) -> io::Result<Self> {
        let address = address.to_string();
        let kinds = [SocketKind::Tcp, SocketKind::SharedTcp];
        self.add_group(&address, &kinds, Some(options), |options| {
            SocketGroup::tcp(&address, options)
        })
    }

    /// Binds UDP sockets, like [`bind`](Supervisor::bind) for TCP.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound. Never in a worker.
    pub fn bind_udp(self, address: impl Display) -> io::Result<Self> {
        self.bind_udp_with(address, SocketOptions::new())
    }

    /// Binds UDP sockets like [`bind_udp`](Supervisor::bind_udp), with options.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound, or if an option is not for UDP.
    /// Never in a worker.
    pub fn bind_udp_with(self, address: impl Display, options: SocketOptions) -> io::Result<Self> {
        let address = address.to_string();
        let kinds = [SocketKind::Udp, SocketKind::SharedUdp];
        self.add_group(&address, &kinds, Some(options), |options| {
            SocketGroup::udp(&address, options)
        })
    }

    /// Listens on a Unix socket, which all workers share. The file of a socket to which no
    /// process listens any more is replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if the path cannot be bound. Never in a worker.
    pub fn bind_unix(self, path: impl AsRef<Path>) -> io::Result<Self> {
        self.bind_unix_with(path, SocketOptions::new())
    }

    /// Listens on a Unix socket like [`bind_unix`](Supervisor::bind_unix), with options: the
    /// [permissions](SocketOptions::mode) and the [owner](SocketOptions::owner) of its file
    /// among them.
    ///
    /// # Errors
    ///
    /// Returns an error if the path cannot be bound, if an option is not for Unix sockets,
    /// or if the file cannot get its owner. Never in a worker.
    pub fn bind_unix_with(
        self,
        path: impl AsRef<Path>,
        options: SocketOptions,
    ) -> io::Result<Self> {
        let path = path.as_ref();
        let address = path.to_string_lossy();
        self.add_group(
            &address,
            &[SocketKind::SharedUnix],
            Some(options),
            |options| SocketGroup::unix(path, options),
        )
    }

    /// Takes over a socket that systemd, or another service manager, has bound for this
    /// program and passes in `LISTEN_FDS`: the socket with this name in `LISTEN_FDNAMES`,
    /// or if no socket has it, the one at this position, from "0".
    ///
    /// All workers share the socket: a TCP or Unix socket that listens, or a UDP socket.
    ///
    /// The environment is trusted: if `LISTEN_PID` is this process, the descriptors of
    /// `LISTEN_FDS` belong to no other code in it. So build the supervisor first in `main`,
    /// do not set these variables in the process itself, and do not take the same sockets
    /// through another crate too, as both would close them.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such socket, or if it is of another kind. Never in
    /// a worker.
    pub fn bind_activated(self, name: &str) -> io::Result<Self> {
        let kinds = [
            SocketKind::SharedTcp,
            SocketKind::SharedUnix,
            SocketKind::SharedUdp,
        ];
        self.add_group(name, &kinds, None, |_| {
            let socket = Activation::from_env()?.take(name)?;
            SocketGroup::from_activated(name, socket)
        })
    }

    /// Adds the sockets of one `bind` call.
    fn add_group(
        mut self,
        address: &str,
        kinds: &[SocketKind],
        options: Option<SocketOptions>,
        bind: impl FnOnce(SocketOptions) -> io::Result<SocketGroup>,
    ) -> io::Result<Self> {
        let group = self.take_or_bind(address, kinds, options, bind)?;
        self.add_call(group)
    }

    /// Adds the groups of one call, one for each of its addresses. There are none in a worker.
    pub(super) fn add_call(
        mut self,
        groups: impl IntoIterator<Item = SocketGroup>,
    ) -> io::Result<Self> {
        let number = self.groups.last().map_or(0, |last| last.number() + 1);
        let numbered = groups.into_iter().map(|group| group.numbered(number));
        self.groups.extend(numbered);
        if self.groups.len() <= MAX_DESCRIPTORS {
            return Ok(self);
        }
        // A worker gets its sockets by one message.
        let message = format!("a supervisor can bind at most {MAX_DESCRIPTORS} addresses");
        let error = io::Error::new(io::ErrorKind::InvalidInput, message);
        self.refuse(&error);
        Err(error)
    }

    /// Takes over the sockets that the old master had at this address, or binds new ones.
    /// `None` in a worker.
    pub(super) fn take_or_bind(
        &mut self,
        address: &str,
        kinds: &[SocketKind],
        options: Option<SocketOptions>,
        bind: impl FnOnce(SocketOptions) -> io::Result<SocketGroup>,
    ) -> io::Result<Option<SocketGroup>> {
        self.unless_worker(|inheritance| {
            let inherited = inheritance.map_or(Ok(None), |inheritance| {
                inherited_group(inheritance, address, kinds, options.as_ref())
            });
            match inherited? {
                Some(group) => Ok(group),
                None => bind(options.unwrap_or_default()),
            }
        })
    }

    /// Calls `bind` with what this process inherits from an old master, if it has one, and
    /// reports an error to that master. `None` in a worker.
    pub(super) fn unless_worker<T>(
        &mut self,
        bind: impl FnOnce(Option<&mut Inheritance>) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        if self.is_worker() {
            return Ok(None);
        }
        if let Some(error) = self.inherit_error.take() {
            return Err(error);
        }
        let bound = bind(self.inheritance.as_mut());
        bound.map(Some).inspect_err(|error| self.refuse(error))
    }

    /// Reports to the old master, if there is one, that this process does not replace it.
    fn refuse(&mut self, error: &io::Error) {
        if let Some(inheritance) = self.inheritance.take() {
            inheritance.failed(error);
        }
    }
}

fn inherited_group(
    inheritance: &mut Inheritance,
    address: &str,
    kinds: &[SocketKind],
    options: Option<&SocketOptions>,
) -> io::Result<Option<SocketGroup>> {
    let slots = inheritance.slots();
    let mut found = kinds.iter().filter_map(|&kind| {
        let address = address.to_owned();
        let sockets = inheritance.take(&address, kind)?;
        Some(SocketGroup::from_inherited(
            Inherited { address, kind },
            sockets,
            slots,
            options.cloned(),
        ))
    });
    found.next().transpose()
}
