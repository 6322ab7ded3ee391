//! An urgent byte in the stream. The kernel ends a read at its place, so a short
//! read does not mean that nothing is left.
#![cfg(not(miri))] // Miri has no urgent data.

use coreloop::{block_on, spawn};
use coreloop_test_support::pair::pair;
use futures_lite::future::poll_once;
use socket2::SockRef;

#[test]
fn bytes_after_an_urgent_byte_are_read() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        // Registers the server's end, so that only events report more bytes.
        assert!(poll_once(server.read(&mut [0; 64])).await.is_none());
        client.write_all(b"before").await.unwrap();
        assert_eq!(SockRef::from(&client).send_out_of_band(b"!").unwrap(), 1);
        client.write_all(b"after").await.unwrap();
        let mut all = Vec::new();
        let mut buffer = [0; 64];
        while all.len() < 11 {
            let count = server.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0);
            all.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(all, b"beforeafter");
    });
}

#[test]
fn a_stream_survives_many_urgent_bytes() {
    const ROUNDS: usize = 1_000;

    block_on(async {
        let (mut client, mut server) = pair().await;
        let reader = spawn(async move {
            let (mut buffer, mut total) = ([0; 256], 0);
            loop {
                match server.read(&mut buffer).await.unwrap() {
                    0 => return total,
                    // An urgent byte becomes an ordinary one if the next comes
                    // before it is fetched.
                    count => total += buffer[..count].iter().filter(|&&it| it != b'!').count(),
                }
            }
        });
        for _ in 0..ROUNDS {
            client.write_all(b"0123456789").await.unwrap();
            SockRef::from(&client).send_out_of_band(b"!").unwrap();
        }
        drop(client);
        assert_eq!(reader.await.unwrap(), ROUNDS * 10);
    });
}
