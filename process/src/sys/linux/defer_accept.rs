//! `TCP_DEFER_ACCEPT`: connections are accepted only once their peers have sent data.

use std::io;
use std::os::fd::AsRawFd;

use socket2::Socket;

/// Has the kernel keep connections in the handshake until their peers have sent data, for
/// about this long; not at all with 0.
#[expect(
    unsafe_code,
    reason = "one call to libc: neither socket2 nor rustix has this option"
)]
pub(crate) fn defer_accept(socket: &Socket, seconds: i32) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "it is four bytes")]
    const LENGTH: libc::socklen_t = size_of::<i32>() as libc::socklen_t;

    // SAFETY: the socket is borrowed, so its descriptor is open. The kernel reads the `LENGTH`
    // bytes of `seconds`, which outlives the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            LENGTH,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
