//! Socket groups with real clients on the loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use coreloop_test_support::deadline::wait_for;
use coreloop_test_support::folder::Folder;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::*;

mod options;
mod per_slot;
mod storm;

fn tcp(address: &str) -> io::Result<SocketGroup> {
    SocketGroup::tcp(address, SocketOptions::new())
}

fn udp(address: &str) -> io::Result<SocketGroup> {
    SocketGroup::udp(address, SocketOptions::new())
}

fn unix(path: &Path) -> io::Result<SocketGroup> {
    SocketGroup::unix(path, SocketOptions::new())
}

/// Waits until a connection or a datagram has come to one of the sockets.
fn wait(group: &SocketGroup) {
    let sockets: Vec<BorrowedFd<'_>> = group.sockets().collect();
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

fn listener(group: &SocketGroup, slot: u32) -> TcpListener {
    group.socket(slot).try_clone_to_owned().unwrap().into()
}

/// Accepts `count` connections, and returns the slots that they came to.
fn accept(group: &SocketGroup, count: usize) -> Vec<u32> {
    let slots = u32::try_from(group.sockets().count()).unwrap();
    let mut accepted = Vec::new();
    while accepted.len() < count {
        wait(group);
        for slot in 0..slots {
            let listener = listener(group, slot);
            while listener.accept().is_ok() {
                accepted.push(slot);
            }
        }
    }
    accepted.sort_unstable();
    accepted
}

fn connect(group: &SocketGroup, count: usize) -> Vec<TcpStream> {
    let address = group.local_addr().unwrap();
    (0..count)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect()
}

#[test]
fn all_sockets_have_the_port_of_the_first() {
    for bind in [tcp, udp] {
        let mut group = bind("127.0.0.1:0").unwrap();
        group.grow(3).unwrap();
        let address = group.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        for slot in 0..3 {
            let socket = socket2::SockRef::from(&group.socket(slot)).local_addr();
            assert_eq!(socket.unwrap().as_socket(), Some(address));
        }
        assert_eq!(group.address(), "127.0.0.1:0");
        assert!(group.to_string().ends_with(&address.to_string()));
    }
}

#[test]
fn names_are_resolved_as_in_std() {
    let group = tcp("localhost:0").unwrap();
    assert!(group.local_addr().unwrap().ip().is_loopback());
    for (wrong, kind) in [
        ("127.0.0.1", io::ErrorKind::InvalidInput),
        ("127.0.0.1:port", io::ErrorKind::InvalidInput),
        ("192.0.2.1:0", io::ErrorKind::AddrNotAvailable),
    ] {
        let error = tcp(wrong).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(wrong), "{error}");
    }
}

#[test]
fn ipv6_sockets_form_groups_too() {
    // The kernel may have no IPv6.
    let Ok(mut group) = tcp("[::]:0") else {
        return;
    };
    group.grow(2).unwrap();
    group.steer(1).unwrap();
    let port = group.local_addr().unwrap().port();
    // Over IPv4 as well, as with a listener of std.
    let _clients = [
        TcpStream::connect(("::1", port)).unwrap(),
        TcpStream::connect(("127.0.0.1", port)).unwrap(),
    ];
    assert_eq!(accept(&group, 2), [0, 0]);
}

/// Even if the other process would share the port: it would take some of the connections.
#[test]
fn a_port_in_use_is_refused() {
    let mut other = tcp("127.0.0.1:0").unwrap();
    other.grow(2).unwrap();
    let mut other_udp = udp("127.0.0.1:0").unwrap();
    other_udp.grow(2).unwrap();
    let address = other.local_addr().unwrap().to_string();
    let address_udp = other_udp.local_addr().unwrap().to_string();
    for (error, address) in [
        (tcp(&address).unwrap_err(), &address),
        (udp(&address_udp).unwrap_err(), &address_udp),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(address), "{error}");
    }
}

/// Connections of the old server are still in `TIME_WAIT` on its port.
#[test]
fn a_server_that_was_restarted_gets_its_port_back() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    group.grow(2).unwrap();
    let address = group.local_addr().unwrap().to_string();
    let mut clients = connect(&group, 4);
    // This side closes them first.
    accept(&group, 4);
    for client in &mut clients {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    drop(clients);
    drop(group);
    // A child that another test starts holds the old sockets until it calls exec.
    let mut group = wait_for(|| match tcp(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
        bound => Some(bound.unwrap()),
    });
    group.grow(2).unwrap();
}

#[test]
fn sockets_are_non_blocking_and_closed_on_exec() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    group.grow(2).unwrap();
    let folder = Folder::new();
    let path = folder.path("flags");
    let unix = unix(&path).unwrap();
    unix.unlink().unwrap();
    let inherited = Inherited {
        address: "127.0.0.1:0".to_owned(),
        kind: SocketKind::Tcp,
    };
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::io::fcntl_setfd(&plain, rustix::io::FdFlags::empty()).unwrap();
    let taken = SocketGroup::from_inherited(inherited, vec![plain.into()], None, None).unwrap();
    for socket in group.sockets().chain(unix.sockets()).chain(taken.sockets()) {
        let flags = rustix::io::fcntl_getfd(socket).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let status = rustix::fs::fcntl_getfl(socket).unwrap();
        assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
    }
}

/// A killed worker is a process that holds the socket too, and ends.
#[test]
fn queued_connections_outlive_a_worker_that_is_killed() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    group.grow(2).unwrap();
    let mut worker = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::from(group.socket(1).try_clone_to_owned().unwrap()))
        .spawn()
        .unwrap();
    let mut clients = connect(&group, 32);
    worker.kill().unwrap();
    worker.wait().unwrap();
    clients.extend(connect(&group, 32));
    assert_eq!(accept(&group, 64).len(), 64);
}

#[test]
fn an_inherited_group_keeps_its_connections() {
    let mut old = tcp("127.0.0.1:0").unwrap();
    old.grow(2).unwrap();
    old.steer(1).unwrap();
    let clients = connect(&old, 3);
    let inherited = Inherited {
        address: old.address().to_owned(),
        kind: old.kind(),
    };
    let sockets = old.sockets().map(|fd| fd.try_clone_to_owned().unwrap());
    let mut new = SocketGroup::from_inherited(inherited, sockets.collect(), None, None).unwrap();
    assert_eq!(new.local_addr().unwrap(), old.local_addr().unwrap());
    assert_eq!(new.address(), "127.0.0.1:0");
    drop(old);
    assert_eq!(accept(&new, 3), [0, 0, 0]);
    drop(clients);
    // It can grow, and until it is steered, connections go where they went before.
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

/// Each socket in reserve became a slot, so a master that had been scaled down started as many
/// workers as it had ever had, when it was replaced.
#[test]
fn the_reserve_of_an_inherited_group_stays_in_reserve() {
    let mut old = SocketGroup::udp("127.0.0.1:0", SocketOptions::new()).unwrap();
    old.grow(4).unwrap();
    old.steer(2).unwrap();
    old.retire(3);
    old.retire(2);
    let inherited = Inherited {
        address: old.address().to_owned(),
        kind: old.kind(),
    };
    let sockets = old.sockets().map(|fd| fd.try_clone_to_owned().unwrap());
    let slots = InheritedSlots {
        count: old.slots().unwrap(),
        span: old.span(),
    };
    let new = SocketGroup::from_inherited(inherited, sockets.collect(), Some(slots), None).unwrap();
    assert_eq!(new.sockets().count(), 4);
    assert_eq!((new.slots(), new.span()), (Some(2), 4));
}

#[test]
fn inheriting_no_sockets_or_too_many_is_an_error() {
    let socket = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    for (kind, sockets) in [
        (SocketKind::Tcp, vec![]),
        (SocketKind::SharedTcp, vec![socket(), socket()]),
    ] {
        let address = "127.0.0.1:1".to_owned();
        let inherited = Inherited { address, kind };
        let error = SocketGroup::from_inherited(inherited, sockets, None, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn an_activated_socket_is_shared() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut group = SocketGroup::from_activated("web", tcp.into()).unwrap();
    assert_eq!(
        (group.kind(), group.address()),
        (SocketKind::SharedTcp, "web")
    );
    group.grow(4).unwrap();
    group.steer(1).unwrap();
    group.retire(3);
    assert_eq!(group.sockets().count(), 1);
    let _client = connect(&group, 1);
    wait(&group);
    assert_eq!(group.queued(3).unwrap(), 1);
    assert!(group.handshakes().unwrap().have_ended().unwrap());

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let group = SocketGroup::from_activated("dns", udp.into()).unwrap();
    assert_eq!(group.kind(), SocketKind::SharedUdp);
    let folder = Folder::new();
    let path = folder.path("given");
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let group = SocketGroup::from_activated("ctl", unix.into()).unwrap();
    assert_eq!(group.kind(), SocketKind::SharedUnix);
    assert!(group.local_addr().is_err());
}

#[test]
fn a_descriptor_that_is_no_listener_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let error = SocketGroup::from_activated("web", stream.into()).unwrap_err();
    assert!(error.to_string().contains("web"), "{error}");
    let (pipe, _) = io::pipe().unwrap();
    assert!(SocketGroup::from_activated("web", pipe.into()).is_err());
}

#[test]
fn a_stale_unix_socket_is_replaced() {
    let folder = Folder::new();
    let path = folder.path("stale");
    leave_behind(&path);
    let group = unix(&path).unwrap();
    let error = unix(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("stale"), "{error}");
    // Checking whether the socket is stale has made a connection too.
    let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert_eq!(group.queued(0).unwrap(), 1);

    // A file that belongs to another socket is not removed.
    std::fs::remove_file(&path).unwrap();
    let other = unix(&path).unwrap();
    group.unlink().unwrap();
    assert!(path.exists());
    other.unlink().unwrap();
    assert!(!path.exists());
    other.unlink().unwrap();
}

/// Two processes that found the same file both removed it: the second removed the file of
/// the first.
#[test]
fn of_several_that_find_a_stale_unix_socket_one_replaces_it() {
    let folder = Folder::new();
    let path = folder.path("race");
    for _ in 0..50 {
        leave_behind(&path);
        let start = std::sync::Barrier::new(4);
        let bind = || {
            start.wait();
            unix(&path)
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

/// Creates the file of a socket to which no process listens. The socket never listens,
/// because children that other tests start would keep a listener open until they call exec.
fn leave_behind(path: &Path) {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None);
    let address = socket2::SockAddr::unix(path).unwrap();
    let socket = socket.unwrap();
    socket.bind(&address).unwrap();
}

#[test]
fn a_file_that_is_not_a_socket_is_not_replaced() {
    let folder = Folder::new();
    let path = folder.path("file");
    std::fs::write(&path, "precious").unwrap();
    let error = unix(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

/// A socket whose queue is full is not stale.
#[test]
fn a_full_unix_socket_is_not_replaced() {
    let folder = Folder::new();
    let path = folder.path("full");
    let group = unix(&path).unwrap();
    rustix::net::listen(group.socket(0), 0).unwrap();
    let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(&path).unwrap();
    client.connect(&address).unwrap();
    let error = unix(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    group.unlink().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_has_no_file() {
    let name = format!("\0coreloop-sockets-{}", std::process::id());
    let group = unix(Path::new(&name)).unwrap();
    let error = unix(Path::new(&name)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    group.unlink().unwrap();
}
