//! Connecting to the first of several addresses that answers: RFC 8305, "Happy Eyeballs".
//!
//! The attempts are polled in the order in which they began. Each has a stream, and therefore
//! a waker, of its own. Dropping the race closes all of them.
//!
//! # Invariants
//!
//! 1. While addresses are left, an attempt is in progress or the next one begins.
//! 2. `timer` runs from the start of the last attempt. When no address is left, nothing waits
//!    for it.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use coreloop_runtime::time::Sleep;
use rustix::io::Errno;

use super::TcpStream;
use super::connect::{Attempt, Unconnected};
use crate::addr;

/// How long RFC 8305 recommends to wait for an answer before the next attempt.
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The maximum number of attempts at once. A name may have a thousand addresses, and a connect
/// without an answer takes minutes to fail: without a limit, one name could use up all
/// descriptors.
const MAX_ATTEMPTS: usize = 16;

/// A race of the addresses of one host.
pub(super) struct Race<F> {
    open: F,
    delay: Duration,
    addresses: Alternating,
    attempts: VecDeque<Attempt>,
    timer: Option<Sleep>,
    failure: Option<io::Error>,
}

impl<F: Fn(SocketAddr) -> io::Result<Unconnected>> Race<F> {
    /// Creates a race in which `open` creates the socket for an address.
    pub(super) fn new(addresses: impl Iterator<Item = SocketAddr>, open: F) -> Self {
        Self {
            open,
            delay: ATTEMPT_DELAY,
            addresses: Alternating::new(addresses),
            attempts: VecDeque::new(),
            timer: None,
            failure: None,
        }
    }

    pub(super) fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Returns whether there is no address to try.
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.attempts.is_empty()
    }

    /// Returns the stream of the winner, if there is one, and removes the attempts that
    /// failed.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Option<TcpStream> {
        let mut at = 0;
        while let Some(attempt) = self.attempts.get_mut(at) {
            let result = match attempt.poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    at += 1;
                    continue;
                }
            };
            let attempt = self.attempts.remove(at);
            match result {
                Ok(()) => return attempt.map(Attempt::into_stream),
                Err(error) => self.note(error),
            }
        }
        None
    }

    /// Waits until the last attempt has had its time.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) => Pin::new(timer).poll(cx),
            None => Poll::Ready(()),
        }
    }

    fn begin(&mut self, address: SocketAddr) {
        if self.attempts.len() == MAX_ATTEMPTS {
            self.attempts.pop_front();
            self.note(io::ErrorKind::TimedOut.into());
        }
        match (self.open)(address) {
            Ok(socket) => {
                let attempt = Attempt::new(socket, address);
                self.timer = Some(attempt.stream().socket().io().sleep(self.delay));
                self.attempts.push_back(attempt);
            }
            Err(error) => {
                self.note(error);
                self.timer = None;
            }
        }
    }

    /// Keeps the last error, unless an earlier one is more specific.
    fn note(&mut self, error: io::Error) {
        let is_less_specific = is_out_of_reach(&error)
            && matches!(&self.failure, Some(earlier) if !is_out_of_reach(earlier));
        if !is_less_specific {
            self.failure = Some(error);
        }
    }
}

impl<F: Fn(SocketAddr) -> io::Result<Unconnected> + Unpin> Future for Race<F> {
    type Output = io::Result<TcpStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let race = self.get_mut();
        loop {
            let before = race.attempts.len();
            if let Some(stream) = race.poll_attempts(cx) {
                return Poll::Ready(Ok(stream));
            }
            let failed = race.attempts.len() < before;
            if race.addresses.is_empty() {
                if !race.attempts.is_empty() {
                    return Poll::Pending;
                }
                let failure = race.failure.take();
                return Poll::Ready(Err(failure.unwrap_or_else(addr::no_addresses)));
            }
            if !failed && race.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
            if let Some(address) = race.addresses.next() {
                race.begin(address);
            }
        }
    }
}

/// Returns whether an error says only that this machine has no route to the address, like a
/// machine without IPv6.
fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::ADDRNOTAVAIL
                | Errno::AFNOSUPPORT
                | Errno::HOSTUNREACH
                | Errno::NETDOWN
                | Errno::NETUNREACH
        )
    )
}

/// The addresses in the order in which they are tried: the first, then one of the other
/// family, and so on. Each family keeps its order.
struct Alternating {
    next: vec::IntoIter<SocketAddr>,
    other: vec::IntoIter<SocketAddr>,
}

impl Alternating {
    fn new(addresses: impl Iterator<Item = SocketAddr>) -> Self {
        let mut addresses = addresses.peekable();
        let first_is_v4 = addresses.peek().is_some_and(SocketAddr::is_ipv4);
        let (same, other): (Vec<_>, Vec<_>) =
            addresses.partition(|address| address.is_ipv4() == first_is_v4);
        Self {
            next: same.into_iter(),
            other: other.into_iter(),
        }
    }

    fn is_empty(&self) -> bool {
        self.next.len() == 0 && self.other.len() == 0
    }
}

impl Iterator for Alternating {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        if let Some(address) = self.next.next() {
            if self.other.len() > 0 {
                std::mem::swap(&mut self.next, &mut self.other);
            }
            return Some(address);
        }
        self.other.next()
    }
}

#[cfg(test)]
mod tests {
    use super::Alternating;

    fn order(addresses: &[&str]) -> Vec<String> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        Alternating::new(addresses)
            .map(|address| address.to_string())
            .collect()
    }

    #[test]
    fn families_take_turns_from_the_first() {
        assert_eq!(
            order(&["[::1]:1", "[::2]:1", "[::3]:1", "0.0.0.1:1", "0.0.0.2:1"]),
            ["[::1]:1", "0.0.0.1:1", "[::2]:1", "0.0.0.2:1", "[::3]:1"]
        );
        assert_eq!(
            order(&["0.0.0.1:1", "[::1]:1", "[::2]:1", "[::3]:1"]),
            ["0.0.0.1:1", "[::1]:1", "[::2]:1", "[::3]:1"]
        );
    }

    #[test]
    fn one_family_keeps_its_order() {
        assert_eq!(
            order(&["0.0.0.3:1", "0.0.0.1:1", "0.0.0.2:1"]),
            ["0.0.0.3:1", "0.0.0.1:1", "0.0.0.2:1"]
        );
        assert!(order(&[]).is_empty());
    }
}
