//! [`Inheritance`], the sockets that a successor gets from the old master, and its messages to
//! that master.

use std::env;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use crate::channel::{Channel, Inherited, SocketKind, ToPredecessor, ToSuccessor};
use crate::environment::{SUCCESSOR, SUCCESSOR_SLOTS};
use crate::parent;
use crate::sockets::InheritedSlots;

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
        match sockets.iter_mut().find(|(known, _)| *known == inherited) {
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
    /// the same spelling; in the order of their slots.
    pub(crate) fn take(&mut self, address: &str, kind: SocketKind) -> Option<Vec<OwnedFd>> {
        let found = self
            .sockets
            .iter()
            .position(|(inherited, _)| inherited.address == address && inherited.kind == kind)?;
        Some(self.sockets.swap_remove(found).1)
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

    /// After [`ready`](Self::ready), waits until the old master has read the message or has
    /// died. Returns an error if it had given this process up before, and continues to serve.
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
        let error = error.to_string();
        let _ = self.channel.send(&ToPredecessor::Failed { error }, &[]);
    }
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
