//! Queues on NATS. If `nats-server` is not installed, the tests say so and do nothing.

use std::process::Command;
use std::time::Duration;

use coreloop::jobs::Queue;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::server_process::{Server, find, free_port};

use crate::suite::{Place, Reachable, SHORT, in_place, on_machines};

struct There {
    _server: Server,
    port: u16,
}

impl There {
    fn start() -> Option<Self> {
        let program = find("nats-server", &["/usr/sbin".into()])?;
        let (folder, port) = (Folder::new(), free_port());
        let mut command = Command::new(program);
        command
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .args(["--jetstream", "--store_dir"])
            .arg(folder.path("store"));
        Some(Self {
            _server: Server::start(command, folder, "Server is ready"),
            port,
        })
    }
}

impl Place for There {
    async fn queue(&self, name: &str) -> Queue {
        connect(self.address(), name).await
    }

    /// The leases of a function have one time, the longest: a worker with a longer lease makes the
    /// leases of the others longer too.
    fn long(&self) -> Duration {
        SHORT
    }
}

impl Reachable for There {
    fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

async fn connect(address: String, name: &str) -> Queue {
    Queue::nats(address).name(name).connect().await.unwrap()
}

in_place!(There::start());
on_machines!(There::start(), connect);
