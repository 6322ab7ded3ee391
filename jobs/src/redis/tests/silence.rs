//! Connections that fall silent without an error.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use coreloop_net::{TcpListener, TcpStream};
use coreloop_runtime::{block_on, select, spawn};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::{Started, function, job, lease_one, push, start};
use crate::engine::{Engine, Fence};
use crate::redis::Redis;

/// A lease with which a silent connection is noticed after a second.
const LEASE: Duration = Duration::from_secs(2);

/// A network between a client and a server, whose connections can be made silent.
struct Network {
    port: u16,
    /// How many connections there were.
    connections: Rc<Cell<usize>>,
    /// The connections before this one are silent.
    silent: Rc<Cell<usize>>,
}

impl Network {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let network = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Rc::default(),
            silent: Rc::default(),
        };
        let (connections, silent) = (Rc::clone(&network.connections), Rc::clone(&network.silent));
        spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let number = connections.replace(connections.get() + 1);
                let (near_read, near_write) = split(near);
                let (far_read, far_write) = split(far);
                spawn(pass(near_read, far_write, number, Rc::clone(&silent)));
                spawn(pass(far_read, near_write, number, Rc::clone(&silent)));
            }
        });
        network
    }

    /// Makes the connections silent that there are now.
    fn cut(&self) {
        self.silent.set(self.connections.get());
    }

    /// Connects an engine to a server through a network.
    async fn before(server: &Started) -> (Self, Rc<Redis>) {
        let network = Self::to(server.port).await;
        let url = format!("redis://127.0.0.1:{}", network.port);
        let engine = Redis::connect(&url, "mail", false).await.unwrap();
        (network, engine)
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: usize,
    silent: Rc<Cell<usize>>,
) {
    let mut bytes = vec![0; 4096];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        if number < silent.get() {
            // The connection stays open.
            return pending().await;
        }
        if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// The command without a lease waits for an answer for longer than the one with a lease.
#[test]
fn a_short_lease_is_renewed_on_another_connection() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (network, engine) = Network::before(&server).await;
        push(&engine, job("send", b"x")).await;
        let mine = lease_one(&engine, "send", LEASE).await;
        network.cut();
        let renewed = async {
            let renewed = engine.renew(vec![&mine], LEASE).await.unwrap();
            assert_eq!(renewed, [Fence::Held]);
            engine.finish(vec![(&mine, &[])]).await.unwrap()
        };
        select! {
            done = renewed => assert_eq!(done, [Fence::Held]),
            _ = engine.push(vec![job("send", b"y")]) => panic!("the renewal was not first"),
        }
    });
}

/// The reader's own connection is silent, and the jobs come by another one.
#[test]
fn a_reader_with_a_short_lease_reads_from_another_connection() {
    let Some(server) = start() else {
        return;
    };
    block_on(async {
        let (network, engine) = Network::before(&server).await;
        let other = server.connect().await;
        push(&other, job("send", b"x")).await;
        let first = lease_one(&engine, "send", LEASE).await;
        engine.finish(vec![(&first, &[])]).await.unwrap();
        network.cut();
        let functions = [function("send")];
        let reads = async {
            push(&other, job("send", b"y")).await;
            engine.lease(&functions, 1, LEASE).await.unwrap().remove(0)
        };
        select! {
            job = reads => assert_eq!(job.payload, b"y"),
            _ = engine.push(vec![job("other", b"z")]) => panic!("the read was not first"),
        }
    });
}
