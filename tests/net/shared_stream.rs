//! Many tasks that read one stream, each in a way of its own: none misses its wake, and
//! each byte goes to one of them.
#![cfg(not(miri))] // Too many bytes for it.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use coreloop::io::{AsyncReadExt, Interest};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::task::JoinSet;
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
        // One that gives up after a poll, and leaves its waker behind.
        _ => {
            let polled = poll_once((&mut &*stream).read(buffer)).await;
            coreloop::task::yield_now().await;
            polled.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
        }
    }
}
