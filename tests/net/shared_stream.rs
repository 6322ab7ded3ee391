//! Many tasks that read one stream, in different ways: none misses its wake, and each byte
//! goes to one of them.
#![cfg(not(miri))] // Too many bytes for Miri.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use coreloop::Runtime;
use coreloop::io::{AsyncReadExt, AsyncWriteExt, Interest};
use coreloop::net::{AcceptBackoff, TcpListener, TcpStream, UnixStream};
use coreloop::task::JoinSet;
use coreloop_test_support::turns::turn_until_idle;
use fastrand::Rng;
use futures_lite::future::poll_once;

#[test]
fn readers_of_every_kind_share_a_stream() {
    coreloop::block_on(async {
        for seed in 0..20 {
            share(Rng::with_seed(seed)).await.expect("loopback works");
        }
    });
}

/// More than 256 such tasks used to wake each other for ever.
#[test]
fn any_number_of_tasks_that_share_a_socket_are_idle() {
    for number in [257, 1000] {
        idle(number, |shared| async move {
            let _ = (&mut &shared.client).read(&mut [0; 1]).await;
        });
        idle(number, |shared| async move {
            let _ = (&mut &shared.client).write(&[0; 1 << 20]).await;
        });
        idle(number, |shared| async move {
            let _ = (&mut &shared.unix).read(&mut [0; 1]).await;
        });
        idle(number, |shared| async move {
            let mut pause = AcceptBackoff::default();
            let _ = poll_fn(|cx| shared.listener.poll_accept_shared(&mut pause, cx)).await;
        });
        idle(number, |shared| async move {
            let _ = shared.listener.accept().await;
        });
    }
}

/// Has a number of tasks wait for events that never come, and counts their polls.
fn idle<F: Future<Output = ()> + 'static>(number: u64, wait: impl Fn(Rc<Shared>) -> F) {
    let runtime = Runtime::new().unwrap();
    let shared = runtime.block_on(Shared::new()).expect("loopback works");
    let shared = Rc::new(shared);
    for _ in 0..number {
        drop(runtime.spawn(wait(Rc::clone(&shared))));
    }
    let turns = || {
        turn_until_idle(&runtime);
        runtime.metrics().polls()
    };
    let polls = turns();
    assert_eq!(turns(), polls, "the tasks wait");
    assert!(
        Rc::strong_count(&shared) as u64 > number,
        "none has finished"
    );
}

struct Shared {
    client: TcpStream,
    _server: TcpStream,
    unix: UnixStream,
    _peer: UnixStream,
    listener: TcpListener,
}

impl Shared {
    /// Sockets to which nothing comes, and a stream that takes no more.
    async fn new() -> io::Result<Shared> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let server = listener.accept().await?.0;
        while poll_once((&mut &client).write(&[0; 1 << 20]))
            .await
            .is_some()
        {}
        let (unix, peer) = UnixStream::pair()?;
        Ok(Shared {
            client,
            _server: server,
            unix,
            _peer: peer,
            listener,
        })
    }
}

async fn share(mut rng: Rng) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut writer = TcpStream::connect(listener.local_addr()?).await?;
    let stream = Rc::new(listener.accept().await?.0);
    let received = Rc::new(Cell::new(0));

    let mut readers = JoinSet::new();
    for kind in 0..10 {
        let (stream, received) = (Rc::clone(&stream), Rc::clone(&received));
        let mut rng = rng.fork();
        readers.spawn(async move {
            loop {
                let mut buffer = vec![0; rng.usize(1..50)];
                match read(&stream, kind % 5, &mut buffer).await {
                    Ok(0) => return,
                    Ok(count) => received.set(received.get() + count),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        });
    }

    let mut sent = 0;
    for _ in 0..200 {
        let count = rng.usize(1..300);
        writer.write_all(&vec![1; count]).await?;
        sent += count;
        if rng.bool() {
            coreloop::task::yield_now().await;
        }
    }
    writer.shutdown().await?;
    while let Some(reader) = readers.join_next().await {
        reader.expect("a reader gets bytes, the end, or nothing for now");
    }
    assert_eq!(received.get(), sent);
    Ok(())
}

async fn read(stream: &TcpStream, kind: usize, buffer: &mut [u8]) -> io::Result<usize> {
    match kind {
        0 => (&mut &*stream).read(buffer).await,
        1 => {
            stream.readable().await?;
            stream.try_read(buffer)
        }
        2 => {
            stream.peek(buffer).await?;
            stream.try_read(buffer)
        }
        3 => {
            let receive = || Ok(rustix::io::read(stream, &mut *buffer)?);
            stream.async_io(Interest::READABLE, receive).await
        }
        // A reader that gives up after a poll, and leaves its waker behind.
        _ => {
            let polled = poll_once((&mut &*stream).read(buffer)).await;
            coreloop::task::yield_now().await;
            polled.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
        }
    }
}
