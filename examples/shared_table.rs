//! A large table that all workers of a pool read: it is in memory once, and no worker can change
//! it.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example shared_table
//! ```
//!
//! The table is an index from square numbers to their roots. Each worker gets it when it starts,
//! without a copy, and looks up numbers. At the end, the program compares two ways to add up the
//! memory of all processes: one counts shared memory in each of them, the other once.

use std::fs;
use std::io;

use bytemuck::{Pod, Zeroable};
use clap::Parser;
use coreloop::for_await;
use coreloop::ipc::{SharedSlice, SharedSliceBuilder};
use coreloop::pool::{Pool, job};

/// Looks up numbers in a table that several processes share.
#[derive(Parser)]
struct Options {
    /// The number of processes
    #[arg(long, default_value_t = 4)]
    workers: u32,
    /// The size of the table
    #[arg(long, default_value_t = 100)]
    megabytes: usize,
    /// How many numbers are looked up
    #[arg(long, default_value_t = 200_000)]
    numbers: usize,
}

/// The derives check that values have no padding, and that all bytes are valid values.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Entry {
    square: u64,
    root: u64,
}

/// Runs at the start of each worker, which keeps the table for its jobs.
#[coreloop::job(initializer)]
fn keep(table: SharedSlice<Entry>) -> SharedSlice<Entry> {
    table
}

#[coreloop::job]
fn root(number: u64) -> Option<u64> {
    let table = job::worker_state::<SharedSlice<Entry>>();
    let found = table.binary_search_by_key(&number, |entry| entry.square);
    found.ok().map(|position| table[position].root)
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let entries = (options.megabytes << 20) / size_of::<Entry>();
    let mut builder = SharedSliceBuilder::<Entry>::with_len(entries)?;
    for (root, entry) in (0..).zip(builder.iter_mut()) {
        *entry = Entry {
            square: root * root,
            root,
        };
    }
    // From here on, the kernel refuses every change.
    let table = builder.seal()?;

    let pool = Pool::builder()
        .workers(options.workers)
        .initializer(keep, table.clone())
        .build()?;
    // Half of the numbers are squares.
    let numbers = (0..options.numbers).map(move |number| {
        let position = fastrand::usize(2..table.len());
        table[position].square - number as u64 % 2
    });
    let mut found = 0;
    for_await!(result in pool.map(root, numbers).chunks(1_000) {
        found += usize::from(result.map_err(io::Error::other)?.is_some());
    });
    println!("found {found} of {} numbers", options.numbers);
    report(&pool)
}

/// Prints how much memory the processes have, where the system says it.
fn report(pool: &Pool) -> io::Result<()> {
    let workers = pool.metrics().workers;
    let processes = workers.iter().map(|worker| worker.pid.to_string());
    let (mut each, mut once) = (0, 0);
    for process in processes.chain(["self".to_owned()]) {
        let Ok(text) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else {
            println!("the memory of processes is not known");
            return Ok(());
        };
        let megabytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            let kilobytes: usize = number.and_then(|number| number.parse().ok()).unwrap_or(0);
            kilobytes >> 10
        };
        let (rss, pss) = (megabytes("Rss:"), megabytes("Pss:"));
        println!("process {process:>7}: {rss:>4} MB, of which {pss:>3} MB count for it");
        each += rss;
        once += pss;
    }
    println!("all processes: {each} MB if the table is counted in each, {once} MB in memory");
    Ok(())
}
