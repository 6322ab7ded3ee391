//! The time from the kill of a worker to the first answer of the next one.

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::child::{Server, limit_time};
use crate::report;
use crate::samples::Samples;
use crate::serve::{self, Kind, Service};

/// The bound, in milliseconds.
const BOUND: f64 = 10.0;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How often the worker is killed.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
}

/// Measures with one worker, so that no other worker answers in its place.
pub(crate) fn measure(options: &Options) -> io::Result<()> {
    limit_time(600);
    let serve = serve::Options {
        kind: Kind::Processes,
        service: Service::Pid,
        workers: 1,
        pin: true,
    };
    let server = Server::start(&serve.words())?;
    let port = server.port();
    let mut times = Vec::new();
    let mut pid = ask(port)?.ok_or(ErrorKind::ConnectionReset)?;
    for _ in 0..options.kills {
        let start = Instant::now();
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        pid = loop {
            match ask(port)? {
                Some(next) if next != pid => break next,
                // The killed worker took the connection with it, or answered before it
                // died.
                _ => {}
            }
        };
        times.push(start.elapsed());
    }
    times.sort();
    println!(
        "from the kill of a worker to an answer of the next, {} kills",
        options.kills
    );
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    for (name, percent) in [
        ("minimum", 0),
        ("median", 50),
        ("p90", 90),
        ("p99", 99),
        ("longest", 100),
    ] {
        println!("{name:<9} {:>9.2?}", at(percent));
    }
    let all: Samples = times.iter().copied().map(milliseconds).collect();
    report::bound("median, ms", &all, BOUND);
    report::bound("p99, ms", milliseconds(at(99)), BOUND);
    Ok(())
}

/// Returns the process id of the worker that answers, or `None` if the connection is cut
/// off.
fn ask(port: u16) -> io::Result<Option<i32>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let mut pid = [0; 4];
    match stream.read_exact(&mut pid) {
        Ok(()) => Ok(Some(i32::from_ne_bytes(pid))),
        Err(error) => match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => Ok(None),
            _ => Err(error),
        },
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
