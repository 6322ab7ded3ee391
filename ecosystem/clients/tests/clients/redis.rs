//! A Redis client, against a server that the test starts. If `redis-server` is not
//! installed, the tests say so and do nothing.
//!
//! The crate requires its stream to be `Send`, for tokio's threads; a socket of a
//! loop is not. So the client gets one end of a stream in memory, and a task copies between
//! the other end and the socket. The crate's own timeouts need tokio's timers: they are
//! turned off, and the tests use `coreloop::time::timeout`.

use std::process::Command;
use std::time::Duration;

use coreloop::net::TcpStream;
use coreloop::time::timeout;
use coreloop::{block_on, spawn};
use coreloop_test_support::folder::Folder;
use coreloop_test_support::server_process::{Server, find, free_port};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, AsyncTypedCommands, RedisConnectionInfo};

fn start() -> Option<(Server, u16)> {
    let program = find("redis-server", &[])?;
    let (folder, port) = (Folder::new(), free_port());
    let mut command = Command::new(program);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .current_dir(folder.as_path());
    let server = Server::start(command, folder, "Ready to accept connections");
    Some((server, port))
}

async fn connect(port: u16) -> MultiplexedConnection {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (near, mut far) = tokio::io::duplex(64 << 10);
    spawn(async move { tokio::io::copy_bidirectional(&mut socket, &mut far).await });
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&RedisConnectionInfo::default(), near, config)
            .await
            .unwrap();
    spawn(driver);
    connection
}

#[test]
fn commands_pipelines_and_many_at_once() {
    let Some((_server, port)) = start() else {
        return;
    };
    block_on(async {
        let mut connection = connect(port).await;
        connection.set("greeting", "hello").await.unwrap();
        let greeting = connection.get("greeting").await.unwrap();
        assert_eq!(greeting.as_deref(), Some("hello"));
        assert_eq!(connection.get("nothing").await.unwrap(), None);

        let large = "x".repeat(1 << 20);
        connection.set("large", &large).await.unwrap();
        assert!(connection.get("large").await.unwrap() == Some(large));

        let (first, second): (usize, usize) = redis::pipe()
            .incr("count", 5)
            .incr("count", 10)
            .query_async(&mut connection)
            .await
            .unwrap();
        assert_eq!((first, second), (5, 15));

        // One connection, many tasks.
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let mut connection = connection.clone();
                spawn(async move { connection.incr("total", 1).await.unwrap() })
            })
            .collect();
        let mut seen = Vec::new();
        for task in tasks {
            seen.push(task.await.unwrap());
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(1..=100));

        let error = connection.lpush("greeting", 1).await.unwrap_err();
        assert_eq!(error.code(), Some("WRONGTYPE"));
    });
}

#[test]
fn the_connection_survives_a_command_that_timed_out() {
    let Some((_server, port)) = start() else {
        return;
    };
    block_on(async {
        let mut waiting = connect(port).await;
        let forever = waiting.blpop("nothing", 0.0);
        assert!(timeout(Duration::from_millis(20), forever).await.is_err());

        let mut connection = connect(port).await;
        connection.set("key", 1).await.unwrap();
        assert_eq!(connection.get("key").await.unwrap().as_deref(), Some("1"));
    });
}

#[test]
fn a_server_that_has_ended_causes_an_error() {
    let Some((server, port)) = start() else {
        return;
    };
    block_on(async {
        let mut connection = connect(port).await;
        connection.set("key", 1).await.unwrap();
        drop(server);
        let error = connection.get("key").await.unwrap_err();
        assert!(
            error.is_io_error() || error.is_connection_dropped(),
            "{error}"
        );
    });
}
