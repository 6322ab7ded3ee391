//! WebSocket with tungstenite, through async-tungstenite.

use async_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use async_tungstenite::tungstenite::protocol::frame::Frame;
use async_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use async_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use async_tungstenite::tungstenite::{Bytes, Error, Message};
use async_tungstenite::{WebSocketStream, accept_async_with_config, client_async};
use coreloop::net::TcpStream;
use coreloop::{block_on, spawn};
use coreloop_test_support::pair::pair;
use futures_util::{SinkExt, StreamExt};

type Socket = WebSocketStream<TcpStream>;

/// Returns both ends of a connection after the handshake. The server accepts messages of up
/// to 100 kB.
async fn sockets() -> (Socket, Socket) {
    let (client, server) = pair().await;
    let config = WebSocketConfig::default().max_message_size(Some(100_000));
    let server = spawn(accept_async_with_config(server, Some(config)));
    let (client, response) = client_async("ws://localhost/chat", client).await.unwrap();
    assert_eq!(response.status(), 101);
    (client, server.await.unwrap().unwrap())
}

/// Sends back texts and binaries, and returns the client's reason for closing. It continues
/// to read after the close, because reading sends the answer to it.
async fn echo(mut server: Socket) -> Result<Option<CloseFrame>, Error> {
    let mut reason = None;
    while let Some(message) = server.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => server.send(message).await?,
            Message::Close(frame) => reason = frame,
            _ => {}
        }
    }
    Ok(reason)
}

async fn next(socket: &mut Socket) -> Message {
    socket.next().await.unwrap().unwrap()
}

#[test]
fn texts_and_binaries_come_back() {
    block_on(async {
        let (mut client, server) = sockets().await;
        let server = spawn(echo(server));
        let large = "ß".repeat(40_000);
        for message in [
            Message::text("hello"),
            Message::text(""),
            Message::text(large),
            Message::binary(vec![0, 255, 1]),
            Message::binary(vec![7; 90_000]),
        ] {
            client.send(message.clone()).await.unwrap();
            assert_eq!(next(&mut client).await, message);
        }
        // Many messages at once come back in order.
        for number in 0..100 {
            client
                .feed(Message::text(number.to_string()))
                .await
                .unwrap();
        }
        client.flush().await.unwrap();
        for number in 0..100 {
            assert_eq!(next(&mut client).await, Message::text(number.to_string()));
        }
        client.close(None).await.unwrap();
        assert_eq!(server.await.unwrap().unwrap(), None);
    });
}

#[test]
fn an_end_that_reads_answers_a_ping() {
    block_on(async {
        let (mut client, server) = sockets().await;
        let server = spawn(echo(server));
        let payload = Bytes::from_static(b"are you there");
        client.send(Message::Ping(payload.clone())).await.unwrap();
        assert_eq!(next(&mut client).await, Message::Pong(payload));
        client.close(None).await.unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_close_has_a_reason_and_is_answered() {
    block_on(async {
        let (mut client, server) = sockets().await;
        let server = spawn(echo(server));
        let frame = CloseFrame {
            code: CloseCode::Away,
            reason: "enough".into(),
        };
        client.close(Some(frame.clone())).await.unwrap();
        assert_eq!(server.await.unwrap().unwrap(), Some(frame.clone()));
        assert_eq!(next(&mut client).await, Message::Close(Some(frame)));
        assert!(client.next().await.is_none());
        let error = client.send(Message::text("more")).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyClosed), "{error}");
    });
}

#[test]
fn fragments_make_one_message_with_a_ping_between_them() {
    block_on(async {
        let (mut client, server) = sockets().await;
        let server = spawn(echo(server));
        let parts = ["one ", "two ", "three"];
        for (number, part) in parts.into_iter().enumerate() {
            let kind = if number == 0 {
                Data::Text
            } else {
                Data::Continue
            };
            let is_last = number == parts.len() - 1;
            let frame = Frame::message(part, OpCode::Data(kind), is_last);
            client.send(Message::Frame(frame)).await.unwrap();
            if !is_last {
                client.send(Message::Ping(Bytes::new())).await.unwrap();
            }
        }
        for _ in 0..2 {
            assert_eq!(next(&mut client).await, Message::Pong(Bytes::new()));
        }
        assert_eq!(next(&mut client).await, Message::text("one two three"));
        client.close(None).await.unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_message_that_is_too_large_is_refused_before_it_is_complete() {
    block_on(async {
        let (mut client, server) = sockets().await;
        let server = spawn(echo(server));
        // In several frames, so that no frame is too large by itself.
        for kind in [Data::Text, Data::Continue, Data::Continue] {
            let part = Frame::message(vec![b'x'; 40_000], OpCode::Data(kind), false);
            if client.send(Message::Frame(part)).await.is_err() {
                break;
            }
        }
        let error = server.await.unwrap().unwrap_err();
        assert!(
            matches!(error, Error::Capacity(CapacityError::MessageTooLong { .. })),
            "{error}"
        );
    });
}

#[test]
fn a_client_that_vanishes_causes_an_error_and_not_an_end() {
    block_on(async {
        let (client, server) = sockets().await;
        let server = spawn(echo(server));
        drop(client);
        let error = server.await.unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
            ),
            "{error}"
        );
    });
}

#[test]
fn garbage_is_an_error_before_the_handshake_and_after() {
    block_on(async {
        let requests: [&[u8]; 4] = [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            b"GET ",
        ];
        for request in requests {
            let (mut client, server) = pair().await;
            client.write_all(request).await.unwrap();
            client.shutdown().await.unwrap();
            accept_async_with_config(server, None).await.unwrap_err();
        }

        let garbage: [&[u8]; 4] = [
            // Reserved bits, an unknown opcode, no mask, a continuation without a start.
            &[0xff; 64],
            &[0x83, 0x80, 1, 2, 3, 4],
            &[0x81, 0x01, b'x'],
            &[0x80, 0x81, 0, 0, 0, 0, b'x'],
        ];
        for bytes in garbage {
            let (mut client, server) = sockets().await;
            client.get_mut().write_all(bytes).await.unwrap();
            let error = echo(server).await.unwrap_err();
            assert!(matches!(error, Error::Protocol(_)), "{error}");
        }
    });
}
