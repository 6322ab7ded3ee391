//! How much the kernel holds, and where it works.

use super::size;
use crate::tcp::{TcpListener, TcpSocket, TcpStream};

options! { TcpSocket, TcpStream, TcpListener => {
    /// The size of the kernel's send buffer. Linux counts its bookkeeping too, and
    /// so gives twice what was set.
    fn send_buffer_size(socket) -> u32 { socket.send_buffer_size().map(size) }

    /// Sets the size of the kernel's send buffer (`SO_SNDBUF`), which then no longer
    /// grows by itself. The system limits it.
    fn set_send_buffer_size(socket, bytes: u32) -> () {
        socket.set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// The size of the kernel's receive buffer. Linux counts its bookkeeping too,
    /// and so gives twice what was set.
    fn recv_buffer_size(socket) -> u32 { socket.recv_buffer_size().map(size) }

    /// Sets the size of the kernel's receive buffer (`SO_RCVBUF`), which then no
    /// longer grows by itself. The system limits it.
    ///
    /// It bounds the window, which is agreed on when the connection is made: so set
    /// it before [`connect`](TcpSocket::connect) or [`listen`](TcpSocket::listen).
    fn set_recv_buffer_size(socket, bytes: u32) -> () {
        socket.set_recv_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// How many unsent bytes may wait before a stream is no longer writable.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn notsent_lowat(socket) -> u32 { socket.tcp_notsent_lowat() }

    /// Sets how many unsent bytes may wait before a stream is no longer writable
    /// (`TCP_NOTSENT_LOWAT`): with fewer, what is written later is sent sooner.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_notsent_lowat(socket, bytes: u32) -> () { socket.set_tcp_notsent_lowat(bytes) }

    /// For how many microseconds the kernel polls the network card.
    #[cfg(target_os = "linux")]
    fn busy_poll(socket) -> u32 { socket.busy_poll() }

    /// Sets for how many microseconds the kernel polls the network card when there
    /// is nothing to read (`SO_BUSY_POLL`). More than was set takes `CAP_NET_ADMIN`.
    #[cfg(target_os = "linux")]
    fn set_busy_poll(socket, microseconds: u32) -> () { socket.set_busy_poll(microseconds) }

    /// The processor whose packets this socket prefers, or was last served by.
    #[cfg(target_os = "linux")]
    fn cpu_affinity(socket) -> usize { socket.cpu_affinity() }

    /// Sets `SO_INCOMING_CPU`: of listeners that share a port by
    /// [`set_reuseport`](TcpSocket::set_reuseport), the one that names the
    /// processor on which a connection arrives gets it.
    #[cfg(target_os = "linux")]
    fn set_cpu_affinity(socket, cpu: usize) -> () { socket.set_cpu_affinity(cpu) }
}}
