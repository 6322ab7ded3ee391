//! The headers and the route of packets.

use crate::tcp::{TcpListener, TcpSocket, TcpStream};

options! { TcpSocket, TcpStream, TcpListener => {
    /// Returns the type of service of the IPv4 packets that this socket sends.
    #[cfg(not(target_os = "solaris"))]
    fn tos_v4(socket) -> u32 { socket.tos_v4() }

    /// Sets the type of service of the IPv4 packets that this socket sends (`IP_TOS`). Its
    /// upper six bits are the DSCP, the only bits that Linux sets for TCP.
    #[cfg(not(target_os = "solaris"))]
    fn set_tos_v4(socket, tos: u32) -> () { socket.set_tos_v4(tos) }

    /// Returns the traffic class of the IPv6 packets that this socket sends.
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

    /// Sets the traffic class of the IPv6 packets that this socket sends (`IPV6_TCLASS`), like
    /// [`set_tos_v4`](Self::set_tos_v4) for IPv4.
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

    /// Returns how many hops the IPv6 packets that this socket sends may take.
    fn unicast_hops_v6(socket) -> u32 { socket.unicast_hops_v6() }

    /// Sets how many hops the IPv6 packets that this socket sends may take
    /// (`IPV6_UNICAST_HOPS`), like `set_ttl` for IPv4.
    fn set_unicast_hops_v6(socket, hops: u32) -> () { socket.set_unicast_hops_v6(hops) }

    /// Returns the mark of the packets that this socket sends.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn mark(socket) -> u32 { socket.mark() }

    /// Sets the mark of the packets that this socket sends (`SO_MARK`), for routing and
    /// filters. This requires `CAP_NET_ADMIN`.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_mark(socket, mark: u32) -> () { socket.set_mark(mark) }

    /// Returns the priority of the packets that this socket sends.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn priority(socket) -> u32 { socket.priority() }

    /// Sets the priority of the packets that this socket sends (`SO_PRIORITY`). A priority
    /// above 6 requires `CAP_NET_ADMIN`.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_priority(socket, priority: u32) -> () { socket.set_priority(priority) }

    /// Returns the name of the interface that this socket is bound to.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn device(socket) -> Option<Vec<u8>> { socket.device() }

    /// Binds this socket to the interface with a name (`SO_BINDTODEVICE`), or to none.
    /// Changing a binding requires `CAP_NET_RAW`.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn bind_device(socket, interface: Option<&[u8]>) -> () { socket.bind_device(interface) }

    /// Sets the number of the routing table of this socket (`SO_SETFIB`).
    #[cfg(target_os = "freebsd")]
    fn set_fib(socket, fib: u32) -> () { socket.set_fib(fib) }

    /// Returns how many hops the IPv4 packets that this socket sends may take.
    fn ttl(socket) -> u32 { socket.ttl_v4() }

    /// Sets how many hops the IPv4 packets that this socket sends may take (`IP_TTL`).
    fn set_ttl(socket, ttl: u32) -> () { socket.set_ttl_v4(ttl) }
}}
