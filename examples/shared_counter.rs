//! Worker processes count in one number: Python's `multiprocessing.Value`, without its lock.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example shared_counter
//! ```
//!
//! In Python, the heart of the program is
//!
//! ```text
//! with counter.get_lock():
//!     counter.value += 1
//! ```
//!
//! and without the lock, counts are lost. Here the processor adds in one step, so that there is
//! no lock, and none can be left behind by a process that is killed. The second number shows what
//! happens if reading and writing are two steps.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use coreloop::ipc::Shared;
use coreloop::pool::Pool;

/// Counts in several processes.
#[derive(Parser)]
struct Options {
    /// The number of processes
    #[arg(long, default_value_t = 4)]
    workers: u32,
    /// How far each process counts
    #[arg(long, default_value_t = 1_000_000)]
    counts: u64,
}

/// Runs in a worker. The job gets the numbers themselves, not copies.
#[coreloop::job]
fn count(right: Shared<AtomicU64>, careless: Shared<AtomicU64>, counts: u64) {
    for _ in 0..counts {
        right.fetch_add(1, Ordering::Relaxed);
        let read = careless.load(Ordering::Relaxed);
        careless.store(read + 1, Ordering::Relaxed);
    }
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let Options { workers, counts } = Options::parse();
    let pool = Pool::builder().workers(workers).build()?;
    let right = Shared::new(AtomicU64::new(0))?;
    let careless = Shared::new(AtomicU64::new(0))?;

    let mut jobs = Vec::new();
    for _ in 0..workers {
        let arguments = (right.clone(), careless.clone(), counts);
        let job = pool.submit(count, arguments).await;
        jobs.push(job.map_err(io::Error::other)?);
    }
    // The numbers can be read while the workers count.
    for job in jobs {
        job.await.map_err(io::Error::other)?;
    }

    let total = u64::from(workers) * counts;
    println!("in one step: {} of {total}", right.load(Ordering::Relaxed));
    println!(
        "in two steps: {} of {total}",
        careless.load(Ordering::Relaxed)
    );
    Ok(())
}
