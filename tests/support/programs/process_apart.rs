//! Workers that each open their own socket on one port, and are started again when they die.
//! This is a common design, to compare with a supervisor that holds the sockets: here a killed
//! worker loses its queue.
//!
//! ```sh
//! cargo run --release -p coreloop-test-support --example process_apart -- --workers 4
//! cargo run --release -p coreloop-examples --example storm -- --addr 127.0.0.1:PORT --greeted --kill 38
//! ```
//!
//! The protocol is the one of `process_app.rs` with `--greet` and `--serial`: the line of the
//! worker at once, then an answer to each `p`, one connection after another.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    apart::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this is for Linux, where sockets on one port share its connections");
}

#[cfg(target_os = "linux")]
mod apart {
    use std::env;
    use std::io;
    use std::net::SocketAddr;
    use std::process::{self, Command};
    use std::thread;

    use clap::Parser;
    use coreloop::net::{TcpSocket, TcpStream};
    use rustix::process::{Signal, set_parent_process_death_signal};

    /// Workers that each open their own socket on one port.
    #[derive(Clone, Debug, Parser)]
    struct Options {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        addr: SocketAddr,
        /// How many workers
        #[arg(long, default_value_t = 4)]
        workers: u32,
        /// Run as this worker
        #[arg(long, requires = "generation")]
        slot: Option<u32>,
        /// How many workers this slot has had before
        #[arg(long)]
        generation: Option<u32>,
    }

    pub(super) fn main() -> io::Result<()> {
        let options = Options::parse();
        match (options.slot, options.generation) {
            (Some(slot), Some(generation)) => {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                let line = format!("{} {slot} {generation}\n", process::id());
                coreloop::block_on(serve(options.addr, line.as_bytes()))
            }
            _ => supervise(&options),
        }
    }

    /// Keeps the port, and starts every worker again as soon as it has ended.
    fn supervise(options: &Options) -> io::Result<()> {
        let reserved = socket(options.addr)?;
        let addr = reserved.local_addr()?;
        println!("listening on {addr}, {} workers", options.workers);
        thread::scope(|scope| {
            let slots: Vec<_> = (0..options.workers)
                .map(|slot| scope.spawn(move || keep(addr, slot)))
                .collect();
            slots.into_iter().try_for_each(|slot| {
                slot.join()
                    .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
            })
        })
    }

    fn keep(addr: SocketAddr, slot: u32) -> io::Result<()> {
        for generation in 0_u32.. {
            let words = [
                format!("--addr={addr}"),
                format!("--slot={slot}"),
                format!("--generation={generation}"),
            ];
            Command::new(env::current_exe()?)
                .args(words)
                .spawn()?
                .wait()?;
        }
        Ok(())
    }

    /// Creates a socket that shares its port, and does not listen yet.
    fn socket(addr: SocketAddr) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(addr)?;
        Ok(socket)
    }

    async fn serve(addr: SocketAddr, line: &[u8]) -> io::Result<()> {
        let listener = socket(addr)?.listen(1024)?;
        loop {
            let (stream, _) = listener.accept().await?;
            // An error of one connection does not affect the next.
            drop(answer(stream, line).await);
        }
    }

    async fn answer(mut stream: TcpStream, line: &[u8]) -> io::Result<()> {
        stream.write_all(line).await?;
        let mut request = [0];
        while stream.read(&mut request).await? == 1 {
            stream.write_all(line).await?;
        }
        Ok(())
    }
}
