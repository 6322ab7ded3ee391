//! Python's `Process(target=f, args)`: a function in a process of its own, which is joined,
//! asked to stop, terminated or killed.
//!
//! ```sh
//! cargo run -p coreloop-examples --example process_spawn
//! ```

use std::error::Error;
use std::thread;
use std::time::Duration;

use coreloop::pool::{self, Process};

#[coreloop::job]
fn sum(numbers: Vec<u64>) -> u64 {
    numbers.into_iter().sum()
}

#[coreloop::job]
fn hang() {
    loop {
        thread::park();
    }
}

#[coreloop::job]
fn exit(code: i32) {
    std::process::exit(code);
}

#[coreloop::main]
async fn main() -> Result<(), Box<dyn Error>> {
    returns().await?;
    hangs().await?;
    exits().await
}

/// `p = Process(target=sum, args=([1, 2, 3],)); p.start(); p.join()`, with the result, which
/// Python does not return.
async fn returns() -> Result<(), Box<dyn Error>> {
    let mut process = Process::spawn(sum, vec![1, 2, 3])?;
    assert_ne!(process.pid(), pool::current_process().pid);
    assert_eq!(pool::active_children().len(), 1);
    println!("the sum is {}", process.join().await?);
    assert!(!process.is_alive());
    Ok(())
}

/// `p.join(timeout=0.1)`, `p.is_alive()`, `p.terminate()`, `p.kill()`, `p.exitcode`.
async fn hangs() -> Result<(), Box<dyn Error>> {
    for should_kill in [false, true] {
        let name = if should_kill { "second" } else { "first" };
        let mut process = Process::builder().name(name).spawn(hang, ())?;
        if process
            .join_timeout(Duration::from_millis(100))
            .await
            .is_none()
        {
            assert!(process.is_alive());
            if should_kill {
                process.kill();
            } else {
                process.terminate()?;
            }
        }
        // No process hangs now, so this returns.
        if let Err(error) = process.join().await
            && let Some(status) = error.exit_status()
        {
            println!("the {} ended by {status}", process.name());
        }
    }
    Ok(())
}

/// A function that ends its process returns no result.
async fn exits() -> Result<(), Box<dyn Error>> {
    let mut process = Process::spawn(exit, 3)?;
    if let Err(error) = process.join().await {
        assert!(error.is_broken_worker());
        println!(
            "exit code {:?}",
            error.exit_status().and_then(|status| status.code())
        );
    }
    Ok(())
}
