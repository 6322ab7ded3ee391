//! When the bytes of a stream are sent, and in which segments.

use crate::tcp::{TcpListener, TcpSocket, TcpStream};

options! { TcpSocket, TcpStream, TcpListener => {
    /// Returns the maximum number of bytes in one segment.
    fn mss(socket) -> u32 { socket.tcp_mss() }

    /// Sets the maximum number of bytes in one segment (`TCP_MAXSEG`). Before a connection is
    /// made, this also limits the segments that the peer sends.
    fn set_mss(socket, bytes: u32) -> () { socket.set_tcp_mss(bytes) }

    /// Returns the name of the congestion control algorithm.
    #[cfg(any(target_os = "freebsd", target_os = "linux"))]
    fn congestion(socket) -> Vec<u8> {
        let mut name = socket.tcp_congestion()?;
        // The kernel fills the rest of a fixed buffer with zeros.
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        name.truncate(length);
        Ok(name)
    }

    /// Sets the congestion control algorithm by its name, such as `b"cubic"`
    /// (`TCP_CONGESTION`).
    #[cfg(any(target_os = "freebsd", target_os = "linux"))]
    fn set_congestion(socket, name: &[u8]) -> () { socket.set_tcp_congestion(name) }

    /// Returns whether a stream that sends little repeats lost packets at a steady pace.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn thin_linear_timeouts(socket) -> bool { socket.tcp_thin_linear_timeouts() }

    /// Sets whether a stream that sends little repeats lost packets at a steady pace for a
    /// while, instead of ever more slowly (`TCP_THIN_LINEAR_TIMEOUTS`).
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_thin_linear_timeouts(socket, linear: bool) -> () {
        socket.set_tcp_thin_linear_timeouts(linear)
    }

    /// Returns whether urgent data is read in its place among the other bytes.
    fn out_of_band_inline(socket) -> bool { socket.out_of_band_inline() }

    /// Sets whether urgent data is read in its place among the other bytes (`SO_OOBINLINE`).
    /// Otherwise reads omit it.
    fn set_out_of_band_inline(socket, inline: bool) -> () {
        socket.set_out_of_band_inline(inline)
    }
}}

options! { TcpSocket, TcpStream => {
    /// Returns whether acknowledgements are sent at once.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn quickack(socket) -> bool { socket.tcp_quickack() }

    /// Sets whether acknowledgements are sent at once, or wait for bytes to be sent with
    /// (`TCP_QUICKACK`). The kernel may change this setting at any time.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_quickack(socket, quickack: bool) -> () { socket.set_tcp_quickack(quickack) }

    /// Returns whether segments that are not full are held back.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn cork(socket) -> bool { socket.tcp_cork() }

    /// Sets whether segments that are not full are held back (`TCP_CORK`), for at most 200 ms.
    /// Turning this off sends the bytes that are held back.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_cork(socket, cork: bool) -> () { socket.set_tcp_cork(cork) }
}}

options! { TcpSocket, TcpStream => {
    /// Returns whether small writes are sent at once. See [`set_nodelay`](Self::set_nodelay).
    fn nodelay(socket) -> bool { socket.tcp_nodelay() }

    /// Sets `TCP_NODELAY`: whether a small write is sent at once, or waits for the
    /// acknowledgement of the previous one.
    fn set_nodelay(socket, nodelay: bool) -> () { socket.set_tcp_nodelay(nodelay) }
}}
