//! The kernel's table of TCP sockets, in `/proc/net`; see `proc_pid_net(5)`.
//!
//! The accept queue of a listener is in `TCP_INFO` too, but a handshake is only here: it
//! has no socket yet that could be asked.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::BorrowedFd;

const FILES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Values of the column `st`.
const SYN_RECEIVED: &str = "03";
const LISTENS: &str = "0A";

/// One line of a table. Addresses and numbers are in hexadecimal.
struct Row<'a> {
    port: u16,
    peer: &'a str,
    state: &'a str,
    /// For a listener: how many connections wait to be accepted.
    unread: u32,
    inode: u64,
}

impl<'a> Row<'a> {
    /// Parses a line; `None` for the heading.
    fn parse(line: &'a str) -> Option<Self> {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (_, port) = columns.next()?.rsplit_once(':')?;
        let peer = columns.next()?;
        let state = columns.next()?;
        let (_, unread) = columns.next()?.split_once(':')?;
        // Skips the timers, the retransmits, the user and the probes.
        let inode = columns.nth(4)?;
        Some(Self {
            port: u16::from_str_radix(port, 16).ok()?,
            peer,
            state,
            unread: u32::from_str_radix(unread, 16).ok()?,
            inode: inode.parse().ok()?,
        })
    }
}

/// Reads a table until `seen` returns a value.
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

/// Returns the length of a TCP listener's accept queue. Listeners come first in the table,
/// so this does not read the connections.
pub(crate) fn queued_connections(socket: BorrowedFd<'_>) -> Option<u32> {
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

/// Returns the peers that are in the middle of a handshake with `port`. It depends on the
/// kernel in which family's table a peer is whose family is not its listener's.
pub(crate) fn handshakes(port: u16) -> io::Result<HashSet<String>> {
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

#[cfg(test)]
mod tests {
    use super::Row;

    /// Parses two lines as the kernel writes them, and the heading.
    #[test]
    fn rows_of_the_table_are_parsed() {
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
