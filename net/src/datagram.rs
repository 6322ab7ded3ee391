//! Datagram sockets, whatever their addresses: what UDP and Unix datagrams have in
//! common, written once.
//!
//! A datagram is received whole or cut off, and sent whole or not at all, so a short
//! one tells nothing of the next: no operation here goes by the rule of short reads.
//! What takes `&self` and waits has a waiter of its own in each future.

use std::io;
use std::os::fd::AsFd;

use coreloop_runtime::io::Async;
use rustix::net::RecvFlags;

use crate::sys;

/// Sending and receiving on a connected socket, and polling, for one called `$path`.
macro_rules! datagrams {
    ($socket:ty, $path:literal) => {
        impl $socket {
            /// Sends a datagram to the peer that this socket is connected to, and says
            /// how many bytes went, which are all.
            ///
            /// Any number of tasks may send. It waits while the system has no room.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was sent if the future did not complete.
            ///
            /// # Errors
            ///
            /// Those of the system call, such as
            /// [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused) if nobody
            /// received an earlier one: the socket goes on working.
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn send(socket: ", $path, ") -> std::io::Result<()> {")]
            /// socket.send(b"hello").await?;
            /// # Ok(())
            /// # }
            /// ```
            pub async fn send(&self, bytes: &[u8]) -> std::io::Result<usize> {
                self.io
                    .write_with(|socket| $crate::sys::send(socket, bytes))
                    .await
            }

            /// Polls as [`send`](Self::send) awaits. Only the task that polled to send
            /// last is woken.
            ///
            /// # Errors
            ///
            /// Those of [`send`](Self::send).
            pub fn poll_send(
                &self,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.io
                    .poll_write_with(cx, |socket| $crate::sys::send(socket, bytes))
            }

            /// Sends as [`send`](Self::send), without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if the system has no room;
            /// otherwise those of [`send`](Self::send).
            pub fn try_send(&self, bytes: &[u8]) -> std::io::Result<usize> {
                self.io
                    .try_write_with(|socket| $crate::sys::send(socket, bytes))
            }

            /// Receives one datagram, and says how many bytes of it are in `buffer`.
            ///
            /// **What does not fit is lost**: of a datagram longer than `buffer` the
            /// rest is thrown away by the system. `Ok(0)` may be an empty datagram.
            /// Any number of tasks may receive; each datagram goes to one of them.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing was received if the future did not complete.
            ///
            /// # Errors
            ///
            /// Those of the system call, such as
            /// [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused) if nobody
            /// received what was sent to the peer: the socket goes on working.
            ///
            /// # Examples
            ///
            /// ```no_run
            #[doc = concat!("# async fn receive(socket: ", $path, ") -> std::io::Result<()> {")]
            /// let mut buffer = [0; 1500];
            /// let count = socket.recv(&mut buffer).await?;
            /// println!("{}", buffer[..count].escape_ascii());
            /// # Ok(())
            /// # }
            /// ```
            pub async fn recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                $crate::datagram::receive(&self.io, buffer, rustix::net::RecvFlags::empty()).await
            }

            /// Polls as [`recv`](Self::recv) awaits. Only the task that polled to
            /// receive last is woken.
            ///
            /// # Errors
            ///
            /// Those of [`recv`](Self::recv).
            pub fn poll_recv(
                &self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let flags = rustix::net::RecvFlags::empty();
                self.io
                    .poll_read_with(cx, |socket| $crate::sys::receive(socket, buffer, flags))
            }

            /// Receives as [`recv`](Self::recv), without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if nothing is there;
            /// otherwise those of [`recv`](Self::recv).
            pub fn try_recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let flags = rustix::net::RecvFlags::empty();
                self.io
                    .try_read_with(|socket| $crate::sys::receive(socket, buffer, flags))
            }

            /// Receives as [`recv`](Self::recv), without taking the datagram.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: nothing is taken.
            ///
            /// # Errors
            ///
            /// Those of [`recv`](Self::recv).
            pub async fn peek(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                $crate::datagram::receive(&self.io, buffer, rustix::net::RecvFlags::PEEK).await
            }

            /// Polls as [`peek`](Self::peek) awaits. Only the task that polled to
            /// receive last is woken.
            ///
            /// # Errors
            ///
            /// Those of [`recv`](Self::recv).
            pub fn poll_peek(
                &self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let flags = rustix::net::RecvFlags::PEEK;
                self.io
                    .poll_read_with(cx, |socket| $crate::sys::receive(socket, buffer, flags))
            }

            /// Peeks as [`peek`](Self::peek), without waiting.
            ///
            /// # Errors
            ///
            /// Those of [`try_recv`](Self::try_recv).
            pub fn try_peek(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let flags = rustix::net::RecvFlags::PEEK;
                self.io
                    .try_read_with(|socket| $crate::sys::receive(socket, buffer, flags))
            }

            /// Polls as [`readable`](Self::readable) awaits. Only the task that polled
            /// to receive last is woken.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            pub fn poll_recv_ready(
                &self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.io.poll_readable(cx)
            }

            /// Polls as [`writable`](Self::writable) awaits. Only the task that polled
            /// to send last is woken.
            ///
            /// # Errors
            ///
            /// If the runtime is gone.
            pub fn poll_send_ready(
                &self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.io.poll_writable(cx)
            }

            /// Takes the error the system has stored for this socket, if there is one.
            ///
            /// # Errors
            ///
            /// Those of the system call.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                socket2::SockRef::from(self).take_error()
            }
        }

        impl std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.io.get_ref().as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $socket {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.io.get_ref().as_raw_fd()
            }
        }
    };
}

pub(crate) use datagrams;

/// Receives one datagram; with `PEEK`, without taking it.
pub(crate) async fn receive(
    socket: &Async<impl AsFd>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<usize> {
    socket
        .read_with(|socket| sys::receive(socket, buffer, flags))
        .await
}
