//! `accept`, and receiving descriptors, while the process has no free descriptor, and the
//! recovery. The tests have a process of their own, because they lower its limit on descriptors, and run one at a time.

use std::fs::File;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use coreloop::net::{
    AcceptBackoff, TcpListener, TcpStream, UnixDatagram, UnixListener, UnixStream,
};
use coreloop::{block_on, spawn, task::yield_now};
use coreloop_test_support::folder::Folder;
use futures_lite::StreamExt;
use futures_lite::future::{poll_fn, poll_once};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Opens files until no descriptor is free, and returns them.
fn take_all() -> Vec<File> {
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(24), "{error}");
                return taken;
            }
        }
    }
}

/// Sets a low limit, and keeps the other tests of this binary from running meanwhile.
fn limit_descriptors() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());

    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(64);
    setrlimit(Resource::Nofile, limit).expect("a process may lower its limit");
    alone
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no limit of descriptors")]
fn accept_pauses_without_descriptors_and_recovers() {
    let _alone = limit_descriptors();
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();

        // Each way to accept is used twice. At first there is no descriptor for the
        // loop's own timer either.
        for way in [0, 0, 1, 1, 2, 2] {
            let client = TcpStream::connect(address).await.unwrap();
            let taken = take_all();
            let mut pause = AcceptBackoff::default();
            let mut accepting = pin!(async {
                match way {
                    0 => listener.accept().await,
                    1 => poll_fn(|cx| listener.poll_accept(cx)).await,
                    _ => poll_fn(|cx| listener.poll_accept_shared(&mut pause, cx)).await,
                }
            });
            assert!(poll_once(accepting.as_mut()).await.is_none());
            // `accept` waits for a timer, and other tasks run meanwhile.
            for _ in 0..10 {
                spawn(async {}).await.unwrap();
                yield_now().await;
            }
            assert!(poll_once(accepting.as_mut()).await.is_none());
            drop(taken);
            let (_, peer) = accepting.await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    });
}

/// Streams of connections, batches and limited listeners pause like `accept`.
#[test]
#[cfg_attr(miri, ignore = "Miri has no limit of descriptors")]
fn all_ways_to_accept_pause_without_descriptors() {
    let _alone = limit_descriptors();
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limited = TcpListener::bind("127.0.0.1:0").await.unwrap().limit(8);
        let limited_address = limited.get_ref().local_addr().unwrap();
        for way in 0..4 {
            let to = if way < 2 { address } else { limited_address };
            let _client = TcpStream::connect(to).await.unwrap();
            let taken = take_all();
            let mut accepting = pin!(async {
                match way {
                    0 => listener.incoming().next().await.unwrap().map(drop),
                    1 => listener.accept_many(&mut Vec::new(), 8).await.map(drop),
                    2 => limited.accept().await.map(drop),
                    _ => limited.accept_many(&mut Vec::new(), 8).await.map(drop),
                }
            });
            assert!(poll_once(accepting.as_mut()).await.is_none());
            drop(taken);
            accepting.await.unwrap();
        }
        assert_eq!(limited.connection_limit().active(), 0);
    });
}

/// If descriptors run out in the middle of a batch, the connections so far are returned.
#[test]
#[cfg_attr(miri, ignore = "Miri has no limit of descriptors")]
fn a_batch_without_enough_descriptors_is_smaller() {
    let _alone = limit_descriptors();
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut taken = take_all();
        taken.truncate(taken.len() - 2);
        let mut connections = Vec::new();
        assert_eq!(listener.accept_many(&mut connections, 8).await.unwrap(), 2);
        drop(taken);
        while connections.len() < 4 {
            listener.accept_many(&mut connections, 8).await.unwrap();
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no limit of descriptors")]
fn connecting_without_descriptors_is_an_error_and_recovers() {
    let _alone = limit_descriptors();
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = take_all();
        for addresses in [&[address][..], &[address; 3][..]] {
            let error = TcpStream::connect(addresses).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(24), "{error}");
        }
        drop(taken);
        TcpStream::connect(&[address; 3][..]).await.unwrap();
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no limit of descriptors")]
fn accept_on_unix_pauses_without_descriptors_and_recovers() {
    let _alone = limit_descriptors();
    block_on(async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        for polled in [false, true] {
            let _client = UnixStream::connect(&path).await.unwrap();
            let taken = take_all();
            let mut accepting = pin!(async {
                if polled {
                    poll_fn(|cx| listener.poll_accept(cx)).await
                } else {
                    listener.accept().await
                }
            });
            for _ in 0..10 {
                assert!(poll_once(accepting.as_mut()).await.is_none());
                yield_now().await;
            }
            drop(taken);
            accepting.await.unwrap();
        }
    });
}

/// Listeners that are shared with other loops. TCP and Unix are both tested, because the
/// kernel answers each differently.
#[test]
#[cfg_attr(miri, ignore = "Miri has no limit of descriptors")]
fn accept_on_exclusive_listeners_pauses_without_descriptors_and_recovers() {
    let _alone = limit_descriptors();
    block_on(async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let unix = UnixListener::from_std_exclusive(unix).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::from_std_exclusive(tcp).unwrap();
        let address = tcp.local_addr().unwrap();
        let mut clients = Vec::new();
        for round in 0..3 {
            // In later rounds the listeners are already registered with the loop.
            let mut accepting = pin!(async {
                tcp.accept().await.map(drop)?;
                unix.accept().await.map(drop)
            });
            let taken = take_all();
            assert!(poll_once(accepting.as_mut()).await.is_none());
            drop(taken);
            let socket = std::net::TcpStream::connect(address).unwrap();
            let other = std::os::unix::net::UnixStream::connect(&path).unwrap();
            clients.push((socket, other));
            let taken = take_all();
            for _ in 0..10 {
                assert!(poll_once(accepting.as_mut()).await.is_none(), "{round}");
                yield_now().await;
            }
            drop(taken);
            accepting.await.unwrap();
        }
    });
}

/// A server without free descriptors serves the connections it has, and accepts the next
/// one when descriptors are free again.
#[test]
#[cfg_attr(miri, ignore = "Miri has no limit of descriptors")]
fn a_server_without_descriptors_serves_its_connections_and_recovers() {
    let _alone = limit_descriptors();
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                spawn(async move {
                    let mut byte = [0; 1];
                    while stream.read(&mut byte).await.unwrap() > 0 {
                        stream.write_all(&byte).await.unwrap();
                    }
                });
            }
        });
        let ask = async |client: &mut TcpStream| {
            client.write_all(b"?").await.unwrap();
            client.read_exact(&mut [0; 1]).await.unwrap();
        };
        let mut served = TcpStream::connect(address).await.unwrap();
        ask(&mut served).await;
        // This client connects outside the loop, so that the acceptor cannot run
        // before the descriptors are taken.
        let waiting = std::net::TcpStream::connect(address).unwrap();
        let taken = take_all();
        for _ in 0..100 {
            ask(&mut served).await;
        }
        drop(taken);
        ask(&mut TcpStream::from_std(waiting).unwrap()).await;
    });
}

/// The bytes are received, and the call says that descriptors were lost: the next message comes
/// with its own.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "Miri has no limit of descriptors")]
fn descriptors_without_room_are_reported_as_lost() {
    let _alone = limit_descriptors();
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        for free in [0, 1, 3, 5] {
            let mut taken = take_all();
            taken.truncate(taken.len() - free);
            let fds = [taken[0].as_fd(); 4];
            let room = free.min(4);
            let mut buffer = [0; 8];

            one.send_with_fds(b"four", &fds).await.unwrap();
            let (count, came) = other.recv_with_fds(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..count], b"four");
            assert_eq!(came.is_complete(), room == 4);
            assert_eq!(came.into_received().len(), room);

            sender.send_with_fds(b"four", &fds).await.unwrap();
            let (count, came, _) = receiver.recv_from_with_fds(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..count], b"four");
            match came.into_all() {
                Ok(came) => assert_eq!((came.len(), room), (4, 4)),
                Err(error) => {
                    assert!(room < 4);
                    assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
                }
            }

            // Those that were received in part have been closed.
            one.send_with_fds(b"next", &fds[..room]).await.unwrap();
            let (count, came) = other.recv_with_fds(&mut buffer).await.unwrap();
            assert_eq!((count, came.into_all().unwrap().len()), (4, room));
        }
    });
}
