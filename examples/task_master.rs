//! Python's task master: it puts numbers in a queue, and workers on any machine square them.
//!
//! ```sh
//! cargo run -p coreloop-examples --example task_master
//! ```
//!
//! and then, as often as you like, `task_worker`. In Python, the heart of the program is
//!
//! ```text
//! QueueManager.register('get_task_queue', callable=lambda: task_queue)
//! manager = QueueManager(address=('', 5000), authkey=b'abc')
//! ```
//!
//! The key is in a file, which the first start makes. A worker on another machine needs a copy of
//! it. A worker leases a number until it has put the result: if it is killed, another worker gets
//! the number. If it is killed after it has put the result, and before it has confirmed the
//! number, another worker puts the result again, so the master counts each number once.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use coreloop::jobs::{Key, Manager};

/// Gives numbers to workers, and collects their squares.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:5000")]
    addr: String,
    /// The file with the key; it is made if there is none
    #[arg(long, default_value = "tasks.key")]
    key: PathBuf,
    /// How many numbers there are
    #[arg(long, default_value_t = 10)]
    count: u64,
    /// Listen at an address of a network, without encryption
    #[arg(long)]
    plaintext_network: bool,
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let manager = Manager::bind(options.addr)
        .key(&key(&options.key)?)
        .queue("tasks", 100)
        .queue("results", 100)
        // How long a worker that has lost its connection may take to come back.
        .grace(Duration::from_secs(2))
        .plaintext_network(options.plaintext_network)
        .start()
        .await?;
    println!("waiting for workers at {}", manager.address());

    let tasks = manager.queue::<u64>("tasks");
    let results = manager.queue::<(u64, u64, u32)>("results");
    let producer = tasks.clone();
    coreloop::spawn(async move {
        for number in 1..=options.count {
            // Waits while the queue is full.
            producer.put(&number).await?;
        }
        Ok::<_, coreloop::jobs::Error>(())
    });

    let mut done = HashSet::new();
    let mut sum = 0;
    while (done.len() as u64) < options.count {
        let (number, square, worker) = results.get().await?;
        if done.insert(number) {
            println!("{number} * {number} = {square}, says worker {worker}");
            sum += square;
        }
    }
    println!("the sum of the squares is {sum}");

    // The workers end when the queue has ended.
    tasks.close().await?;
    manager.shutdown(Duration::from_secs(10)).await;
    Ok(())
}

/// Reads the key, or makes one that only this user can read.
fn key(path: &Path) -> io::Result<Key> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let key = Key::random()?;
            writeln!(file, "{}", key.to_hex())?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Key::from_file(path)?),
        Err(error) => Err(error),
    }
}
