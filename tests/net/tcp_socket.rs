//! `TcpSocket`: the options that can be set before there is a stream or a listener.
#![cfg(not(miri))]

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use coreloop::block_on;
use coreloop::net::{TcpSocket, TcpStream};
use coreloop_test_support::pair::listener;
use futures_lite::future::poll_once;

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[test]
fn a_bound_socket_connects_from_there() {
    block_on(async {
        let (listener, address) = listener().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(ANY).unwrap();
        let local = socket.local_addr().unwrap();
        let mut client = socket.connect(address).await.unwrap();
        assert_eq!(client.local_addr().unwrap(), local);
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, local);
        client.write_all(b"ping").await.unwrap();
        assert_eq!(server.read_exact(&mut [0; 4]).await.unwrap(), 4);
    });
}

#[test]
fn a_socket_listens() {
    block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(ANY).unwrap();
        let listener = socket.listen(16).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
fn bind_and_connect_return_their_own_errors() {
    block_on(async {
        let (listener, address) = listener().await;
        let socket = TcpSocket::new_v4().unwrap();
        assert_eq!(
            socket.bind(address).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        drop(listener);
        let error = socket.connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

/// A socket can be prepared anywhere; it needs a loop only where it has to wait.
#[test]
fn outside_a_runtime_only_waiting_is_an_error() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(ANY).unwrap();
    assert!(socket.listen(1).is_err());
    let socket = TcpSocket::new_v4().unwrap();
    assert!(futures_lite::future::block_on(socket.connect(ANY)).is_err());
}

#[test]
fn sockets_that_were_made_elsewhere_become_non_blocking() {
    block_on(async {
        let (_listener, address) = listener().await;
        // The standard library has no unconnected stream, so socket2 makes it.
        let new =
            || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let mut stream = TcpSocket::from_std_stream(new().into())
            .connect(address)
            .await
            .unwrap();
        // A blocking read would stop the loop here.
        assert!(poll_once(stream.read(&mut [0; 1])).await.is_none());

        let socket = TcpSocket::from(OwnedFd::from(new()));
        socket.bind(ANY).unwrap();
        let listener = socket.listen(1).unwrap();
        assert!(poll_once(listener.accept()).await.is_none());
    });
}

#[test]
fn a_socket_shows_where_it_is_bound() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(ANY).unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    assert!(format!("{socket:?}").contains(&port));
    assert!(socket.take_error().unwrap().is_none());
    let descriptor = OwnedFd::from(socket);
    assert!(socket2::SockRef::from(&descriptor).nonblocking().unwrap());
}

#[test]
fn reuseport_shares_a_port() {
    block_on(async {
        let listen = |address| {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseport(true)?;
            assert!(socket.reuseport()?);
            socket.bind(address)?;
            socket.listen(8)
        };
        let first = listen(ANY).unwrap();
        let address = first.local_addr().unwrap();
        let second = listen(address).unwrap();
        let mut clients = Vec::new();
        let mut seen = [0, 0];
        // The kernel chooses by a hash of the ports; both get some in the end.
        while seen[0] == 0 || seen[1] == 0 {
            let client = TcpStream::connect(address).await.unwrap();
            client.set_zero_linger().unwrap();
            clients.push(client);
            let listener =
                futures_lite::future::or(async { first.accept().await.map(|_| 0) }, async {
                    second.accept().await.map(|_| 1)
                })
                .await
                .unwrap();
            seen[listener] += 1;
            assert!(clients.len() < 10_000, "one of the two gets nothing");
        }
    });
}

/// A server that has closed a connection itself cannot bind its port again otherwise.
#[test]
fn reuseaddr_binds_a_port_with_lingering_connections() {
    block_on(async {
        let (listener, address) = listener().await;
        let client = TcpStream::connect(address).await.unwrap();
        drop(listener.accept().await.unwrap());
        drop(client);
        drop(listener);

        let socket = TcpSocket::new_v4().unwrap();
        assert!(!socket.reuseaddr().unwrap());
        let error = socket.bind(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        socket.set_reuseaddr(true).unwrap();
        assert!(socket.reuseaddr().unwrap());
        socket.bind(address).unwrap();
        socket.listen(8).unwrap();
    });
}

/// Sets an option and reads it back, on each of the sockets.
macro_rules! round_trip {
    ($($socket:ident),+: $set:ident, $get:ident, $value:expr) => {$(
        $socket.$set($value).unwrap();
        assert_eq!($socket.$get().unwrap(), $value, stringify!($socket.$get));
    )+};
}

#[test]
fn options_are_set_and_read_on_sockets_streams_and_listeners() {
    block_on(async {
        let (listener, address) = listener().await;
        let stream = TcpStream::connect(address).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();

        round_trip!(socket, stream, listener: set_keepalive, keepalive, true);
        round_trip!(socket, stream, listener: set_keepalive, keepalive, false);
        let minute = Duration::from_secs(60);
        round_trip!(socket, stream, listener: set_keepalive_time, keepalive_time, minute);
        assert!(
            socket.keepalive().unwrap(),
            "setting a time turns keepalive on"
        );
        round_trip!(socket, stream, listener: set_keepalive_interval, keepalive_interval, minute);
        round_trip!(socket, stream, listener: set_keepalive_retries, keepalive_retries, 5);
        round_trip!(socket, stream, listener: set_tos_v4, tos_v4, 0b1011_1000);
        round_trip!(socket, stream, listener: set_out_of_band_inline, out_of_band_inline, true);
        round_trip!(socket, stream, listener: set_ttl, ttl, 33);
        round_trip!(socket, stream: set_nodelay, nodelay, true);
        round_trip!(socket, stream: set_linger, linger, None);
        round_trip!(socket: set_linger, linger, Some(Duration::from_secs(3)));
        socket.set_zero_linger().unwrap();
        assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
        stream.set_zero_linger().unwrap();
        assert_eq!(stream.linger().unwrap(), Some(Duration::ZERO));

        socket.set_send_buffer_size(32 << 10).unwrap();
        assert!(socket.send_buffer_size().unwrap() >= 32 << 10);
        stream.set_recv_buffer_size(32 << 10).unwrap();
        assert!(stream.recv_buffer_size().unwrap() >= 32 << 10);
        assert!(listener.mss().unwrap() > 0);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn options_of_linux_are_set_and_read() {
    block_on(async {
        let (listener, address) = listener().await;
        let stream = TcpStream::connect(address).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();

        let timeout = Some(Duration::from_millis(1500));
        round_trip!(socket, stream, listener: set_user_timeout, user_timeout, timeout);
        round_trip!(socket, stream, listener: set_user_timeout, user_timeout, None);
        round_trip!(socket, stream, listener: set_notsent_lowat, notsent_lowat, 16 << 10);
        round_trip!(socket, stream, listener: set_priority, priority, 6);
        round_trip!(socket, stream, listener: set_thin_linear_timeouts, thin_linear_timeouts, true);
        round_trip!(socket, stream: set_cork, cork, true);
        round_trip!(socket, stream: set_cork, cork, false);
        round_trip!(socket, stream: set_quickack, quickack, true);
        round_trip!(socket: set_mss, mss, 1000);
        round_trip!(socket: set_freebind_v4, freebind_v4, true);
        round_trip!(socket, listener: set_cpu_affinity, cpu_affinity, 0);

        let algorithm = stream.congestion().unwrap();
        assert!(!algorithm.is_empty() && algorithm.is_ascii());
        assert!(!algorithm.contains(&0), "{algorithm:?}");
        listener.set_congestion(&algorithm).unwrap();
        assert_eq!(listener.congestion().unwrap(), algorithm);
        assert!(socket.set_congestion(b"no such algorithm").is_err());

        assert_eq!(socket.device().unwrap(), None);
        assert!(socket.bind_device(Some(b"no such device")).is_err());
        assert_eq!(socket.mark().unwrap(), 0);
        assert_eq!(listener.busy_poll().unwrap(), stream.busy_poll().unwrap());
        // With `freebind`, even an address that this machine does not have, of TEST-NET-1.
        socket.bind("192.0.2.1:0".parse().unwrap()).unwrap();
    });
}

/// Connections inherit the options of the socket that they were made from.
#[test]
#[cfg(target_os = "linux")]
fn options_reach_the_connection() {
    block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_keepalive_time(Duration::from_secs(77)).unwrap();
        socket
            .set_user_timeout(Some(Duration::from_secs(7)))
            .unwrap();
        socket.set_mss(700).unwrap();
        socket.bind(ANY).unwrap();
        let listener = socket.listen(8).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_tos_v4(0x20).unwrap();
        let client = socket
            .connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert!(server.keepalive().unwrap());
        assert_eq!(server.keepalive_time().unwrap(), Duration::from_secs(77));
        assert_eq!(server.user_timeout().unwrap(), Some(Duration::from_secs(7)));
        assert_eq!(
            server.recv_buffer_size().unwrap(),
            listener.recv_buffer_size().unwrap()
        );
        assert!(client.mss().unwrap() <= 700);
        assert!(client.nodelay().unwrap());
        assert_eq!(client.tos_v4().unwrap(), 0x20);
    });
}

#[test]
fn options_of_ipv6_are_set_and_read() {
    let Ok(socket) = TcpSocket::new_v6() else {
        eprintln!("skipped: there is no IPv6 here");
        return;
    };
    round_trip!(socket: set_only_v6, only_v6, true);
    round_trip!(socket: set_unicast_hops_v6, unicast_hops_v6, 9);
    #[cfg(target_os = "linux")]
    {
        round_trip!(socket: set_tclass_v6, tclass_v6, 0x20);
        round_trip!(socket: set_freebind_v6, freebind_v6, true);
    }
    assert!(socket.as_fd().try_clone_to_owned().is_ok());
}

/// An IPv6 listener takes IPv4 connections too, unless `only_v6` is set.
#[test]
fn an_ipv6_listener_may_serve_both_families() {
    block_on(async {
        for only_v6 in [false, true] {
            let Ok(socket) = TcpSocket::new_v6() else {
                eprintln!("skipped: there is no IPv6 here");
                return;
            };
            socket.set_only_v6(only_v6).unwrap();
            if socket.bind("[::]:0".parse().unwrap()).is_err() {
                eprintln!("skipped: there is no IPv6 here");
                return;
            }
            let listener = socket.listen(8).unwrap();
            assert_eq!(listener.only_v6().unwrap(), only_v6);
            let port = listener.local_addr().unwrap().port();
            let connected = TcpStream::connect(("127.0.0.1", port)).await;
            assert_eq!(connected.is_err(), only_v6);
        }
    });
}
