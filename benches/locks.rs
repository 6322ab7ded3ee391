//! A mutex and a semaphore that nobody else wants, a mutex that eight tasks
//! want, and two tasks that notify each other, against tokio.

#[path = "workload/contest.rs"]
mod contest;
#[path = "workload/locking.rs"]
mod locking;
#[path = "workload/samples.rs"]
mod samples;
#[path = "workload/yielding.rs"]
mod yielding;

use std::io;

use coreloop::Runtime;
use tokio::runtime::LocalRuntime;

use crate::contest::Contest;
use crate::locking::{acquire_and_release, contend, lock_and_unlock, ping_pong};

/// How many tasks contend for one mutex.
const TASKS: u64 = 8;

fn main() -> io::Result<()> {
    contest::run(&mut [mutex()?, semaphore()?, contended()?, notify()?]);
    Ok(())
}

fn mutex() -> io::Result<Contest> {
    let (coreloop, tokio) = (Runtime::new()?, LocalRuntime::new()?);
    Ok(Contest {
        name: "mutex",
        operations: 1,
        pieces: 500_000,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(lock_and_unlock::<coreloop::sync::Mutex<u64>>(pieces))
        }),
        tokio: Box::new(move |pieces| {
            tokio.block_on(lock_and_unlock::<tokio::sync::Mutex<u64>>(pieces))
        }),
    })
}

fn semaphore() -> io::Result<Contest> {
    let (coreloop, tokio) = (Runtime::new()?, LocalRuntime::new()?);
    Ok(Contest {
        name: "semaphore",
        operations: 1,
        pieces: 500_000,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(acquire_and_release::<coreloop::sync::Semaphore>(pieces))
        }),
        tokio: Box::new(move |pieces| {
            tokio.block_on(acquire_and_release::<tokio::sync::Semaphore>(pieces))
        }),
    })
}

fn contended() -> io::Result<Contest> {
    let (coreloop, tokio) = (Runtime::new()?, LocalRuntime::new()?);
    Ok(Contest {
        name: "mutex_contended/8",
        operations: TASKS,
        pieces: 20_000,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(contend::<coreloop::sync::Mutex<u64>, _>(
                TASKS,
                pieces,
                |task| coreloop::spawn(task),
            ))
        }),
        tokio: Box::new(move |pieces| {
            tokio.block_on(contend::<tokio::sync::Mutex<u64>, _>(
                TASKS,
                pieces,
                |task| tokio::task::spawn_local(task),
            ))
        }),
    })
}

fn notify() -> io::Result<Contest> {
    let (coreloop, tokio) = (Runtime::new()?, LocalRuntime::new()?);
    Ok(Contest {
        name: "notify_ping_pong",
        operations: 1,
        pieces: 100_000,
        coreloop: Box::new(move |pieces| {
            coreloop.block_on(ping_pong::<coreloop::sync::Notify, _>(pieces, |task| {
                coreloop::spawn(task)
            }))
        }),
        tokio: Box::new(move |pieces| {
            tokio.block_on(ping_pong::<tokio::sync::Notify, _>(pieces, |task| {
                tokio::task::spawn_local(task)
            }))
        }),
    })
}
