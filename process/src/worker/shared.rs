//! [`WorkerShared`], the state that a worker's handles, its listeners and its master link
//! share.
//!
//! # Invariants
//!
//! 1. `Ready` and `Draining` are sent once, and `Ready` never after `Draining`.
//! 2. The time to drain starts before user code or the master learns of the drain.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use coreloop_net::{TcpListener, UnixListener};
use coreloop_runtime::runtime::RuntimeMetrics;
use coreloop_runtime::time::Instant;
use coreloop_sync::CancellationToken;

use super::accept_group::AcceptGroup;
use super::reporter::Reporter;
use super::reporting::Reporting;
use super::requests::RequestCount;
use crate::channel::{Sender, SocketKind, Start, ToMaster};
use crate::report::Report;

pub(super) struct WorkerShared {
    pub(super) start: Start,
    pub(super) is_process: bool,
    pub(super) reporter: Reporter,
    pub(super) binds: Vec<Bind>,
    /// Cancelled when the worker begins to drain.
    pub(super) drain: CancellationToken,
    /// When the drain began.
    draining_since: Cell<Option<Instant>>,
    /// Cancelled when the worker has to end at once: the master has ended, or the
    /// function has failed.
    pub(super) cut_off: CancellationToken,
    master: Sender,
    ready_was_sent: Cell<bool>,
    /// Whether the function has taken a UDP socket, which has no first `accept` that would
    /// report that the worker is ready.
    pub(super) took_udp_socket: Cell<bool>,
    pub(super) requests: RequestCount,
    pub(super) reporting: Reporting,
}

/// The sockets that one `bind` call has given to this worker.
pub(super) enum Bind {
    Tcp(Rc<AcceptGroup<TcpListener>>),
    Unix(Rc<AcceptGroup<UnixListener>>),
    Udp(OwnedFd),
}

impl WorkerShared {
    /// Puts the sockets on this thread's loop.
    pub(super) fn new(
        start: Start,
        sockets: Vec<OwnedFd>,
        master: Sender,
        is_process: bool,
        reporter: Reporter,
    ) -> io::Result<Self> {
        if sockets.len() != start.sockets.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not every socket came with the first message of the master",
            ));
        }
        let mut rest = sockets.into_iter();
        let calls = start
            .sockets
            .chunk_by(|one, other| one.number == other.number);
        let binds = calls.map(|call| {
            let sockets = rest.by_ref().take(call.len()).collect();
            Bind::new(call[0].kind, start.slot, sockets)
        });
        Ok(Self {
            binds: binds.collect::<io::Result<_>>()?,
            requests: RequestCount::new(start.max_requests),
            start,
            is_process,
            reporter,
            drain: CancellationToken::new(),
            draining_since: Cell::new(None),
            cut_off: CancellationToken::new(),
            master,
            ready_was_sent: Cell::new(false),
            took_udp_socket: Cell::new(false),
            reporting: Reporting::default(),
        })
    }

    /// Reports to the master that the worker serves, if that was not reported yet.
    pub(super) fn ready(&self) {
        if !self.drain.is_cancelled() && !self.ready_was_sent.replace(true) {
            self.send(&ToMaster::Ready);
        }
    }

    /// Reports to the master that the worker has served enough requests, unless it drains.
    #[cold]
    pub(super) fn retire(&self) {
        if !self.drain.is_cancelled() {
            self.send(&ToMaster::Retire);
        }
    }

    /// Called when a poll of the function was pending. Reports that the worker is ready if
    /// no listener will report it.
    pub(super) fn function_waits(&self) {
        if !self.ready_was_sent.get() && (self.binds.is_empty() || self.took_udp_socket.get()) {
            self.ready();
        }
    }

    /// Begins the drain: gives up the sockets, and cancels the `drain` token.
    pub(super) fn drain(&self) {
        if self.draining_since.get().is_some() {
            return;
        }
        self.draining_since.set(Some(Instant::now()));
        for bind in &self.binds {
            match bind {
                Bind::Tcp(group) => group.close(),
                Bind::Unix(group) => group.close(),
                // The function owns it, and is asked by the token to drop it.
                Bind::Udp(_) => {}
            }
        }
        if !self.cut_off.is_cancelled() {
            self.send(&ToMaster::Draining);
        }
        self.drain.cancel();
    }

    /// Returns the rest of the time to drain.
    pub(super) fn left(&self) -> Duration {
        if self.cut_off.is_cancelled() {
            return Duration::ZERO;
        }
        let spent = self.draining_since.get().map(|since| since.elapsed());
        self.start.drain.saturating_sub(spent.unwrap_or_default())
    }

    /// Accepts from the sockets of another slot too. UDP sockets are left to their own
    /// worker: its successor finds the datagrams in their buffers.
    pub(super) fn adopt(&self, slot: u32, sockets: Vec<OwnedFd>) -> io::Result<()> {
        if slot == self.start.slot {
            return Ok(());
        }
        // The kernel has dropped descriptors for lack of room. That is no reason to end:
        // the worker still serves its own sockets.
        if sockets.len() != self.start.sockets.len() {
            return Err(io::Error::other("there is no room for their descriptors"));
        }
        let mut rest = sockets.into_iter();
        for bind in &self.binds {
            let sockets = rest.by_ref().take(bind.own()).collect();
            match bind {
                Bind::Tcp(group) => group.adopt(slot, sockets)?,
                Bind::Unix(group) => group.adopt(slot, sockets)?,
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

    /// Sends a message to the master. An error is ignored: if the master has ended, the
    /// master link notices.
    pub(super) fn send(&self, message: &ToMaster) {
        let _ = self.try_send(message);
    }

    pub(super) fn try_send(&self, message: &ToMaster) -> io::Result<()> {
        self.master.send(message, &[])
    }

    /// Blocks this thread until there is room for a short message to the master, and returns
    /// whether there is after `time`.
    pub(super) fn has_room(&self, time: Duration) -> io::Result<bool> {
        self.master.has_room(time)
    }

    /// Makes a report for the master. `metrics` come from the worker's loop.
    pub(super) fn report(&self, metrics: &RuntimeMetrics) -> Report {
        let report = Report::of_this_worker(self.is_process, metrics);
        if self.reporting.is_first_refusal(report.series_refused) {
            self.reporter.report(format_args!(
                "a metric is not sent: there are too many, or its labels are too long"
            ));
        }
        report
    }
}

impl Bind {
    /// Takes the sockets of one call, at least one.
    fn new(kind: SocketKind, slot: u32, mut sockets: Vec<OwnedFd>) -> io::Result<Self> {
        Ok(match kind {
            SocketKind::Tcp => Self::Tcp(Rc::new(AcceptGroup::new(slot, sockets, false)?)),
            SocketKind::SharedTcp => Self::Tcp(Rc::new(AcceptGroup::new(slot, sockets, true)?)),
            SocketKind::SharedUnix => Self::Unix(Rc::new(AcceptGroup::new(slot, sockets, true)?)),
            SocketKind::Udp | SocketKind::SharedUdp => Self::Udp(sockets.remove(0)),
        })
    }

    /// Returns how many sockets of its own the worker has from this call.
    fn own(&self) -> usize {
        match self {
            Self::Tcp(group) => group.own(),
            Self::Unix(group) => group.own(),
            Self::Udp(_) => 1,
        }
    }
}
