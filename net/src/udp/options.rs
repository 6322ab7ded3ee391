//! What can be set of a UDP socket, multicast aside.
//!
//! What must be set before a socket is bound, such as `SO_REUSEPORT`, is set with
//! socket2 and brought here by [`UdpSocket::from_std`].

use std::io;

use socket2::SockRef;

use super::UdpSocket;

impl UdpSocket {
    /// Whether datagrams may go to broadcast addresses.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn broadcast(&self) -> io::Result<bool> {
        SockRef::from(self).broadcast()
    }

    /// Sets whether datagrams may go to broadcast addresses, which is off at first.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        SockRef::from(self).set_broadcast(on)
    }

    /// How many hops the IPv4 datagrams of this socket may take.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn ttl(&self) -> io::Result<u32> {
        SockRef::from(self).ttl_v4()
    }

    /// Sets how many hops the IPv4 datagrams of this socket may take.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_ttl(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_ttl_v4(value)
    }

    /// How many hops the IPv6 datagrams of this socket may take.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn unicast_hops_v6(&self) -> io::Result<u32> {
        SockRef::from(self).unicast_hops_v6()
    }

    /// Sets how many hops the IPv6 datagrams of this socket may take.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_unicast_hops_v6(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_unicast_hops_v6(value)
    }

    /// The type of service of the IPv4 datagrams of this socket: `IP_TOS`.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn tos_v4(&self) -> io::Result<u32> {
        SockRef::from(self).tos_v4()
    }

    /// Sets the type of service of the IPv4 datagrams of this socket: `IP_TOS`.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_tos_v4(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_tos_v4(value)
    }

    /// The traffic class of the IPv6 datagrams of this socket: `IPV6_TCLASS`.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        SockRef::from(self).tclass_v6()
    }

    /// Sets the traffic class of the IPv6 datagrams of this socket: `IPV6_TCLASS`.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_tclass_v6(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_tclass_v6(value)
    }

    /// The size of the system's buffer for what is received.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(self).recv_buffer_size()
    }

    /// Asks for a size of the system's buffer for what is received. What comes when it
    /// is full is lost. Linux takes twice the size, up to its limit (`rmem_max`).
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_recv_buffer_size(&self, size: usize) -> io::Result<()> {
        SockRef::from(self).set_recv_buffer_size(size)
    }

    /// The size of the system's buffer for what is sent.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(self).send_buffer_size()
    }

    /// Asks for a size of the system's buffer for what is sent.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_send_buffer_size(&self, size: usize) -> io::Result<()> {
        SockRef::from(self).set_send_buffer_size(size)
    }

    /// The mark of the datagrams of this socket, by which they are routed: `SO_MARK`.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn mark(&self) -> io::Result<u32> {
        SockRef::from(self).mark()
    }

    /// Sets the mark of the datagrams of this socket, which takes privileges.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        SockRef::from(self).set_mark(mark)
    }

    /// The interface this socket is bound to, if any.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        SockRef::from(self).device()
    }

    /// Binds this socket to an interface, such as `eth0`, or to none any more.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        SockRef::from(self).bind_device(interface)
    }
}
