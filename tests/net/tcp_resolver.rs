//! Name servers that fail, hang or give odd answers, simulated by resolvers; on a
//! paused clock, which jumps over the waits.
#![cfg(not(miri))]

use std::cell::Cell;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use coreloop::net::{Connector, Resolve, Resolving, SystemResolver, TcpStream};
use coreloop::runtime::Builder;
use coreloop::spawn;
use coreloop::task::{spawn_blocking, yield_now};
use coreloop::time::{Instant, timeout};
use coreloop_test_support::gate::gate;
use coreloop_test_support::pair::listener;
use futures_lite::future::poll_once;

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(test)
}

/// A resolver that answers with the given addresses.
struct Answers(Vec<SocketAddr>);

impl Resolve for Answers {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        assert_eq!((host, port), ("somewhere", 7));
        Box::pin(async move { Ok(self.0.clone()) })
    }
}

async fn connect(resolver: impl Resolve + 'static) -> io::Result<TcpStream> {
    Connector::new()
        .resolver(resolver)
        .connect("somewhere:7")
        .await
}

#[test]
fn a_connector_connects_to_the_answer() {
    run(async {
        let (_listener, address) = listener().await;
        let stream = connect(Answers(vec![address])).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        // The same with a pair of host and port, and a shared resolver.
        let resolver: Rc<dyn Resolve> = Rc::new(Answers(vec![address]));
        let connector = Connector::new().resolver(resolver);
        connector.connect(("somewhere", 7)).await.unwrap();
    });
}

#[test]
fn a_numeric_address_needs_no_resolver() {
    struct Never;
    impl Resolve for Never {
        fn resolve<'a>(&'a self, host: &'a str, _: u16) -> Resolving<'a> {
            panic!("asked for {host}");
        }
    }
    run(async {
        let (_listener, address) = listener().await;
        let connector = Connector::new().resolver(Never);
        connector.connect(address.to_string()).await.unwrap();
        connector
            .connect((address.ip(), address.port()))
            .await
            .unwrap();
        let error = connector.connect("no port").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_failure_of_the_resolver_is_passed_on() {
    struct Fails;
    impl Resolve for Fails {
        fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
            Box::pin(async { Err(io::Error::new(ErrorKind::TimedOut, "no name server")) })
        }
    }
    run(async {
        let error = connect(Fails).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "no name server");
    });
}

#[test]
fn no_address_is_an_error() {
    run(async {
        let error = connect(Answers(Vec::new())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "could not resolve to any addresses");
    });
}

#[test]
fn a_resolver_that_hangs_can_be_given_up() {
    /// A resolver that never answers, and counts the questions that are dropped.
    struct Hangs(Rc<Cell<u32>>);
    struct Question(Rc<Cell<u32>>);
    impl Drop for Question {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    impl Resolve for Hangs {
        fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
            let question = Question(Rc::clone(&self.0));
            Box::pin(async move {
                let _question = question;
                pending().await
            })
        }
    }
    run(async {
        let given_up = Rc::new(Cell::new(0));
        let limit = Duration::from_secs(5);
        let begun = Instant::now();
        let result = timeout(limit, connect(Hangs(Rc::clone(&given_up)))).await;
        assert!(result.is_err());
        assert_eq!(begun.elapsed(), limit);
        assert_eq!(given_up.get(), 1);
    });
}

#[test]
fn of_a_thousand_addresses_the_one_that_answers_is_found() {
    run(async {
        let refusing = listener().await.1;
        let (_listener, address) = listener().await;
        let mut addresses = vec![refusing; 999];
        addresses.push(address);
        let begun = Instant::now();
        let stream = connect(Answers(addresses)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        // Waiting for each of them would take 250 s.
        assert!(begun.elapsed() < Duration::from_secs(25));

        let error = connect(Answers(vec![refusing; 1000])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

/// Without the budget, a thousand refusals would come in one poll.
#[test]
fn a_thousand_refusals_let_other_tasks_run() {
    run(async {
        let refusing = listener().await.1;
        let turns = Rc::new(Cell::new(0));
        let counter = spawn({
            let turns = Rc::clone(&turns);
            async move {
                loop {
                    turns.set(turns.get() + 1);
                    yield_now().await;
                }
            }
        });
        let connecting = spawn(connect(Answers(vec![refusing; 1000])));
        assert!(connecting.await.unwrap().is_err());
        assert!(turns.get() >= 5, "{} turns", turns.get());
        counter.abort();
    });
}

/// The system's resolver runs on threads of the blocking pool. This resolver blocks
/// there, as the system's does while a name server does not answer.
struct Blocks(Cell<Option<mpsc::Receiver<()>>>);

impl Resolve for Blocks {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        let until = self.0.take().expect("one question");
        Box::pin(async move {
            let job = spawn_blocking(move || until.recv().is_err());
            job.await.expect("it does not panic");
            Ok(Vec::new())
        })
    }
}

#[test]
fn a_lookup_that_hangs_delays_neither_the_loop_nor_its_end() {
    let runtime = Builder::new().build().unwrap();
    let (end, until) = mpsc::channel();
    runtime.block_on(async {
        let connecting = spawn(connect(Blocks(Cell::new(Some(until)))));
        for _ in 0..100 {
            spawn(async {}).await.unwrap();
            yield_now().await;
        }
        assert!(!connecting.is_finished());
        drop(connecting);
    });
    // This drop would hang if it waited for the thread.
    drop(runtime);
    drop(end);
}

#[test]
fn a_lookup_that_hangs_can_be_aborted() {
    let runtime = Builder::new().build().unwrap();
    let (end, until) = mpsc::channel();
    runtime.block_on(async {
        let connecting = spawn(connect(Blocks(Cell::new(Some(until)))));
        yield_now().await;
        connecting.abort();
        assert!(connecting.await.unwrap_err().is_cancelled());
    });
    drop(end);
}

#[test]
fn the_resolver_of_the_system_finds_this_machine() {
    coreloop::block_on(async {
        let addresses = SystemResolver.resolve("localhost", 9).await.unwrap();
        assert!(!addresses.is_empty());
        for address in addresses {
            assert!(address.ip().is_loopback() && address.port() == 9);
        }
    });
}

/// The loop runs while the system looks the name up, however long that takes.
#[test]
fn the_resolver_of_the_system_waits_for_a_thread() {
    let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
    let (gate, work) = gate();
    drop(runtime.spawn_blocking(work));
    gate.wait();
    runtime.block_on(async {
        let mut lookup = pin!(SystemResolver.resolve("localhost", 9));
        assert!(poll_once(&mut lookup).await.is_none());
        gate.open();
        assert!(!lookup.await.unwrap().is_empty());
    });
}
