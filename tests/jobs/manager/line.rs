//! [`Line`], a connection between clients and a manager whose directions a test slows down, stops
//! or ends. All of its sockets are Unix sockets: what is written to them can be read at once, so a
//! paused clock does not advance while bytes are on their way.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use coreloop::jobs::{Client, ClientBuilder, Manager, ManagerBuilder};
use coreloop::net::unix::{ReadHalf, WriteHalf};
use coreloop::net::{UnixListener, UnixStream};
use coreloop::sync::Notify;
use coreloop::task::AbortHandle;
use coreloop::time::sleep;
use coreloop::{join, select, spawn};
use coreloop_test_support::folder::Folder;

use super::key;

/// How many bytes a line passes on at a time.
const CHUNK: usize = 16 * 1024;

/// How fast a direction of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Fast,
    /// There is a pause after each 16 KiB.
    Slow(Duration),
    Stopped,
}

/// A path from which connections are passed on to a manager.
pub(crate) struct Line {
    folder: Folder,
    shared: Rc<Shared>,
    acceptor: AbortHandle,
}

struct Shared {
    to_manager: Direction,
    to_client: Direction,
    /// How many connections there have been.
    connections: Cell<u32>,
    /// Notified to end the clients' side of all connections.
    hang_up: Notify,
    /// The managers' side of the connections that have ended on the clients' side.
    half_open: RefCell<Vec<UnixStream>>,
}

struct Direction {
    pace: Cell<Pace>,
    changed: Notify,
}

impl Direction {
    fn new() -> Self {
        Self {
            pace: Cell::new(Pace::Fast),
            changed: Notify::new(),
        }
    }

    fn set(&self, pace: Pace) {
        self.pace.set(pace);
        self.changed.notify_waiters();
    }

    /// Passes bytes on until the end.
    async fn pass(&self, from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) {
        let mut buffer = vec![0; CHUNK];
        loop {
            self.go().await;
            let Ok(count @ 1..) = from.read(&mut buffer).await else {
                break;
            };
            self.go().await;
            if to.write_all(&buffer[..count]).await.is_err() {
                break;
            }
            if let Pace::Slow(pause) = self.pace.get() {
                sleep(pause).await;
            }
        }
        // The other end may have closed the connection.
        let _ = to.shutdown().await;
    }

    /// Waits until the direction is not stopped.
    async fn go(&self) {
        while self.pace.get() == Pace::Stopped {
            self.changed.notified().await;
        }
    }
}

impl Line {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.path("line")).unwrap();
        let target = folder.path("manager");
        let shared = Rc::new(Shared {
            to_manager: Direction::new(),
            to_client: Direction::new(),
            connections: Cell::new(0),
            hang_up: Notify::new(),
            half_open: RefCell::default(),
        });
        let on_task = Rc::clone(&shared);
        let acceptor = spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                on_task.connections.set(on_task.connections.get() + 1);
                spawn(connect(near, target.clone(), Rc::clone(&on_task)));
            }
        });
        Self {
            folder,
            shared,
            acceptor: acceptor.abort_handle(),
        }
    }

    /// Begins to set up the manager at the end of the line.
    pub(crate) fn manager(&self) -> ManagerBuilder {
        Manager::bind(self.folder.path("manager")).key(&key())
    }

    /// Begins to set up a client.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(self.folder.path("line"), &key())
    }

    /// Sets how fast the clients' bytes are passed on.
    pub(crate) fn set_to_manager(&self, pace: Pace) {
        self.shared.to_manager.set(pace);
    }

    /// Sets how fast the manager's bytes are passed on.
    pub(crate) fn set_to_client(&self, pace: Pace) {
        self.shared.to_client.set(pace);
    }

    /// Ends all connections on the clients' side. The manager's side stays open.
    pub(crate) fn hang_up(&self) {
        self.shared.hang_up.notify_waiters();
    }

    /// Returns how many connections there have been.
    pub(crate) fn connections(&self) -> u32 {
        self.shared.connections.get()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// Passes the bytes of one connection on.
async fn connect(mut near: UnixStream, target: PathBuf, shared: Rc<Shared>) {
    let Ok(mut far) = UnixStream::connect(target).await else {
        return;
    };
    let has_hung_up = {
        let (mut client, mut to_client) = near.split();
        let (mut manager, mut to_manager) = far.split();
        let up = shared.to_manager.pass(&mut client, &mut to_manager);
        let down = shared.to_client.pass(&mut manager, &mut to_client);
        select! {
            _ = async { join!(up, down) } => false,
            () = shared.hang_up.notified() => true,
        }
    };
    if has_hung_up {
        shared.half_open.borrow_mut().push(far);
    }
}
