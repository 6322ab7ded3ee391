//! Puts an echo server under load, and checks every byte that comes back.
//!
//! With the `echo_server` example running, run it with
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example echo_client -- --connections 64 --size 64 --seconds 5
//! ```

use std::cell::RefCell;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use coreloop::net::TcpStream;
use coreloop::time::timeout;
use futures_lite::future::try_zip;
use hdrhistogram::Histogram;

/// The time limit for the last answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// Puts an echo server under load, and checks every byte that comes back.
#[derive(Parser)]
struct Options {
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1:7777")]
    addr: String,
    /// How many connections to make
    #[arg(long, default_value = "16")]
    connections: NonZeroUsize,
    /// How many bytes a message has
    #[arg(long, default_value = "64")]
    size: NonZeroUsize,
    /// For how long to send messages
    #[arg(long, default_value = "5")]
    seconds: u64,
}

/// How long each echo took, in nanoseconds.
type Times = RefCell<Histogram<u64>>;

fn main() -> io::Result<()> {
    let options = Options::parse();
    coreloop::block_on(load(&options))
}

async fn load(options: &Options) -> io::Result<()> {
    // Times of up to a minute, with three digits of precision.
    let times = Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)?;
    let times = Rc::new(Times::new(times));
    let mut streams = Vec::new();
    for _ in 0..options.connections.get() {
        let stream = TcpStream::connect(&options.addr)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", options.addr)))?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }

    let length = Duration::from_secs(options.seconds);
    let start = Instant::now();
    let mut tasks = Vec::new();
    for (seed, stream) in (0..).zip(streams) {
        let (size, end, times) = (options.size.get(), start + length, Rc::clone(&times));
        tasks.push(coreloop::spawn(async move {
            echo(stream, seed, size, end, &times).await
        }));
    }
    let all = async {
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok(())
    };
    let result = timeout(length + PATIENCE, all).await;
    result.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the server stopped answering",
        ))
    })?;

    report(&times.borrow(), options.size.get(), start.elapsed());
    Ok(())
}

/// Sends one message after another until `end`.
async fn echo(
    mut stream: TcpStream,
    seed: u64,
    size: usize,
    end: Instant,
    times: &Times,
) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut sent, mut received) = (vec![0; size], vec![0; size]);
    while Instant::now() < end {
        random.fill(&mut sent);
        let start = Instant::now();
        // Writes and reads at the same time, because a message may be larger than the
        // kernel's buffers.
        let (mut reader, mut writer) = stream.split();
        try_zip(writer.write_all(&sent), reader.read_exact(&mut received)).await?;
        let time = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        times.borrow_mut().saturating_record(time);
        if sent != received {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the bytes that came back are not those sent",
            ));
        }
    }
    Ok(())
}

fn report(times: &Histogram<u64>, size: usize, elapsed: Duration) {
    let rate = times.len() as f64 / elapsed.as_secs_f64();
    println!(
        "{} echoes of {size} bytes, {rate:.0} per second",
        times.len()
    );
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let time = Duration::from_nanos(times.value_at_quantile(quantile));
        println!("{name:<6} {time:.1?}");
    }
}
