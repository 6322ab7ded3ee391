//! Jobs in the worker of a pool, for the budgets.
//!
//! A crate of its own: the code that it instantiates would change how the compiler inlines the
//! code of the other operations.

use std::env;
use std::io;
use std::time::Duration;

use coreloop::Runtime;
use coreloop::pool::{Builder, Pool};

/// How long the worker may take to end. valgrind writes its counts then.
const LIMIT: Duration = Duration::from_secs(60);

#[coreloop::job]
fn add(left: u64, right: u64) -> u64 {
    left + right
}

/// Runs this process as a worker, if it is one. Returns otherwise.
pub fn enter_worker() {
    coreloop::pool::enter_worker();
}

/// Runs `times` jobs one after the other.
///
/// # Errors
///
/// Returns an error if a worker cannot be started or a job has no result.
///
/// # Panics
///
/// Panics if a result is wrong.
pub fn one_by_one(times: u64) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let pool = one_worker()?.build()?;
        for number in 0..times {
            let sum = pool.run(add, (number, 1)).await;
            assert_eq!(sum.map_err(io::Error::other)?, number + 1);
        }
        pool.shutdown(LIMIT).await;
        Ok(())
    })
}

/// Runs `times` jobs, all of which are queued before the first one is awaited.
///
/// # Errors
///
/// Returns an error if a worker cannot be started or a job has no result.
pub fn queued(times: u64) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let room = usize::try_from(times).map_err(io::Error::other)?;
        let pool = one_worker()?.prefetch(32).queue(room).build()?;
        let mut jobs = Vec::with_capacity(room);
        for number in 0..times {
            let job = pool.submit(add, (number, 1)).await;
            jobs.push(job.map_err(io::Error::other)?);
        }
        for job in jobs {
            job.await.map_err(io::Error::other)?;
        }
        pool.shutdown(LIMIT).await;
        Ok(())
    })
}

fn one_worker() -> io::Result<Builder> {
    // Under valgrind, the file that this process runs is valgrind's.
    Ok(Pool::builder().workers(1).program(env::current_exe()?))
}
