//! Peers without the key. Most tests run on a paused clock, so the deadline of five seconds passes
//! as soon as nothing else happens.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use coreloop::jobs::{Client, Key, Manager};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::spawn;
use coreloop::time::{Instant, sleep};
use coreloop_test_support::clock::paused;

use super::{client, key};

/// The deadline of a handshake.
const DEADLINE: Duration = Duration::from_secs(5);

/// The length of a hello.
const HELLO: usize = 44;

/// The length of a proof.
const PROOF: usize = 32;

async fn manager() -> (Manager, SocketAddr) {
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .queue("tasks", 4)
        .start()
        .await
        .unwrap();
    let address = manager.address().to_string().parse().unwrap();
    (manager, address)
}

/// A hello of a client.
fn hello() -> [u8; HELLO] {
    let mut hello = [7; HELLO];
    hello[..12].copy_from_slice(b"coreloop\x00\x01C\x00");
    hello
}

/// Reads until the peer closes the connection. Returns what came, and when the end came.
async fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, Instant) {
    let mut all = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return (all, Instant::now()),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            // Bytes that the manager has not read make it reset the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return (all, Instant::now());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Sends `bytes`, and returns how many bytes came back. The connection is closed at the deadline.
async fn refused(address: SocketAddr, bytes: &[u8]) -> usize {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let (answer, end) = read_to_end(&mut stream).await;
    let lasted = end.duration_since(start);
    assert!(
        lasted >= DEADLINE && lasted < DEADLINE + Duration::from_secs(1),
        "{lasted:?} after {bytes:?}"
    );
    answer.len()
}

/// A service that was harmed would not serve this client.
async fn is_unharmed(manager: &Manager) {
    let client = client(manager).await;
    let tasks = client.queue::<u32>("tasks");
    tasks.put(&1).await.unwrap();
    assert_eq!(tasks.get().await.unwrap(), 1);
    client.close().await;
}

#[test]
fn what_is_no_hello_gets_no_byte_and_is_closed_at_the_deadline() {
    paused().block_on(async {
        let (manager, address) = manager().await;
        assert_eq!(refused(address, b"").await, 0);
        assert_eq!(refused(address, b"GET / HTTP/1.1\r\n\r\n").await, 0);
        assert_eq!(refused(address, &[0xFF; 10_000]).await, 0);
        assert_eq!(refused(address, &hello()[..HELLO - 1]).await, 0);
        let mut other_version = hello();
        other_version[9] = 9;
        assert_eq!(refused(address, &other_version).await, 0);
        let mut of_a_manager = hello();
        of_a_manager[10] = b'M';
        assert_eq!(refused(address, &of_a_manager).await, 0);
        is_unharmed(&manager).await;
    });
}

#[test]
fn a_wrong_proof_gets_the_hello_only_and_is_closed_at_the_deadline() {
    paused().block_on(async {
        let (manager, address) = manager().await;
        assert_eq!(refused(address, &hello()).await, HELLO);
        let proofs = [[0; PROOF], [0xFF; PROOF]];
        for proof in proofs {
            let bytes = [&hello()[..], &proof].concat();
            assert_eq!(refused(address, &bytes).await, HELLO);
            assert_eq!(refused(address, &bytes[..bytes.len() - 1]).await, HELLO);
            let bytes = [&bytes[..], &[1; 1000]].concat();
            assert_eq!(refused(address, &bytes).await, HELLO);
        }
        is_unharmed(&manager).await;
    });
}

#[test]
fn one_byte_per_second_does_not_extend_the_deadline() {
    paused().block_on(async {
        let (manager, address) = manager().await;
        let start = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let slow = async {
            for byte in hello() {
                if writer.write_all(&[byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        };
        let end = async {
            let mut buffer = [0; 1];
            let count = reader.read(&mut buffer).await;
            assert!(!matches!(count, Ok(1..)));
            start.elapsed()
        };
        let lasted = coreloop::select! {
            () = slow => panic!("the whole hello was read"),
            lasted = end => lasted,
        };
        assert!(lasted >= DEADLINE && lasted < DEADLINE + Duration::from_secs(1));
        is_unharmed(&manager).await;
    });
}

#[test]
fn the_deadline_frees_the_places_of_silent_peers() {
    paused().block_on(async {
        let (manager, address) = manager().await;
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        is_unharmed(&manager).await;
        assert!(manager.unauthenticated() <= 64);
        for stream in &mut silent {
            assert_eq!(read_to_end(stream).await.0, b"");
        }
        assert_eq!(manager.unauthenticated(), 0);
        is_unharmed(&manager).await;
    });
}

/// A man in the middle, who passes the bytes on and changes one bit of them.
async fn with_a_flipped_bit(address: SocketAddr, bit: usize, of_client: bool) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle = listener.local_addr().unwrap();
    let task = spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(address).await.unwrap();
        let (mut client, mut to_client) = near.split();
        let (mut manager, mut to_manager) = far.split();
        let up = pass(&mut client, &mut to_manager, of_client.then_some(bit));
        let down = pass(&mut manager, &mut to_client, (!of_client).then_some(bit));
        coreloop::join!(up, down);
    });
    let connecting = Client::builder(middle, &key())
        .connect_timeout(Duration::ZERO)
        .connect();
    let connected = connecting.await;
    if let Err(error) = &connected {
        assert!(error.is_refused(), "{error}");
    }
    task.abort();
    connected.is_ok()
}

/// Passes bytes on, with one bit flipped.
async fn pass(
    from: &mut coreloop::net::tcp::ReadHalf<'_>,
    to: &mut coreloop::net::tcp::WriteHalf<'_>,
    flip: Option<usize>,
) {
    let mut passed = 0;
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let bytes = &mut buffer[..count];
        if let Some(bit) = flip
            && let Some(byte) = (bit / 8)
                .checked_sub(passed)
                .and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1 << (bit % 8);
        }
        passed += count;
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// The unit tests flip each bit of the handshake, and each bit of a frame; here a bit of each byte
/// is flipped on a real connection: of the hello, the proof and the first frame of both sides.
#[test]
fn a_bit_that_was_flipped_on_the_way_refuses_the_connection() {
    paused().block_on(async {
        let (manager, address) = manager().await;
        for byte in 0..HELLO + PROOF + 20 + 21 {
            let bit = 8 * byte + byte % 8;
            assert!(!with_a_flipped_bit(address, bit, true).await, "byte {byte}");
        }
        for byte in 0..HELLO + PROOF + 20 + 25 {
            let bit = 8 * byte + byte % 8;
            assert!(
                !with_a_flipped_bit(address, bit, false).await,
                "byte {byte}"
            );
        }
        assert!(with_a_flipped_bit(address, 100_000, true).await);
        is_unharmed(&manager).await;
    });
}

#[test]
fn a_client_with_another_key_is_refused() {
    paused().block_on(async {
        let (manager, _) = manager().await;
        let other = Key::new("another key of the tests").unwrap();
        let start = Instant::now();
        let error = Client::connect(manager.address(), &other)
            .await
            .unwrap_err();
        assert!(error.is_refused());
        assert!(error.to_string().contains("has another key"), "{error}");
        assert!(start.elapsed() >= DEADLINE);
        is_unharmed(&manager).await;
    });
}

/// Python's client waits for ever at a server without a key.
#[test]
fn a_client_does_not_wait_for_ever_at_a_server_that_says_nothing() {
    paused().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = Client::connect(address, &key()).await.unwrap_err();
        assert!(error.is_refused());
        let text = error.to_string();
        let expected = format!("what listens at {address} does not answer");
        assert!(text.starts_with(&expected), "{text}");
    });
}

#[test]
fn a_client_recognizes_what_is_no_manager() {
    paused().block_on(async {
        for (said, expected) in [
            (
                &b"220 mail.example.com ESMTP, and more to fill it up\r\n"[..],
                "is no manager",
            ),
            (&hello()[..], "is a client"),
            (
                &b"coreloop\x00\x07M\x00 and 32 bytes of what it likes to send"[..],
                "speaks version 7",
            ),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let said = said.to_vec();
            let task = spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(&said).await.unwrap();
                read_to_end(&mut stream).await;
            });
            let error = Client::connect(address, &key()).await.unwrap_err();
            assert!(error.is_refused());
            assert!(error.to_string().contains(expected), "{error}");
            task.await.unwrap();
        }
    });
}

/// A manager without the key learns nothing that it could use: it does not get to the proof of a
/// manager, and its client says so.
#[test]
fn a_false_manager_is_refused() {
    paused().block_on(async {
        let other = Key::new("another key of the tests").unwrap();
        let manager = Manager::bind("127.0.0.1:0")
            .key(&other)
            .start()
            .await
            .unwrap();
        let error = Client::connect(manager.address(), &key())
            .await
            .unwrap_err();
        assert!(error.is_refused());
    });
}

#[coreloop::test]
async fn addresses_of_a_network_need_tls_or_a_permission() {
    let error = Client::connect("192.0.2.1:5000", &key()).await.unwrap_err();
    assert!(error.to_string().contains("plaintext_network"), "{error}");
    let error = Manager::bind("[::]:0")
        .key(&key())
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("plaintext_network"), "{error}");
}
