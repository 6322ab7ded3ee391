//! Accepting from a worker's own socket and from adopted ones.

use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::pin;
use std::rc::Rc;

use coreloop_runtime::runtime::metrics;
use coreloop_runtime::{spawn, task::yield_now, time};
use coreloop_test_support::folder::Folder;
use futures_lite::{StreamExt, future::poll_once};

use super::*;

#[coreloop::test]
async fn connections_come_from_the_own_and_the_adopted_sockets() {
    let ((own, address), (other, other_address)) = (bind(), bind());
    let (_master, worker) = here(start(&[SocketKind::Tcp]), &[&own]);
    let listener = worker.listener(0).unwrap();
    assert_eq!(listener.local_addr(), address);

    let client = TcpStream::connect(address).unwrap();
    let (_, peer) = listener.accept().await.unwrap().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());

    // A task that waits already gets the connection to the adopted socket.
    let mut waiting = pin!(listener.accept());
    assert!(poll_once(waiting.as_mut()).await.is_none());
    worker.shared.adopt(1, vec![duplicate(&other)]).unwrap();
    let client = TcpStream::connect(other_address).unwrap();
    let (_, peer) = waiting.await.unwrap().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());

    let mut incoming = listener.incoming();
    let client = TcpStream::connect(address).unwrap();
    let stream = incoming.next().await.unwrap().unwrap();
    assert_eq!(stream.peer_addr().unwrap(), client.local_addr().unwrap());

    let mut waiting = pin!(listener.accept());
    assert!(poll_once(waiting.as_mut()).await.is_none());
    worker.shared.release(1);
    let for_other = TcpStream::connect(other_address).unwrap();
    let for_own = TcpStream::connect(address).unwrap();
    let (_, peer) = waiting.await.unwrap().unwrap();
    assert_eq!(peer, for_own.local_addr().unwrap());
    other.set_nonblocking(false).unwrap();
    let (_, peer) = other.accept().unwrap();
    assert_eq!(peer, for_other.local_addr().unwrap());
}

#[coreloop::test]
async fn the_sockets_are_accepted_from_in_turn() {
    let sockets = [bind(), bind(), bind()];
    let (_master, worker) = here(start(&[SocketKind::Tcp]), &[&sockets[0].0]);
    for slot in 1..3_u32 {
        let socket = duplicate(&sockets[slot as usize].0);
        worker.shared.adopt(slot, vec![socket]).unwrap();
    }
    let mut clients = Vec::new();
    for _ in 0..3 {
        for (_, address) in &sockets {
            clients.push(TcpStream::connect(address).unwrap());
        }
    }
    let listener = worker.listener(0).unwrap();
    let mut came_to = Vec::new();
    for _ in 0..clients.len() {
        let (stream, _) = listener.accept().await.unwrap().unwrap();
        let address = stream.local_addr().unwrap();
        came_to.push(
            sockets
                .iter()
                .position(|(_, bound)| *bound == address)
                .unwrap(),
        );
    }
    assert_eq!(came_to, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

/// A call with two addresses, between two calls with one.
#[coreloop::test]
async fn a_listener_accepts_at_every_address_of_its_call() {
    let own = [bind(), bind(), bind(), bind()];
    let others = [bind(), bind(), bind(), bind()];
    let mut start = start(&[SocketKind::Tcp; 4]);
    for (socket, number) in start.sockets.iter_mut().zip([0, 1, 1, 2]) {
        socket.number = number;
    }
    let sockets: Vec<&dyn AsFd> = own.iter().map(|(socket, _)| socket as &dyn AsFd).collect();
    let (_master, worker) = here(start, &sockets);
    assert!(worker.listener(3).is_err());
    let listeners = [0, 1, 2].map(|number| worker.listener(number).unwrap());
    assert_eq!(listeners[1].local_addr(), own[1].1);

    let adopt = || others.iter().map(|(socket, _)| duplicate(socket)).collect();
    for (is_adopted, from) in [(false, &own), (true, &others), (false, &own)] {
        if is_adopted {
            worker.shared.adopt(1, adopt()).unwrap();
        }
        for ((_, address), number) in from.iter().zip([0, 1, 1, 2]) {
            let mut waiting = pin!(listeners[number].accept());
            assert!(poll_once(waiting.as_mut()).await.is_none());
            let client = TcpStream::connect(address).unwrap();
            let (_, peer) = waiting.await.unwrap().unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
        worker.shared.release(1);
    }
    // A message that has lost descriptors is not taken apart.
    let mut too_few: Vec<_> = adopt();
    too_few.pop();
    worker.shared.adopt(1, too_few).unwrap_err();

    worker.shared.drain();
    for listener in listeners {
        assert!(listener.accept().await.unwrap().is_none());
    }
}

#[coreloop::test]
async fn every_waiting_task_gets_a_connection_or_the_end() {
    let (own, address) = bind();
    let (_master, worker) = here(start(&[SocketKind::Tcp]), &[&own]);
    let listener = Rc::new(worker.listener(0).unwrap());
    let accept = || {
        let listener = Rc::clone(&listener);
        spawn(async move { listener.accept().await.unwrap().is_some() })
    };
    let waiting: Vec<_> = (0..3).map(|_| accept()).collect();
    yield_now().await;
    let _clients: Vec<_> = waiting
        .iter()
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for task in waiting {
        assert!(task.await.unwrap());
    }

    // More tasks than the group registers.
    let waiting: Vec<_> = (0..100).map(|_| accept()).collect();
    yield_now().await;
    worker.shared.drain();
    for task in waiting {
        assert!(!task.await.unwrap());
    }
}

#[coreloop::test(start_paused = true)]
async fn the_drain_takes_every_socket_off_the_loop() {
    let ((own, address), (other, other_address)) = (bind(), bind());
    let (mut master, worker) = here(start(&[SocketKind::Tcp]), &[&own]);
    worker.shared.adopt(1, vec![duplicate(&other)]).unwrap();
    let listener = worker.listener(0).unwrap();
    let mut waiting = pin!(listener.accept());
    assert!(poll_once(waiting.as_mut()).await.is_none());
    assert_eq!(master.receive(), Some(ToMaster::Ready));

    worker.shared.drain();
    worker.shared.drain();
    assert!(worker.is_draining());
    worker.draining().await;
    assert!(waiting.await.unwrap().is_none());
    assert!(listener.accept().await.unwrap().is_none());
    assert!(listener.incoming().next().await.is_none());
    assert_eq!(master.receive(), Some(ToMaster::Draining));

    // The sockets are still open, as the master has them. Connections to them cause no
    // events on this loop.
    let registered = metrics();
    assert_eq!(registered.registered_fds(), registered.deregistered_fds());
    let events = metrics().io_events();
    for (socket, address) in [(&own, address), (&other, other_address)] {
        let client = TcpStream::connect(address).unwrap();
        // A paused clock advances only when the kernel has no event.
        time::sleep(Duration::from_millis(1)).await;
        assert_eq!(socket.accept().unwrap().1, client.local_addr().unwrap());
    }
    assert_eq!(metrics().io_events(), events);
    // A socket that is adopted too late is not served.
    worker.shared.adopt(1, vec![duplicate(&other)]).unwrap();
    assert!(listener.accept().await.unwrap().is_none());
}

#[coreloop::test]
async fn a_shared_socket_is_not_adopted_and_its_queue_is_emptied_at_the_end() {
    let folder = Folder::new();
    let path = folder.path("shared");
    let socket = UnixListener::bind(&path).unwrap();
    let (_master, worker) = here(start(&[SocketKind::SharedUnix]), &[&socket]);
    worker.shared.adopt(1, vec![duplicate(&socket)]).unwrap();
    let listener = worker.unix_listener(0).unwrap();
    assert_eq!(listener.local_addr().as_pathname(), Some(&*path));
    let _client = UnixStream::connect(&path).unwrap();
    let (_stream, _) = listener.accept().await.unwrap().unwrap();
    assert!(poll_once(listener.accept()).await.is_none());
    worker.shared.release(1);

    // The kernel may have reported these to this worker only.
    let _clients = [(); 2].map(|()| UnixStream::connect(&path).unwrap());
    worker.shared.drain();
    for _ in 0..2 {
        let (_stream, _) = listener.accept().await.unwrap().unwrap();
    }
    assert!(listener.accept().await.unwrap().is_none());
    let _client = UnixStream::connect(&path).unwrap();
    assert!(listener.accept().await.unwrap().is_none());
}

/// As on systems where all workers share the sockets.
#[coreloop::test]
async fn the_queue_of_each_shared_socket_of_a_call_is_emptied_at_the_end() {
    let sockets = [bind(), bind(), bind()];
    let mut start = start(&[SocketKind::SharedTcp; 3]);
    start
        .sockets
        .iter_mut()
        .for_each(|socket| socket.number = 0);
    let own: Vec<&dyn AsFd> = sockets
        .iter()
        .map(|(socket, _)| socket as &dyn AsFd)
        .collect();
    let (_master, worker) = here(start, &own);
    let listener = worker.listener(0).unwrap();
    assert!(poll_once(listener.accept()).await.is_none());
    let mut clients = Vec::new();
    for (_, address) in [&sockets[0], &sockets[2], &sockets[2]] {
        clients.push(TcpStream::connect(address).unwrap().local_addr().unwrap());
    }
    worker.shared.drain();
    let mut peers = Vec::new();
    while let Some((_, peer)) = listener.accept().await.unwrap() {
        peers.push(peer);
    }
    peers.sort();
    clients.sort();
    assert_eq!(peers, clients);
}

#[coreloop::test]
async fn a_socket_is_taken_by_its_kind() {
    let (tcp, _) = bind();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let kinds = [SocketKind::Tcp, SocketKind::Udp];
    let (_master, worker) = here(start(&kinds), &[&tcp, &udp]);
    let refused = worker.udp_socket(0).unwrap_err().to_string();
    assert!(refused.contains("`Worker::listener`"), "{refused}");
    let refused = worker.listener(1).unwrap_err().to_string();
    assert!(refused.contains("`Worker::udp_socket`"), "{refused}");
    let refused = worker.unix_listener(0).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    let refused = worker.listener(2).unwrap_err().to_string();
    assert!(refused.contains("has bound 2"), "{refused}");

    let socket = worker.udp_socket(1).unwrap();
    socket
        .send_to(b"hello", udp.local_addr().unwrap())
        .await
        .unwrap();
    let (count, _) = socket.recv_from(&mut [0; 8]).await.unwrap();
    assert_eq!(count, 5);
}

#[coreloop::test]
async fn a_worker_without_all_its_sockets_is_an_error() {
    let (master, channel) = channel();
    let sender = channel.into_async().unwrap().sender().unwrap();
    let start = start(&[SocketKind::Tcp]);
    let refused = WorkerShared::new(start, Vec::new(), sender, false, master.reporter());
    assert_eq!(refused.err().unwrap().kind(), io::ErrorKind::InvalidData);
}
