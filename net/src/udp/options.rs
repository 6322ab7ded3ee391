//! The options of a UDP socket, except for multicast.
//!
//! Options that must be set before a socket is bound, such as `SO_REUSEPORT`, are set with
//! socket2; [`UdpSocket::from_std`] converts such a socket.

use std::io;

use socket2::SockRef;

use super::UdpSocket;

impl UdpSocket {
    /// Returns whether datagrams may be sent to broadcast addresses.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn broadcast(&self) -> io::Result<bool> {
        SockRef::from(self).broadcast()
    }

    /// Sets whether datagrams may be sent to broadcast addresses. The default is false.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        SockRef::from(self).set_broadcast(on)
    }

    /// Returns how many hops the IPv4 datagrams of this socket may take.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn ttl(&self) -> io::Result<u32> {
        SockRef::from(self).ttl_v4()
    }

    /// Sets how many hops the IPv4 datagrams of this socket may take.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_ttl(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_ttl_v4(value)
    }

    /// Returns how many hops the IPv6 datagrams of this socket may take.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn unicast_hops_v6(&self) -> io::Result<u32> {
        SockRef::from(self).unicast_hops_v6()
    }

    /// Sets how many hops the IPv6 datagrams of this socket may take.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_unicast_hops_v6(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_unicast_hops_v6(value)
    }

    /// Returns the type of service of the IPv4 datagrams of this socket (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    #[cfg(not(target_os = "solaris"))]
    pub fn tos_v4(&self) -> io::Result<u32> {
        SockRef::from(self).tos_v4()
    }

    /// Sets the type of service of the IPv4 datagrams of this socket (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    #[cfg(not(target_os = "solaris"))]
    pub fn set_tos_v4(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_tos_v4(value)
    }

    /// Returns the traffic class of the IPv6 datagrams of this socket (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
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
    pub fn tclass_v6(&self) -> io::Result<u32> {
        SockRef::from(self).tclass_v6()
    }

    /// Sets the traffic class of the IPv6 datagrams of this socket (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
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
    pub fn set_tclass_v6(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_tclass_v6(value)
    }

    /// Returns the size of the kernel's receive buffer.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(self).recv_buffer_size()
    }

    /// Sets the size of the kernel's receive buffer.
    ///
    /// Datagrams that arrive while the buffer is full are lost. Linux doubles the size, up to
    /// its limit (`rmem_max`).
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_recv_buffer_size(&self, size: usize) -> io::Result<()> {
        SockRef::from(self).set_recv_buffer_size(size)
    }

    /// Returns the size of the kernel's send buffer.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(self).send_buffer_size()
    }

    /// Sets the size of the kernel's send buffer.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_send_buffer_size(&self, size: usize) -> io::Result<()> {
        SockRef::from(self).set_send_buffer_size(size)
    }

    /// Returns the mark of the datagrams of this socket, which routing uses (`SO_MARK`).
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn mark(&self) -> io::Result<u32> {
        SockRef::from(self).mark()
    }

    /// Sets the mark of the datagrams of this socket (`SO_MARK`). This requires privileges.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        SockRef::from(self).set_mark(mark)
    }

    /// Returns the name of the interface that this socket is bound to, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        SockRef::from(self).device()
    }

    /// Binds this socket to an interface, such as `eth0`, or to none.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        SockRef::from(self).bind_device(interface)
    }
}
