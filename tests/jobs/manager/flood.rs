//! A flood of connections without the key.

use std::cell::Cell;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use coreloop::jobs::Manager;
use coreloop::task::yield_now;
use coreloop::{Runtime, spawn};
use coreloop_test_support::meeting::soon;
use coreloop_test_support::size;
use socket2::SockRef;

use super::{client, key};

/// How many connections the flood keeps open.
const OPEN: usize = 200;

/// Opens connections from a thread, and sends `bytes` on each. Closes them by a reset, so that the
/// system does not run out of ports.
fn flood(address: SocketAddr, count: usize, bytes: &'static [u8]) -> Arc<AtomicBool> {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    thread::spawn(move || {
        let mut open = std::collections::VecDeque::new();
        for _ in 0..count {
            // The queue of the listener may be full.
            let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            else {
                continue;
            };
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            // The manager may have closed it already.
            let _ = stream.write_all(bytes);
            open.push_back(stream);
            if open.len() > OPEN {
                open.pop_front();
            }
        }
        drop(open);
        over.store(true, Ordering::Release);
    });
    is_over
}

/// Serves clients during a flood. Returns how many requests were answered, and how many clients
/// have connected.
async fn withstand(bytes: &'static [u8]) -> (usize, usize) {
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .queue("tasks", 4)
        .start()
        .await
        .unwrap();
    let address = manager.address().to_string().parse().unwrap();
    let served = client(&manager).await;
    let is_over = flood(address, size::pick(2_000, 100_000), bytes);

    let answered = Rc::new(Cell::new(0));
    let (count, over) = (Rc::clone(&answered), Arc::clone(&is_over));
    let requests = spawn(async move {
        let tasks = served.queue::<u32>("tasks");
        while !over.load(Ordering::Acquire) {
            soon(tasks.put(&7)).await.unwrap();
            assert_eq!(soon(tasks.get()).await.unwrap(), 7);
            count.set(count.get() + 2);
        }
        // It has had one connection all the time.
        served.is_connected()
    });
    let mut connected = 0;
    while !is_over.load(Ordering::Acquire) {
        let another = client(&manager).await;
        let tasks = another.queue::<u32>("tasks");
        assert!(soon(tasks.len()).await.unwrap() <= 1);
        connected += 1;
        another.close().await;
        assert!(manager.unauthenticated() <= 64);
        yield_now().await;
    }
    assert!(soon(requests).await.unwrap());
    (answered.get(), connected)
}

fn run(what: &str, bytes: &'static [u8]) {
    let (answered, connected) = Runtime::new().unwrap().block_on(withstand(bytes));
    println!("{what}: {answered} requests were answered, {connected} clients have connected");
    assert!(answered > 0 && connected > 0);
}

#[test]
fn connections_that_say_nothing_do_not_keep_clients_out() {
    run("silent", b"");
}

#[test]
fn connections_that_say_hello_do_not_keep_clients_out() {
    run(
        "hello",
        b"coreloop\x00\x01C\x00 a nonce that is not fresh at all. ",
    );
}

#[test]
fn connections_with_a_wrong_proof_do_not_keep_clients_out() {
    let bytes = b"coreloop\x00\x01C\x00 a nonce that is not fresh at all.                                  ";
    run("wrong proof", bytes);
}

#[test]
fn connections_with_garbage_do_not_keep_clients_out() {
    run("garbage", &[0xA5; 300]);
}
