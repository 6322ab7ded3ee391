//! Connecting to the first of several addresses that answers (RFC 8305), on a
//! paused clock, which jumps over the waits.
#![cfg(all(target_os = "linux", not(miri)))]

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use coreloop::net::{Connector, TcpListener, TcpSocket, TcpStream};
use coreloop::runtime::Builder;
use coreloop::time::{Instant, timeout};
use coreloop_test_support::silence::silence;
use futures_lite::future::poll_once;
use rustix::io::Errno;

const DELAY: Duration = Duration::from_millis(250);

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(test)
}

async fn listener(ip: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).await.expect("bind");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

/// Returns a listener that never answers, so that a connect to it hangs.
async fn silent_listener(ip: &str) -> TcpListener {
    let (listener, _) = listener(ip).await;
    silence(&listener);
    listener
}

/// Returns an address that refuses connections.
async fn refusing_address() -> SocketAddr {
    listener("127.0.0.1").await.1
}

#[test]
fn the_next_address_is_tried_when_one_does_not_answer() {
    run(async {
        let silent = silent_listener("127.0.0.1").await;
        let (_live, answers) = listener("127.0.0.1").await;
        let begun = Instant::now();
        let addresses = [silent.local_addr().unwrap(), answers];
        let stream = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
        assert_eq!(begun.elapsed(), DELAY);
    });
}

#[test]
fn the_next_address_is_tried_at_once_when_one_refuses() {
    run(async {
        let (_live, answers) = listener("127.0.0.1").await;
        let mut addresses = vec![refusing_address().await; 20];
        addresses.push(answers);
        let begun = Instant::now();
        let stream = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
        // No time passes, unless a busy kernel is slow to refuse.
        assert!(begun.elapsed() < DELAY * 10);
    });
}

/// A failure starts the next attempt at once, also after an attempt that hangs.
#[test]
fn a_refusal_after_a_wait_does_not_wait_again() {
    run(async {
        let silent = silent_listener("127.0.0.1").await;
        let (_live, answers) = listener("127.0.0.1").await;
        let mut addresses = vec![refusing_address().await; 20];
        addresses.insert(0, silent.local_addr().unwrap());
        addresses.push(answers);
        let begun = Instant::now();
        let stream = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
        assert!((DELAY..DELAY * 10).contains(&begun.elapsed()));
    });
}

#[test]
fn ipv6_that_hangs_loses_to_ipv4() {
    run(async {
        if TcpListener::bind("[::1]:0").await.is_err() {
            eprintln!("skipped: there is no IPv6 here");
            return;
        }
        let silent = [silent_listener("::1").await, silent_listener("::1").await];
        let (_live, answers) = listener("127.0.0.1").await;
        let addresses = [
            silent[0].local_addr().unwrap(),
            silent[1].local_addr().unwrap(),
            answers,
        ];
        let begun = Instant::now();
        let stream = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
        // IPv4 was tried before the second IPv6 address.
        assert!(begun.elapsed() < DELAY * 3);
    });
}

/// An attempt continues while others are made, and may still win.
#[test]
fn the_first_address_may_still_win() {
    run(async {
        let (first, answers_late) = listener("127.0.0.1").await;
        let hangs = silent_listener("127.0.0.1").await;
        silence(&first);
        let addresses = [answers_late, hangs.local_addr().unwrap()];
        let connecting =
            coreloop::spawn(async move { TcpStream::connect(&addresses[..]).await.unwrap() });
        coreloop::time::sleep(DELAY * 2).await;
        assert!(!connecting.is_finished());
        // The kernel repeats its request in real time, and now gets an answer.
        socket2::SockRef::from(&first).detach_filter().unwrap();
        let stream = connecting.await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers_late);
    });
}

#[test]
fn a_race_without_a_winner_can_be_given_up() {
    run(async {
        let silent = silent_listener("127.0.0.1").await;
        let addresses = [silent.local_addr().unwrap(); 4];
        let begun = Instant::now();
        let limit = Duration::from_secs(5);
        let result = timeout(limit, TcpStream::connect(&addresses[..])).await;
        assert!(result.is_err());
        assert_eq!(begun.elapsed(), limit);
    });
}

#[test]
fn a_race_whose_runtime_is_gone_is_an_error() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    let silent = runtime.block_on(silent_listener("127.0.0.1"));
    let addresses = [silent.local_addr().unwrap(); 4];
    let mut racing = pin!(TcpStream::connect(&addresses[..]));
    runtime.block_on(async { assert!(poll_once(&mut racing).await.is_none()) });
    drop(runtime);
    assert!(futures_lite::future::block_on(racing).is_err());
}

#[test]
fn one_address_that_hangs_can_be_given_up() {
    run(async {
        let silent = silent_listener("127.0.0.1").await;
        let address = silent.local_addr().unwrap();
        let limit = Duration::from_secs(5);
        for _ in 0..3 {
            let begun = Instant::now();
            assert!(timeout(limit, TcpStream::connect(address)).await.is_err());
            let socket = TcpSocket::new_v4().unwrap();
            assert!(timeout(limit, socket.connect(address)).await.is_err());
            let connector = Connector::new();
            assert!(timeout(limit, connector.connect(address)).await.is_err());
            assert_eq!(begun.elapsed(), limit * 3);
        }
    });
}

#[test]
fn the_delay_can_be_chosen() {
    run(async {
        let silent = silent_listener("127.0.0.1").await;
        let (_live, answers) = listener("127.0.0.1").await;
        let addresses = [silent.local_addr().unwrap(), answers];
        for (asked, waited) in [(2000, 2000), (10, 10), (0, 10)] {
            let connector = Connector::new().attempt_delay(Duration::from_millis(asked));
            let begun = Instant::now();
            connector.connect(&addresses[..]).await.unwrap();
            assert_eq!(begun.elapsed(), Duration::from_millis(waited));
        }
        let in_turn = Connector::new().attempt_delay(Duration::MAX);
        let hour = Duration::from_secs(3600);
        assert!(
            timeout(hour, in_turn.connect(&addresses[..]))
                .await
                .is_err()
        );
    });
}

/// On a machine without IPv6, the error of the IPv4 attempt is the useful one.
#[test]
fn the_error_is_the_last_of_a_reachable_address() {
    run(async {
        let addresses = [refusing_address().await; 2];
        for unreachable_attempt in [0, 1] {
            let attempts = Cell::new(0);
            let connector = Connector::new().configure(move |_| {
                let attempt = attempts.replace(attempts.get() + 1);
                if attempt == unreachable_attempt {
                    return Err(Errno::NETUNREACH.into());
                }
                Ok(())
            });
            let error = connector.connect(&addresses[..]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        }
        let connector = Connector::new().configure(|_| Err(Errno::NETUNREACH.into()));
        let error = connector.connect(&addresses[..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
    });
}

#[test]
fn connecting_from_an_address_skips_other_families() {
    run(async {
        let (live, answers) = listener("127.0.0.1").await;
        let from: SocketAddr = "127.0.0.2:0".parse().unwrap();
        let connector = Connector::new().bind_to(from);
        let addresses = ["[::1]:9".parse().unwrap(), answers];
        let stream = connector.connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), from.ip());
        assert_eq!(live.accept().await.unwrap().1.ip(), from.ip());

        let error = connector.connect("[::1]:9").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let both = connector.bind_to("[::1]:0".parse().unwrap());
        let error = both.connect("[::1]:9").await.unwrap_err();
        assert!(!error.to_string().contains("family"), "{error}");
    });
}

#[test]
fn a_socket_that_configure_refuses_is_not_connected() {
    run(async {
        let (_live, answers) = listener("127.0.0.1").await;
        let connector = Connector::new().configure(|_| Err(ErrorKind::Other.into()));
        let error = connector.connect(answers).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
    });
}

/// The future of the usual connect, to one address, is as small as without the race.
#[test]
fn a_connect_to_one_address_pays_nothing_for_the_race() {
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let size = size_of_val(&TcpStream::connect(address));
    assert!(size <= 400, "{size} bytes");
}
