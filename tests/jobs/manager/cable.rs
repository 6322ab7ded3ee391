//! [`Cable`], a connection between clients and a manager that a test cuts.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use coreloop::io::copy_bidirectional;
use coreloop::jobs::{Address, Client, Manager};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::spawn;
use coreloop::sync::Notify;
use coreloop::task::AbortHandle;
use coreloop_test_support::meeting::soon;

use super::key;

/// A port from which connections are passed on to a manager, while it is plugged in.
pub(crate) struct Cable {
    address: SocketAddr,
    shared: Rc<Shared>,
    acceptor: AbortHandle,
}

#[derive(Default)]
struct Shared {
    target: Cell<Option<SocketAddr>>,
    connections: RefCell<Vec<AbortHandle>>,
    connected: Notify,
}

impl Cable {
    pub(crate) async fn new(manager: &Manager) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Rc::new(Shared::default());
        let on_task = Rc::clone(&shared);
        let acceptor = spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let Some(target) = on_task.target.get() else {
                    continue;
                };
                let task = spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(target).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
                on_task.connections.borrow_mut().push(task.abort_handle());
                on_task.connected.notify_one();
            }
        });
        let cable = Self {
            address,
            shared,
            acceptor: acceptor.abort_handle(),
        };
        cable.plug_in(manager);
        cable
    }

    /// Connects the cable to a manager.
    pub(crate) fn plug_in(&self, manager: &Manager) {
        let target = manager.address().to_string().parse().unwrap();
        self.shared.target.set(Some(target));
    }

    /// Ends all connections. New ones can be made.
    pub(crate) fn cut(&self) {
        let connections = self.shared.connections.take();
        for connection in connections {
            connection.abort();
        }
    }

    /// Ends all connections, and lets no new ones through.
    pub(crate) fn unplug(&self) {
        self.shared.target.set(None);
        self.cut();
    }

    /// Waits until there is a new connection.
    pub(crate) async fn connected(&self) {
        soon(self.shared.connected.notified()).await;
    }

    pub(crate) fn address(&self) -> Address {
        self.address.into()
    }

    pub(crate) async fn client(&self) -> Client {
        let client = soon(Client::connect(self.address(), &key())).await.unwrap();
        self.connected().await;
        client
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.unplug();
    }
}
