//! How long a connection remains whose peer is silent, or which has been closed.

use std::time::Duration;

use socket2::TcpKeepalive;

use crate::tcp::{TcpListener, TcpSocket, TcpStream};

options! { TcpSocket, TcpStream, TcpListener => {
    /// Returns whether the system probes silent peers.
    fn keepalive(socket) -> bool { socket.keepalive() }

    /// Sets `SO_KEEPALIVE`: whether the system probes a silent peer. If the peer does not
    /// answer, reads and writes fail with [`TimedOut`](std::io::ErrorKind::TimedOut).
    ///
    /// Linux sends the first probe after two hours of silence, unless
    /// [`set_keepalive_time`](Self::set_keepalive_time) sets another time. Accepted
    /// connections inherit the setting of their listener.
    fn set_keepalive(socket, keepalive: bool) -> () { socket.set_keepalive(keepalive) }

    /// Returns how long a peer has to be silent before the first probe.
    #[cfg(not(target_os = "openbsd"))]
    fn keepalive_time(socket) -> Duration { socket.tcp_keepalive_time() }

    /// Turns keepalive on, and sets how long a peer has to be silent before the first probe
    /// (`TCP_KEEPIDLE`), in whole seconds.
    #[cfg(not(target_os = "openbsd"))]
    fn set_keepalive_time(socket, time: Duration) -> () {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time))
    }

    /// Returns how long the system waits between two probes.
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris")))]
    fn keepalive_interval(socket) -> Duration { socket.tcp_keepalive_interval() }

    /// Turns keepalive on, and sets how long the system waits between two probes
    /// (`TCP_KEEPINTVL`), in whole seconds.
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris")))]
    fn set_keepalive_interval(socket, interval: Duration) -> () {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_interval(interval))
    }

    /// Returns how many probes a peer may leave unanswered before it counts as gone.
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris")))]
    fn keepalive_retries(socket) -> u32 { socket.tcp_keepalive_retries() }

    /// Turns keepalive on, and sets how many probes a peer may leave unanswered before it
    /// counts as gone (`TCP_KEEPCNT`).
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris")))]
    fn set_keepalive_retries(socket, retries: u32) -> () {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_retries(retries))
    }

    /// Returns how long sent bytes may remain unacknowledged; `None` is the system's default.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn user_timeout(socket) -> Option<Duration> { socket.tcp_user_timeout() }

    /// Sets `TCP_USER_TIMEOUT`: when sent bytes have been unacknowledged for this time, the
    /// connection ends with [`TimedOut`](std::io::ErrorKind::TimedOut). `None` selects the
    /// default of the system, which is many minutes on Linux.
    ///
    /// Keepalive detects a peer that is gone while nothing is sent; this option detects it
    /// while bytes are sent.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_user_timeout(socket, timeout: Option<Duration>) -> () {
        socket.set_tcp_user_timeout(timeout)
    }
}}

options! { TcpSocket, TcpStream => {
    /// Returns how long closing waits for unsent bytes. See [`set_linger`](Self::set_linger).
    fn linger(socket) -> Option<Duration> { socket.linger() }

    /// Sets `SO_LINGER`.
    ///
    /// `None`, the default, lets the system send the unsent bytes after the stream has been
    /// dropped. With zero, dropping the stream discards them and resets the connection. With a
    /// longer time, dropping the stream may block, and with it the whole loop.
    fn set_linger(socket, linger: Option<Duration>) -> () { socket.set_linger(linger) }

    /// Makes dropping the stream reset the connection: unsent bytes are discarded, the peer's
    /// next read fails, and nothing remains in `TIME_WAIT`.
    fn set_zero_linger(socket) -> () { socket.set_linger(Some(Duration::ZERO)) }
}}
