//! Datagrams of connected sockets, for UDP sockets and Unix datagram sockets.
//!
//! A datagram is received whole or cut off, and is sent whole or not at all. So a short one
//! says nothing about the next: the rule of short reads does not apply here. Each future that
//! waits has a waiter of its own.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use coreloop_runtime::io::Async;
use rustix::net::RecvFlags;

use crate::sys;

/// Sends one datagram.
pub(crate) async fn send(socket: &Async<impl AsFd>, bytes: &[u8]) -> io::Result<usize> {
    socket.write_with(|socket| sys::send(socket, bytes)).await
}

/// Sends one datagram. Only the task that polled last is woken.
pub(crate) fn poll_send(
    socket: &Async<impl AsFd>,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    socket.poll_write_with(cx, |socket| sys::send(socket, bytes))
}

/// Sends one datagram, without waiting.
pub(crate) fn try_send(socket: &Async<impl AsFd>, bytes: &[u8]) -> io::Result<usize> {
    socket.try_write_with(|socket| sys::send(socket, bytes))
}

/// Receives one datagram. With `PEEK`, the next call receives it again.
pub(crate) async fn receive(
    socket: &Async<impl AsFd>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<usize> {
    socket
        .read_with(|socket| sys::receive(socket, buffer, flags))
        .await
}

/// Receives one datagram. Only the task that polled last is woken.
pub(crate) fn poll_receive(
    socket: &Async<impl AsFd>,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> Poll<io::Result<usize>> {
    socket.poll_read_with(cx, |socket| sys::receive(socket, buffer, flags))
}

/// Receives one datagram, without waiting.
pub(crate) fn try_receive(
    socket: &Async<impl AsFd>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<usize> {
    socket.try_read_with(|socket| sys::receive(socket, buffer, flags))
}
