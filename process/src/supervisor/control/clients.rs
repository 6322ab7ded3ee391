//! [`Clients`], the tasks of the connected clients, and the room for more of them.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use coreloop_net::UnixStream;
use coreloop_runtime::task::JoinSet;
use coreloop_runtime::time::Instant;
use coreloop_sync::{CancellationToken, mpsc};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{attend, failure};
use crate::supervisor::request::Request;

pub(super) const MAX_CLIENTS: usize = 32;

/// The connected clients, each with its own task.
#[derive(Debug)]
pub(super) struct Clients {
    requests: mpsc::Sender<Request>,
    ending: CancellationToken,
    tasks: JoinSet<()>,
    /// The clients that have neither been displaced nor finished.
    connected: Vec<Rc<Client>>,
}

/// What the accepting task and the task of a client share.
#[derive(Debug)]
pub(super) struct Client {
    /// Since when the client has no request in progress; `None` while it has one.
    idle_since: Cell<Option<Instant>>,
    /// The socket while a request is in progress, to learn whether the client has gone.
    asking: RefCell<Option<OwnedFd>>,
    is_connected: Cell<bool>,
    displaced: CancellationToken,
}

impl Clients {
    pub(super) fn new(requests: mpsc::Sender<Request>, ending: CancellationToken) -> Self {
        Self {
            requests,
            ending,
            tasks: JoinSet::new(),
            connected: Vec::new(),
        }
    }

    /// Serves a new client. If there are too many, the client that has been idle for the
    /// longest time is displaced; if none is idle, one that has gone; if there is none, the new
    /// client is refused.
    pub(super) fn add(&mut self, stream: UnixStream) {
        while self.tasks.try_join_next().is_some() {}
        self.connected.retain(|client| client.is_connected.get());
        if self.connected.len() >= MAX_CLIENTS && !self.displace() {
            // The empty buffer of a new connection has room for this.
            let _ = stream.try_write(failure("too many clients").as_bytes());
            return;
        }
        let client = Rc::new(Client {
            idle_since: Cell::new(Some(Instant::now())),
            asking: RefCell::default(),
            is_connected: Cell::new(true),
            displaced: CancellationToken::new(),
        });
        self.connected.push(Rc::clone(&client));
        let (requests, ending) = (self.requests.clone(), self.ending.clone());
        self.tasks.spawn(async move {
            // An error concerns this client only.
            let _ = attend(stream, &client, &requests, &ending).await;
            client.is_connected.set(false);
        });
    }

    /// Waits until all clients have disconnected.
    pub(super) async fn finish(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn displace(&mut self) -> bool {
        let idle = self.connected.iter().enumerate();
        let idle = idle.filter_map(|(at, client)| Some((client.idle_since.get()?, at)));
        // Of clients that have been idle for the same time, the first one to connect.
        let idle = idle.min().map(|(_, at)| at);
        let gone = || self.connected.iter().position(|client| client.has_gone());
        let Some(at) = idle.or_else(gone) else {
            return false;
        };
        self.connected.remove(at).displaced.cancel();
        true
    }
}

impl Client {
    /// Waits until another client takes the place of this one.
    pub(super) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }

    pub(super) fn request_began(&self, stream: &UnixStream) {
        self.idle_since.set(None);
        // Without room for a descriptor, the client keeps its place until it has its answer.
        *self.asking.borrow_mut() = stream.as_fd().try_clone_to_owned().ok();
    }

    /// The client is idle while it does not read its answer, too.
    pub(super) fn request_ended(&self) {
        self.idle_since.set(Some(Instant::now()));
        *self.asking.borrow_mut() = None;
    }

    /// Returns whether the client has closed its connection during a request. One that has only
    /// ended its own side still reads.
    fn has_gone(&self) -> bool {
        let asking = self.asking.borrow();
        asking.as_ref().is_some_and(|socket| {
            let mut polled = [PollFd::new(socket, PollFlags::empty())];
            poll(&mut polled, Some(&Timespec::default())).is_ok()
                && polled[0].revents().contains(PollFlags::HUP)
        })
    }
}
