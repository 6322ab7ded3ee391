//! Groups that a UDP socket sends to and receives from.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::SockRef;

use super::UdpSocket;

impl UdpSocket {
    /// The interface that IPv4 multicasts are sent by, as its address.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn multicast_if_v4(&self) -> io::Result<Ipv4Addr> {
        SockRef::from(self).multicast_if_v4()
    }

    /// Sets the interface that IPv4 multicasts are sent by, as one of its addresses.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_multicast_if_v4(&self, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v4(&interface)
    }

    /// The interface that IPv6 multicasts are sent by, as its number.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn multicast_if_v6(&self) -> io::Result<u32> {
        SockRef::from(self).multicast_if_v6()
    }

    /// Sets the interface that IPv6 multicasts are sent by, as its number.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_multicast_if_v6(&self, interface: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v6(interface)
    }

    /// Receives what is sent to the IPv4 group `group`, on the interface of address
    /// `interface`, or on one that the system chooses if that is unspecified.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::net::Ipv4Addr;
    /// use coreloop::net::UdpSocket;
    ///
    /// # async fn listen() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("0.0.0.0:5353").await?;
    /// socket.join_multicast_v4(Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::UNSPECIFIED)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).join_multicast_v4(&group, &interface)
    }

    /// Takes [`join_multicast_v4`](Self::join_multicast_v4) back.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v4(&group, &interface)
    }

    /// Receives what is sent to the IPv6 group `group`, on the interface numbered
    /// `interface`, or on one that the system chooses if that is 0.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        SockRef::from(self).join_multicast_v6(group, interface)
    }

    /// Takes [`join_multicast_v6`](Self::join_multicast_v6) back.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v6(group, interface)
    }

    /// Receives what `source` alone sends to the IPv4 group `group`.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    #[cfg(not(any(target_os = "dragonfly", target_os = "netbsd", target_os = "openbsd")))]
    pub fn join_ssm_v4(
        &self,
        source: Ipv4Addr,
        group: Ipv4Addr,
        interface: Ipv4Addr,
    ) -> io::Result<()> {
        SockRef::from(self).join_ssm_v4(&source, &group, &interface)
    }

    /// Takes [`join_ssm_v4`](Self::join_ssm_v4) back.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    #[cfg(not(any(target_os = "dragonfly", target_os = "netbsd", target_os = "openbsd")))]
    pub fn leave_ssm_v4(
        &self,
        source: Ipv4Addr,
        group: Ipv4Addr,
        interface: Ipv4Addr,
    ) -> io::Result<()> {
        SockRef::from(self).leave_ssm_v4(&source, &group, &interface)
    }

    /// Whether this machine's sockets receive the IPv4 multicasts of this one.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        SockRef::from(self).multicast_loop_v4()
    }

    /// Sets whether this machine's sockets receive the IPv4 multicasts of this one.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        SockRef::from(self).set_multicast_loop_v4(on)
    }

    /// Whether this machine's sockets receive the IPv6 multicasts of this one.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        SockRef::from(self).multicast_loop_v6()
    }

    /// Sets whether this machine's sockets receive the IPv6 multicasts of this one.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        SockRef::from(self).set_multicast_loop_v6(on)
    }

    /// How many hops IPv4 multicasts may take.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        SockRef::from(self).multicast_ttl_v4()
    }

    /// Sets how many hops IPv4 multicasts may take: one at first, which is this network.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_multicast_ttl_v4(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_ttl_v4(value)
    }

    /// How many hops IPv6 multicasts may take.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn multicast_hops_v6(&self) -> io::Result<u32> {
        SockRef::from(self).multicast_hops_v6()
    }

    /// Sets how many hops IPv6 multicasts may take: one at first, which is this network.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_multicast_hops_v6(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_hops_v6(value)
    }
}
