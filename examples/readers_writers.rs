//! Readers and writers: many look at a table at a time, one changes it.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example readers_writers
//! ```
//!
//! A price list is read by many tasks and changed by a few. Each change takes
//! several awaits, and the lock keeps readers from seeing it half done. Nobody
//! starves: tasks get the lock in the order in which they asked for it.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use coreloop::sync::RwLock;
use coreloop::time::{sleep, timeout};

/// Every price in it is of the same day, whoever looks.
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
        // Others read meanwhile; nobody writes.
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
        // A price is asked for elsewhere, which takes a while.
        sleep(Duration::from_millis(1)).await;
        *price = day;
    }
}
