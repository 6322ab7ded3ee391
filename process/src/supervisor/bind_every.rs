//! [`Supervisor::bind_every`], which binds one listener to several addresses.

use std::fmt::Display;
use std::io;

use super::Supervisor;
use crate::sockets::{SocketGroup, SocketOptions};

impl Supervisor {
    /// Listens for TCP connections at every address of a list, and at every address that a
    /// name in it resolves to, where [`bind`](Supervisor::bind) chooses one. In a worker, one
    /// [`listener`](crate::Worker::listener) accepts from all. The call has one number, like
    /// each `bind` call.
    ///
    /// - An address that is found twice is bound once.
    /// - All addresses with port 0 get the same port, which the system chooses. Addresses with
    ///   other ports may be in the list too.
    /// - Beside an IPv4 address, an IPv6 address gets packets of IPv6 only, so that `[::]` and
    ///   `0.0.0.0` can be bound together. [`SocketOptions::only_v6`] can set otherwise.
    /// - If the host has no IPv6, an IPv6 address of a name that has an IPv4 address too is
    ///   left out. A name such as `localhost` often has both, whatever the host has. The
    ///   [`Listening`](crate::Event::Listening) events show the addresses that are bound.
    ///
    /// [`local_addr`](Supervisor::local_addr) returns the first address that is bound.
    ///
    /// The names are resolved when the program starts, and again when a new program takes over,
    /// which inherits the sockets of the addresses that stay, even if `bind` has bound them, and
    /// binds the addresses that are new. The sockets of addresses that are gone are closed when
    /// the old program ends; connections that no worker has accepted by then are lost. An IPv6
    /// socket that is inherited gets packets of IPv4 if it did before.
    ///
    /// There is no such method for UDP: an answer has to come from the address that its
    /// peer has sent to. Bind each UDP address by a call of its own.
    ///
    /// # Errors
    ///
    /// Returns an error that names the address if one of them cannot be resolved or bound, or
    /// if no port is free at all addresses with port 0. Returns an error if the list is empty,
    /// if an option is not for TCP, or if all calls together have more than 253 addresses.
    /// Never in a worker.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::process::{SocketOptions, Supervisor};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Supervisor::new()
    ///     .bind_every(["0.0.0.0:7777", "[::]:7777"], SocketOptions::new())?
    ///     .run(async |worker| {
    ///         let listener = worker.listener(0)?;
    ///         while let Some((mut stream, _)) = listener.accept().await? {
    ///             coreloop::spawn(async move { stream.write_all(b"hello\n").await });
    ///         }
    ///         Ok(())
    ///     })
    /// # }
    /// ```
    pub fn bind_every(
        mut self,
        addresses: impl IntoIterator<Item = impl Display>,
        options: SocketOptions,
    ) -> io::Result<Self> {
        let addresses = addresses.into_iter().map(|address| address.to_string());
        let addresses: Vec<_> = addresses.collect();
        let groups = self.unless_worker(|mut inheritance| {
            SocketGroup::every(&addresses, options, |wanted, port, options| {
                let Some(inheritance) = &mut inheritance else {
                    return Ok(None);
                };
                let slots = inheritance.slots();
                let taken = inheritance.take_bound(wanted, port);
                let inherited = taken.map(|(inherited, sockets)| {
                    let options = Some(options.clone());
                    SocketGroup::from_inherited(inherited, sockets, slots, options)
                });
                inherited.transpose()
            })
        })?;
        self.add_call(groups.into_iter().flatten())
    }
}
