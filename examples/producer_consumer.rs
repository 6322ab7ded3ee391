//! Producers that wait when their consumer falls behind.
//!
//! ```sh
//! cargo run -p coreloop-examples --example producer_consumer
//! ```
//!
//! Three gauges send readings to one task, which writes them down, through a channel
//! with room for two. The writer is slow, so the gauges wait for room: memory use is
//! bounded, and no reading is lost. When the last gauge has finished, its sender is
//! dropped, and the channel ends.

use std::io;
use std::time::Duration;

use coreloop::sync::mpsc;
use coreloop::time::sleep;

const GAUGES: u32 = 3;
const READINGS: u32 = 4;

struct Reading {
    gauge: u32,
    number: u32,
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(2);
    for gauge in 1..=GAUGES {
        coreloop::spawn(measure(gauge, sender.clone()));
    }
    // Each gauge has its own sender. The channel ends when the last sender is dropped.
    drop(sender);

    let written = write_down(receiver).await;
    println!("wrote down {written} readings of {GAUGES} gauges");
    Ok(())
}

async fn measure(gauge: u32, sender: mpsc::Sender<Reading>) {
    for number in 1..=READINGS {
        if sender.send(Reading { gauge, number }).await.is_err() {
            println!("gauge {gauge}: the receiver is gone");
            return;
        }
    }
    println!("gauge {gauge}: done");
}

async fn write_down(mut receiver: mpsc::Receiver<Reading>) -> u32 {
    let mut written = 0;
    while let Some(Reading { gauge, number }) = receiver.recv().await {
        sleep(Duration::from_millis(5)).await;
        written += 1;
        println!(
            "gauge {gauge}: reading {number}, with {} waiting in the channel",
            receiver.len()
        );
    }
    written
}
