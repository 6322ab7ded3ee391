//! [`Inheritance`], the sockets that a successor gets from the old master, and its messages to
//! that master.

use std::env;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{SockAddr, SockRef};

use crate::channel::{Channel, Inherited, SocketKind, ToPredecessor, ToSuccessor, short_error};
use crate::environment::{SUCCESSOR, SUCCESSOR_SLOTS};
use crate::parent;
use crate::sockets::{InheritedSlots, Wanted};

/// The sockets of the old master, and the channel to it.
#[derive(Debug)]
pub(crate) struct Inheritance {
    channel: Channel,
    sockets: Vec<(Inherited, Vec<OwnedFd>)>,
    /// `None` if the old master does not say, as one of an earlier version.
    slots: Option<InheritedSlots>,
}

/// Receives the sockets of the old master, if this process is a successor. Has to be called
/// once, and before any code reads the standard input, which is `/dev/null` afterwards.
pub(crate) fn inherit() -> io::Result<Option<Inheritance>> {
    if env::var_os(SUCCESSOR).is_none() {
        return Ok(None);
    }
    let inheritance = receive(parent::take_channel()?);
    inheritance.map(Some).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{SUCCESSOR} is set, but no sockets came from an old master: {error}"),
        )
    })
}

fn receive(mut channel: Channel) -> io::Result<Inheritance> {
    let mut sockets: Vec<(Inherited, Vec<OwnedFd>)> = Vec::new();
    while let Some((message, descriptors)) = channel.receive::<ToSuccessor>()? {
        let inherited = match message {
            ToSuccessor::Sockets(inherited) => inherited,
            ToSuccessor::Complete => {
                let slots = env::var(SUCCESSOR_SLOTS).ok().and_then(|text| slots(&text));
                return Ok(Inheritance {
                    channel,
                    sockets,
                    slots,
                });
            }
            ToSuccessor::GivenUp => return Err(given_up()),
        };
        if descriptors.is_empty() {
            return Err(io::Error::other("there is no room for the descriptors"));
        }
        // Two calls may have bound one address with port 0, or activated sockets of one name.
        let address = local_address(&descriptors);
        let mut known = sockets.iter_mut();
        let known =
            known.find(|(known, sockets)| *known == inherited && local_address(sockets) == address);
        match known {
            Some((_, more)) => more.extend(descriptors),
            None => sockets.push((inherited, descriptors)),
        }
    }
    Err(io::Error::new(ErrorKind::UnexpectedEof, "it has ended"))
}

impl Inheritance {
    /// Returns the slots of the old master.
    pub(crate) fn slots(&self) -> Option<InheritedSlots> {
        self.slots
    }

    /// Takes the sockets of this kind that the old master had bound to the same address, in
    /// the same spelling; in the order of their slots. If the old master had several, each call
    /// takes the next.
    ///
    /// If no address has the spelling, takes the sockets that are bound to this address: the
    /// old master may have bound them by a name.
    pub(crate) fn take(&mut self, address: &str, kind: SocketKind) -> Option<Vec<OwnedFd>> {
        let mut sockets = self.sockets.iter();
        let spelled = sockets
            .position(|(inherited, _)| inherited.address == address && inherited.kind == kind);
        let found = spelled.or_else(|| {
            let address: SocketAddr = address.parse().ok()?;
            let mut sockets = self.sockets.iter();
            sockets.position(|(inherited, sockets)| {
                inherited.kind == kind && bound_address(sockets) == Some(address)
            })
        })?;
        Some(self.sockets.remove(found).1)
    }

    /// Takes the sockets that the old master had bound to this address. `port` is the one that
    /// the system has chosen for the call, if that is known.
    pub(crate) fn take_bound(
        &mut self,
        wanted: &Wanted,
        port: Option<u16>,
    ) -> Option<(Inherited, Vec<OwnedFd>)> {
        let found = self.sockets.iter().position(|(inherited, sockets)| {
            inherited.kind == Wanted::KIND
                && bound_address(sockets)
                    .is_some_and(|bound| wanted.is_same(&inherited.address, bound, port))
        })?;
        Some(self.sockets.remove(found))
    }

    /// Closes the sockets that were not taken.
    pub(crate) fn close_unclaimed(&mut self) {
        self.sockets.clear();
    }

    /// Returns an error if the old master has given this process up, and continues to serve.
    pub(crate) fn check(&self) -> io::Result<()> {
        // After the sockets, only `GivenUp` may come.
        if self.channel.has_more() {
            return Err(given_up());
        }
        Ok(())
    }

    /// Reports to the old master that this one serves. If the old master has died, this one
    /// serves nevertheless.
    pub(crate) fn ready(&self) -> io::Result<()> {
        match self.channel.send(&ToPredecessor::Ready, &[]) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// After [`ready`](Self::ready), waits until the old master has handed everything over or
    /// has died. Returns an error if it had given this process up before, and continues to serve.
    pub(crate) async fn acknowledged(self) -> io::Result<()> {
        let received = match self.channel.into_async() {
            Ok(mut channel) => channel.receive::<ToSuccessor>().await,
            Err(error) => Err(error),
        };
        match received {
            Ok(Some(_)) => Err(given_up()),
            // An error is no reason to end a program that serves.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Reports to the old master why this one fails, for the error of the upgrade. This
    /// process may take its time to end until this value is dropped.
    pub(crate) fn failed(&self, error: &io::Error) {
        let error = short_error(error.to_string());
        let _ = self.channel.send(&ToPredecessor::Failed { error }, &[]);
    }
}

/// Returns the address of the first, which is the address of all.
fn local_address(sockets: &[OwnedFd]) -> Option<SockAddr> {
    SockRef::from(sockets.first()?).local_addr().ok()
}

/// Returns the internet address to which the sockets are bound, if they have one.
fn bound_address(sockets: &[OwnedFd]) -> Option<SocketAddr> {
    local_address(sockets)?.as_socket()
}

fn slots(text: &str) -> Option<InheritedSlots> {
    let (count, span) = text.split_once('/')?;
    Some(InheritedSlots {
        count: count.parse().ok()?,
        span: span.parse().ok()?,
    })
}

fn given_up() -> io::Error {
    io::Error::new(
        ErrorKind::TimedOut,
        "the old master has given up this upgrade",
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    fn of(address: &str, kind: SocketKind) -> ToSuccessor {
        let address = address.to_owned();
        ToSuccessor::Sockets(Inherited { address, kind })
    }

    fn bound(sockets: Option<Vec<OwnedFd>>) -> Vec<SocketAddr> {
        let sockets = sockets.unwrap().into_iter().map(TcpListener::from);
        let bound = sockets.map(|socket| socket.local_addr().unwrap());
        bound.collect()
    }

    /// Two calls that bound port 0 of one address once got the sockets of both.
    #[test]
    fn each_of_two_calls_of_one_spelling_takes_its_own_sockets() {
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let at = listeners
            .each_ref()
            .map(|listener| listener.local_addr().unwrap());
        let (old, new) = Channel::pair().unwrap();
        let (spelled, kind) = ("127.0.0.1:0", SocketKind::Tcp);
        for (address, listener) in [
            (spelled, &listeners[0]),
            (spelled, &listeners[0]),
            ("localhost:0", &listeners[1]),
            (spelled, &listeners[2]),
        ] {
            old.send(&of(address, kind), &[listener.as_fd()]).unwrap();
        }
        old.send(&ToSuccessor::Complete, &[]).unwrap();
        let mut inheritance = receive(new).unwrap();

        assert_eq!(bound(inheritance.take(spelled, kind)), [at[0], at[0]]);
        assert_eq!(bound(inheritance.take(spelled, kind)), [at[2]]);
        assert!(inheritance.take(spelled, kind).is_none());
        // By the address to which they are bound, although it was spelled otherwise.
        let address = at[1].to_string();
        assert!(inheritance.take(&address, SocketKind::SharedTcp).is_none());
        assert_eq!(bound(inheritance.take(&address, kind)), [at[1]]);
        assert!(inheritance.take(&address, kind).is_none());
    }
}
