//! A server with ten thousand open connections. The test has a process of its own, because
//! it takes ten thousand descriptors. The clients are another process, because most systems
//! do not let one process open both ends.
#![cfg(all(target_os = "linux", not(miri)))]

use std::env;
use std::io;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use coreloop::net::{TcpListener, TcpStream};
use coreloop::task::spawn_blocking;
use coreloop::{block_on, spawn};
use coreloop_test_support::skip::skipped;
use futures_lite::future::or;
use rustix::process::{Resource, getrlimit, setrlimit};

const CONNECTIONS: usize = 10_000;

/// The environment variable that holds the address of the server.
const SERVER: &str = "CORELOOP_TEN_THOUSAND_SERVER";

/// Raises the limit on descriptors as far as this process may, and returns whether that is
/// enough.
fn has_descriptors() -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a process may use what it is granted");
    let needed = u64::try_from(CONNECTIONS + 100).expect("a small number");
    limit.maximum.is_none_or(|most| most >= needed)
}

#[test]
fn ten_thousand_connections_are_open_and_served() {
    if !has_descriptors() {
        skipped("this process may not open 10000 connections (ulimit -Hn)");
        return;
    }
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_clients", "--ignored"])
            .env(SERVER, address.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut end = spawn_blocking(move || clients.wait().unwrap());

        let mut open = Vec::with_capacity(CONNECTIONS);
        let all = async {
            while open.len() < CONNECTIONS {
                listener.accept_many(&mut open, 256).await.unwrap();
            }
        };
        let early_end = async { panic!("the clients ended: {:?}", (&mut end).await) };
        or(all, early_end).await;
        // All connections are open: every client waits for an answer.
        let served: Vec<_> = open
            .into_iter()
            .map(|(mut stream, _)| {
                spawn(async move {
                    let mut number = [0; 4];
                    stream.read_exact(&mut number).await?;
                    stream.write_all(&number).await?;
                    // Reads to the end: the clients close when all have their answer.
                    while stream.read(&mut number).await? > 0 {}
                    io::Result::Ok(())
                })
            })
            .collect();
        let mut lost = 0;
        for one in served {
            lost += usize::from(one.await.unwrap().is_err());
        }
        assert_eq!(lost, 0);
        assert!(end.await.unwrap().success());
    });
}

/// Not a test by itself: the code that the process of the clients runs.
#[test]
#[ignore = "the other test runs it"]
fn the_clients() {
    let Ok(server) = env::var(SERVER) else {
        return;
    };
    let server: SocketAddr = server.parse().unwrap();
    assert!(has_descriptors());
    block_on(async {
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            clients.push(TcpStream::connect(server).await.unwrap());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let number = u32::try_from(number).unwrap();
            client.write_all(&number.to_le_bytes()).await.unwrap();
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let mut answer = [0; 4];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(u32::from_le_bytes(answer), u32::try_from(number).unwrap());
        }
        // All were open until here. The clients shut down first, so that the server
        // reads the end and not a reset. After the server's end, a reset leaves no port
        // in TIME_WAIT.
        for client in &mut clients {
            client.shutdown().await.unwrap();
        }
        for client in &mut clients {
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
            client.set_zero_linger().unwrap();
        }
    });
}
