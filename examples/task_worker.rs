//! Python's task worker: it squares the numbers of a `task_master`, on this machine or on another.
//!
//! ```sh
//! cargo run -p coreloop-examples --example task_worker
//! ```
//!
//! It needs the key of the master. Without it, or with another one, it gets no connection. Kill it
//! at any time: the number that it has at this moment goes to another worker.

use std::io;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use clap::Parser;
use coreloop::jobs::{Client, Key};
use coreloop::time::sleep;

/// Squares the numbers of a task master.
#[derive(Parser)]
struct Options {
    /// The address of the master
    #[arg(long, default_value = "127.0.0.1:5000")]
    addr: String,
    /// The file with the key of the master
    #[arg(long, default_value = "tasks.key")]
    key: PathBuf,
    /// How long it takes to square a number, in milliseconds
    #[arg(long, default_value_t = 1000)]
    pause: u64,
    /// Connect to an address of a network, without encryption
    #[arg(long)]
    plaintext_network: bool,
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let client = Client::builder(options.addr, &Key::from_file(options.key)?)
        .plaintext_network(options.plaintext_network)
        .connect()
        .await?;
    let tasks = client.queue::<u64>("tasks");
    let results = client.queue("results");
    loop {
        let task = match tasks.lease().await {
            Ok(task) => task,
            // The master has closed the queue, and no number is left.
            Err(error) if error.is_closed() => break,
            Err(error) => return Err(error.into()),
        };
        let number = *task;
        println!("squaring {number}, attempt {}", task.attempt());
        sleep(Duration::from_millis(options.pause)).await;
        results
            .put(&(number, number * number, process::id()))
            .await?;
        // The result is safe, so the number is done.
        task.ack().await?;
    }
    // Leaves the manager, so that its `shutdown` does not wait for this worker.
    drop((tasks, results));
    client.close().await;
    println!("the work is done");
    Ok(())
}
