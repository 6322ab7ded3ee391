//! The engine against a server that each test starts. If `redis-server` is not installed, the
//! tests say so and do nothing.

mod fencing;
mod journeys;
mod leaving;
mod losses;
mod outages;
mod outcomes;
mod queues;
mod rights;
mod servers;
mod silence;
mod states;
mod warnings;

use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use coreloop_test_support::folder::Folder;
use coreloop_test_support::server_process::{Server, find, free_port};
use redis::{Cmd, Value};

use super::Redis;
use super::link::Lost;
use crate::engine::{JobId, Leased};
use crate::testing::{LONG, function, job, lease, lease_one, push};

/// So short that another worker gets the job soon.
const SHORT: Duration = Duration::from_millis(200);

/// A server whose answer means that a job is on disk.
const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// A server that keeps nothing on disk.
const FORGETS: &[&str] = &["--appendonly", "no"];

/// A server with a user who may use the keys of queues and no others, no channels, and no
/// commands of an administrator.
const FEW_RIGHTS: &[&str] = &[
    "--appendonly",
    "no",
    "--user",
    "worker",
    "on",
    ">secret",
    "~coreloop:*",
    "+@all",
    "-@admin",
    "-@dangerous",
];

/// What a server writes when it answers commands.
const READY: &str = "Ready to accept connections";

/// A server that a test has started.
struct Started {
    server: Server,
    port: u16,
    settings: &'static [&'static str],
}

impl Started {
    fn in_folder(
        folder: Folder,
        port: u16,
        settings: &'static [&'static str],
        ready: &str,
    ) -> Option<Self> {
        let mut command = Command::new(find("redis-server", &[])?);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", ""])
            .args(settings)
            .current_dir(folder.as_path());
        let server = Server::start(command, folder, ready);
        Some(Self {
            server,
            port,
            settings,
        })
    }

    fn new(settings: &'static [&'static str]) -> Option<Self> {
        Self::in_folder(Folder::new(), free_port(), settings, READY)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn connect(&self) -> Rc<Redis> {
        Redis::connect(&self.url(), "mail", false).await.unwrap()
    }

    /// Connects as a user of [`FEW_RIGHTS`].
    async fn connect_as(&self, user: &str) -> Rc<Redis> {
        let url = format!("redis://{user}:secret@127.0.0.1:{}", self.port);
        Redis::connect(&url, "mail", false).await.unwrap()
    }

    /// Kills the server and starts another one on its data.
    fn restart(self) -> Self {
        self.restart_until(READY)
    }

    /// The same, until the server has written `ready`.
    fn restart_until(self, ready: &str) -> Self {
        let folder = self.server.kill();
        Self::in_folder(folder, self.port, self.settings, ready).unwrap()
    }
}

/// Starts a server that keeps nothing on disk.
fn start() -> Option<Started> {
    Started::new(FORGETS)
}

/// A worker of `engine` has a job `one`, and the server has delivered the job `two` to it in an answer
/// that was lost. Returns the first one, the id of the second one, and the name of the consumer.
async fn lose_an_answer(engine: &Rc<Redis>, other: &Rc<Redis>) -> (Leased, JobId, String) {
    // The consumer and its connection exist after this.
    push(engine, job("send", b"one")).await;
    let one = lease_one(engine, "send", LONG).await;
    let (consumer, _) = pending(engine, "send", "").await.remove(0);
    let two = push(other, job("send", b"two")).await;
    let stream = engine.shared.place(&function("send")).streams[0].clone();
    let mut read = vec!["XREADGROUP", "GROUP", "workers", &consumer];
    read.extend(["COUNT", "1", "STREAMS", &stream, ">"]);
    ask(other, &read).await;
    (one, two, consumer)
}

/// Sends a command to the server of an engine.
async fn ask(engine: &Redis, parts: &[&str]) -> Value {
    let mut command = Cmd::new();
    for part in parts {
        command.arg(part);
    }
    let answer = engine.shared.link.send(&command, Lost::Report).await;
    answer.unwrap()
}

/// Returns how many entries of a function the consumers have whose names contain `part`.
async fn pending(engine: &Redis, name: &str, part: &str) -> Vec<(String, i64)> {
    let stream = engine.shared.place(&function(name)).streams[0].clone();
    let Value::Array(consumers) = ask(engine, &["XINFO", "CONSUMERS", &stream, "workers"]).await
    else {
        panic!("no list of consumers");
    };
    let mut found = Vec::new();
    for consumer in consumers {
        let Value::Array(fields) = consumer else {
            panic!("a consumer is a list");
        };
        let (Value::BulkString(name), Value::Int(count)) = (&fields[1], &fields[3]) else {
            panic!("a consumer has a name and a number of entries");
        };
        let name = String::from_utf8_lossy(name).into_owned();
        if name.contains(part) {
            found.push((name, *count));
        }
    }
    found
}
