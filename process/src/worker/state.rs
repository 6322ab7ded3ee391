//! [`State`]: what the handles of a worker, its listeners and its lifeline share.
//!
//! 1. `Ready` and `Draining` are said once, and `Ready` not after `Draining`.
//! 2. The time to drain runs before anybody hears of the drain.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use coreloop_net::{TcpListener, UnixListener};
use coreloop_runtime::time::Instant;
use coreloop_sync::CancellationToken;

use super::group::Group;
use super::reporter::Reporter;
use crate::channel::{Sender, SocketKind, Start, ToMaster};

pub(super) struct State {
    pub(super) start: Start,
    pub(super) is_process: bool,
    pub(super) reporter: Reporter,
    pub(super) binds: Vec<Bind>,
    /// Cancelled when the worker is to end.
    pub(super) drain: CancellationToken,
    /// Since when it ends.
    draining_since: Cell<Option<Instant>>,
    /// Cancelled when it is to end at once: the master is gone, or its function
    /// has failed.
    pub(super) cut_off: CancellationToken,
    master: Sender,
    said_ready: Cell<bool>,
    /// Whether it has taken a socket that nobody accepts from.
    pub(super) took_datagrams: Cell<bool>,
}

/// The sockets of one `bind`, as far as they are this worker's.
pub(super) enum Bind {
    Tcp(Rc<Group<TcpListener>>),
    Unix(Rc<Group<UnixListener>>),
    Udp(OwnedFd),
}

impl State {
    /// Puts the sockets on this thread's loop.
    pub(super) fn new(
        start: Start,
        sockets: Vec<OwnedFd>,
        master: Sender,
        is_process: bool,
        reporter: Reporter,
    ) -> io::Result<State> {
        if sockets.len() != start.sockets.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not every socket came with the first message of the master",
            ));
        }
        let kinds = start.sockets.iter().zip(sockets);
        let binds = kinds.map(|(kind, socket)| Bind::new(*kind, start.slot, socket));
        Ok(State {
            binds: binds.collect::<io::Result<_>>()?,
            start,
            is_process,
            reporter,
            drain: CancellationToken::new(),
            draining_since: Cell::new(None),
            cut_off: CancellationToken::new(),
            master,
            said_ready: Cell::new(false),
            took_datagrams: Cell::new(false),
        })
    }

    /// Tells the master that it serves, if it does not know.
    pub(super) fn ready(&self) {
        if !self.drain.is_cancelled() && !self.said_ready.replace(true) {
            self.say(&ToMaster::Ready);
        }
    }

    /// After the function was polled, and waits: it is ready if nothing will tell
    /// when it accepts.
    pub(super) fn waits(&self) {
        if !self.said_ready.get() && (self.binds.is_empty() || self.took_datagrams.get()) {
            self.ready();
        }
    }

    /// Lets go of the sockets, and has everybody finish.
    pub(super) fn drain(&self) {
        if self.draining_since.get().is_some() {
            return;
        }
        self.draining_since.set(Some(Instant::now()));
        for bind in &self.binds {
            match bind {
                Bind::Tcp(group) => group.close(),
                Bind::Unix(group) => group.close(),
                // The function has it, and is told.
                Bind::Udp(_) => {}
            }
        }
        if !self.cut_off.is_cancelled() {
            self.say(&ToMaster::Draining);
        }
        self.drain.cancel();
    }

    /// What is left of the time to drain.
    pub(super) fn left(&self) -> Duration {
        if self.cut_off.is_cancelled() {
            return Duration::ZERO;
        }
        let spent = self.draining_since.get().map(|since| since.elapsed());
        self.start.drain.saturating_sub(spent.unwrap_or_default())
    }

    /// Serves the sockets of another slot too. Those for datagrams are left to
    /// their worker: its successor finds in the queue what came meanwhile.
    pub(super) fn adopt(&self, slot: u32, sockets: Vec<OwnedFd>) -> io::Result<()> {
        if slot == self.start.slot {
            return Ok(());
        }
        // It has its own connections to serve, though it has no room for more.
        if sockets.len() != self.binds.len() {
            return Err(io::Error::other("there is no room for their descriptors"));
        }
        for (bind, socket) in self.binds.iter().zip(sockets) {
            match bind {
                Bind::Tcp(group) => group.adopt(slot, socket)?,
                Bind::Unix(group) => group.adopt(slot, socket)?,
                Bind::Udp(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn release(&self, slot: u32) {
        for bind in &self.binds {
            match bind {
                Bind::Tcp(group) => group.release(slot),
                Bind::Unix(group) => group.release(slot),
                Bind::Udp(_) => {}
            }
        }
    }

    /// Tells the master. If it does not read, or is gone, the lifeline shows that.
    pub(super) fn say(&self, message: &ToMaster) {
        let _ = self.master.send(message, &[]);
    }
}

impl Bind {
    fn new(kind: SocketKind, slot: u32, socket: OwnedFd) -> io::Result<Bind> {
        Ok(match kind {
            SocketKind::Tcp => Bind::Tcp(Rc::new(Group::new(slot, socket, false)?)),
            SocketKind::SharedTcp => Bind::Tcp(Rc::new(Group::new(slot, socket, true)?)),
            SocketKind::SharedUnix => Bind::Unix(Rc::new(Group::new(slot, socket, true)?)),
            SocketKind::Udp | SocketKind::SharedUdp => Bind::Udp(socket),
        })
    }
}
