//! Groups with a socket for each slot: which slot gets what, and until when.
#![cfg(target_os = "linux")]

use std::collections::HashMap;

use coreloop_test_support::deadline::wait_until;
use socket2::{SockFilter, SockRef};

use super::*;

#[test]
fn every_slot_gets_connections() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    group.grow(3).unwrap();
    let clients = connect(&group, 300);
    let before = accept(&group, 300);
    drop(clients);
    group.steer(3).unwrap();
    let _clients = connect(&group, 300);
    let after = accept(&group, 300);
    for accepted in [before, after] {
        for slot in 0..3 {
            // The expected number is 100. As few as 20 are practically impossible.
            let count = accepted.iter().filter(|&&at| at == slot).count();
            assert!(count > 20, "{count} of 300 at slot {slot}");
        }
    }
}

#[test]
fn nothing_goes_to_slots_that_were_steered_away_from() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    group.grow(4).unwrap();
    for slots in [3, 1, 2] {
        group.steer(slots).unwrap();
        let _clients = connect(&group, 128);
        let accepted = accept(&group, 128);
        assert!(accepted.iter().all(|&slot| slot < slots));
    }
}

#[test]
fn queued_connections_are_counted() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    group.grow(2).unwrap();
    group.steer(1).unwrap();
    assert_eq!(group.queued(0).unwrap(), 0);
    let mut clients = Vec::new();
    for count in 1..=20 {
        clients.extend(connect(&group, 1));
        wait_until(|| group.queued(0).unwrap() >= count);
        assert_eq!(group.queued(0).unwrap(), count);
        assert_eq!(group.queued(1).unwrap(), 0);
    }
    accept(&group, 20);
    assert_eq!(group.queued(0).unwrap(), 0);
}

/// So the index in the group is not lost, and a connection that comes late is served.
#[test]
fn the_socket_of_a_retired_slot_is_used_again() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    group.grow(3).unwrap();
    // `retire` steers, as the test has not.
    group.retire(2);
    let clients = connect(&group, 64);
    assert!(accept(&group, 64).iter().all(|&slot| slot < 2));
    drop(clients);
    group.grow(3).unwrap();
    assert_eq!(group.sockets().count(), 3);
    group.steer(3).unwrap();
    let _clients = connect(&group, 128);
    assert!(accept(&group, 128).contains(&2));
}

#[test]
fn a_failed_growth_changes_nothing() {
    let mut group = udp("127.0.0.1:0").unwrap();
    group.grow(2).unwrap();
    // Without this option no other socket can join.
    for socket in &group.sockets {
        socket.set_reuse_port(false).unwrap();
    }
    let error = group.grow(3).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("127.0.0.1:0"), "{error}");
    group.steer(3).unwrap();
    let clients: Vec<UdpSocket> = (0..32)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    assert_eq!(flows(&group, &clients).len(), 32);
}

#[test]
fn a_group_can_shrink_to_one_and_grow_again() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        group.steer(1).unwrap();
        group.grow(2).unwrap();
        let clients = connect(&group, 64);
        assert_eq!(accept(&group, 64), [0; 64]);
        drop(clients);
        group.steer(2).unwrap();
        let clients = connect(&group, 64);
        assert!(accept(&group, 64).contains(&1));
        drop(clients);
        group.steer(1).unwrap();
        group.retire(1);
        // The first slot cannot be retired or steered away from.
        group.retire(0);
        group.steer(0).unwrap();
    }
}

/// Makes the kernel drop packets to `listener` that have no data, except those that begin a
/// handshake. So a handshake lasts until the client sends data, and a test can stop in the
/// middle of one.
fn defer_handshakes(listener: BorrowedFd<'_>) {
    use libc::{
        BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LEN,
        BPF_MISC, BPF_RET, BPF_RSH, BPF_TAX, BPF_W, BPF_X,
    };

    const SYN: u32 = 0x02;
    let jump = |code: u32, then, k| SockFilter::new(code.try_into().unwrap(), then, 0, k);
    let step = |code, k| jump(code, 0, k);
    // Here a packet begins with the TCP header.
    let filter = [
        step(BPF_LD | BPF_B | BPF_ABS, 13),
        jump(BPF_JMP | BPF_JSET | BPF_K, 7, SYN),
        // The length of the header is in words, in the upper half of this byte.
        step(BPF_LD | BPF_B | BPF_ABS, 12),
        step(BPF_ALU | BPF_AND | BPF_K, 0xF0),
        step(BPF_ALU | BPF_RSH | BPF_K, 2),
        step(BPF_MISC | BPF_TAX, 0),
        step(BPF_LD | BPF_W | BPF_LEN, 0),
        jump(BPF_JMP | BPF_JGT | BPF_X, 1, 0),
        step(BPF_RET | BPF_K, 0),
        step(BPF_RET | BPF_K, u32::MAX),
    ];
    SockRef::from(&listener).attach_filter(&filter).unwrap();
}

/// A handshake that has begun at a slot ends there, so it must be waited for.
#[test]
fn handshakes_in_progress_are_known() {
    let mut group = tcp("127.0.0.1:0").unwrap();
    group.grow(2).unwrap();
    for socket in group.sockets() {
        defer_handshakes(socket);
    }
    group.steer(2).unwrap();
    let mut clients = connect(&group, 32);
    group.steer(1).unwrap();
    let mut handshakes = group.handshakes().unwrap();
    assert!(!handshakes.have_ended().unwrap());
    // Handshakes that begin now are not waited for.
    let _later = connect(&group, 8);
    for client in &mut clients {
        assert!(!handshakes.have_ended().unwrap());
        client.write_all(b"!").unwrap();
    }
    wait_until(|| handshakes.have_ended().unwrap());
    assert_ne!(group.queued(1).unwrap(), 0);
    assert_eq!(group.queued(0).unwrap() + group.queued(1).unwrap(), 32);
}

/// Sends a datagram from each client, and returns the slot that it came to.
fn flows(group: &SocketGroup, clients: &[UdpSocket]) -> HashMap<u16, u32> {
    let address = group.local_addr().unwrap();
    for client in clients {
        client.send_to(b"?", address).unwrap();
    }
    read_flows(group, clients.len())
}

fn read_flows(group: &SocketGroup, count: usize) -> HashMap<u16, u32> {
    let mut flows = HashMap::new();
    while flows.len() < count {
        wait(group);
        for (slot, socket) in (0..).zip(group.sockets()) {
            let socket = UdpSocket::from(socket.try_clone_to_owned().unwrap());
            while let Ok((_, peer)) = socket.recv_from(&mut [0; 8]) {
                flows.insert(peer.port(), slot);
            }
        }
    }
    flows
}

#[test]
fn a_peer_stays_with_its_slot_while_others_come_and_go() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        // The kernel may have no IPv6.
        let Ok(mut group) = udp(address) else {
            assert!(address.starts_with('['));
            continue;
        };
        group.grow(4).unwrap();
        let ip = group.local_addr().unwrap().ip();
        let clients: Vec<UdpSocket> = (0..200)
            .map(|_| UdpSocket::bind((ip, 0)).unwrap())
            .collect();
        let four = flows(&group, &clients);
        for slot in 0..4 {
            let count = four.values().filter(|&&at| at == slot).count();
            // The expected number is 50.
            assert!((10..100).contains(&count), "{count} of 200 at slot {slot}");
        }
        assert_eq!(flows(&group, &clients), four);

        group.steer(3).unwrap();
        let three = flows(&group, &clients);
        let mut moved = [0; 3];
        for (peer, &slot) in &three {
            match four[peer] {
                3 => moved[slot as usize] += 1,
                before => assert_eq!(slot, before),
            }
        }
        assert!(moved.iter().all(|&count| count > 0), "{moved:?}");

        group.retire(3);
        assert_eq!(flows(&group, &clients), three);
        group.grow(4).unwrap();
        assert_eq!(flows(&group, &clients), three);
        group.steer(4).unwrap();
        assert_eq!(flows(&group, &clients), four);
    }
}

#[test]
fn datagrams_that_came_before_steering_are_still_there() {
    let mut group = udp("127.0.0.1:0").unwrap();
    group.grow(2).unwrap();
    let clients: Vec<UdpSocket> = (0..32)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    for client in &clients {
        client.send_to(b"?", group.local_addr().unwrap()).unwrap();
    }
    group.steer(1).unwrap();
    assert_eq!(group.queued(1).unwrap(), 1);
    assert_eq!(read_flows(&group, 32).len(), 32);
    assert_eq!(group.queued(1).unwrap(), 0);
    group.retire(1);
    assert!(flows(&group, &clients).values().all(|&slot| slot == 0));
}

/// No worker accepts from the reserve.
#[test]
fn sockets_in_reserve_get_nothing_until_the_group_grows() {
    for slots in [1, 2] {
        let mut group = tcp("127.0.0.1:0").unwrap();
        group.grow(slots).unwrap();
        group.reserve(5).unwrap();
        assert_eq!(group.sockets().count(), 5);
        let clients = connect(&group, 128);
        assert!(accept(&group, 128).iter().all(|&slot| slot < slots));
        drop(clients);
        group.grow(4).unwrap();
        assert_eq!(group.sockets().count(), 5);
        let clients = connect(&group, 128);
        assert!(accept(&group, 128).iter().all(|&slot| slot < slots));
        drop(clients);
        group.steer(4).unwrap();
        let clients = connect(&group, 400);
        let accepted = accept(&group, 400);
        assert!((0..4).all(|slot| accepted.contains(&slot)));
        assert!(!accepted.contains(&4));
        drop(clients);
    }
}

/// A group of one has no program, so the kernel would share the connections out from the moment
/// when a second socket listens until the program is attached.
#[test]
fn a_reserve_that_is_added_under_load_gets_nothing() {
    for _ in 0..20 {
        let mut group = tcp("127.0.0.1:0").unwrap();
        let address = group.local_addr().unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        let storm = std::thread::spawn(move || {
            let clients = (0..100).map(|_| {
                let client = TcpStream::connect(address).unwrap();
                // The main thread waits for the first only.
                let _ = begun.send(());
                client
            });
            clients.collect::<Vec<_>>()
        });
        begins.recv().unwrap();
        group.reserve(2).unwrap();
        let clients = storm.join().unwrap();
        assert!(accept(&group, clients.len()).iter().all(|&slot| slot == 0));
    }
}

#[test]
fn peers_of_a_group_with_a_reserve_stay_with_their_slots() {
    let mut group = udp("127.0.0.1:0").unwrap();
    group.grow(3).unwrap();
    group.reserve(6).unwrap();
    let clients: Vec<UdpSocket> = (0..64)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let before = flows(&group, &clients);
    assert!(before.values().all(|&slot| slot < 3));
    group.steer(2).unwrap();
    for (peer, slot) in flows(&group, &clients) {
        assert!(slot < 2);
        assert!(before[&peer] == 2 || before[&peer] == slot);
    }
}
