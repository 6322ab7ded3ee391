//! Listens at every address that some names resolve to, with a [`SocketGroup`] for each.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

use rustix::io::Errno;
use socket2::{Socket, Type};

use super::options::{Purpose, SocketOptions};
use super::{SocketGroup, at, inet};
use crate::channel::SocketKind;
use crate::sys::SOCKET_PER_SLOT;

/// How many ports that the system has chosen may be in use at another of the addresses.
const MAX_CLASHES: usize = 32;

/// An address at which to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The name as it was given, which resolves to the address.
    name: String,
    address: SocketAddr,
    /// Whether the address is left out if the host has no IPv6: the name has an IPv4 address
    /// too.
    may_be_absent: bool,
}

impl Wanted {
    /// The kind of the sockets at such an address.
    pub(crate) const KIND: SocketKind = if SOCKET_PER_SLOT {
        SocketKind::Tcp
    } else {
        SocketKind::SharedTcp
    };

    /// Returns whether the sockets that an old master has bound are the ones to take over.
    /// The address to which they are bound decides. If the system has chosen the port, the
    /// address as it was given has to be the same too, and the port has to be `port`, if the
    /// call has one already.
    pub(crate) fn is_same(&self, given: &str, mut bound: SocketAddr, port: Option<u16>) -> bool {
        if self.address.port() != 0 {
            return bound == self.address;
        }
        if port.is_some_and(|port| bound.port() != port) {
            return false;
        }
        bound.set_port(0);
        bound == self.address && (given == self.name || given == self.address.to_string())
    }

    /// Listens at the address, with this port if it has none. Returns `None` if the address is
    /// left out.
    fn listen(&self, address: SocketAddr, options: &SocketOptions) -> io::Result<Option<Socket>> {
        match inet::alone(address, Type::STREAM, options) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if self.may_be_absent && lacks(&error) && !has_ipv6() => Ok(None),
            Err(error) => {
                let address = address.to_string();
                Err(if self.name == address {
                    at("listen on", &self.name)(error)
                } else {
                    at("listen on", &format!("{} at {address}", self.name))(error)
                })
            }
        }
    }
}

impl SocketGroup {
    /// Listens on TCP at every address of the names, with a group for each. Asks `inherit`
    /// first for the group that an old master has had there. `inherit` gets the port that the
    /// system has chosen for the call, if that is known.
    pub(crate) fn every(
        names: &[String],
        options: SocketOptions,
        mut inherit: impl FnMut(&Wanted, Option<u16>, &SocketOptions) -> io::Result<Option<Self>>,
    ) -> io::Result<Vec<Self>> {
        let checked = options.check(Purpose::Tcp);
        checked.map_err(at("listen on", &names.join(" and ")))?;
        let every = resolve(names)?;
        let has_v4 = every.iter().any(|wanted| wanted.address.is_ipv4());
        let options = options.beside_ipv4(has_v4);
        let mut port = None;
        let mut inherited = Vec::new();
        let mut missing = Vec::new();
        for wanted in &every {
            let group = inherit(wanted, port, &options)?;
            match &group {
                Some(group) if wanted.address.port() == 0 => {
                    port = Some(group.local_addr()?.port());
                }
                Some(_) => {}
                None => missing.push(wanted),
            }
            inherited.push(group);
        }
        let addresses: Vec<_> = missing.iter().map(|wanted| wanted.address).collect();
        let bound = bind_each(
            &addresses,
            port,
            |index, address| missing[index].listen(address, &options),
            |socket| {
                let address = socket.local_addr()?.as_socket();
                Ok(address.map_or(0, |address| address.port()))
            },
        )?;
        let mut bound = bound.into_iter();
        let mut names = HashSet::new();
        let mut groups = Vec::new();
        for (wanted, group) in every.iter().zip(inherited) {
            let new = |socket| Self::new(Wanted::KIND, "", vec![socket], options.clone());
            let Some(mut group) = group.or_else(|| bound.next().flatten().map(new)) else {
                continue;
            };
            // A successor that binds the name only for its first address finds that one.
            group.address = if names.insert(&wanted.name) {
                wanted.name.clone()
            } else {
                wanted.address.to_string()
            };
            groups.push(group);
        }
        Ok(groups)
    }
}

/// Returns each address of the names once, in the order in which they are found.
fn resolve(names: &[String]) -> io::Result<Vec<Wanted>> {
    resolve_by(names, |name| Ok(name.to_socket_addrs()?.collect()))
}

fn resolve_by(
    names: &[String],
    addresses_of: impl Fn(&str) -> io::Result<Vec<SocketAddr>>,
) -> io::Result<Vec<Wanted>> {
    let mut every = Vec::<Wanted>::new();
    for name in names {
        let failed = at("listen on", name);
        let addresses = addresses_of(name).map_err(&failed)?;
        if addresses.is_empty() {
            let error = io::Error::new(ErrorKind::InvalidInput, "there is no such address");
            return Err(failed(error));
        }
        let has_v4 = addresses.iter().any(SocketAddr::is_ipv4);
        for address in addresses {
            let may_be_absent = has_v4 && address.is_ipv6();
            let mut known = every.iter_mut();
            match known.find(|wanted| wanted.address == address) {
                Some(wanted) => wanted.may_be_absent &= may_be_absent,
                None => every.push(Wanted {
                    name: name.clone(),
                    address,
                    may_be_absent,
                }),
            }
        }
    }
    if every.is_empty() {
        let message = "no address to listen on was given";
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(every)
}

/// Binds a socket to each address. All that have port 0 get the same port: `port`, or one that
/// the system has chosen for the first and that is free at the others too. `bind` gets the
/// index of an address, and the address with its port; it returns `None` if it leaves the
/// address out.
fn bind_each<S>(
    addresses: &[SocketAddr],
    port: Option<u16>,
    mut bind: impl FnMut(usize, SocketAddr) -> io::Result<Option<S>>,
    port_of: impl Fn(&S) -> io::Result<u16>,
) -> io::Result<Vec<Option<S>>> {
    let mut bound: Vec<Option<S>> = Vec::new();
    for (index, &address) in addresses.iter().enumerate() {
        bound.push(match address.port() {
            0 => None,
            _ => bind(index, address)?,
        });
    }
    // Kept until the end, so that the system chooses another port each time.
    let mut clashes = Vec::new();
    loop {
        let mut at_port = Vec::new();
        match bind_at_one_port(addresses, port, &mut bind, &port_of, &mut at_port) {
            Ok(()) => {
                for (index, socket) in at_port {
                    bound[index] = Some(socket);
                }
                return Ok(bound);
            }
            Err(error) => {
                let was_chosen = port.is_none() && !at_port.is_empty();
                let is_clash = was_chosen && error.kind() == ErrorKind::AddrInUse;
                if !is_clash || clashes.len() == MAX_CLASHES {
                    return Err(error);
                }
                clashes.push(at_port);
            }
        }
    }
}

/// Binds a socket to each address that has port 0, and adds it to `bound` with its index.
fn bind_at_one_port<S>(
    addresses: &[SocketAddr],
    mut port: Option<u16>,
    bind: &mut impl FnMut(usize, SocketAddr) -> io::Result<Option<S>>,
    port_of: &impl Fn(&S) -> io::Result<u16>,
    bound: &mut Vec<(usize, S)>,
) -> io::Result<()> {
    let open = addresses.iter().enumerate();
    for (index, &address) in open.filter(|(_, address)| address.port() == 0) {
        let mut address = address;
        address.set_port(port.unwrap_or(0));
        if let Some(socket) = bind(index, address)? {
            port = Some(port_of(&socket)?);
            bound.push((index, socket));
        }
    }
    Ok(())
}

/// Returns whether this host has IPv6, and so its loopback address.
fn has_ipv6() -> bool {
    let loopback = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let bound = inet::alone(loopback, Type::STREAM, &SocketOptions::new());
    // Another error, such as a lack of descriptors, says nothing about IPv6.
    !bound.is_err_and(|error| lacks(&error))
}

/// Returns whether the kernel has refused an address because it lacks it, or its family.
fn lacks(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        // The last one in a jail without IPv6.
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT)
    )
}

#[cfg(test)]
mod tests;
