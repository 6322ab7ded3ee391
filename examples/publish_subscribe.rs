//! Every subscriber receives every message, and a slow one delays no other.
//!
//! ```sh
//! cargo run -p coreloop-examples --example publish_subscribe
//! ```
//!
//! A publisher sends prices to two subscribers. The quick one receives all of
//! them. The slow one falls behind by more than the channel keeps: it receives an error
//! with the number of prices that it missed, and continues with the oldest price kept.

use std::io;
use std::time::Duration;

use coreloop::sync::broadcast::{self, Receiver, error::RecvError};
use coreloop::time::sleep;

const PRICES: u32 = 20;
/// How many prices the channel keeps.
const KEPT: usize = 4;

#[coreloop::main]
async fn main() -> io::Result<()> {
    let (publisher, quick) = broadcast::channel(KEPT);
    let slow = publisher.subscribe();
    let subscribers = [
        ("quick", coreloop::spawn(subscribe("quick", quick, 0))),
        ("slow", coreloop::spawn(subscribe("slow", slow, 10))),
    ];

    for price in 100..100 + PRICES {
        let subscribers = publisher.send(price).unwrap_or(0);
        println!("published {price} to {subscribers}");
        sleep(Duration::from_millis(1)).await;
    }
    // The subscribers first receive the prices kept, and then the end of the channel.
    drop(publisher);

    for (name, subscriber) in subscribers {
        let (seen, missed) = subscriber.await?;
        println!("{name}: saw {seen} prices and missed {missed}");
    }
    Ok(())
}

async fn subscribe(name: &str, mut prices: Receiver<u32>, pause: u64) -> (u32, u64) {
    let (mut seen, mut missed) = (0, 0);
    loop {
        match prices.recv().await {
            Ok(price) => {
                seen += 1;
                println!("{name}: {price}");
            }
            Err(RecvError::Lagged(count)) => {
                missed += count;
                println!("{name}: missed {count}");
            }
            Err(RecvError::Closed) => return (seen, missed),
        }
        sleep(Duration::from_millis(pause)).await;
    }
}
