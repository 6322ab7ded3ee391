//! The lower limit: an edge-triggered epoll loop that receives and sends, and does no other
//! work.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};

pub(super) fn serve<const N: usize>(connections: usize) -> io::Result<()> {
    let listener = TcpListener::bind(super::ANY_PORT)?;
    super::announce(listener.local_addr()?)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    let mut streams = Vec::with_capacity(connections);
    for token in 0..connections {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        epoll.add(&stream, EpollEvent::new(interest, token as u64))?;
        streams.push(Some(stream));
    }
    let mut events = [EpollEvent::empty(); 1024];
    let mut buffer = [0; N];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            let Some(slot) = usize::try_from(event.data())
                .ok()
                .and_then(|token| streams.get_mut(token))
            else {
                continue;
            };
            if let Some(stream) = slot
                && !echo(stream, &mut buffer, event.events())?
            {
                *slot = None;
                super::closed();
            }
        }
    }
}

/// Echoes the available bytes; returns whether the connection is still open.
fn echo(stream: &TcpStream, buffer: &mut [u8], events: EpollFlags) -> io::Result<bool> {
    // After a short read, a separate event announces the end of the stream, unless this
    // event did.
    let ending =
        events.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
    loop {
        match recv(stream.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                // The client reads its replies, so the socket is never full.
                if send(stream.as_raw_fd(), &buffer[..count], MsgFlags::MSG_NOSIGNAL)? != count {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                if count < buffer.len() && !ending {
                    return Ok(true);
                }
            }
            Err(Errno::EAGAIN) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(_) => return Ok(false),
        }
    }
}
