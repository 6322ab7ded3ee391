//! No descriptor and no memory stays behind, however connections end. The tests have a
//! process of their own, because they count its descriptors and its memory, and run one at a
//! time.
#![cfg(all(target_os = "linux", not(miri)))]

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coreloop::net::{Connector, TcpListener, TcpStream};
use coreloop::runtime::Builder;
use coreloop::time::timeout;
use coreloop::{block_on, spawn};
use coreloop_test_support::allocator::{Counting, live_bytes};
use coreloop_test_support::pair::listener;
use coreloop_test_support::silence::silence;
use coreloop_test_support::size::pick;
use futures_lite::future::{poll_once, zip};

/// Counts for every test of this binary.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Keeps the other tests of this binary from running meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());

    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// Thousands of clients connect and disconnect.
#[test]
fn a_flood_of_connects_and_disconnects_leaves_nothing() {
    const BATCH: usize = 100;

    async fn come_and_go(address: SocketAddr, listener: &TcpListener) {
        let clients = async {
            for at in 0..BATCH {
                let mut client = TcpStream::connect(address).await.expect("connect");
                // Half of the clients write a byte.
                if at % 2 == 0 {
                    client.write_all(b"!").await.expect("write");
                }
                // Otherwise each would keep its port for a minute.
                client.set_zero_linger().expect("linger");
            }
        };
        let server = async {
            let mut served = Vec::new();
            for _ in 0..BATCH {
                let (mut stream, _) = listener.accept().await.expect("accept");
                // Reads the byte or a reset, whichever comes first.
                served.push(spawn(async move { drop(stream.read(&mut [0; 1]).await) }));
            }
            for one in served {
                one.await.expect("no panic");
            }
        };
        zip(clients, server).await;
    }

    let connections = pick(20_000, 100_000);
    let _alone = alone();
    block_on(async {
        let (listener, address) = listener().await;
        // After some batches, the memory that grows once to the size of a batch has grown.
        for _ in 0..10 {
            come_and_go(address, &listener).await;
        }
        let (descriptors, live) = (open_descriptors(), live_bytes());
        for _ in 0..connections / BATCH {
            come_and_go(address, &listener).await;
        }
        assert_eq!(open_descriptors(), descriptors);
        let grown = live_bytes().saturating_sub(live);
        assert!(grown < connections / 2, "{grown} bytes more");
    });
}

#[test]
fn sockets_that_lose_a_race_are_closed() {
    let _alone = alone();
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (silent, hangs) = listener().await;
        silence(&silent);
        let (_live, answers) = listener().await;
        let addresses = [hangs, hangs, hangs, answers];
        // The first wait for the clock may open a descriptor that stays open.
        drop(TcpStream::connect(&addresses[..]).await.unwrap());
        let descriptors = open_descriptors();
        for _ in 0..5 {
            let stream = TcpStream::connect(&addresses[..]).await.unwrap();
            assert_eq!(open_descriptors(), descriptors + 1);
            drop(stream);
        }
        assert_eq!(open_descriptors(), descriptors);
    });
}

#[test]
fn a_race_that_is_dropped_closes_all_its_sockets() {
    let _alone = alone();
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (silent, hangs) = listener().await;
        silence(&silent);
        let limit = Duration::from_millis(1100);
        let addresses = [hangs; 8];
        let mut before = None;
        for _ in 0..5 {
            {
                let mut racing = pin!(TcpStream::connect(&addresses[..]));
                assert!(timeout(limit, &mut racing).await.is_err());
                let during = open_descriptors();
                assert!(poll_once(&mut racing).await.is_none());
                assert_eq!(open_descriptors(), during);
                let after = *before.get_or_insert(during - 5);
                assert_eq!(
                    during,
                    after + 5,
                    "attempts at 0, 250, 500, 750 and 1000 ms"
                );
            }
            assert_eq!(Some(open_descriptors()), before);
        }
    });
}

/// However many addresses a name has, not all of them are tried at once.
#[test]
fn a_thousand_addresses_that_hang_take_few_descriptors() {
    let _alone = alone();
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (silent, hangs) = listener().await;
        silence(&silent);
        let (_live, answers) = listener().await;
        let mut addresses = vec![hangs; 1000];
        addresses.push(answers);
        let before = open_descriptors();
        let peak = std::rc::Rc::new(Cell::new(0));
        let connector = Connector::new().configure({
            let peak = std::rc::Rc::clone(&peak);
            move |_| {
                peak.set(peak.get().max(open_descriptors()));
                Ok(())
            }
        });
        let stream = connector.connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
        let most = peak.get() - before;
        assert!((10..=20).contains(&most), "{most} at once");
    });
}
