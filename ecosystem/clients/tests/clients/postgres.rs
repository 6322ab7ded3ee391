//! tokio-postgres over `tokio-io`, against a server that the test starts. If `postgres` is
//! not installed, the test says so and does nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coreloop::net::TcpStream;
use coreloop::time::timeout;
use coreloop::{block_on, spawn, try_join};
use coreloop_test_support::folder::Folder;
use coreloop_test_support::server_process::{Server, find, free_port};
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

fn start() -> Option<(Server, u16)> {
    let known = known_folders();
    let (initdb, postgres) = (find("initdb", &known)?, find("postgres", &known)?);
    let (folder, port) = (Folder::new(), free_port());
    let data = folder.path("data");
    if is_root() {
        // The server refuses to run as root.
        let status = Command::new("chown")
            .arg("nobody")
            .arg(folder.as_path())
            .status();
        assert!(status.unwrap().success(), "chown failed");
    }
    let made = unprivileged(&initdb, folder.as_path())
        .arg("--pgdata")
        .arg(&data)
        .args([
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--no-locale",
        ])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );

    let mut command = unprivileged(&postgres, folder.as_path());
    command.arg("-D").arg(&data).args(["-c", "fsync=off"]);
    command.args(["-c", "listen_addresses=127.0.0.1"]);
    command.arg("-c").arg(format!("port={port}"));
    command.arg("-c").arg(format!(
        "unix_socket_directories={}",
        folder.as_path().display()
    ));
    let ready = "database system is ready to accept connections";
    Some((Server::start(command, folder, ready), port))
}

/// Returns the folders in which Debian keeps the server's programs, outside of `PATH`.
fn known_folders() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<_> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    folders.sort();
    folders
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// Returns a command that runs the program as an unprivileged user. `setpriv` executes the
/// program in its own process, so the process id stays the same.
fn unprivileged(program: &Path, folder: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder);
    command
}

async fn connect(port: u16) -> Client {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, connection) = Config::new()
        .user("postgres")
        .dbname("postgres")
        .connect_raw(stream, NoTls)
        .await
        .unwrap();
    spawn(connection);
    client
}

/// A single test, because creating a database takes a second.
#[test]
fn a_client_of_postgres() {
    let Some((server, port)) = start() else {
        return;
    };
    block_on(async {
        let mut client = connect(port).await;
        statements(&client).await;
        transactions(&mut client).await;
        many_at_once(&client).await;
        bulk(&client).await;
        given_up(&client).await;

        drop(server);
        let error = client.simple_query("SELECT 1").await.unwrap_err();
        assert!(
            error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN),
            "{error}"
        );
    });
}

async fn statements(client: &Client) {
    client
        .batch_execute("CREATE TABLE people (id serial PRIMARY KEY, name text NOT NULL)")
        .await
        .unwrap();
    let insert = client
        .prepare("INSERT INTO people (name) VALUES ($1) RETURNING id")
        .await
        .unwrap();
    for (id, name) in (1..).zip(["Ada", "Grace", "Ñandú"]) {
        let row = client.query_one(&insert, &[&name]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), id);
    }
    let rows = client
        .query("SELECT name FROM people WHERE id > $1", &[&1_i32])
        .await
        .unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["Grace", "Ñandú"]);

    let error = client.query("SELECT nonsense", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_COLUMN));
}

async fn transactions(client: &mut Client) {
    let transaction = client.transaction().await.unwrap();
    transaction
        .execute("DELETE FROM people", &[])
        .await
        .unwrap();
    // Dropping the transaction rolls it back.
    drop(transaction);
    let count = client
        .query_one("SELECT count(*) FROM people", &[])
        .await
        .unwrap();
    assert_eq!(count.get::<_, i64>(0), 3);
}

/// Statements of several futures are pipelined on one connection.
async fn many_at_once(client: &Client) {
    let ask = |number: i32| async move {
        let row = client.query_one("SELECT $1 * 2", &[&number]).await?;
        Ok::<i32, tokio_postgres::Error>(row.get(0))
    };
    assert_eq!(try_join!(ask(1), ask(2), ask(3)).unwrap(), (2, 4, 6));
}

/// Copies some megabytes in and out with `COPY`.
async fn bulk(client: &Client) {
    client
        .batch_execute("CREATE TABLE bulk (line text)")
        .await
        .unwrap();
    let sink = client
        .copy_in::<_, bytes::Bytes>("COPY bulk FROM STDIN")
        .await
        .unwrap();
    pin_mut!(sink);
    let line = format!("{}\n", "x".repeat(999));
    for _ in 0..100 {
        sink.send(line.repeat(40).into()).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 4000);
    let stream = client.copy_out("COPY bulk TO STDOUT").await.unwrap();
    let size = stream
        .try_fold(0, async |size, piece| Ok(size + piece.len()))
        .await
        .unwrap();
    assert_eq!(size, 4_000_000);
}

/// After the future of a query was dropped, the connection still works.
async fn given_up(client: &Client) {
    let slow = client.simple_query("SELECT pg_sleep(1)");
    assert!(timeout(Duration::from_millis(20), slow).await.is_err());
    let row = client.query_one("SELECT 42", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 42);
}
