//! The differences between the systems that this crate runs on, behind one contract.
//!
//! Each system has a module that provides the items listed here. No other file of the
//! crate, its tests excepted, asks which system it is compiled for.
//!
//! Processes and threads:
//!
//! | item | what it does |
//! |---|---|
//! | [`Pidfd`] | a descriptor that becomes readable when a process has ended: `open`, which returns `None` where there are none, `poll_ended`, `poll_collect`, `signal` |
//! | [`fork`] | forks this process, which has one thread |
//! | [`thread_count`] | the number of threads of this process; `None` where it is not known |
//! | [`executable`] | a path of the file that this process runs, whatever its name leads to by now; `None` where there is none |
//! | [`resident`] | how many bytes of memory a process has; `None` where that is not known |
//! | [`allowed_cores`] | the cores that this process may use; none where that is not known |
//! | [`pin_thread`] | keeps this thread on one core, if the system lets it |
//! | [`name_thread`] | names this thread for `ps` and `top` |
//! | [`set_identity`] | changes the user and the groups of this process, which has one thread, for good |
//! | [`unblock_signals`] | unblocks all signals in this thread |
//! | [`end_with_parent`] | asks the kernel to kill this process when its parent ends; does nothing where the kernel cannot |
//! | [`SOCKET_PAIR_NAMES_ITS_CREATOR`] | whether the peer's process of a socket pair is known, and is the process that made the pair |
//!
//! Descriptors:
//!
//! | item | what it does |
//! |---|---|
//! | [`socket_pair`] | makes two connected Unix stream sockets that are closed on `exec` |
//! | [`descriptor_path`] | a path of an open descriptor |
//! | [`abstract_address`] | the address of a Unix socket that has no file |
//!
//! Sockets that the master binds:
//!
//! | item | what it does |
//! |---|---|
//! | [`SOCKET_PER_SLOT`] | whether each slot has a TCP or UDP socket of its own, in a group that can be steered |
//! | [`share_port`] | lets more sockets join the group of a socket |
//! | [`steer`] | sends connections and datagrams to the first members of a group |
//! | [`drop_packets`] | has the kernel drop all packets that come to a socket, until [`receive_packets`] |
//! | [`defer_accept`] | keeps connections in the handshake until their peers have sent data; does nothing where the kernel cannot |
//! | [`is_listening`] | whether a stream socket listens; `true` where the kernel does not say |
//! | [`queued_connections`] | the length of a listener's accept queue; `None` where it is not known |
//! | [`handshakes`] | the peers that are in the middle of a TCP handshake with a port |
//! | [`let_packets_pass`] | waits until the kernel has handled the packets that it handles now |

mod signal_mask;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as system;

pub(crate) use signal_mask::unblock_signals;
pub use system::resident;
pub(crate) use system::{
    Pidfd, SOCKET_PAIR_NAMES_ITS_CREATOR, SOCKET_PER_SLOT, abstract_address, allowed_cores,
    defer_accept, descriptor_path, drop_packets, end_with_parent, executable, fork, handshakes,
    is_listening, let_packets_pass, name_thread, pin_thread, queued_connections, receive_packets,
    set_identity, share_port, socket_pair, steer, thread_count,
};

/// How a group spreads connections and datagrams over its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flows {
    /// Each new connection goes to any member. The kernel finds the member of an
    /// established connection, or of a handshake, without being asked.
    ByChance,
    /// All datagrams of one peer go to one member. A hash of the peer's address chooses it
    /// among the first `span` members; if that member gets nothing now, another hash
    /// chooses among the members that do. So when the last slot retires, the peers of the others
    /// stay where they are, and when it comes back, it gets its own peers again.
    ByPeer { span: u32 },
}
