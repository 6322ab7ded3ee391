//! Queues on Redis. If `redis-server` is not installed, the tests say so and do nothing.

use std::process::Command;

use coreloop::jobs::Queue;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::server_process::{Server, find, free_port};

use crate::suite::{Place, Reachable, in_place, on_machines};

pub(crate) struct There {
    _server: Server,
    port: u16,
}

impl There {
    pub(crate) fn start() -> Option<Self> {
        let program = find("redis-server", &[])?;
        let (folder, port) = (Folder::new(), free_port());
        let mut command = Command::new(program);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "yes"])
            .current_dir(folder.as_path());
        Some(Self {
            _server: Server::start(command, folder, "Ready to accept connections"),
            port,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Place for There {
    async fn queue(&self, name: &str) -> Queue {
        connect(self.address(), name).await
    }
}

impl Reachable for There {
    fn address(&self) -> String {
        self.url()
    }
}

async fn connect(address: String, name: &str) -> Queue {
    let queue = Queue::redis(address).name(name).connect().await.unwrap();
    assert_eq!(queue.warnings(), [""; 0]);
    queue
}

in_place!(There::start());
on_machines!(There::start(), connect);
