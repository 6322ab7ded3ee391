//! The client. It uses plain sockets, so that it costs less than the measured servers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use clap::Args;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv};

use crate::child::{limit_time, pin_to_core, raise_descriptor_limit};

/// The length of every message.
pub(crate) const MESSAGE: usize = 64;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The port that the server printed.
    #[arg(long)]
    port: u16,
    /// How many connections, as many as the server accepts.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How many echoes in all.
    #[arg(long, default_value_t = 200_000)]
    echoes: u64,
    /// Sends a message on every connection, then awaits all replies, and so on.
    #[arg(long)]
    lockstep: bool,
    /// Keeps to this core.
    #[arg(long)]
    core: Option<usize>,
    /// Gives up after this number of seconds.
    #[arg(long, default_value_t = 600)]
    limit: u32,
}

/// Drives a server by hand, for a profile.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    limit_time(options.limit);
    raise_descriptor_limit()?;
    if let Some(core) = options.core {
        pin_to_core(core)?;
    }
    let mut load = Load::connect(options.port, options.connections)?;
    let start = Instant::now();
    if options.lockstep {
        load.rounds(options.echoes / options.connections as u64)?;
    } else {
        load.stream(options.echoes)?;
    }
    let rate = options.echoes as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} echoes per second");
    Ok(())
}

/// Connections to one server.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) streams: Vec<TcpStream>,
    pub(crate) epoll: Epoll,
}

impl Load {
    /// Opens the connections and echoes once over each, so that the server has accepted all
    /// of them.
    pub(crate) fn connect(port: u16, connections: usize) -> io::Result<Load> {
        let mut load = Load {
            streams: Vec::with_capacity(connections),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        };
        load.connect_more(port, connections)?;
        Ok(load)
    }

    /// Opens further connections.
    pub(crate) fn connect_more(&mut self, port: u16, connections: usize) -> io::Result<()> {
        let first = self.streams.len();
        for token in first..first + connections {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
            self.epoll
                .add(&stream, EpollEvent::new(interest, token as u64))?;
            self.streams.push(stream);
        }
        exchange(&mut self.streams[first..])
    }

    /// Sends a message on every connection, then awaits all replies, a number of times.
    pub(crate) fn rounds(&mut self, rounds: u64) -> io::Result<()> {
        for _ in 0..rounds {
            exchange(&mut self.streams)?;
        }
        Ok(())
    }

    /// Keeps one message outstanding on every connection until a number of messages was
    /// echoed: the client answers each reply with the next message at once.
    pub(crate) fn stream(&mut self, echoes: u64) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 1024];
        let mut buffer = [0; 2 * MESSAGE];
        let mut unsent = echoes;
        let mut awaited = echoes;
        for stream in self
            .streams
            .iter_mut()
            .take(usize::try_from(echoes).unwrap_or(usize::MAX))
        {
            stream.write_all(&[b'x'; MESSAGE])?;
            unsent -= 1;
        }
        while awaited > 0 {
            let count = self.epoll.wait(&mut events, EpollTimeout::NONE)?;
            for event in &events[..count] {
                let Some(stream) = usize::try_from(event.data())
                    .ok()
                    .and_then(|token| self.streams.get_mut(token))
                else {
                    continue;
                };
                // At most one message is in flight, and loopback delivers it whole, so this
                // read does not wait. An event left over from an earlier exchange has no
                // message, and must not wait either.
                match recv(stream.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                    Ok(MESSAGE) => {}
                    Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
                    Err(Errno::EAGAIN) => continue,
                    Err(error) => return Err(error.into()),
                }
                awaited -= 1;
                if unsent > 0 {
                    unsent -= 1;
                    stream.write_all(&buffer[..MESSAGE])?;
                }
            }
        }
        Ok(())
    }
}

/// One round over these connections.
fn exchange(streams: &mut [TcpStream]) -> io::Result<()> {
    let mut buffer = [b'x'; MESSAGE];
    for stream in &mut *streams {
        stream.write_all(&buffer)?;
    }
    for stream in streams {
        stream.read_exact(&mut buffer)?;
    }
    Ok(())
}
