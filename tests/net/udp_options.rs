//! The options of a UDP socket, and multicast on the loopback.
#![cfg(not(miri))] // Miri has no UDP.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use coreloop::block_on;
use coreloop::net::UdpSocket;
use coreloop::time::timeout;
use coreloop_test_support::skip::skipped;

#[test]
fn options_are_set_and_read() {
    block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for on in [true, false] {
            socket.set_broadcast(on).unwrap();
            assert_eq!(socket.broadcast().unwrap(), on);
            socket.set_multicast_loop_v4(on).unwrap();
            assert_eq!(socket.multicast_loop_v4().unwrap(), on);
        }
        socket.set_ttl(7).unwrap();
        assert_eq!(socket.ttl().unwrap(), 7);
        socket.set_tos_v4(0x10).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0x10);
        socket.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 3);
        socket.set_multicast_if_v4(Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(socket.multicast_if_v4().unwrap(), Ipv4Addr::LOCALHOST);
        socket.set_recv_buffer_size(20_000).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= 20_000);
        socket.set_send_buffer_size(20_000).unwrap();
        assert!(socket.send_buffer_size().unwrap() >= 20_000);
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.mark().unwrap(), 0);
            assert_eq!(socket.device().unwrap(), None);
        }
    });
}

#[test]
fn options_of_ipv6_are_set_and_read() {
    block_on(async {
        let Ok(socket) = UdpSocket::bind("[::1]:0").await else {
            skipped("this machine has no IPv6");
            return;
        };
        socket.set_multicast_loop_v6(false).unwrap();
        assert!(!socket.multicast_loop_v6().unwrap());
        socket.set_multicast_hops_v6(3).unwrap();
        assert_eq!(socket.multicast_hops_v6().unwrap(), 3);
        socket.set_unicast_hops_v6(9).unwrap();
        assert_eq!(socket.unicast_hops_v6().unwrap(), 9);
        socket.set_tclass_v6(0x20).unwrap();
        assert_eq!(socket.tclass_v6().unwrap(), 0x20);
        assert_eq!(socket.multicast_if_v6().unwrap(), 0);
        let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0x4321);
        if socket.join_multicast_v6(&group, 1).is_ok() {
            socket.leave_multicast_v6(&group, 1).unwrap();
        }
    });
}

/// Members of a group on the loopback receive its datagrams until they leave it.
#[test]
fn members_of_a_group_receive() {
    block_on(async {
        let group = Ipv4Addr::new(239, 255, 77, 77);
        let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let port = member.local_addr().unwrap().port();
        if let Err(error) = member.join_multicast_v4(group, Ipv4Addr::LOCALHOST) {
            skipped(format_args!("no multicast here: {error}"));
            return;
        }
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        sender.set_multicast_if_v4(Ipv4Addr::LOCALHOST).unwrap();
        if let Err(error) = sender.send_to(b"all", (group, port)).await {
            skipped(format_args!("no multicast here: {error}"));
            return;
        }
        // The timeout only turns a hang into a failure.
        let received = timeout(Duration::from_secs(30), member.recv(&mut [0; 8])).await;
        assert_eq!(received.unwrap().unwrap(), 3);
        member
            .leave_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .unwrap();
        #[cfg(target_os = "linux")]
        {
            let source = Ipv4Addr::LOCALHOST;
            let group = Ipv4Addr::new(232, 1, 77, 77);
            member.join_ssm_v4(source, group, source).unwrap();
            sender.send_to(b"some", (group, port)).await.unwrap();
            let received = timeout(Duration::from_secs(30), member.recv(&mut [0; 8])).await;
            assert_eq!(received.unwrap().unwrap(), 4);
            member.leave_ssm_v4(source, group, source).unwrap();
        }
        // A datagram of the group would come before the one that is sent last.
        sender.send_to(b"no one", (group, port)).await.unwrap();
        sender
            .send_to(b"it alone", (Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        assert_eq!(member.recv(&mut [0; 16]).await.unwrap(), 8);
    });
}
