//! Groups of sockets: who is given what, and until when.
#![cfg(target_os = "linux")]

use std::collections::HashMap;

use coreloop_test_support::deadline::wait_until;
use socket2::{SockFilter, SockRef};

use super::*;

#[test]
fn every_slot_has_its_part() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    bound.grow(3).unwrap();
    let clients = connect(&bound, 300);
    let before = accept(&bound, 300);
    drop(clients);
    bound.steer(3).unwrap();
    let _clients = connect(&bound, 300);
    let after = accept(&bound, 300);
    for accepted in [before, after] {
        for slot in 0..3 {
            // A hundred are due. So few would come once in a million universes.
            let count = accepted.iter().filter(|&&at| at == slot).count();
            assert!(count > 20, "{count} of 300 at slot {slot}");
        }
    }
}

#[test]
fn nothing_goes_to_slots_that_were_steered_away_from() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    bound.grow(4).unwrap();
    for slots in [3, 1, 2] {
        bound.steer(slots).unwrap();
        let _clients = connect(&bound, 128);
        let accepted = accept(&bound, 128);
        assert!(accepted.iter().all(|&slot| slot < slots));
    }
}

#[test]
fn what_waits_is_counted() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    bound.grow(2).unwrap();
    bound.steer(1).unwrap();
    assert_eq!(bound.queued(0).unwrap(), 0);
    let mut clients = Vec::new();
    for count in 1..=20 {
        clients.extend(connect(&bound, 1));
        wait_until(|| bound.queued(0).unwrap() >= count);
        assert_eq!(bound.queued(0).unwrap(), count);
        assert_eq!(bound.queued(1).unwrap(), 0);
    }
    accept(&bound, 20);
    assert_eq!(bound.queued(0).unwrap(), 0);
}

/// So its place in the group is not lost, and a connection that comes late is served.
#[test]
fn the_socket_of_a_slot_that_is_gone_is_that_of_the_next() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    bound.grow(3).unwrap();
    // Steers by itself, if nobody has.
    bound.retire(2);
    let clients = connect(&bound, 64);
    assert!(accept(&bound, 64).iter().all(|&slot| slot < 2));
    drop(clients);
    bound.grow(3).unwrap();
    assert_eq!(bound.sockets().count(), 3);
    bound.steer(3).unwrap();
    let _clients = connect(&bound, 128);
    assert!(accept(&bound, 128).contains(&2));
}

#[test]
fn growing_in_vain_changes_nothing() {
    let mut bound = Bound::udp("127.0.0.1:0").unwrap();
    bound.grow(2).unwrap();
    // No more can join a socket that lets no others in.
    for socket in &bound.sockets {
        socket.set_reuse_port(false).unwrap();
    }
    let error = bound.grow(3).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("127.0.0.1:0"), "{error}");
    bound.steer(3).unwrap();
    let clients: Vec<UdpSocket> = (0..32)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    assert_eq!(flows(&bound, &clients).len(), 32);
}

#[test]
fn a_group_can_shrink_to_one_and_grow_again() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        bound.steer(1).unwrap();
        bound.grow(2).unwrap();
        let clients = connect(&bound, 64);
        assert_eq!(accept(&bound, 64), [0; 64]);
        drop(clients);
        bound.steer(2).unwrap();
        let clients = connect(&bound, 64);
        assert!(accept(&bound, 64).contains(&1));
        drop(clients);
        bound.steer(1).unwrap();
        bound.retire(1);
        // The first one stays, whatever is asked.
        bound.retire(0);
        bound.steer(0).unwrap();
    }
}

/// Has the kernel drop what comes to `listener` without data, but for what begins a
/// handshake. So handshakes last until there are data, and a test can stop in the
/// middle of one.
fn defer_handshakes(listener: BorrowedFd<'_>) {
    use libc::{
        BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LEN,
        BPF_MISC, BPF_RET, BPF_RSH, BPF_TAX, BPF_W, BPF_X,
    };

    const SYN: u32 = 0x02;
    let jump = |code: u32, then, k| SockFilter::new(code.try_into().unwrap(), then, 0, k);
    let step = |code, k| jump(code, 0, k);
    // The packet begins with the header of TCP here.
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

/// One that has begun at a slot ends there: it must be waited for.
#[test]
fn handshakes_that_have_begun_are_known() {
    let mut bound = Bound::tcp("127.0.0.1:0").unwrap();
    bound.grow(2).unwrap();
    for socket in bound.sockets() {
        defer_handshakes(socket);
    }
    bound.steer(2).unwrap();
    let mut clients = connect(&bound, 32);
    bound.steer(1).unwrap();
    let mut handshakes = bound.handshakes().unwrap();
    assert!(!handshakes.are_over().unwrap());
    // Those that begin now are no matter.
    let _later = connect(&bound, 8);
    for client in &mut clients {
        assert!(!handshakes.are_over().unwrap());
        client.write_all(b"!").unwrap();
    }
    wait_until(|| handshakes.are_over().unwrap());
    assert_ne!(bound.queued(1).unwrap(), 0);
    assert_eq!(bound.queued(0).unwrap() + bound.queued(1).unwrap(), 32);
}

/// Which slot each client's datagrams are at.
fn flows(bound: &Bound, clients: &[UdpSocket]) -> HashMap<u16, u32> {
    let address = bound.local_addr().unwrap();
    for client in clients {
        client.send_to(b"?", address).unwrap();
    }
    read_flows(bound, clients.len())
}

fn read_flows(bound: &Bound, count: usize) -> HashMap<u16, u32> {
    let mut flows = HashMap::new();
    while flows.len() < count {
        wait(bound);
        for (slot, socket) in (0..).zip(bound.sockets()) {
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
        // A kernel may be without version 6.
        let Ok(mut bound) = Bound::udp(address) else {
            assert!(address.starts_with('['));
            continue;
        };
        bound.grow(4).unwrap();
        let ip = bound.local_addr().unwrap().ip();
        let clients: Vec<UdpSocket> = (0..200)
            .map(|_| UdpSocket::bind((ip, 0)).unwrap())
            .collect();
        let four = flows(&bound, &clients);
        for slot in 0..4 {
            let count = four.values().filter(|&&at| at == slot).count();
            // Fifty are due.
            assert!((10..100).contains(&count), "{count} of 200 at slot {slot}");
        }
        assert_eq!(flows(&bound, &clients), four);

        bound.steer(3).unwrap();
        let three = flows(&bound, &clients);
        let mut moved = [0; 3];
        for (peer, &slot) in &three {
            match four[peer] {
                3 => moved[slot as usize] += 1,
                before => assert_eq!(slot, before),
            }
        }
        assert!(moved.iter().all(|&count| count > 0), "{moved:?}");

        bound.retire(3);
        assert_eq!(flows(&bound, &clients), three);
        bound.grow(4).unwrap();
        assert_eq!(flows(&bound, &clients), three);
        bound.steer(4).unwrap();
        assert_eq!(flows(&bound, &clients), four);
    }
}

#[test]
fn datagrams_that_came_before_steering_are_still_there() {
    let mut bound = Bound::udp("127.0.0.1:0").unwrap();
    bound.grow(2).unwrap();
    let clients: Vec<UdpSocket> = (0..32)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    for client in &clients {
        client.send_to(b"?", bound.local_addr().unwrap()).unwrap();
    }
    bound.steer(1).unwrap();
    assert_eq!(bound.queued(1).unwrap(), 1);
    assert_eq!(read_flows(&bound, 32).len(), 32);
    assert_eq!(bound.queued(1).unwrap(), 0);
    bound.retire(1);
    assert!(flows(&bound, &clients).values().all(|&slot| slot == 0));
}
