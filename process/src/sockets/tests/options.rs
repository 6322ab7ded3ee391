//! The options of sockets: what they do, and which sockets have them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::skip::skipped;
use rustix::process::getuid;
use socket2::SockRef;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// The kernel queues one connection more than the number says.
fn fill(group: &SocketGroup) -> (Vec<Socket>, u32) {
    let address = group.local_addr().unwrap().into();
    let clients = (0..16).map(|_| {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&address);
        client
    });
    let clients = clients.collect();
    wait(group);
    (clients, group.queued(0).unwrap())
}

#[test]
fn a_queue_has_its_length() {
    let options = SocketOptions::new().backlog(2);
    let group = SocketGroup::tcp("127.0.0.1:0", options).unwrap();
    let (_clients, queued) = fill(&group);
    assert!(queued <= 3, "{queued}");
    let (_clients, queued) = fill(&tcp("127.0.0.1:0").unwrap());
    assert!(queued <= 16, "{queued}");

    let folder = Folder::new();
    let path = folder.path("s");
    let group = SocketGroup::unix(&path, SocketOptions::new().backlog(2)).unwrap();
    let address = socket2::SockAddr::unix(&path).unwrap();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            client.connect(&address).map(|()| client)
        })
        .collect();
    let connected = clients.iter().filter(|client| client.is_ok()).count();
    assert!((2..=3).contains(&connected), "{connected}");
    group.unlink().unwrap();
}

#[test]
fn accepted_connections_are_kept_alive() {
    let idle = Duration::from_millis(59_001);
    let options = SocketOptions::new().keepalive(idle);
    let mut group = SocketGroup::tcp("127.0.0.1:0", options).unwrap();
    group.grow(2).unwrap();
    let _clients = connect(&group, 64);
    let mut accepted = 0;
    while accepted < 64 {
        wait(&group);
        for slot in 0..2 {
            while let Ok((stream, _)) = listener(&group, slot).accept() {
                let stream = SockRef::from(&stream);
                assert!(stream.keepalive().unwrap());
                assert_eq!(stream.tcp_keepalive_time().unwrap(), MINUTE);
                accepted += 1;
            }
        }
    }
}

/// The kernel refuses times that it cannot count.
#[test]
fn any_time_is_accepted() {
    for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let options = SocketOptions::new().keepalive(time).defer_accept(time);
        let mut group = SocketGroup::tcp("127.0.0.1:0", options).unwrap();
        group.grow(2).unwrap();
    }
}

#[test]
fn connections_wait_for_data_before_they_are_accepted() {
    if !SOCKET_PER_SLOT {
        skipped("only Linux has the option");
        return;
    }
    let options = SocketOptions::new().defer_accept(Duration::from_secs(3600));
    let mut group = SocketGroup::tcp("127.0.0.1:0", options).unwrap();
    group.grow(3).unwrap();
    let mut clients = connect(&group, 32);
    assert!((0..3).all(|slot| group.queued(slot).unwrap() == 0));
    for client in &mut clients {
        client.write_all(b"!").unwrap();
    }
    let queued = |slot| group.queued(slot).unwrap();
    wait_until(|| (0..3).map(queued).sum::<u32>() == 32);
}

#[test]
fn a_socket_can_be_for_ipv6_only() {
    for (only, connects) in [(true, false), (false, true)] {
        let options = SocketOptions::new().only_v6(only);
        // The kernel may have no IPv6.
        let Ok(mut group) = SocketGroup::tcp("[::]:0", options) else {
            return;
        };
        group.grow(2).unwrap();
        let port = group.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port));
        assert_eq!(client.is_ok(), connects);
    }
}

#[test]
fn the_file_of_a_socket_has_its_permissions() {
    let folder = Folder::new();
    for (name, mode) in [("one", 0o600), ("two", 0o660), ("three", 0o777)] {
        let path = folder.path(name);
        let options = SocketOptions::new().mode(mode);
        let group = SocketGroup::unix(&path, options).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        UnixStream::connect(&path).unwrap();
        group.unlink().unwrap();
        assert!(!path.exists());
    }
}

/// The address of a socket is at most 107 bytes long, and all of them can be used.
#[test]
fn a_long_path_has_its_permissions_too() {
    let folder = Folder::new();
    let length = folder.path("").as_os_str().len();
    let path = folder.path(&"s".repeat(107 - length));
    let options = SocketOptions::new().mode(0o660);
    let group = SocketGroup::unix(&path, options).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o660);
    let client = UnixStream::connect(&path).unwrap();
    // The socket was bound at this path, and not elsewhere first.
    assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
    group.unlink().unwrap();
}

#[test]
fn the_file_of_a_socket_has_its_owner() {
    if !getuid().is_root() {
        skipped("only root can give a file to another user");
        return;
    }
    let folder = Folder::new();
    let path = folder.path("s");
    let options = SocketOptions::new().mode(0o620).owner(12_345, "root");
    let _group = SocketGroup::unix(&path, options).unwrap();
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.uid(), file.gid()), (12_345, 0));
    assert_eq!(file.mode() & 0o7777, 0o620);
}

/// A file without a listener would be in the way of the next start.
#[test]
fn a_socket_without_its_owner_leaves_no_file() {
    let folder = Folder::new();
    let path = folder.path("s");
    let options = SocketOptions::new().owner("no-such-user", 0);
    let error = SocketGroup::unix(&path, options).unwrap_err();
    assert!(error.to_string().contains("no-such-user"), "{error}");
    assert!(!path.exists());
}

#[test]
fn options_of_other_kinds_are_refused() {
    let new = SocketOptions::new;
    let unix = |options| SocketGroup::unix(Path::new("\0unused"), options).unwrap_err();
    let errors = [
        SocketGroup::tcp("127.0.0.1:0", new().mode(0o600)).unwrap_err(),
        SocketGroup::tcp("127.0.0.1:0", new().owner(0, 0)).unwrap_err(),
        SocketGroup::udp("127.0.0.1:0", new().backlog(1)).unwrap_err(),
        SocketGroup::udp("127.0.0.1:0", new().keepalive(MINUTE)).unwrap_err(),
        unix(new().defer_accept(MINUTE)),
        unix(new().only_v6(true)),
        unix(new().mode(0o1000)),
        unix(new().mode(0o600)),
    ];
    for error in errors {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

/// A new program may have other options than the old one.
#[test]
fn inherited_sockets_get_the_options_of_the_new_program() {
    let options = SocketOptions::new().keepalive(MINUTE);
    let mut old = SocketGroup::tcp("127.0.0.1:0", options).unwrap();
    old.grow(2).unwrap();
    let pass = || {
        let sockets = old.sockets();
        let sockets = sockets.map(|socket| socket.try_clone_to_owned().unwrap());
        let inherited = Inherited {
            address: old.address().to_owned(),
            kind: old.kind(),
        };
        (inherited, sockets.collect())
    };
    let keepalive = || SockRef::from(&old.socket(1)).keepalive().unwrap();
    assert!(keepalive());
    let (inherited, sockets) = pass();
    let options = SocketOptions::new().backlog(1);
    let _new = SocketGroup::from_inherited(inherited, sockets, None, Some(options)).unwrap();
    assert!(!keepalive());
    old.steer(1).unwrap();
    let (_clients, queued) = fill(&old);
    assert!(queued <= 2, "{queued}");

    let (inherited, sockets) = pass();
    let options = SocketOptions::new().mode(0o600);
    SocketGroup::from_inherited(inherited, sockets, None, Some(options)).unwrap_err();
}
