//! Framed streams: asynchronous-codec on the traits of futures-io, and tokio-util's
//! codecs on tokio's traits.

use std::io;

use asynchronous_codec::LengthCodec;
use bytes::Bytes;
use coreloop::io::duplex;
use coreloop::{block_on, join, spawn};
use coreloop_test_support::pair::pair;
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use tokio_util::codec::{LengthDelimitedCodec, LinesCodec, LinesCodecError};

#[test]
fn lines_of_asynchronous_codec() {
    block_on(async {
        let (mut client, server) = pair().await;
        let lines = asynchronous_codec::LinesCodec {};
        let mut server = asynchronous_codec::Framed::new(server, lines);
        client.write_all(b"first\nsec").await.unwrap();
        assert_eq!(server.next().await.unwrap().unwrap(), "first\n");
        client.write_all(b"ond\nthird\n").await.unwrap();
        assert_eq!(server.next().await.unwrap().unwrap(), "second\n");
        assert_eq!(server.next().await.unwrap().unwrap(), "third\n");
        server.send("answer\n".to_owned()).await.unwrap();
        let mut answer = [0; 7];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer\n");
        drop(client);
        assert!(server.next().await.is_none());
    });
}

#[test]
fn length_prefixed_frames_of_asynchronous_codec_both_ways() {
    block_on(async {
        let (client, server) = duplex(1000);
        let mut server = asynchronous_codec::Framed::new(server, LengthCodec);
        let echo = spawn(async move {
            while let Some(frame) = server.try_next().await? {
                server.send(frame).await?;
            }
            io::Result::Ok(())
        });
        let (mut sink, mut stream) = asynchronous_codec::Framed::new(client, LengthCodec).split();
        let frames: Vec<_> = (0..50)
            .map(|n| Bytes::from(vec![n; 100 * usize::from(n)]))
            .collect();
        let (sent, ()) = join!(
            async {
                for frame in &frames {
                    sink.send(frame.clone()).await?;
                }
                sink.close().await
            },
            async {
                for frame in &frames {
                    assert_eq!(stream.next().await.unwrap().unwrap(), frame);
                }
            },
        );
        sent.unwrap();
        echo.await.unwrap().unwrap();
    });
}

#[test]
fn lines_of_tokio_util_have_a_limit() {
    block_on(async {
        let (mut client, server) = pair().await;
        let lines = LinesCodec::new_with_max_length(10);
        let mut server = tokio_util::codec::Framed::new(server, lines);
        client
            .write_all(b"short\nmuch too long for it\n")
            .await
            .unwrap();
        assert_eq!(server.next().await.unwrap().unwrap(), "short");
        let error = server.next().await.unwrap().unwrap_err();
        assert!(
            matches!(error, LinesCodecError::MaxLineLengthExceeded),
            "{error}"
        );
        assert!(
            server.next().await.is_none(),
            "an error ends the stream once"
        );
        client.write_all(b"again\n").await.unwrap();
        assert_eq!(server.next().await.unwrap().unwrap(), "again");
        server.send("answer").await.unwrap();
        let mut answer = [0; 7];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer\n");
    });
}

#[test]
fn length_delimited_frames_of_tokio_util_on_halves() {
    block_on(async {
        let (client, server) = pair().await;
        let (reader, writer) = client.into_split();
        let mut frames_out =
            tokio_util::codec::FramedWrite::new(writer, LengthDelimitedCodec::new());
        let mut frames_in = tokio_util::codec::FramedRead::new(reader, LengthDelimitedCodec::new());
        let echo = spawn(async move {
            let mut server = tokio_util::codec::Framed::new(server, LengthDelimitedCodec::new());
            while let Some(frame) = server.try_next().await? {
                server.send(frame.freeze()).await?;
            }
            io::Result::Ok(())
        });
        let frames: Vec<_> = (0..20)
            .map(|n| Bytes::from(vec![n; 10_000 * usize::from(n)]))
            .collect();
        let (sent, ()) = join!(
            async {
                for frame in &frames {
                    frames_out.send(frame.clone()).await?;
                }
                SinkExt::<Bytes>::close(&mut frames_out).await
            },
            async {
                for frame in &frames {
                    assert_eq!(frames_in.next().await.unwrap().unwrap(), frame);
                }
            },
        );
        sent.unwrap();
        echo.await.unwrap().unwrap();
        assert!(frames_in.next().await.is_none());
    });
}

#[test]
fn a_frame_that_is_cut_short_is_an_error_and_not_an_end() {
    block_on(async {
        let (mut client, server) = pair().await;
        let mut server = tokio_util::codec::Framed::new(server, LengthDelimitedCodec::new());
        client.write_all(&[0, 0, 0, 9, b'x']).await.unwrap();
        drop(client);
        server.next().await.unwrap().unwrap_err();
    });
    block_on(async {
        let (mut client, server) = pair().await;
        let mut server = tokio_util::codec::Framed::new(server, LengthDelimitedCodec::new());
        // A length of 4 GiB is refused before memory is allocated for it.
        client.write_all(&[255; 8]).await.unwrap();
        let error = server.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    });
}
