//! Connecting to the first of several addresses that answers (RFC 8305), on a
//! clock that jumps over the waits.
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

/// A listener to which a connect hangs.
async fn silent_listener(ip: &str) -> TcpListener {
    let (listener, _) = listener(ip).await;
    silence(&listener);
    listener
}

/// An address that refuses.
async fn nobody() -> SocketAddr {
    listener("127.0.0.1").await.1
}

#[test]
fn the_next_is_tried_when_one_does_not_answer() {
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
fn the_next_is_tried_at_once_when_one_fails() {
    run(async {
        let (_live, answers) = listener("127.0.0.1").await;
        let mut addresses = vec![nobody().await; 20];
        addresses.push(answers);
        let begun = Instant::now();
        let stream = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
        // None at all, unless a busy kernel takes its time for a refusal.
        assert!(begun.elapsed() < DELAY * 10);
    });
}

/// A failure calls for the next address, also that of one which was slow.
#[test]
fn a_refusal_after_a_wait_does_not_wait_again() {
    run(async {
        let silent = silent_listener("127.0.0.1").await;
        let (_live, answers) = listener("127.0.0.1").await;
        let mut addresses = vec![nobody().await; 20];
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
        // The second IPv6 address had to wait for its turn.
        assert!(begun.elapsed() < DELAY * 3);
    });
}

/// An attempt goes on while others are made, and may win late.
#[test]
fn the_first_address_may_still_win() {
    run(async {
        let (first, refuses_no_more) = listener("127.0.0.1").await;
        let hangs = silent_listener("127.0.0.1").await;
        silence(&first);
        let addresses = [refuses_no_more, hangs.local_addr().unwrap()];
        let connecting =
            coreloop::spawn(async move { TcpStream::connect(&addresses[..]).await.unwrap() });
        coreloop::time::sleep(DELAY * 2).await;
        assert!(!connecting.is_finished());
        // The kernel asks again, in real time, and now gets an answer.
        socket2::SockRef::from(&first).detach_filter().unwrap();
        let stream = connecting.await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), refuses_no_more);
    });
}

#[test]
fn a_race_nobody_wins_can_be_given_up() {
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

/// On a machine without IPv6 the error of IPv4 is the one that helps.
#[test]
fn the_error_is_the_last_that_says_something() {
    run(async {
        let addresses = [nobody().await; 2];
        for without_way in [0, 1] {
            let attempts = Cell::new(0);
            let connector = Connector::new().configure(move |_| {
                let attempt = attempts.replace(attempts.get() + 1);
                if attempt == without_way {
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
fn connecting_from_an_address_leaves_other_families_out() {
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
fn what_configure_refuses_is_not_connected() {
    run(async {
        let (_live, answers) = listener("127.0.0.1").await;
        let connector = Connector::new().configure(|_| Err(ErrorKind::Other.into()));
        let error = connector.connect(answers).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
    });
}

/// The usual connect, to one address, is as small as it was without the race.
#[test]
fn a_connect_to_one_address_pays_nothing_for_the_race() {
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let size = size_of_val(&TcpStream::connect(address));
    assert!(size <= 400, "{size} bytes");
}
