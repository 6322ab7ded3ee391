//! `ready`, `try_io` and `async_io` of TCP, and streams that are shared by reference.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::rc::Rc;

use coreloop::io::Interest;
use coreloop::task::yield_now;
use coreloop::{block_on, spawn};
use coreloop_test_support::pair::pair;
use futures_lite::future::poll_once;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[test]
fn ready_returns_the_current_readiness() {
    block_on(async {
        let (mut client, server) = pair().await;
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = server.ready(both).await.unwrap();
        assert!(ready.is_writable() && !ready.is_readable(), "{ready:?}");
        client.write_all(b"x").await.unwrap();
        let ready = server.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && !ready.is_read_closed(), "{ready:?}");
        assert_eq!(server.try_read(&mut [0; 8]).unwrap(), 1);
        let error = server.try_read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(poll_once(server.ready(Interest::READABLE)).await.is_none());
        client.shutdown().await.unwrap();
        let (reader, writer) = server.into_split();
        let ready = reader.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_read_closed(), "{ready:?}");
        assert!(
            writer
                .ready(Interest::WRITABLE)
                .await
                .unwrap()
                .is_writable()
        );
    });
}

#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "Miri has no urgent data")]
fn urgent_data_is_waited_for() {
    block_on(async {
        let (client, server) = pair().await;
        assert!(poll_once(server.ready(Interest::PRIORITY)).await.is_none());
        assert_eq!(client.try_write(b"plain").unwrap(), 5);
        server.readable().await.unwrap();
        assert!(poll_once(server.ready(Interest::PRIORITY)).await.is_none());
        socket2::SockRef::from(&client)
            .send_out_of_band(b"!")
            .unwrap();
        let ready = server.ready(Interest::PRIORITY).await.unwrap();
        assert!(ready.is_priority(), "{ready:?}");
        drop(client);
        // The end of the stream ends the wait too.
        let (client, server) = pair().await;
        assert!(poll_once(server.ready(Interest::PRIORITY)).await.is_none());
        drop(client);
        let ready = server.ready(Interest::PRIORITY).await.unwrap();
        assert!(ready.is_read_closed(), "{ready:?}");
    });
}

#[test]
fn async_io_runs_the_given_operation() {
    block_on(async {
        let (mut client, server) = pair().await;
        let reader = spawn(async move {
            let read = server.async_io(Interest::READABLE, || {
                let mut buffer = [0; 8];
                let (_, count) =
                    rustix::net::recv(&server, &mut buffer, rustix::net::RecvFlags::empty())?;
                Ok(count)
            });
            read.await
        });
        yield_now().await;
        client.write_all(b"abc").await.unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), 3);
    });
}

/// Of two tasks that read through references, only the last that polled used to be
/// remembered, and the other was not woken.
#[test]
fn tasks_that_share_a_stream_by_reference_are_all_woken() {
    block_on(async {
        let (mut client, server) = pair().await;
        let server = Rc::new(server);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let server = Rc::clone(&server);
                spawn(async move {
                    let mut byte = [0];
                    (&*server).read_exact(&mut byte).await.unwrap();
                    byte[0]
                })
            })
            .collect();
        for _ in 0..3 {
            yield_now().await;
        }
        client.write_all(b"a").await.unwrap();
        yield_now().await;
        client.write_all(b"b").await.unwrap();
        let mut got = Vec::new();
        for reader in readers {
            got.push(reader.await.unwrap());
        }
        got.sort_unstable();
        assert_eq!(got, b"ab");
        (&*server).write_all(b"done").await.unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
    });
}

#[test]
fn vectored_methods_fill_buffers_in_turn() {
    block_on(async {
        let (mut client, server) = pair().await;
        let (mut reader, _writer) = server.into_split();
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b"cdef")];
        assert_eq!(client.write_vectored(&parts).await.unwrap(), 6);
        let (mut first, mut second) = ([0; 4], [0; 8]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(reader.read_vectored(&mut buffers).await.unwrap(), 6);
        assert_eq!((&first, &second[..2]), (b"abcd", &b"ef"[..]));
    });
}
