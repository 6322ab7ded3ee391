//! What runs in a worker, be it a process or a thread.
//!
//! 1. The master is obeyed by a task of the worker's own loop, the lifeline. So a
//!    worker whose loop does not turn says nothing, and the master sees that.
//! 2. The end of the channel is the end of the worker: nobody serves on without a
//!    master.
//! 3. Sockets are let go of once, at the begin of the end. What was accepted before
//!    has the time to drain, and only then is cut off.

mod group;
mod hygiene;
mod lifeline;
mod listener;
mod reporter;
mod run;
mod socket;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use coreloop_net::{UdpSocket, UnixListener};

use state::{Bind, State};

pub(crate) use hygiene::attach;
pub use listener::{Incoming, Listener};
pub(crate) use reporter::Reporter;
pub(crate) use run::{run_process, spawn_thread};
pub use socket::Socket;

/// A worker, as its function sees it. Clones are the same worker.
///
/// The function is to take its sockets, serve until there are no more
/// connections, and return:
///
/// - If it returns after the worker was told to end, the tasks that it spawned have
///   what is left of the [time to drain](crate::Supervisor::drain). Then they are
///   aborted, and the worker ends. If the function takes longer than that itself,
///   it is dropped.
/// - If it returns `Ok` before, the worker ends in the same way, and is replaced.
/// - If it returns an error or panics, the worker ends at once and is replaced: its
///   connections are cut off.
///
/// A worker that is a process leaves `INT`, `HUP`, `USR2`, `TTIN` and `TTOU` to its
/// master, as a terminal sends some of them to both. `TERM` tells it to end.
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
    state: Rc<State>,
}

impl Worker {
    /// Which worker this is, from 0.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.state.start.slot
    }

    /// How many workers there were to be when this one was started.
    #[must_use]
    pub fn workers(&self) -> u32 {
        self.state.start.workers
    }

    /// How many workers this slot has had before this one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state.start.generation
    }

    /// Whether this is a process of its own, not a thread among others.
    #[must_use]
    pub fn is_process(&self) -> bool {
        self.state.is_process
    }

    /// A listener for the connections that come to the TCP socket of that number:
    /// calls of [`bind`](crate::Supervisor::bind) and its kin are counted from 0.
    ///
    /// A second one is of the same socket; each gets some of the connections.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if that is no TCP socket.
    pub fn listener(&self, number: usize) -> io::Result<Listener> {
        match self.bind(number)? {
            Bind::Tcp(group) => Ok(Listener::new(Rc::clone(group), self.clone())),
            Bind::Unix(_) => Err(other_kind(number, "unix_listener")),
            Bind::Udp(_) => Err(other_kind(number, "udp_socket")),
        }
    }

    /// A listener for the connections that come to the Unix socket of that number.
    /// All workers wait at the same one.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if that is no Unix socket.
    pub fn unix_listener(&self, number: usize) -> io::Result<Listener<UnixListener>> {
        match self.bind(number)? {
            Bind::Unix(group) => Ok(Listener::new(Rc::clone(group), self.clone())),
            Bind::Tcp(_) => Err(other_kind(number, "listener")),
            Bind::Udp(_) => Err(other_kind(number, "udp_socket")),
        }
    }

    /// The worker's own UDP socket of that number. The kernel gives it all datagrams
    /// of some of the peers.
    ///
    /// The function drops it when the worker is to [end](Self::draining). What comes
    /// for a worker that is down waits for its successor, in the socket's buffer: no
    /// sibling could answer it from where the peers expect it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if that is no UDP socket; or if
    /// the system has no descriptors left.
    pub fn udp_socket(&self, number: usize) -> io::Result<UdpSocket> {
        match self.bind(number)? {
            Bind::Udp(socket) => {
                let socket = UdpSocket::from_std(OwnedFd::try_clone(socket)?.into())?;
                self.state.took_datagrams.set(true);
                Ok(socket)
            }
            Bind::Tcp(_) => Err(other_kind(number, "listener")),
            Bind::Unix(_) => Err(other_kind(number, "unix_listener")),
        }
    }

    /// Tells the master that this worker serves. Only then does it let go of the
    /// one that is to be replaced.
    ///
    /// This need not be called. The first wait for a connection of a [`Listener`]
    /// does the same, and where there is no listener, the first time that the
    /// function waits for anything with a UDP socket, or without any socket bound.
    /// So what a worker needs before it can serve is best done before its first
    /// `accept`.
    pub fn ready(&self) {
        self.state.ready();
    }

    /// Waits until the worker is to end.
    ///
    /// A function whose listener gives `None` need not ask; one that serves
    /// datagrams, or does work of its own, waits for this beside that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: once the worker is to end, this is over whenever it is awaited.
    pub async fn draining(&self) {
        self.state.drain.cancelled().await;
    }

    /// Whether the worker is to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.state.drain.is_cancelled()
    }

    fn bind(&self, number: usize) -> io::Result<&Bind> {
        let binds = &self.state.binds;
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
