//! [`Clients`], the tasks of the connected clients, and the room for more of them.

use std::cell::Cell;
use std::rc::Rc;

use coreloop_net::UnixStream;
use coreloop_runtime::task::JoinSet;
use coreloop_runtime::time::Instant;
use coreloop_sync::{CancellationToken, mpsc};

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
    /// longest time is displaced; if none is idle, the new client is refused.
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
        let Some((_, at)) = idle.min() else {
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

    pub(super) fn request_began(&self) {
        self.idle_since.set(None);
    }

    /// The client is idle while it does not read its answer, too.
    pub(super) fn request_ended(&self) {
        self.idle_since.set(Some(Instant::now()));
    }
}
