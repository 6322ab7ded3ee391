//! `UnixListener` and connecting to it: paths, abstract names, credentials, streams
//! of connections.
#![cfg(not(miri))] // Miri has socket pairs only.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::process;
use std::time::Duration;

use coreloop::net::unix::SocketAddr;
use coreloop::net::{UnixDatagram, UnixListener, UnixStream};
use coreloop::task::yield_now;
use coreloop::{Runtime, block_on, spawn};
use coreloop_test_support::folder::Folder;
use futures_lite::StreamExt;
use futures_lite::future::poll_once;

#[test]
fn a_client_is_accepted_and_served() {
    let folder = Folder::new();
    block_on(async {
        let path = folder.path("listener");
        let listener = UnixListener::bind(&path).unwrap();
        let server = spawn(async move {
            let (mut stream, peer) = listener.accept().await.unwrap();
            assert!(peer.is_unnamed(), "{peer:?}");
            let mut buffer = [0; 8];
            let count = stream.read(&mut buffer).await.unwrap();
            stream.write_all(&buffer[..count]).await.unwrap();
            stream.local_addr().unwrap()
        });
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
        let peer = client.peer_addr().unwrap();
        assert_eq!(peer.as_pathname(), Some(path.as_path()));
        assert_eq!(peer.as_abstract_name(), None);
        assert!(client.local_addr().unwrap().is_unnamed());
        let local = server.await.unwrap();
        assert_eq!(local.as_pathname(), Some(path.as_path()));
    });
}

#[test]
fn accept_returns_the_name_of_the_client() {
    let folder = Folder::new();
    block_on(async {
        let listener = UnixListener::bind(folder.path("listener")).unwrap();
        let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let client = client.unwrap();
        let name = socket2::SockAddr::unix(folder.path("client")).unwrap();
        client.bind(&name).unwrap();
        let to = socket2::SockAddr::unix(folder.path("listener")).unwrap();
        client.connect(&to).unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.as_pathname(), Some(folder.path("client").as_path()));
    });
}

/// A path may fill its address to the last byte, which leaves no room for the zero
/// byte that libraries look for.
#[test]
#[cfg(target_os = "linux")]
fn accept_returns_the_longest_name_that_a_client_can_have() {
    let folder = Folder::new();
    block_on(async {
        let listener = UnixListener::bind(folder.path("listener")).unwrap();
        let name = folder.path("x").into_os_string().into_string().unwrap();
        let name = format!("{name:y<108}");
        let client = rustix::net::SocketAddrUnix::new(name.as_str()).unwrap();
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        rustix::net::bind(&socket, &client).unwrap();
        let to = socket2::SockAddr::unix(folder.path("listener")).unwrap();
        socket.connect(&to).unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.as_pathname(), Some(name.as_ref()));
    });
}

/// The path stays when its listener is dropped, and cannot be bound until it is removed.
#[test]
fn a_path_is_bound_once_and_stays() {
    let folder = Folder::new();
    block_on(async {
        let path = folder.path("listener");
        let listener = UnixListener::bind(&path).unwrap();
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(listener);
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        std::fs::remove_file(&path).unwrap();
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn bad_paths_are_refused() {
    block_on(async {
        for path in ["x".repeat(200), "zero\0byte".to_owned()] {
            let error = UnixListener::bind(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(UnixStream::connect(&path).await.is_err());
        }
        let error = UnixListener::bind("/nowhere/at/all").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_names_are_not_in_the_file_system() {
    block_on(async {
        let name = format!("coreloop\0test {}", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        assert_eq!(address.as_abstract_name(), Some(name.as_bytes()));
        assert!(!address.is_unnamed() && address.as_pathname().is_none());
        let listener = UnixListener::bind_addr(&address).unwrap();
        let bound = listener.local_addr().unwrap();
        assert_eq!(bound.as_abstract_name(), Some(name.as_bytes()));
        let client = UnixStream::connect_addr(&bound).await.unwrap();
        let peer = client.peer_addr().unwrap();
        assert_eq!(peer.as_abstract_name(), Some(name.as_bytes()));
        listener.accept().await.unwrap();
        let error = UnixListener::bind_addr(&address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        // The name is free when its last socket is closed.
        drop((listener, client));
        UnixListener::bind_addr(&address).unwrap();
    });
}

/// Users of tokio write abstract names like this; here it used to be an error.
#[test]
#[cfg(target_os = "linux")]
fn a_path_that_starts_with_a_zero_byte_is_an_abstract_name() {
    block_on(async {
        let name = format!("coreloop zero {}", process::id());
        let path = format!("\0{name}");
        let listener = UnixListener::bind(&path).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(address.as_abstract_name(), Some(name.as_bytes()));
        let client = UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
        let address = client.peer_addr().unwrap();
        assert_eq!(address.as_abstract_name(), Some(name.as_bytes()));

        let receiver = UnixDatagram::bind(format!("{path} datagrams")).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        let sent = sender.send_to(b"hello", format!("{path} datagrams")).await;
        assert_eq!(sent.unwrap(), 5);
        assert_eq!(receiver.recv(&mut [0; 8]).await.unwrap(), 5);
    });
}

#[test]
fn peers_have_credentials() {
    let folder = Folder::new();
    block_on(async {
        let path = folder.path("listener");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (one, _other) = UnixStream::pair().unwrap();
        for stream in [client, server, one] {
            let peer = stream.peer_cred().unwrap();
            assert_eq!(peer.uid(), rustix::process::geteuid().as_raw());
            assert_eq!(peer.gid(), rustix::process::getegid().as_raw());
            if cfg!(target_os = "linux") {
                assert_eq!(peer.pid(), i32::try_from(process::id()).ok());
            }
        }
    });
}

/// For a socket without a peer, Linux reports the process 0 and the user -1.
#[test]
fn a_socket_without_a_peer_has_no_credentials() {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
    let socket = StdStream::from(OwnedFd::from(socket.unwrap()));
    socket.set_nonblocking(true).unwrap();
    block_on(async {
        let stream = UnixStream::from_std(socket).unwrap();
        let error = stream.peer_cred().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    });
}

/// A listener whose queue is full refuses for now, and the system does not report when
/// there is room again, so the client tries again after a pause.
#[test]
fn a_client_waits_while_the_queue_is_full() {
    let folder = Folder::new();
    let runtime = coreloop::runtime::Builder::new()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let path = folder.path("listener");
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _first = UnixStream::connect(&path).await.unwrap();
        let late = spawn({
            let path = path.clone();
            async move { UnixStream::connect(&path).await }
        });
        for _ in 0..3 {
            coreloop::time::sleep(Duration::from_secs(1)).await;
            assert!(!late.is_finished());
        }
        listener.accept().await.unwrap();
        let _second = late.await.unwrap().unwrap();
        listener.accept().await.unwrap();
        // A client that gave up leaves nothing in the queue.
        let _third = UnixStream::connect(&path).await.unwrap();
        assert!(poll_once(UnixStream::connect(&path)).await.is_none());
        listener.accept().await.unwrap();
        assert!(poll_once(listener.accept()).await.is_none());
    });
}

#[test]
fn each_of_several_acceptors_gets_its_connection() {
    let folder = Folder::new();
    block_on(async {
        let path = folder.path("listener");
        let listener = std::rc::Rc::new(UnixListener::bind(&path).unwrap());
        let acceptors: Vec<_> = (0..5)
            .map(|_| {
                let listener = std::rc::Rc::clone(&listener);
                spawn(async move { listener.accept().await.map(drop) })
            })
            .collect();
        yield_now().await;
        // A dropped acceptor passes its connection on.
        acceptors[2].abort();
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut accepted = 0;
        for acceptor in acceptors {
            accepted += usize::from(acceptor.await.is_ok_and(|result| result.is_ok()));
        }
        assert_eq!(accepted, 4);
    });
}

#[test]
fn connections_are_a_stream() {
    let folder = Folder::new();
    block_on(async {
        let path = folder.path("listener");
        let listener = UnixListener::bind(&path).unwrap();
        let clients = spawn({
            let path = path.clone();
            async move {
                for byte in 0..5 {
                    let mut client = UnixStream::connect(&path).await?;
                    client.write_all(&[byte]).await?;
                }
                io::Result::Ok(())
            }
        });
        let mut got = Vec::new();
        let (mut first, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        let mut byte = [0];
        first.read_exact(&mut byte).await.unwrap();
        got.push(byte[0]);
        let mut incoming = listener.incoming().take(2);
        while let Some(stream) = incoming.next().await {
            let mut byte = [0];
            stream.unwrap().read_exact(&mut byte).await.unwrap();
            got.push(byte[0]);
        }
        drop(incoming);
        let mut incoming = listener.into_incoming();
        for _ in 0..2 {
            let mut byte = [0];
            let mut stream = incoming.next().await.unwrap().unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            got.push(byte[0]);
        }
        clients.await.unwrap().unwrap();
        assert_eq!(got, [0, 1, 2, 3, 4]);
        assert!(poll_once(incoming.next()).await.is_none());
    });
}

#[test]
fn listeners_convert_from_and_into_std() {
    let folder = Folder::new();
    let path = folder.path("listener");
    let listener = StdListener::bind(&path).unwrap();
    let back = block_on(async {
        let listener = UnixListener::from_std(listener).unwrap();
        assert!(poll_once(listener.accept()).await.is_none());
        let _client = UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
        assert!(listener.take_error().unwrap().is_none());
        listener.into_std().unwrap()
    });
    back.set_nonblocking(false).unwrap();
    let _client = StdStream::connect(&path).unwrap();
    back.accept().unwrap();
}

/// A message that brings a descriptor ends a read early. The bytes after it must be
/// read without a further event, because none comes.
#[test]
#[cfg(target_os = "linux")]
fn bytes_that_follow_a_descriptor_are_read() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;

    block_on(async {
        let (one, mut other) = UnixStream::pair().unwrap();
        assert!(poll_once(other.read(&mut [0; 64])).await.is_none());
        let fds = [one.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let message = [io::IoSlice::new(b"with one")];
        sendmsg(&one, &message, &mut control, SendFlags::empty()).unwrap();
        assert_eq!(one.try_write(b"without").unwrap(), 7);
        let mut all = Vec::new();
        let mut buffer = [0; 64];
        while all.len() < 15 {
            let count = other.read(&mut buffer).await.unwrap();
            all.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(all, b"with onewithout");
    });
}

#[test]
fn listeners_outlive_their_runtime() {
    let folder = Folder::new();
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(async {
        let listener = UnixListener::bind(folder.path("listener")).unwrap();
        assert!(poll_once(listener.accept()).await.is_none());
        listener
    });
    drop(runtime);
    block_on(async { assert!(listener.accept().await.is_err()) });
    let outside = UnixListener::bind(folder.path("another")).unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::Other);
}
