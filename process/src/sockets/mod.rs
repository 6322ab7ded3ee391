//! The sockets that the master holds for its workers: a [`SocketGroup`] for each address of
//! each `bind` call.
//!
//! # Invariants
//!
//! 1. Socket `i` of a TCP or UDP [`SocketGroup`] is member `i` of its `SO_REUSEPORT` group.
//!    The kernel's steering programs name it by this index, so sockets join in the order of
//!    slots, and none leaves. When a slot retires, its socket is kept in reserve, and
//!    connections are steered away from it, as from a socket that was bound in reserve.
//!    Closing it lost a connection now and then, in a stress test some 3 of 380 times,
//!    although none was queued there or in its handshake; probably because the kernel takes a
//!    socket out of its group a moment before it takes it out of the table where it looks up
//!    listeners.
//! 2. The first socket is bound without `SO_REUSEPORT`. So binding fails if another process
//!    listens on the port, even if that process would share it. The others join later.
//! 3. All sockets are non-blocking and closed on `exec`.
//! 4. A socket lives as long as its `SocketGroup`, whatever happens to the workers that have
//!    it open too. So the connections in its queue outlive them.
//!
//! On systems other than Linux there are no steering programs, and all workers share one
//! socket.

mod every;
mod inet;
mod options;
mod queue;
mod unix;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use socket2::{Domain, Socket, Type};

pub(crate) use self::every::Wanted;
use self::options::Purpose;
pub use self::options::SocketOptions;
pub(crate) use self::queue::Handshakes;
use self::unix::SocketFile;
use crate::channel::{Inherited, SocketKind};
use crate::sys::{self, Flows, SOCKET_PER_SLOT};

/// The sockets of one address of a `bind` call: one for each slot, or one for all.
#[derive(Debug)]
pub(crate) struct SocketGroup {
    /// The number of the `bind` call.
    number: usize,
    kind: SocketKind,
    /// The address as it was given.
    address: String,
    /// One socket if it is shared; otherwise one for each slot, and then the reserve.
    sockets: Vec<Socket>,
    /// The number of slots, at least one.
    slots: u32,
    steering: Cell<Steering>,
    /// The highest number of slots so far. UDP peers are spread over this many, and the
    /// peers of retired slots over the slots that are left.
    span: Cell<u32>,
    options: SocketOptions,
    /// The file of a Unix socket, if it has one.
    file: Option<SocketFile>,
}

/// Which slots new connections go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steering {
    /// To all slots, including slots added later.
    All,
    /// To the first slots, this many, until the next call of `steer`.
    To(u32),
    /// As the old master has steered them. The group has a program, so new members get no
    /// connections.
    Inherited,
}

/// The slots of an old master, which its successor begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InheritedSlots {
    /// How many there are, without the sockets in reserve.
    pub(crate) count: u32,
    /// Over how many slots UDP peers are spread.
    pub(crate) span: u32,
}

impl SocketGroup {
    /// Listens on TCP at the first of the addresses of `address`, "host:port", that can be
    /// bound.
    pub(crate) fn tcp(address: &str, options: SocketOptions) -> io::Result<Self> {
        let bound = options
            .check(Purpose::Tcp)
            .and_then(|()| inet::first(address, Type::STREAM, &options));
        let socket = bound.map_err(at("listen on", address))?;
        let kind = if SOCKET_PER_SLOT {
            SocketKind::Tcp
        } else {
            SocketKind::SharedTcp
        };
        Ok(Self::new(kind, address, vec![socket], options))
    }

    /// Binds a UDP socket, like [`tcp`](SocketGroup::tcp).
    pub(crate) fn udp(address: &str, options: SocketOptions) -> io::Result<Self> {
        let bound = options
            .check(Purpose::Udp)
            .and_then(|()| inet::first(address, Type::DGRAM, &options));
        let socket = bound.map_err(at("bind UDP to", address))?;
        let kind = if SOCKET_PER_SLOT {
            SocketKind::Udp
        } else {
            SocketKind::SharedUdp
        };
        Ok(Self::new(kind, address, vec![socket], options))
    }

    /// Listens on a Unix socket at `path`, or at an abstract name if `path` starts with a
    /// zero byte. A socket to which no process listens any more is replaced.
    pub(crate) fn unix(path: &Path, options: SocketOptions) -> io::Result<Self> {
        let address = path.to_str().ok_or_else(|| {
            let message = format!("the path of a Unix socket is not UTF-8: {}", path.display());
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        let bound = options
            .check(Purpose::Unix)
            .and_then(|()| unix::listen(path, &options));
        let socket = bound.map_err(at("listen on", address))?;
        let mut group = Self::new(SocketKind::SharedUnix, address, vec![socket], options);
        group.file = SocketFile::at(path);
        Ok(group)
    }

    /// Takes over a socket that another program has bound, such as systemd, under the name
    /// by which the program passed it. All slots share it.
    pub(crate) fn from_activated(name: &str, socket: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let kind = kind_of_shared(&socket).map_err(at("take over", name))?;
        let mut group = Self::new(kind, name, vec![socket], SocketOptions::new());
        group.prepare().map_err(at("take over", name))?;
        Ok(group)
    }

    /// Takes over the sockets of the old master that this one replaces, in the order of
    /// slots. The sockets that it has in reserve are in reserve here too; if its slots are not
    /// known, there is one for each socket.
    ///
    /// The options apply to them too, as far as they can change. Activated sockets have none.
    ///
    /// Until [`steer`](SocketGroup::steer) is called, connections go where they went before,
    /// and so to none of the sockets that were in reserve: the old master may have to
    /// continue.
    pub(crate) fn from_inherited(
        inherited: Inherited,
        sockets: Vec<OwnedFd>,
        slots: Option<InheritedSlots>,
        options: Option<SocketOptions>,
    ) -> io::Result<Self> {
        let Inherited { address, kind } = inherited;
        let count = sockets.len();
        if count == 0 || (count > 1 && !is_per_slot(kind)) {
            let message = format!("inherited {count} sockets for {address}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let sockets = sockets.into_iter().map(Socket::from).collect();
        let is_activated = options.is_none();
        let mut group = Self::new(kind, &address, sockets, options.unwrap_or_default());
        if let Some(InheritedSlots { count, span }) = slots {
            group.slots = count.clamp(1, group.slots);
            group.span.set(span.clamp(group.slots, group.span.get()));
        }
        group.prepare().map_err(at("inherit", &address))?;
        if !is_activated {
            group.set_options().map_err(at("inherit", &address))?;
        }
        if kind == SocketKind::SharedUnix {
            group.file = SocketFile::at(Path::new(&address));
        }
        group.steering.set(match count {
            1 => Steering::To(1),
            _ => Steering::Inherited,
        });
        Ok(group)
    }

    /// Replaces the address by which a master that replaces this one finds the sockets.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.address);
        self
    }

    /// Returns over how many slots UDP peers are spread.
    pub(crate) fn span(&self) -> u32 {
        self.span.get()
    }

    /// Returns the number of slots that have a socket of their own; `None` if the socket is
    /// shared.
    pub(crate) fn slots(&self) -> Option<u32> {
        is_per_slot(self.kind).then_some(self.slots)
    }

    /// Sets the number of the `bind` call.
    pub(crate) fn numbered(self, number: usize) -> Self {
        Self { number, ..self }
    }

    /// Returns the number of the `bind` call, which it shares with its other addresses.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn kind(&self) -> SocketKind {
        self.kind
    }

    /// Returns the address as it was given.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the address that the group is bound to, with the port that the system chose
    /// if none was given. Unix sockets have none.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.sockets[0].local_addr()?;
        address.as_socket().ok_or_else(|| {
            let message = format!("{} is no internet address", self.address);
            io::Error::new(io::ErrorKind::Unsupported, message)
        })
    }

    /// Adds sockets until there is one for each of `slots`. Does nothing if the socket is
    /// shared.
    ///
    /// If the group was steered before, or inherited, new slots get no connections until
    /// [`steer`](SocketGroup::steer) is called. Otherwise they get their share at once, and
    /// keep it in their queues.
    ///
    /// If it fails, the number of slots is unchanged.
    pub(crate) fn grow(&mut self, slots: u32) -> io::Result<()> {
        if !is_per_slot(self.kind) || slots <= self.slots {
            return Ok(());
        }
        // Including the reserve.
        let before = self.sockets.len();
        match self.join_until(slots) {
            Ok(()) => self.slots = slots,
            Err(error) => {
                // Connections must not go to the new sockets, as no worker serves them.
                let steering = self.steering.get();
                if steering == Steering::Inherited || self.steer(self.slots).is_err() {
                    self.sockets.truncate(before);
                }
                return Err(at("bind one more socket to", &self.address)(error));
            }
        }
        Ok(())
    }

    /// Adds sockets to the reserve until there are `count`, reserve included. Does nothing if
    /// the socket is shared.
    ///
    /// They get no connections, not even while they are added, and are used when the group
    /// grows. So it can grow when no socket can be bound any more.
    pub(crate) fn reserve(&mut self, count: u32) -> io::Result<()> {
        if !is_per_slot(self.kind) || self.sockets.len() >= count as usize {
            return Ok(());
        }
        let reserved = self.join_reserve(count);
        reserved.map_err(at("bind the sockets in reserve to", &self.address))
    }

    /// Returns the socket of `slot`, or the one that all slots share.
    pub(crate) fn socket(&self, slot: u32) -> BorrowedFd<'_> {
        if is_per_slot(self.kind) {
            self.sockets[slot as usize].as_fd()
        } else {
            self.sockets[0].as_fd()
        }
    }

    /// Returns all sockets, in the order of slots, and then the reserve. A master that
    /// replaces this one gets all of them, so that none is closed.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    /// Sends new connections to the slots below `slots` only, but always to the first.
    ///
    /// From then on no handshake begins at the other slots. Handshakes that have begun there
    /// end there: see [`handshakes`](SocketGroup::handshakes). The datagrams of a UDP peer
    /// still go to the same slot as before, if it is below `slots`.
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

    /// Returns the length of the accept queue of `slot`.
    ///
    /// The number is exact for TCP on Linux. Otherwise it is 1 if any connections, or
    /// datagrams, wait.
    pub(crate) fn queued(&self, slot: u32) -> io::Result<u32> {
        queue::length(self.socket(slot))
    }

    /// Returns the handshakes that are in progress now, at any slot. Call this after
    /// [`steer`](SocketGroup::steer): when these handshakes [have
    /// ended](Handshakes::have_ended), and then the queues of the other slots are
    /// [empty](SocketGroup::queued), these slots have got their last connection.
    ///
    /// A handshake takes a round trip, but up to a minute if the peer has disappeared or
    /// never existed, so the caller should limit the wait. Only a peer whose handshake takes
    /// longer than the limit loses its connection.
    ///
    /// Both this and `have_ended` read the kernel's whole table of connections, and may block
    /// for some ten milliseconds, so they should not be called often.
    pub(crate) fn handshakes(&self) -> io::Result<Handshakes> {
        match self.kind {
            SocketKind::Tcp => Handshakes::at(self.local_addr()?.port()),
            _ => Ok(Handshakes::none()),
        }
    }

    /// Retires `slot`, which is the last one, and not the first. Its socket is kept in
    /// reserve with its queue, for the next slot of this number.
    pub(crate) fn retire(&mut self, slot: u32) {
        if !is_per_slot(self.kind) || slot == 0 || slot >= self.slots {
            return;
        }
        self.slots = slot;
        if !matches!(self.steering.get(), Steering::To(slots) if slots <= slot) {
            // The caller has steered before, and has reported an error then.
            let _ = self.steer(slot);
        }
    }

    /// Removes the file of a Unix socket, unless another socket is there now. Called by a
    /// master that ends and that no other master has replaced.
    pub(crate) fn unlink(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.remove().map_err(at("remove", &self.address)),
            None => Ok(()),
        }
    }

    fn new(kind: SocketKind, address: &str, sockets: Vec<Socket>, options: SocketOptions) -> Self {
        let slots = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        Self {
            number: 0,
            kind,
            address: address.to_owned(),
            slots,
            sockets,
            steering: Cell::new(Steering::All),
            span: Cell::new(slots),
            options,
            file: None,
        }
    }

    /// Establishes invariant 3 for sockets that other programs have made.
    fn prepare(&mut self) -> io::Result<()> {
        for socket in &self.sockets {
            socket.set_cloexec(true)?;
            socket.set_nonblocking(true)?;
        }
        Ok(())
    }

    /// Sets the options that can change on a socket that is bound.
    fn set_options(&self) -> io::Result<()> {
        let purpose = match self.kind {
            SocketKind::Tcp | SocketKind::SharedTcp => Purpose::Tcp,
            SocketKind::Udp | SocketKind::SharedUdp => Purpose::Udp,
            SocketKind::SharedUnix => Purpose::Unix,
        };
        self.options.check(purpose)?;
        let mut sockets = self.sockets.iter();
        sockets.try_for_each(|socket| self.options.listen(socket))
    }

    fn join_reserve(&mut self, count: u32) -> io::Result<()> {
        self.check_user()?;
        if self.steering.get() != Steering::Inherited {
            self.steer(self.slots)?;
        }
        while self.sockets.len() < count as usize {
            // There is no program for a group of one.
            if self.sockets.len() == 1 {
                let joined = inet::join_deaf(&self.sockets[0], &self.options)?;
                self.sockets.push(joined);
                self.steer(self.slots)?;
                // Packets that the kernel handles now may not be steered yet.
                sys::let_packets_pass();
                sys::receive_packets(&self.sockets[1])?;
            } else {
                self.sockets
                    .push(inet::join(&self.sockets[0], &self.options)?);
            }
        }
        Ok(())
    }

    /// Returns an error if this process runs as another user than the one that has bound the
    /// sockets: the kernel does not let it join a group then.
    fn check_user(&self) -> io::Result<()> {
        let owner = rustix::fs::fstat(&self.sockets[0])?.st_uid;
        let user = rustix::process::geteuid().as_raw();
        if owner == user {
            return Ok(());
        }
        let message = format!(
            "user {owner} has bound the first, and this process runs as user {user} by now, \
             whose sockets the kernel does not let share the port: change the user by \
             `Supervisor::user`, which binds the sockets of `Supervisor::max_workers` before"
        );
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    }

    fn join_until(&mut self, slots: u32) -> io::Result<()> {
        if self.sockets.len() < slots as usize {
            self.check_user()?;
        }
        while self.sockets.len() < slots as usize {
            let joined = inet::join(&self.sockets[0], &self.options)?;
            self.sockets.push(joined);
            // A group of one has no program.
            if let Steering::To(slots) = self.steering.get() {
                self.attach(slots)?;
            }
        }
        if self.steering.get() == Steering::All {
            self.span.set(slots);
            // A program from the start, although the kernel would spread connections without
            // one: it would send every UDP peer to another member when the group grows. And
            // a master that inherits a group can rely on its having a program.
            let _ = self.attach(slots);
        }
        Ok(())
    }

    /// Attaches the steering program. A group of one needs none, and accepts none.
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
        sys::steer(&self.sockets[0], flows, slots)
    }
}

/// The kind and the address, for the log.
impl fmt::Display for SocketGroup {
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
    if kind == Type::STREAM && sys::is_listening(socket)? {
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

/// Adds to an error what was attempted, and where.
fn at(what: &str, address: &str) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        let address = address.escape_default();
        io::Error::new(error.kind(), format!("cannot {what} {address}: {error}"))
    }
}

#[cfg(test)]
mod tests;
