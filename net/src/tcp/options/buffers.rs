//! How much the kernel buffers, and on which processor it works.

use super::size;
use crate::tcp::{TcpListener, TcpSocket, TcpStream};

options! { TcpSocket, TcpStream, TcpListener => {
    /// Returns the size of the kernel's send buffer. Linux includes its bookkeeping, and so
    /// returns twice the size that was set.
    fn send_buffer_size(socket) -> u32 { socket.send_buffer_size().map(size) }

    /// Sets the size of the kernel's send buffer (`SO_SNDBUF`), which then no longer grows
    /// automatically. The system limits it.
    fn set_send_buffer_size(socket, bytes: u32) -> () {
        socket.set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Returns the size of the kernel's receive buffer. Linux includes its bookkeeping, and so
    /// returns twice the size that was set.
    fn recv_buffer_size(socket) -> u32 { socket.recv_buffer_size().map(size) }

    /// Sets the size of the kernel's receive buffer (`SO_RCVBUF`), which then no longer grows
    /// automatically. The system limits it.
    ///
    /// The size limits the window, which is negotiated when the connection is made. So set it
    /// before [`connect`](TcpSocket::connect) or [`listen`](TcpSocket::listen).
    fn set_recv_buffer_size(socket, bytes: u32) -> () {
        socket.set_recv_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Returns how many unsent bytes may wait before a stream is no longer writable.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn notsent_lowat(socket) -> u32 { socket.tcp_notsent_lowat() }

    /// Sets how many unsent bytes may wait before a stream is no longer writable
    /// (`TCP_NOTSENT_LOWAT`). The fewer bytes may wait, the sooner a later write is sent.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_notsent_lowat(socket, bytes: u32) -> () { socket.set_tcp_notsent_lowat(bytes) }

    /// Returns for how many microseconds the kernel polls the network card.
    #[cfg(target_os = "linux")]
    fn busy_poll(socket) -> u32 { socket.busy_poll() }

    /// Sets for how many microseconds the kernel polls the network card when no bytes have
    /// arrived (`SO_BUSY_POLL`). To increase the number requires `CAP_NET_ADMIN`.
    #[cfg(target_os = "linux")]
    fn set_busy_poll(socket, microseconds: u32) -> () { socket.set_busy_poll(microseconds) }

    /// Returns the processor whose packets this socket prefers, or that processed its last
    /// packet.
    #[cfg(target_os = "linux")]
    fn cpu_affinity(socket) -> usize { socket.cpu_affinity() }

    /// Sets `SO_INCOMING_CPU`: among listeners that share a port by
    /// [`set_reuseport`](TcpSocket::set_reuseport), a connection goes to the one that names
    /// the processor on which it arrives.
    #[cfg(target_os = "linux")]
    fn set_cpu_affinity(socket, cpu: usize) -> () { socket.set_cpu_affinity(cpu) }
}}
