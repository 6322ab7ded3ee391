//! How long a connection is kept whose peer says nothing, or that is closed.

use std::time::Duration;

use socket2::TcpKeepalive;

use crate::tcp::{TcpListener, TcpSocket, TcpStream};

options! { TcpSocket, TcpStream, TcpListener => {
    /// Whether the system asks silent peers if they are still there.
    fn keepalive(socket) -> bool { socket.keepalive() }

    /// Sets `SO_KEEPALIVE`: whether the system asks a silent peer if it is still
    /// there. If that does not answer, reads and writes fail with
    /// [`TimedOut`](std::io::ErrorKind::TimedOut).
    ///
    /// Linux asks after two hours of silence, unless
    /// [`set_keepalive_time`](Self::set_keepalive_time) says otherwise. What a
    /// listener has set, the connections that it accepts have too.
    fn set_keepalive(socket, keepalive: bool) -> () { socket.set_keepalive(keepalive) }

    /// How long a peer is silent before it is asked for the first time.
    #[cfg(not(target_os = "openbsd"))]
    fn keepalive_time(socket) -> Duration { socket.tcp_keepalive_time() }

    /// Turns keepalive on, and sets how long a peer is silent before it is asked
    /// for the first time (`TCP_KEEPIDLE`), in whole seconds.
    #[cfg(not(target_os = "openbsd"))]
    fn set_keepalive_time(socket, time: Duration) -> () {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time))
    }

    /// How long the system waits between asking twice.
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris")))]
    fn keepalive_interval(socket) -> Duration { socket.tcp_keepalive_interval() }

    /// Turns keepalive on, and sets how long the system waits between asking twice
    /// (`TCP_KEEPINTVL`), in whole seconds.
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris")))]
    fn set_keepalive_interval(socket, interval: Duration) -> () {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_interval(interval))
    }

    /// How often a peer is asked before it counts as gone.
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris")))]
    fn keepalive_retries(socket) -> u32 { socket.tcp_keepalive_retries() }

    /// Turns keepalive on, and sets how often a peer is asked before it counts as
    /// gone (`TCP_KEEPCNT`).
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris")))]
    fn set_keepalive_retries(socket, retries: u32) -> () {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_retries(retries))
    }

    /// How long sent bytes may stay unacknowledged; `None` is the system's choice.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn user_timeout(socket) -> Option<Duration> { socket.tcp_user_timeout() }

    /// Sets `TCP_USER_TIMEOUT`: after this time with sent bytes unacknowledged, the
    /// connection ends with [`TimedOut`](std::io::ErrorKind::TimedOut). `None`
    /// leaves it to the system, which for Linux means many minutes.
    ///
    /// Keepalive finds a peer that is gone while nothing is sent; this, while
    /// something is.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn set_user_timeout(socket, timeout: Option<Duration>) -> () {
        socket.set_tcp_user_timeout(timeout)
    }
}}

options! { TcpSocket => {
    /// How long closing waits for unsent bytes. See [`set_linger`](Self::set_linger).
    fn linger(socket) -> Option<Duration> { socket.linger() }

    /// Sets `SO_LINGER`.
    ///
    /// `None`, the default, lets the system send what is left after the stream is
    /// dropped. Zero makes dropping discard it and reset the connection. Anything
    /// longer may make dropping the stream block, and with it the whole loop.
    fn set_linger(socket, linger: Option<Duration>) -> () { socket.set_linger(linger) }
}}

options! { TcpSocket, TcpStream => {
    /// Makes dropping the stream reset the connection: what is unsent is discarded,
    /// the peer's next read fails, and nothing is left behind in `TIME_WAIT`.
    fn set_zero_linger(socket) -> () { socket.set_linger(Some(Duration::ZERO)) }
}}
