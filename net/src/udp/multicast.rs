//! The multicast groups of a UDP socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::SockRef;

use super::UdpSocket;

impl UdpSocket {
    /// Returns the interface that IPv4 multicasts are sent from, as its address.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn multicast_if_v4(&self) -> io::Result<Ipv4Addr> {
        SockRef::from(self).multicast_if_v4()
    }

    /// Sets the interface that IPv4 multicasts are sent from, as one of its addresses.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_multicast_if_v4(&self, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v4(&interface)
    }

    /// Returns the interface that IPv6 multicasts are sent from, as its index.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn multicast_if_v6(&self) -> io::Result<u32> {
        SockRef::from(self).multicast_if_v6()
    }

    /// Sets the interface that IPv6 multicasts are sent from, as its index.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_multicast_if_v6(&self, interface: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v6(interface)
    }

    /// Joins the IPv4 group `group`, on the interface with the address `interface`, or on one
    /// that the system chooses if `interface` is unspecified.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
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

    /// Leaves a group that [`join_multicast_v4`](Self::join_multicast_v4) has joined.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v4(&group, &interface)
    }

    /// Joins the IPv6 group `group`, on the interface with the index `interface`, or on one
    /// that the system chooses if `interface` is 0.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        SockRef::from(self).join_multicast_v6(group, interface)
    }

    /// Leaves a group that [`join_multicast_v6`](Self::join_multicast_v6) has joined.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v6(group, interface)
    }

    /// Joins the IPv4 group `group`, for the datagrams of `source` only.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    #[cfg(not(any(target_os = "dragonfly", target_os = "netbsd", target_os = "openbsd")))]
    pub fn join_ssm_v4(
        &self,
        source: Ipv4Addr,
        group: Ipv4Addr,
        interface: Ipv4Addr,
    ) -> io::Result<()> {
        SockRef::from(self).join_ssm_v4(&source, &group, &interface)
    }

    /// Leaves a group that [`join_ssm_v4`](Self::join_ssm_v4) has joined.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    #[cfg(not(any(target_os = "dragonfly", target_os = "netbsd", target_os = "openbsd")))]
    pub fn leave_ssm_v4(
        &self,
        source: Ipv4Addr,
        group: Ipv4Addr,
        interface: Ipv4Addr,
    ) -> io::Result<()> {
        SockRef::from(self).leave_ssm_v4(&source, &group, &interface)
    }

    /// Returns whether sockets of this machine receive the IPv4 multicasts of this socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        SockRef::from(self).multicast_loop_v4()
    }

    /// Sets whether sockets of this machine receive the IPv4 multicasts of this socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        SockRef::from(self).set_multicast_loop_v4(on)
    }

    /// Returns whether sockets of this machine receive the IPv6 multicasts of this socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        SockRef::from(self).multicast_loop_v6()
    }

    /// Sets whether sockets of this machine receive the IPv6 multicasts of this socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        SockRef::from(self).set_multicast_loop_v6(on)
    }

    /// Returns how many hops IPv4 multicasts may take.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        SockRef::from(self).multicast_ttl_v4()
    }

    /// Sets how many hops IPv4 multicasts may take. The default is one: this network.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_multicast_ttl_v4(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_ttl_v4(value)
    }

    /// Returns how many hops IPv6 multicasts may take.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn multicast_hops_v6(&self) -> io::Result<u32> {
        SockRef::from(self).multicast_hops_v6()
    }

    /// Sets how many hops IPv6 multicasts may take. The default is one: this network.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn set_multicast_hops_v6(&self, value: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_hops_v6(value)
    }
}
