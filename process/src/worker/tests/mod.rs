//! Workers whose master is the test itself.

mod life;
mod sockets;

use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coreloop_runtime::runtime::Builder;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::shared::WorkerShared;
use super::{Reporter, Worker, spawn_thread};
use crate::channel::{Channel, SocketKind, Start, StartSocket, ToMaster, ToWorker};

/// Turns a hang into a failure.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The other end of a worker's channel, and what the worker reports.
struct Master {
    channel: Channel,
    reports: Arc<Mutex<Vec<String>>>,
}

impl Master {
    fn send(&self, message: &ToWorker, sockets: &[&dyn AsFd]) {
        let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(|socket| socket.as_fd()).collect();
        self.channel.send(message, &sockets).unwrap();
    }

    /// Receives the next message that is no report; `None` when the worker has ended.
    fn receive(&mut self) -> Option<ToMaster> {
        loop {
            match self.channel.receive().unwrap() {
                Some((ToMaster::Report(_), _)) => {}
                received => return received.map(|(message, _)| message),
            }
        }
    }

    /// Returns a reporter for a worker, whose reports this master keeps.
    fn reporter(&self) -> Reporter {
        let reports = Arc::clone(&self.reports);
        Reporter::new(move |report| reports.lock().unwrap().push(report.to_string()))
    }

    /// Takes the reports of the worker so far.
    fn reports(&self) -> Vec<String> {
        mem::take(&mut self.reports.lock().unwrap())
    }
}

/// Fails the test if there is a report that it has not taken.
impl Drop for Master {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.reports(), [""; 0], "the worker reports this too");
        }
    }
}

fn start(sockets: &[SocketKind]) -> Start {
    Start {
        slot: 0,
        workers: 2,
        generation: 7,
        master: std::process::id(),
        heartbeat: None,
        drain: Duration::MAX,
        core: None,
        max_requests: None,
        sockets: sockets
            .iter()
            .enumerate()
            .map(|(number, &kind)| StartSocket { number, kind })
            .collect(),
    }
}

/// Creates the two ends of a channel. The master's end has a timeout.
fn channel() -> (Master, Channel) {
    let (master, worker) = Channel::pair().unwrap();
    let master = master.into_socket();
    set_socket_timeout(&master, Timeout::Recv, Some(TEST_TIMEOUT)).unwrap();
    let master = Master {
        channel: Channel::from_socket(master),
        reports: Arc::default(),
    };
    (master, worker)
}

/// Starts a worker on a thread.
fn thread<F>(
    start: Start,
    sockets: &[&dyn AsFd],
    function: F,
) -> (Master, JoinHandle<io::Result<()>>)
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    let (master, channel) = channel();
    let thread = spawn_thread(
        "worker".to_owned(),
        Builder::new,
        Arc::new(function),
        channel,
        master.reporter(),
    )
    .unwrap();
    master.send(&ToWorker::Start(Box::new(start)), sockets);
    (master, thread)
}

/// Creates a worker on the loop of the test, without a master link.
fn here(start: Start, sockets: &[&dyn AsFd]) -> (Master, Worker) {
    let (master, channel) = channel();
    let sender = channel.into_async().unwrap().sender().unwrap();
    let sockets = sockets.iter().map(|socket| duplicate(*socket)).collect();
    let shared = WorkerShared::new(start, sockets, sender, false, master.reporter()).unwrap();
    let shared = Rc::new(shared);
    (master, Worker { shared })
}

fn duplicate(socket: &dyn AsFd) -> OwnedFd {
    socket.as_fd().try_clone_to_owned().unwrap()
}

fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
