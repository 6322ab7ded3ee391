//! Which addresses a socket may be bound to, and which sockets it shares them with.

#[cfg(any(
    target_os = "android",
    target_os = "illumos",
    target_os = "linux",
    target_os = "solaris",
    target_vendor = "apple",
))]
use std::num::NonZeroU32;

use crate::tcp::{TcpListener, TcpSocket};

options! { TcpSocket => {
    /// Returns whether an address may be bound on which connections still linger.
    fn reuseaddr(socket) -> bool { socket.reuse_address() }

    /// Sets `SO_REUSEADDR`: whether an address may be bound on which connections of an earlier
    /// socket linger in `TIME_WAIT`.
    ///
    /// A server needs this to restart at once. [`TcpListener::bind`] turns it on; a
    /// `TcpSocket` has it off.
    fn set_reuseaddr(socket, reuseaddr: bool) -> () { socket.set_reuse_address(reuseaddr) }

    /// Returns whether other sockets may be bound to the same address and port.
    #[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
    fn reuseport(socket) -> bool { socket.reuse_port() }

    /// Sets `SO_REUSEPORT`: whether other sockets that have it set too may be bound to the
    /// same address and port. Linux distributes the connections among the sockets that listen.
    #[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
    fn set_reuseport(socket, reuseport: bool) -> () { socket.set_reuse_port(reuseport) }

    /// Returns whether connections are distributed among the sockets bound to the same port.
    #[cfg(target_os = "freebsd")]
    fn reuseport_lb(socket) -> bool { socket.reuse_port_lb() }

    /// Sets `SO_REUSEPORT_LB`: like [`set_reuseport`](Self::set_reuseport), and distributes
    /// the connections among the sockets.
    #[cfg(target_os = "freebsd")]
    fn set_reuseport_lb(socket, reuseport: bool) -> () { socket.set_reuse_port_lb(reuseport) }

    /// Sets whether an IPv6 socket accepts only IPv6 connections (`IPV6_V6ONLY`).
    fn set_only_v6(socket, only_v6: bool) -> () { socket.set_only_v6(only_v6) }

    /// Restricts an IPv4 socket to the interface with an index (`IP_BOUND_IF`,
    /// `IP_UNICAST_IF`).
    #[cfg(any(
        target_os = "android",
        target_os = "illumos",
        target_os = "linux",
        target_os = "solaris",
        target_vendor = "apple",
    ))]
    fn bind_device_by_index_v4(socket, interface: Option<NonZeroU32>) -> () {
        socket.bind_device_by_index_v4(interface)
    }

    /// Restricts an IPv6 socket to the interface with an index (`IPV6_BOUND_IF`,
    /// `IPV6_UNICAST_IF`).
    #[cfg(any(
        target_os = "android",
        target_os = "illumos",
        target_os = "linux",
        target_os = "solaris",
        target_vendor = "apple",
    ))]
    fn bind_device_by_index_v6(socket, interface: Option<NonZeroU32>) -> () {
        socket.bind_device_by_index_v6(interface)
    }

    /// Returns whether an IPv4 address may be bound that this machine does not have yet.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn freebind_v4(socket) -> bool { socket.freebind_v4() }

    /// Sets whether an IPv4 address may be bound that this machine does not have
    /// yet (`IP_FREEBIND`).
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_freebind_v4(socket, freebind: bool) -> () { socket.set_freebind_v4(freebind) }

    /// Returns whether an IPv6 address may be bound that this machine does not have yet.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn freebind_v6(socket) -> bool { socket.freebind_v6() }

    /// Sets whether an IPv6 address may be bound that this machine does not have
    /// yet (`IPV6_FREEBIND`).
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_freebind_v6(socket, freebind: bool) -> () { socket.set_freebind_v6(freebind) }
}}

options! { TcpSocket, TcpListener => {
    /// Returns whether an IPv6 socket accepts only IPv6 connections.
    fn only_v6(socket) -> bool { socket.only_v6() }
}}
