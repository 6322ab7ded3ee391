//! What the packets say of themselves, and the way they take.

use crate::tcp::{TcpListener, TcpSocket, TcpStream};

options! { TcpSocket, TcpStream, TcpListener => {
    /// The type of service of the IPv4 packets this socket sends.
    #[cfg(not(target_os = "solaris"))]
    fn tos_v4(socket) -> u32 { socket.tos_v4() }

    /// Sets the type of service of the IPv4 packets this socket sends (`IP_TOS`):
    /// the upper six bits are the DSCP. Linux takes no others for TCP.
    #[cfg(not(target_os = "solaris"))]
    fn set_tos_v4(socket, tos: u32) -> () { socket.set_tos_v4(tos) }

    /// The traffic class of the IPv6 packets this socket sends.
    #[cfg(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd",
    ))]
    fn tclass_v6(socket) -> u32 { socket.tclass_v6() }

    /// Sets the traffic class of the IPv6 packets this socket sends
    /// (`IPV6_TCLASS`), as [`set_tos_v4`](Self::set_tos_v4) does for IPv4.
    #[cfg(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd",
    ))]
    fn set_tclass_v6(socket, tclass: u32) -> () { socket.set_tclass_v6(tclass) }

    /// How many hops the IPv6 packets this socket sends may take.
    fn unicast_hops_v6(socket) -> u32 { socket.unicast_hops_v6() }

    /// Sets how many hops the IPv6 packets this socket sends may take
    /// (`IPV6_UNICAST_HOPS`), as `set_ttl` does for IPv4.
    fn set_unicast_hops_v6(socket, hops: u32) -> () { socket.set_unicast_hops_v6(hops) }

    /// The mark of the packets this socket sends.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn mark(socket) -> u32 { socket.mark() }

    /// Marks the packets this socket sends (`SO_MARK`), for routing and filters.
    /// This takes `CAP_NET_ADMIN`.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_mark(socket, mark: u32) -> () { socket.set_mark(mark) }

    /// The priority of the packets this socket sends.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn priority(socket) -> u32 { socket.priority() }

    /// Sets the priority of the packets this socket sends (`SO_PRIORITY`). More
    /// than 6 takes `CAP_NET_ADMIN`.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_priority(socket, priority: u32) -> () { socket.set_priority(priority) }

    /// The name of the interface this socket is bound to.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn device(socket) -> Option<Vec<u8>> { socket.device() }

    /// Binds this socket to the interface of that name (`SO_BINDTODEVICE`), or to
    /// none. To change a socket that is bound takes `CAP_NET_RAW`.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn bind_device(socket, interface: Option<&[u8]>) -> () { socket.bind_device(interface) }

    /// Chooses the routing table of this socket by its number (`SO_SETFIB`).
    #[cfg(target_os = "freebsd")]
    fn set_fib(socket, fib: u32) -> () { socket.set_fib(fib) }
}}

options! { TcpSocket => {
    /// The time to live of the packets this socket sends.
    fn ttl(socket) -> u32 { socket.ttl_v4() }

    /// Sets how many hops the packets this socket sends may take.
    fn set_ttl(socket, ttl: u32) -> () { socket.set_ttl_v4(ttl) }
}}
