//! Readers and writers: many tasks may read a table at a time, or one may change it.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example readers_writers
//! ```
//!
//! A price list is read by many tasks and changed by a few. Each change takes
//! several awaits, and the lock keeps readers from seeing it half done. No task
//! starves: tasks get the lock in the order of their requests.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use coreloop::sync::RwLock;
use coreloop::time::{sleep, timeout};

/// A list whose prices are all of the same day when no task holds the lock for writing.
struct PriceList {
    day: u32,
    prices: Vec<u32>,
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let list = Rc::new(RwLock::new(PriceList {
        day: 0,
        prices: vec![0; 5],
    }));
    let reads = Rc::new(Cell::new(0_u32));

    let readers: Vec<_> = (0..20)
        .map(|_| coreloop::spawn(read_until_day(3, Rc::clone(&list), Rc::clone(&reads))))
        .collect();
    let writers: Vec<_> = (0..3)
        .map(|_| coreloop::spawn(change(Rc::clone(&list))))
        .collect();

    for task in writers.into_iter().chain(readers) {
        timeout(Duration::from_secs(10), task).await??;
    }
    let list = list.read().await;
    println!("day {}: {:?}", list.day, list.prices);
    println!("{} consistent reads", reads.get());
    Ok(())
}

async fn read_until_day(day: u32, list: Rc<RwLock<PriceList>>, reads: Rc<Cell<u32>>) {
    loop {
        let list = list.read().await;
        // Other tasks may read meanwhile; none can write.
        sleep(Duration::from_millis(1)).await;
        assert!(list.prices.iter().all(|price| *price == list.day));
        reads.set(reads.get() + 1);
        if list.day == day {
            return;
        }
    }
}

async fn change(list: Rc<RwLock<PriceList>>) {
    let mut list = list.write().await;
    list.day += 1;
    let day = list.day;
    for price in &mut list.prices {
        // Stands for a request to another service, which takes a while.
        sleep(Duration::from_millis(1)).await;
        *price = day;
    }
}
