//! The same program on threads, in processes, or on the loop: which of some numbers are prime?
//! This is the example of Python's `ProcessPoolExecutor`.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example prime_executor -- --on processes
//! ```
//!
//! In Python, the heart of the program is
//!
//! ```text
//! with ProcessPoolExecutor() as executor:
//!     for number, prime in zip(NUMBERS, executor.map(is_prime, NUMBERS)):
//! ```
//!
//! Threads use all cores here, and start sooner. Processes are for code that may crash.

use std::io;

use clap::{Parser, ValueEnum};
use coreloop::for_await;
use coreloop::pool::{self, Executor};
use futures_lite::{StreamExt, stream};

/// The numbers of Python's documentation.
const NUMBERS: [u64; 6] = [
    112_272_535_095_293,
    112_582_705_942_171,
    112_272_535_095_293,
    115_280_095_190_773,
    115_797_848_077_099,
    1_099_726_899_285_419,
];

/// Tests numbers for being prime.
#[derive(Parser)]
struct Options {
    /// Where the tests run
    #[arg(long, value_enum, default_value = "threads")]
    on: On,
    /// The number of threads or processes
    #[arg(long, default_value_t = 2)]
    workers: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum On {
    Threads,
    Processes,
    /// On the loop, one after the other: for tests
    Inline,
}

#[coreloop::job]
fn is_prime(number: u64) -> bool {
    if number < 2 || number.is_multiple_of(2) {
        return number == 2;
    }
    let mut divisor = 3;
    while divisor * divisor <= number {
        if number.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let Options { on, workers } = Options::parse();
    let executor = match on {
        On::Threads => Executor::threads(workers),
        On::Processes => Executor::processes(workers),
        On::Inline => Executor::inline(),
    }?;

    // From here on, nothing depends on where the jobs run.
    let results = executor.map(is_prime, NUMBERS);
    for_await!((is_prime, number) in results.zip(stream::iter(NUMBERS)) {
        let not = if is_prime.map_err(io::Error::other)? { "" } else { "not " };
        println!("{number} is {not}prime");
    });
    println!("in {} other processes", pool::active_children().len());
    Ok(())
}
