//! What is on its way to be accepted: handshakes, and finished connections.

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec};

/// How many connections wait in `socket`'s queue. Where that is not known, 1 stands
/// for any number of them, or of datagrams.
pub(super) fn length(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut asked = [PollFd::new(&socket, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut asked, Some(&Timespec::default())))?;
    if !asked[0].revents().contains(PollFlags::IN) {
        return Ok(0);
    }
    // None may be left by now; but there were some.
    Ok(table::queued(socket).map_or(1, |count| count.max(1)))
}

/// Peers that were amid a handshake with one port.
#[derive(Debug)]
pub(crate) struct Handshakes {
    port: u16,
    peers: HashSet<String>,
    /// Whether the last of them was seen to be over.
    over: bool,
}

impl Handshakes {
    pub(super) fn none() -> Handshakes {
        Handshakes {
            port: 0,
            peers: HashSet::new(),
            over: true,
        }
    }

    pub(super) fn at(port: u16) -> io::Result<Handshakes> {
        // Those that still go by what the program was before.
        let_packets_pass();
        Ok(Handshakes {
            port,
            peers: table::shaking_hands(port)?,
            over: false,
        })
    }

    /// Whether each of them has ended, by a connection or otherwise. A connection is in
    /// its queue then.
    pub(crate) fn are_over(&mut self) -> io::Result<bool> {
        if !self.peers.is_empty() {
            let now = table::shaking_hands(self.port)?;
            self.peers.retain(|peer| now.contains(peer));
        }
        if self.peers.is_empty() && !self.over {
            // The last one may be on its way from the table to the queue.
            let_packets_pass();
            self.over = true;
        }
        Ok(self.over)
    }
}

/// Waits until the kernel is through with the packets that it handles at this moment,
/// some milliseconds: it does so under RCU, whose grace periods this call waits for.
/// Where it is refused a packet has no more than its usual microseconds.
#[cfg(target_os = "linux")]
fn let_packets_pass() {
    use rustix::thread::{MembarrierCommand, membarrier};

    let _ = membarrier(MembarrierCommand::Global);
}

#[cfg(not(target_os = "linux"))]
fn let_packets_pass() {}

/// The kernel's table of TCP sockets, in `/proc/net`: see `proc_pid_net(5)`. What
/// `TCP_INFO` tells of a listener's queue is there too, and so are the handshakes,
/// which have no socket yet that could be asked.
#[cfg(target_os = "linux")]
mod table {
    use std::collections::HashSet;
    use std::fs::File;
    use std::io::{self, BufRead, BufReader};
    use std::os::fd::BorrowedFd;

    const FILES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

    /// Values of the column `st`.
    const SYN_RECEIVED: &str = "03";
    const LISTENS: &str = "0A";

    /// One line. Addresses and numbers are in hexadecimal.
    pub(super) struct Row<'a> {
        pub(super) port: u16,
        pub(super) peer: &'a str,
        pub(super) state: &'a str,
        /// For one that listens: how many connections wait to be accepted.
        pub(super) unread: u32,
        pub(super) inode: u64,
    }

    impl<'a> Row<'a> {
        /// `None` for the heading.
        pub(super) fn parse(line: &'a str) -> Option<Row<'a>> {
            let mut columns = line.split_ascii_whitespace().skip(1);
            let (_, port) = columns.next()?.rsplit_once(':')?;
            let peer = columns.next()?;
            let state = columns.next()?;
            let (_, unread) = columns.next()?.split_once(':')?;
            // Timers, how often sent, whose it is, and how often probed.
            let inode = columns.nth(4)?;
            Some(Row {
                port: u16::from_str_radix(port, 16).ok()?,
                peer,
                state,
                unread: u32::from_str_radix(unread, 16).ok()?,
                inode: inode.parse().ok()?,
            })
        }
    }

    /// Reads a table until `seen` has an answer.
    fn read<R>(path: &str, mut seen: impl FnMut(&Row<'_>) -> Option<R>) -> io::Result<Option<R>> {
        let mut file = BufReader::with_capacity(32 << 10, File::open(path)?);
        let mut line = String::new();
        while file.read_line(&mut line)? > 0 {
            if let Some(row) = Row::parse(&line)
                && let Some(answer) = seen(&row)
            {
                return Ok(Some(answer));
            }
            line.clear();
        }
        Ok(None)
    }

    /// How many connections wait in the queue of a TCP socket that listens. Those come
    /// first in the table, so this does not read the connections.
    pub(super) fn queued(socket: BorrowedFd<'_>) -> Option<u32> {
        let inode = rustix::fs::fstat(socket).ok()?.st_ino;
        let find = |row: &Row<'_>| {
            if row.state != LISTENS {
                return Some(None);
            }
            (row.inode == inode).then_some(Some(row.unread))
        };
        FILES
            .iter()
            .find_map(|path| read(path, find).ok().flatten().flatten())
    }

    /// The peers that are amid a handshake with `port`. Which family's table they are in
    /// depends on the kernel, for those of the other family than their listener's.
    pub(super) fn shaking_hands(port: u16) -> io::Result<HashSet<String>> {
        let mut peers = HashSet::new();
        for path in FILES {
            let read = read(path, |row| {
                if row.state == SYN_RECEIVED && row.port == port {
                    peers.insert(row.peer.to_owned());
                }
                None::<()>
            });
            match read {
                // A kernel without IPv6 has no such table.
                Err(error) if path == FILES[1] && error.kind() == io::ErrorKind::NotFound => {}
                read => drop(read?),
            }
        }
        Ok(peers)
    }
}

/// Elsewhere nothing needs to know.
#[cfg(not(target_os = "linux"))]
mod table {
    use std::collections::HashSet;
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) fn queued(_socket: BorrowedFd<'_>) -> Option<u32> {
        None
    }

    pub(super) fn shaking_hands(_port: u16) -> io::Result<HashSet<String>> {
        Ok(HashSet::new())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::table::Row;

    /// Two lines as the kernel writes them, and the heading.
    #[test]
    fn rows_of_the_table_are_understood() {
        let listens = "   0: 0100007F:9BE3 00000000:0000 0A 00000000:0000002D 00:00000000 \
                       00000000     0        0 17245861 1 00000000ebaaf550 100 0 0 10 0";
        let row = Row::parse(listens).unwrap();
        assert_eq!((row.port, row.state), (0x9BE3, "0A"));
        assert_eq!((row.unread, row.inode), (45, 17_245_861));
        let begins = "  12: 0000000000000000FFFF00000100007F:9BE3 \
                      0000000000000000FFFF00000100007F:B0A2 03 00000000:00000000 01:00000063 \
                      00000000     0        0 0 0 0000000003eee934";
        let row = Row::parse(begins).unwrap();
        assert_eq!((row.port, row.state, row.inode), (0x9BE3, "03", 0));
        assert_eq!(row.peer, "0000000000000000FFFF00000100007F:B0A2");
        let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when";
        assert!(Row::parse(heading).is_none());
    }
}
