//! The code of a worker, whether it is a process or a thread.
//!
//! # Invariants
//!
//! 1. A task of the worker's own loop, the master link, obeys the master and sends
//!    heartbeats. So a worker whose loop is stuck is silent, and the master notices.
//! 2. If the channel to the master closes, the worker ends: none serves without a master.
//! 3. The sockets are given up once, when the drain begins. Connections that were accepted
//!    before have the time to drain, and are cut off only after that.

mod accept_group;
mod listener;
mod master_link;
mod process_setup;
mod reporter;
mod reporting;
mod requests;
mod run;
mod shared;
mod socket;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use coreloop_net::{UdpSocket, UnixListener};

use shared::{Bind, WorkerShared};

pub use listener::{Incoming, Listener};
pub(crate) use process_setup::attach;
pub(crate) use reporter::Reporter;
pub(crate) use run::{panic_message, run_process, spawn_thread};
pub use socket::Socket;

/// A handle to a worker, passed to the worker's function.
///
/// Clones refer to the same worker.
///
/// The function takes its sockets, serves until there are no more connections, and
/// returns:
///
/// - If it returns after the drain has begun, the tasks that it spawned have the rest of
///   the [time to drain](crate::Supervisor::drain). Then they are aborted, and the worker
///   ends. If the function itself takes longer than that, it is dropped.
/// - If it returns `Ok` before the drain, the worker drains and ends in the same way, and is
///   replaced.
/// - If it returns an error or panics, the worker ends at once and is replaced: its
///   connections are cut off.
///
/// A worker process ignores `INT`, `HUP`, `USR2`, `TTIN` and `TTOU`, which are for its
/// master, as a terminal sends some of them to both. `TERM` makes it drain.
///
/// # Examples
///
/// ```no_run
/// use std::io;
/// use coreloop::process::Worker;
///
/// async fn serve(worker: Worker) -> io::Result<()> {
///     let listener = worker.listener(0)?;
///     println!("worker {} of {}", worker.slot(), worker.workers());
///     while let Some((mut stream, _)) = listener.accept().await? {
///         coreloop::spawn(async move { stream.write_all(b"hello\n").await });
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Worker {
    shared: Rc<WorkerShared>,
}

impl Worker {
    /// Returns the slot of this worker, from 0.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.shared.start.slot
    }

    /// Returns the number of workers that were configured when this one was started.
    #[must_use]
    pub fn workers(&self) -> u32 {
        self.shared.start.workers
    }

    /// Returns how many workers this slot has had before this one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.start.generation
    }

    /// Returns whether the worker is a process, and not a thread.
    #[must_use]
    pub fn is_process(&self) -> bool {
        self.shared.is_process
    }

    /// Returns a listener for the TCP socket of this number, counting the calls of
    /// [`bind`](crate::Supervisor::bind) and the similar methods from 0.
    ///
    /// A second listener accepts from the same socket; each gets some of the connections.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no TCP socket of
    /// this number.
    pub fn listener(&self, number: usize) -> io::Result<Listener> {
        match self.bind(number)? {
            Bind::Tcp(group) => Ok(Listener::new(Rc::clone(group), self.clone())),
            Bind::Unix(_) => Err(other_kind(number, "unix_listener")),
            Bind::Udp(_) => Err(other_kind(number, "udp_socket")),
        }
    }

    /// Returns a listener for the Unix socket of this number, which all workers share.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no Unix socket of
    /// this number.
    pub fn unix_listener(&self, number: usize) -> io::Result<Listener<UnixListener>> {
        match self.bind(number)? {
            Bind::Unix(group) => Ok(Listener::new(Rc::clone(group), self.clone())),
            Bind::Tcp(_) => Err(other_kind(number, "listener")),
            Bind::Udp(_) => Err(other_kind(number, "udp_socket")),
        }
    }

    /// Returns the worker's own UDP socket of this number. The kernel gives it all
    /// datagrams of some of the peers.
    ///
    /// The function should drop it when the worker [drains](Self::draining). Datagrams for a
    /// worker that is down wait in the socket's buffer for its successor: no other worker
    /// could answer them from the address that the peers expect.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no UDP socket of
    /// this number, and an error if the system has no descriptors left.
    pub fn udp_socket(&self, number: usize) -> io::Result<UdpSocket> {
        match self.bind(number)? {
            Bind::Udp(socket) => {
                let socket = UdpSocket::from_std(OwnedFd::try_clone(socket)?.into())?;
                self.shared.took_udp_socket.set(true);
                Ok(socket)
            }
            Bind::Tcp(_) => Err(other_kind(number, "listener")),
            Bind::Unix(_) => Err(other_kind(number, "unix_listener")),
        }
    }

    /// Reports to the master that this worker serves. Only then does the master drain the
    /// worker that this one replaces.
    ///
    /// This need not be called. The first poll of an accept of a [`Listener`] reports
    /// it. If the function has taken a UDP socket, or if no socket is bound, the first time
    /// that the function waits for anything reports it. So a worker should prepare all that
    /// it needs before its first `accept`.
    pub fn ready(&self) {
        self.shared.ready();
    }

    /// Counts a request towards [`max_requests`](crate::Supervisor::max_requests). Without
    /// that limit this does nothing.
    ///
    /// From the first call on, the connections of this worker do not count any more, and
    /// those before it do not either.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::io;
    /// use coreloop::process::Worker;
    ///
    /// async fn serve(worker: Worker) -> io::Result<()> {
    ///     let listener = worker.listener(0)?;
    ///     while let Some((mut stream, _)) = listener.accept().await? {
    ///         let worker = worker.clone();
    ///         coreloop::spawn(async move {
    ///             let mut request = [0; 64];
    ///             while stream.read(&mut request).await? > 0 {
    ///                 worker.count_request();
    ///                 stream.write_all(b"answer\n").await?;
    ///             }
    ///             io::Result::Ok(())
    ///         });
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn count_request(&self) {
        if self.shared.requests.request() {
            self.shared.retire();
        }
    }

    /// Waits until the worker drains.
    ///
    /// A function that accepts from a listener need not wait for this, as the listener then
    /// returns `None`. A function that serves datagrams, or does other work, waits for this
    /// beside that work.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: once the worker drains, this completes whenever it is awaited.
    pub async fn draining(&self) {
        self.shared.drain.cancelled().await;
    }

    /// Returns whether the worker drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.drain.is_cancelled()
    }

    fn bind(&self, number: usize) -> io::Result<&Bind> {
        let binds = &self.shared.binds;
        binds.get(number).ok_or_else(|| {
            let count = binds.len();
            invalid(format!(
                "there is no socket {number}: the supervisor has bound {count}, from number 0"
            ))
        })
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("slot", &self.slot())
            .field("generation", &self.generation())
            .field("is_draining", &self.is_draining())
            .finish_non_exhaustive()
    }
}

fn other_kind(number: usize, method: &str) -> io::Error {
    invalid(format!(
        "socket {number} is of another kind: take it by `Worker::{method}`"
    ))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
