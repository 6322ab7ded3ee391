//! A program that enters its workers, or does not, as its argument says.
//!
//! ```sh
//! cargo run -p coreloop-test-support --example pool_entering -- by-hand
//! ```
//!
//! Each process begins with a line on the standard error.

use std::env;
use std::error::Error;
use std::io;
use std::process;
use std::time::Duration;

use coreloop::pool::{self, Jobs, Pool};
use coreloop::process::Restarts;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[coreloop::job]
fn process_id() -> u32 {
    process::id()
}

/// No macro registers this instance.
fn largest<T: Ord>(items: Vec<T>) -> Option<T> {
    items.into_iter().max()
}

fn main() -> Result<()> {
    eprintln!("process {}", process::id());
    // Workers have no arguments, so they get the mode from the environment.
    let mode = env::args().nth(1).or_else(|| env::var("MODE").ok());
    match mode.as_deref() {
        Some("never") => coreloop::block_on(run_jobs()),
        Some("by-attribute") => by_attribute(),
        Some("by-hand") => {
            pool::enter_worker();
            coreloop::block_on(run_jobs())
        }
        Some("with-jobs") => {
            pool::enter_worker_with(&Jobs::new().job(largest::<u8>));
            coreloop::block_on(run_listed())
        }
        Some("by-builder") => {
            let builder = Pool::builder().workers(1).job(largest::<u8>);
            builder.enter_worker();
            coreloop::block_on(async { largest_of(&builder.build()?).await })
        }
        Some("too-late") => {
            // A worker builds a pool here too.
            if env::var_os("CORELOOP_POOL_WORKER").is_some() {
                let Err(error) = coreloop::block_on(run_jobs()) else {
                    return Err("a worker has built a pool".into());
                };
                eprintln!("in a worker: {error}");
                process::exit(7);
            }
            pool::enter_worker();
            coreloop::block_on(run_jobs())
        }
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput).into()),
    }
}

#[coreloop::main]
async fn by_attribute() -> Result<()> {
    println!("the body");
    run_jobs().await
}

async fn run_jobs() -> Result<()> {
    let restarts = Restarts::new()
        .min_wait(Duration::from_millis(1))
        .max_failed_starts(2);
    let pool = Pool::builder().workers(1).restarts(restarts).build()?;
    let worker = pool.run(process_id, ()).await?;
    assert_ne!(worker, process::id());
    println!("a job has run");
    Ok(())
}

async fn run_listed() -> Result<()> {
    let pool = Pool::builder().workers(1).build()?;
    largest_of(&pool).await?;
    match pool.run(largest::<u16>, vec![1]).await {
        Err(error) if error.is_not_registered() => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

async fn largest_of(pool: &Pool) -> Result<()> {
    assert_eq!(pool.run(largest::<u8>, vec![1, 3, 2]).await?, Some(3));
    println!("a job has run");
    Ok(())
}
