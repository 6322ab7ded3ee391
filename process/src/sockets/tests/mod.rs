//! With real clients on the loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use coreloop_test_support::deadline::wait_for;
use coreloop_test_support::folder::Folder;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::*;

mod per_slot;
mod storm;

/// Waits until a connection or a datagram is at one of the sockets.
fn wait(bound: &Bound) {
    let sockets: Vec<BorrowedFd<'_>> = bound.sockets().collect();
    let mut asked: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|socket| PollFd::new(socket, PollFlags::IN))
        .collect();
    let long = Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    let count = rustix::event::poll(&mut asked, Some(&long)).unwrap();
    assert!(count > 0, "nothing came");
}

fn listener(bound: &Bound, slot: u32) -> TcpListener {
    bound.socket(slot).try_clone_to_owned().unwrap().into()
}

/// Accepts `count` connections, and says at which slots they were.
fn accept(bound: &Bound, count: usize) -> Vec<u32> {
    let slots = u32::try_from(bound.sockets().count()).unwrap();
    let mut accepted = Vec::new();
    while accepted.len() < count {
        wait(bound);
        for slot in 0..slots {
            let listener = listener(bound, slot);
            while listener.accept().is_ok() {
                accepted.push(slot);
            }
        }
    }
    accepted.sort_unstable();
    accepted
}

fn connect(bound: &Bound, count: usize) -> Vec<TcpStream> {
    let address = bound.local_addr().unwrap();
    (0..count)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect()
}

#[test]
fn the_first_socket_decides_on_the_port() {
    for bind in [Bound::tcp, Bound::udp] {
        let mut bound = bind("127.0.0.1:0").unwrap();
        bound.grow(3).unwrap();
        let address = bound.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        for slot in 0..3 {
            let socket = socket2::SockRef::from(&bound.socket(slot)).local_addr();
            assert_eq!(socket.unwrap().as_socket(), Some(address));
        }
        assert_eq!(bound.address(), "127.0.0.1:0");
        assert!(bound.to_string().ends_with(&address.to_string()));
    }
}

#[test]
fn names_are_resolved_as_in_std() {
    let bound = Bound::tcp("localhost:0").unwrap();
    assert!(bound.local_addr().unwrap().ip().is_loopback());
    for (wrong, kind) in [
        ("127.0.0.1", io::ErrorKind::InvalidInput),
        ("127.0.0.1:port", io::ErrorKind::InvalidInput),
        ("192.0.2.1:0", io::ErrorKind::AddrNotAvailable),
    ] {
        let error = Bound::tcp(wrong).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(wrong), "{error}");
    }
}

#[test]
fn version_6_has_groups_too() {
    // A kernel may be without.
    let Ok(mut bound) = Bound::tcp("[::]:0") else {
        return;
    };
    bound.grow(2).unwrap();
    bound.steer(1).unwrap();
    let port = bound.local_addr().unwrap().port();
    // By version 4 as well, as with a listener of std.
    let _clients = [
        TcpStream::connect(("::1", port)).unwrap(),
        TcpStream::connect(("127.0.0.1", port)).unwrap(),
    ];
    assert_eq!(accept(&bound, 2), [0, 0]);
}

/// Even by one that would share it: that would take a part of the connections.
#[test]
fn a_port_that_another_has_is_refused() {
    let mut other = Bound::tcp("127.0.0.1:0").unwrap();
    other.grow(2).unwrap();
    let mut other_udp = Bound::udp("127.0.0.1:0").unwrap();
    other_udp.grow(2).unwrap();
    let address = other.local_addr().unwrap().to_string();
    let address_udp = other_udp.local_addr().unwrap().to_string();
    for (error, address) in [
        (Bound::tcp(&address).unwrap_err(), &address),
        (Bound::udp(&address_udp).unwrap_err(), &address_udp),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(address), "{error}");
    }
}

/// Connections of the server before linger on its port.
#[test]
fn a_server_that_was_restarted_gets_its_port_back() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    bound.grow(2).unwrap();
    let address = bound.local_addr().unwrap().to_string();
    let mut clients = connect(&bound, 4);
    // And closed at once, from this side first.
    accept(&bound, 4);
    for client in &mut clients {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    drop(clients);
    drop(bound);
    // A child that another test starts has the old sockets until it calls exec.
    let mut bound = wait_for(|| match Bound::tcp(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
        bound => Some(bound.unwrap()),
    });
    bound.grow(2).unwrap();
}

#[test]
fn sockets_are_not_left_to_programs_that_are_started() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    bound.grow(2).unwrap();
    let folder = Folder::new();
    let path = folder.path("flags");
    let unix = Bound::unix(&path).unwrap();
    unix.unlink().unwrap();
    let inherited = Inherited {
        address: "127.0.0.1:0".to_owned(),
        kind: SocketKind::Tcp,
    };
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::io::fcntl_setfd(&plain, rustix::io::FdFlags::empty()).unwrap();
    let taken = Bound::from_inherited(inherited, vec![plain.into()]).unwrap();
    for socket in bound.sockets().chain(unix.sockets()).chain(taken.sockets()) {
        let flags = rustix::io::fcntl_getfd(socket).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let status = rustix::fs::fcntl_getfl(socket).unwrap();
        assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
    }
}

/// What killing a worker comes to: another process has the socket, and is gone.
#[test]
fn queued_connections_outlive_a_worker_that_is_killed() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    bound.grow(2).unwrap();
    let mut worker = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::from(bound.socket(1).try_clone_to_owned().unwrap()))
        .spawn()
        .unwrap();
    let mut clients = connect(&bound, 32);
    worker.kill().unwrap();
    worker.wait().unwrap();
    clients.extend(connect(&bound, 32));
    assert_eq!(accept(&bound, 64).len(), 64);
}

#[test]
fn an_inherited_socket_goes_on() {
    let mut old = Bound::tcp("127.0.0.1:0").unwrap();
    old.grow(2).unwrap();
    old.steer(1).unwrap();
    let clients = connect(&old, 3);
    let inherited = Inherited {
        address: old.address().to_owned(),
        kind: old.kind(),
    };
    let sockets = old.sockets().map(|fd| fd.try_clone_to_owned().unwrap());
    let mut new = Bound::from_inherited(inherited, sockets.collect()).unwrap();
    assert_eq!(new.local_addr().unwrap(), old.local_addr().unwrap());
    assert_eq!(new.address(), "127.0.0.1:0");
    drop(old);
    assert_eq!(accept(&new, 3), [0, 0, 0]);
    drop(clients);
    // It can grow, and connections go where they went before it is told.
    new.grow(3).unwrap();
    let clients = connect(&new, 64);
    assert_eq!(accept(&new, 64), [0; 64]);
    drop(clients);
    new.steer(2).unwrap();
    let clients = connect(&new, 64);
    assert!(accept(&new, 64).iter().all(|&slot| slot < 2));
    drop(clients);
    new.steer(3).unwrap();
    let _clients = connect(&new, 128);
    assert!(accept(&new, 128).contains(&2));
}

#[test]
fn no_sockets_or_too_many_are_not_inherited() {
    let socket = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    for (kind, sockets) in [
        (SocketKind::Tcp, vec![]),
        (SocketKind::SharedTcp, vec![socket(), socket()]),
    ] {
        let address = "127.0.0.1:1".to_owned();
        let inherited = Inherited { address, kind };
        let error = Bound::from_inherited(inherited, sockets).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn a_socket_that_was_given_is_shared() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bound = Bound::shared("web", tcp.into()).unwrap();
    assert_eq!(
        (bound.kind(), bound.address()),
        (SocketKind::SharedTcp, "web")
    );
    bound.grow(4).unwrap();
    bound.steer(1).unwrap();
    bound.retire(3);
    assert_eq!(bound.sockets().count(), 1);
    let _client = connect(&bound, 1);
    wait(&bound);
    assert_eq!(bound.queued(3).unwrap(), 1);
    assert!(bound.handshakes().unwrap().are_over().unwrap());

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bound = Bound::shared("dns", udp.into()).unwrap();
    assert_eq!(bound.kind(), SocketKind::SharedUdp);
    let folder = Folder::new();
    let path = folder.path("given");
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let bound = Bound::shared("ctl", unix.into()).unwrap();
    assert_eq!(bound.kind(), SocketKind::SharedUnix);
    assert!(bound.local_addr().is_err());
}

#[test]
fn what_is_no_listener_is_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let error = Bound::shared("web", stream.into()).unwrap_err();
    assert!(error.to_string().contains("web"), "{error}");
    let (pipe, _) = io::pipe().unwrap();
    assert!(Bound::shared("web", pipe.into()).is_err());
}

#[test]
fn a_unix_socket_that_nobody_listens_to_is_replaced() {
    let folder = Folder::new();
    let path = folder.path("stale");
    leave_behind(&path);
    let bound = Bound::unix(&path).unwrap();
    let error = Bound::unix(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("stale"), "{error}");
    // The question was a connection too.
    let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert_eq!(bound.queued(0).unwrap(), 1);

    // Somebody else's is left alone.
    std::fs::remove_file(&path).unwrap();
    let other = Bound::unix(&path).unwrap();
    bound.unlink().unwrap();
    assert!(path.exists());
    other.unlink().unwrap();
    assert!(!path.exists());
    other.unlink().unwrap();
}

/// Two that found the same file both removed it, the second that of the first.
#[test]
fn of_several_that_find_a_unix_socket_left_behind_one_has_it() {
    let folder = Folder::new();
    let path = folder.path("race");
    for _ in 0..50 {
        leave_behind(&path);
        let start = std::sync::Barrier::new(4);
        let bind = || {
            start.wait();
            Bound::unix(&path)
        };
        let bound = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(bind));
            threads.map(|thread| thread.join().unwrap())
        });
        let errors = bound.iter().filter_map(|bound| bound.as_ref().err());
        let kinds: Vec<_> = errors.map(io::Error::kind).collect();
        assert_eq!(kinds, [io::ErrorKind::AddrInUse; 3]);
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}

/// Leaves the file of a socket to which nothing listens. It never did: a listener that is
/// closed goes on in children that other tests start, until these call exec.
fn leave_behind(path: &Path) {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None);
    let address = socket2::SockAddr::unix(path).unwrap();
    let socket = socket.unwrap();
    socket.bind(&address).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = Folder::new();
    let path = folder.path("file");
    std::fs::write(&path, "precious").unwrap();
    let error = Bound::unix(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

/// A listener that is so busy that it lets wait is no stale one.
#[test]
fn a_full_unix_socket_is_not_replaced() {
    let folder = Folder::new();
    let path = folder.path("full");
    let bound = Bound::unix(&path).unwrap();
    rustix::net::listen(bound.socket(0), 0).unwrap();
    let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(&path).unwrap();
    client.connect(&address).unwrap();
    let error = Bound::unix(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    bound.unlink().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_has_no_file() {
    let name = format!("\0coreloop-sockets-{}", std::process::id());
    let bound = Bound::unix(Path::new(&name)).unwrap();
    let error = Bound::unix(Path::new(&name)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    bound.unlink().unwrap();
}
