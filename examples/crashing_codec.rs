//! A server that survives crashes of its decoder: each request is decoded by a job in a pool. If a
//! request crashes the decoder, its client gets an error, and the other clients are not affected.
//!
//! ```sh
//! cargo run -p coreloop-examples --example crashing_codec
//! ```
//!
//! Talk to it with `nc 127.0.0.1 7777`: the line `3a2b` is answered by `aaabb`, and the line
//! `99999a` crashes the decoder. In a thread, by `spawn_blocking`, this would end the server.

use std::io;

use clap::Parser;
use coreloop::io::{AsyncBufReadExt, BufReader};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::pool::Pool;
use coreloop::select;
use coreloop::signal::unix::{SignalKind, signal};
use rustix::process::{Signal, getpid, kill_process};
use serde_bytes::ByteBuf;

/// The size of the decoder's buffer.
const BUFFER: usize = 4096;

/// Decodes run lengths.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7777")]
    addr: String,
    /// The number of processes that decode
    #[arg(long, default_value_t = 2)]
    workers: u32,
}

/// Runs in a worker.
#[coreloop::job]
fn decode(encoded: ByteBuf) -> Result<ByteBuf, String> {
    let mut decoded = Vec::new();
    let mut count = 0_usize;
    for &byte in encoded.iter() {
        if byte.is_ascii_digit() {
            count = count
                .saturating_mul(10)
                .saturating_add(usize::from(byte - b'0'));
        } else if count > 0 {
            if decoded.len().saturating_add(count) > BUFFER {
                overrun();
            }
            decoded.resize(decoded.len() + count, byte);
            count = 0;
        } else {
            return Err(format!("no number before `{}`", char::from(byte)));
        }
    }
    Ok(ByteBuf::from(decoded))
}

/// Stands for a bug of a C library that does not check bounds: the kernel sends this signal to a
/// process that writes to memory which it does not have.
fn overrun() {
    loop {
        // The handler of Rust's standard library returns after the first signal.
        let _ = kill_process(getpid(), Signal::SEGV);
    }
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let pool = Pool::builder().workers(options.workers).build()?;
    let listener = TcpListener::bind(options.addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        select! {
            accepted = listener.accept() => {
                drop(coreloop::spawn(serve(accepted?.0, pool.clone())));
            }
            _ = interrupt.recv() => break,
        }
    }
    let metrics = pool.metrics();
    println!("decoded {} lines, {} failed", metrics.done, metrics.failed);
    Ok(())
}

async fn serve(stream: TcpStream, pool: Pool) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        let request = line.trim_ascii_end().to_vec();
        line.clear();
        let mut answer = match pool.run(decode, ByteBuf::from(request)).await {
            Ok(Ok(decoded)) => decoded.into_vec(),
            Ok(Err(invalid)) => format!("invalid: {invalid}").into_bytes(),
            // The error names the job, the process and the signal.
            Err(error) => format!("error: {error}").into_bytes(),
        };
        answer.push(b'\n');
        writer.write_all(&answer).await?;
    }
    Ok(())
}
