//! The sockets that the master holds for its workers: [`Bound`], one for each `bind`.
//!
//! 1. Socket `i` of a TCP or UDP [`Bound`] is member `i` of its `SO_REUSEPORT` group,
//!    which is how the kernel's steering programs name it: sockets join in the order
//!    of slots, and none leaves. That of a slot that is retired is kept in reserve,
//!    steered away from: to close it cost a connection now and then, in a storm some 3
//!    of 380 times, though none was queued there or amid its handshake. It fits that the
//!    kernel takes a socket out of its group a moment before it takes it out of the table
//!    where it looks up listeners.
//! 2. The first socket is bound without that option. So a port that another process
//!    listens on is refused, even if that one would share it. The others join later.
//! 3. All sockets are non-blocking and closed on `exec`.
//! 4. A socket lives as long as its `Bound`, whatever becomes of the workers that have
//!    it too. So what is queued in it outlives them.
//!
//! Where there are no steering programs, which is everywhere but on Linux, all workers
//! share one socket: macOS does not balance between sockets, and FreeBSD, which does,
//! could not take one out of a group without a loss.

mod inet;
mod queue;
mod steering;
mod unix;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use socket2::{Domain, Socket, Type};

pub(crate) use self::queue::Handshakes;
use self::steering::Flows;
use self::unix::SocketFile;
use crate::channel::{Inherited, SocketKind};

/// The sockets of one `bind`: one for each slot, or one for all.
#[derive(Debug)]
pub(crate) struct Bound {
    kind: SocketKind,
    /// As it was given.
    address: String,
    /// One, if it is shared. Else one for each slot, and then those in reserve.
    sockets: Vec<Socket>,
    /// How many slots there are; at least one.
    slots: u32,
    steering: Cell<Steering>,
    /// How many slots there were at most: the flows of UDP are spread over so many, and
    /// those of slots that are gone over the rest.
    span: Cell<u32>,
    /// Of a Unix socket that has one.
    file: Option<SocketFile>,
}

/// Where new connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steering {
    /// To all slots, and to those that there will be.
    All,
    /// To so many, until something else is asked for.
    To(u32),
    /// As the old master had it. There is a program, so sockets that join get nothing.
    Inherited,
}

/// Whether each slot has a socket of its own.
const PER_SLOT: bool = cfg!(target_os = "linux");

impl Bound {
    /// Binds a TCP socket, and listens, at the first address of `address` that can be
    /// bound: "host:port", as the standard library resolves it.
    pub(crate) fn tcp(address: &str) -> io::Result<Bound> {
        let socket = inet::first(address, Type::STREAM).map_err(at("listen on", address))?;
        let kind = if PER_SLOT {
            SocketKind::Tcp
        } else {
            SocketKind::SharedTcp
        };
        Ok(Bound::new(kind, address, vec![socket]))
    }

    /// Binds a UDP socket, as [`tcp`](Bound::tcp) does.
    pub(crate) fn udp(address: &str) -> io::Result<Bound> {
        let socket = inet::first(address, Type::DGRAM).map_err(at("bind UDP to", address))?;
        let kind = if PER_SLOT {
            SocketKind::Udp
        } else {
            SocketKind::SharedUdp
        };
        Ok(Bound::new(kind, address, vec![socket]))
    }

    /// Listens on a Unix socket at `path`, or at an abstract name if that starts with a
    /// zero byte. A socket that nobody listens to any more is replaced.
    pub(crate) fn unix(path: &Path) -> io::Result<Bound> {
        let address = path.to_str().ok_or_else(|| {
            let message = format!("the path of a Unix socket is not UTF-8: {}", path.display());
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        let socket = unix::listen(path).map_err(at("listen on", address))?;
        let mut bound = Bound::new(SocketKind::SharedUnix, address, vec![socket]);
        bound.file = SocketFile::at(path);
        Ok(bound)
    }

    /// Takes over a socket that was bound by somebody else, such as systemd, under the
    /// name that it is known by. All slots share it.
    pub(crate) fn shared(name: &str, socket: OwnedFd) -> io::Result<Bound> {
        let socket = Socket::from(socket);
        let kind = kind_of_shared(&socket).map_err(at("take over", name))?;
        let mut bound = Bound::new(kind, name, vec![socket]);
        bound.prepare().map_err(at("take over", name))?;
        Ok(bound)
    }

    /// Takes over the sockets of a master that this one replaces, in the order of slots,
    /// with those that it had in reserve, which are slots now.
    ///
    /// Until [`steer`](Bound::steer) is asked for, connections go where they went, and so
    /// to none that were in reserve: the old master may have to go on.
    pub(crate) fn from_inherited(inherited: Inherited, sockets: Vec<OwnedFd>) -> io::Result<Bound> {
        let Inherited { address, kind } = inherited;
        let count = sockets.len();
        if count == 0 || (count > 1 && !is_per_slot(kind)) {
            let message = format!("inherited {count} sockets for {address}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let sockets = sockets.into_iter().map(Socket::from).collect();
        let mut bound = Bound::new(kind, &address, sockets);
        bound.prepare().map_err(at("inherit", &address))?;
        if kind == SocketKind::SharedUnix {
            bound.file = SocketFile::at(Path::new(&address));
        }
        bound.steering.set(match count {
            1 => Steering::To(1),
            _ => Steering::Inherited,
        });
        Ok(bound)
    }

    pub(crate) fn kind(&self) -> SocketKind {
        self.kind
    }

    /// The address as it was given.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The address that it is bound to, with the port that the system chose if none was
    /// given. Unix sockets have none.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.sockets[0].local_addr()?;
        address.as_socket().ok_or_else(|| {
            let message = format!("{} is no internet address", self.address);
            io::Error::new(io::ErrorKind::Unsupported, message)
        })
    }

    /// Has a socket for each of `slots`, if there are fewer. One that is shared stays
    /// alone.
    ///
    /// If the group was steered before, or inherited, new slots are given nothing until
    /// [`steer`](Bound::steer) says so. Else they have their part of the connections at
    /// once, and keep them in their queues.
    ///
    /// If it fails there are as many as before.
    pub(crate) fn grow(&mut self, slots: u32) -> io::Result<()> {
        if !is_per_slot(self.kind) || slots <= self.slots {
            return Ok(());
        }
        // Sockets in reserve are among them.
        let before = self.sockets.len();
        match self.join_until(slots) {
            Ok(()) => self.slots = slots,
            Err(error) => {
                // Nobody serves those that have joined, if connections go there.
                let steering = self.steering.get();
                if steering == Steering::Inherited || self.steer(self.slots).is_err() {
                    self.sockets.truncate(before);
                }
                return Err(at("bind one more socket to", &self.address)(error));
            }
        }
        Ok(())
    }

    /// The socket of `slot`, or that of all slots.
    pub(crate) fn socket(&self, slot: u32) -> BorrowedFd<'_> {
        if is_per_slot(self.kind) {
            self.sockets[slot as usize].as_fd()
        } else {
            self.sockets[0].as_fd()
        }
    }

    /// All sockets, in the order of slots, and those in reserve. A master that replaces
    /// this one is given all of them, lest one be closed.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    /// Lets new connections go to the slots below `slots` only; at least to the first.
    ///
    /// From then on no handshake begins at the other slots. Those that have begun there
    /// end there: see [`handshakes`](Bound::handshakes). The datagrams of a UDP peer go
    /// on to the slot that had them before, if that is among these.
    pub(crate) fn steer(&self, slots: u32) -> io::Result<()> {
        if !is_per_slot(self.kind) {
            return Ok(());
        }
        let slots = slots.clamp(1, self.slots);
        self.span.set(self.span.get().max(slots));
        self.attach(slots).map_err(at("steer", &self.address))?;
        self.steering.set(Steering::To(slots));
        Ok(())
    }

    /// How many connections wait to be accepted in the socket of `slot`.
    ///
    /// It is exact for TCP on Linux. Else it is 1 if there are any, or datagrams.
    pub(crate) fn queued(&self, slot: u32) -> io::Result<u32> {
        queue::length(self.socket(slot))
    }

    /// The handshakes that are under way now, at any slot. Asked after a
    /// [`steer`](Bound::steer): when they [are over](Handshakes::are_over), and then the
    /// queues of the slots that were steered away from are [empty](Bound::queued), these
    /// have got their last connection.
    ///
    /// A handshake takes a round trip, but up to a minute if the peer is gone or never
    /// was there, so who waits for them sets a limit. Nobody loses by it but a peer
    /// with whom it took longer.
    ///
    /// Both this and the question read the kernel's whole list of connections, and may
    /// block for some ten milliseconds: nothing to do often.
    pub(crate) fn handshakes(&self) -> io::Result<Handshakes> {
        match self.kind {
            SocketKind::Tcp => Handshakes::at(self.local_addr()?.port()),
            _ => Ok(Handshakes::none()),
        }
    }

    /// Ends `slot`, the last one, and not the first. Its socket is kept in reserve for
    /// the next one, and so is what is in its queue.
    pub(crate) fn retire(&mut self, slot: u32) {
        if !is_per_slot(self.kind) || slot == 0 || slot >= self.slots {
            return;
        }
        self.slots = slot;
        if !matches!(self.steering.get(), Steering::To(slots) if slots <= slot) {
            // It was to be asked for before; then an error has been told.
            let _ = self.steer(slot);
        }
    }

    /// Removes the file of a Unix socket, unless another socket is there now. For a
    /// master that ends, and that no other one has replaced.
    pub(crate) fn unlink(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.remove().map_err(at("remove", &self.address)),
            None => Ok(()),
        }
    }

    fn new(kind: SocketKind, address: &str, sockets: Vec<Socket>) -> Bound {
        let slots = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        Bound {
            kind,
            address: address.to_owned(),
            slots,
            sockets,
            steering: Cell::new(Steering::All),
            span: Cell::new(slots),
            file: None,
        }
    }

    /// Invariant 3, for sockets that others made.
    fn prepare(&mut self) -> io::Result<()> {
        for socket in &self.sockets {
            socket.set_cloexec(true)?;
            socket.set_nonblocking(true)?;
        }
        Ok(())
    }

    fn join_until(&mut self, slots: u32) -> io::Result<()> {
        while self.sockets.len() < slots as usize {
            let joined = inet::join(&self.sockets[0])?;
            self.sockets.push(joined);
            // A group of one had no program.
            if let Steering::To(slots) = self.steering.get() {
                self.attach(slots)?;
            }
        }
        if self.steering.get() == Steering::All {
            self.span.set(slots);
            // A program from the start, though the kernel has a way of its own, of which
            // there is little to be said but that it sends every UDP peer elsewhere when
            // the group grows. And a master that inherits a group can count on one.
            let _ = self.attach(slots);
        }
        Ok(())
    }

    /// Gives the group its program. A group of one needs none, and takes none.
    fn attach(&self, slots: u32) -> io::Result<()> {
        if self.sockets.len() < 2 {
            return Ok(());
        }
        let flows = match self.kind {
            SocketKind::Udp => Flows::ByPeer {
                span: self.span.get(),
            },
            _ => Flows::ByChance,
        };
        steering::attach(&self.sockets[0], flows, slots)
    }
}

/// What it is and where, for the log.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SocketKind::Tcp | SocketKind::SharedTcp => "tcp",
            SocketKind::Udp | SocketKind::SharedUdp => "udp",
            SocketKind::SharedUnix => "unix",
        };
        match self.local_addr() {
            Ok(address) => write!(f, "{kind} {address}"),
            Err(_) => write!(f, "{kind} {}", self.address.escape_default()),
        }
    }
}

fn is_per_slot(kind: SocketKind) -> bool {
    matches!(kind, SocketKind::Tcp | SocketKind::Udp)
}

fn kind_of_shared(socket: &Socket) -> io::Result<SocketKind> {
    let domain = socket.local_addr()?.domain();
    let is_internet = domain == Domain::IPV4 || domain == Domain::IPV6;
    let kind = socket.r#type()?;
    if kind == Type::DGRAM && is_internet {
        return Ok(SocketKind::SharedUdp);
    }
    if kind == Type::STREAM && listens(socket)? {
        if is_internet {
            return Ok(SocketKind::SharedTcp);
        }
        if domain == Domain::UNIX {
            return Ok(SocketKind::SharedUnix);
        }
    }
    let message = "it is neither a UDP socket, nor a TCP or Unix socket that listens";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(not(target_vendor = "apple"))]
fn listens(socket: &Socket) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

/// Here the kernel does not tell; a socket that does not listen fails to accept.
#[cfg(target_vendor = "apple")]
fn listens(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

/// Says what was to be done, and where.
fn at(what: &str, address: &str) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        let address = address.escape_default();
        io::Error::new(error.kind(), format!("cannot {what} {address}: {error}"))
    }
}

#[cfg(test)]
mod tests;
