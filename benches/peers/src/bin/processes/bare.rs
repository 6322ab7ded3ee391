//! The lower limit: a bare epoll loop per core, each with its own socket on the same port.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::sockopt::ReusePort;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, SockaddrIn, bind, listen, recv, send,
    setsockopt, socket,
};

use crate::child::pin_to_core;
use crate::serving::announce;

/// The token of the listener; connections have numbers.
const LISTENER: u64 = u64::MAX;

pub(crate) fn serve(workers: u32, pin: bool) -> io::Result<()> {
    let first = listener(0)?;
    let addr = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers {
        listeners.push(listener(addr.port())?);
    }
    announce(addr)?;
    thread::scope(|scope| {
        let loops: Vec<_> = (0..)
            .zip(&listeners)
            .map(|(core, listener)| scope.spawn(move || run(pin.then_some(core), listener)))
            .collect();
        loops.into_iter().try_for_each(|each| {
            let ended = each.join();
            ended.unwrap_or_else(|_| Err(io::Error::other("a loop panicked")))
        })
    })
}

fn listener(port: u16) -> io::Result<TcpListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&socket, ReusePort, &true)?;
    let addr = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    bind(socket.as_raw_fd(), &addr)?;
    listen(&socket, Backlog::new(1024)?)?;
    Ok(TcpListener::from(socket))
}

fn run(core: Option<usize>, listener: &TcpListener) -> io::Result<()> {
    if let Some(core) = core {
        pin_to_core(core)?;
    }
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events = [EpollEvent::empty(); 1024];
    let mut buffer = [0; 1024];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            if event.data() == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                epoll.add(&stream, EpollEvent::new(interest, streams.len() as u64))?;
                streams.push(Some(stream));
                continue;
            }
            let number = usize::try_from(event.data()).map_err(io::Error::other)?;
            if let Some(stream) = &streams[number]
                && !echo(stream, &mut buffer)?
            {
                streams[number] = None;
            }
        }
    }
}

/// Echoes the available bytes, a message at most; returns whether the connection is still
/// open.
fn echo(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<bool> {
    match recv(stream.as_raw_fd(), buffer, MsgFlags::empty()) {
        Ok(0) => Ok(false),
        Ok(count) => {
            let sent = send(stream.as_raw_fd(), &buffer[..count], MsgFlags::MSG_NOSIGNAL)?;
            Ok(sent == count)
        }
        Err(Errno::EAGAIN) => Ok(true),
        Err(_) => Ok(false),
    }
}
