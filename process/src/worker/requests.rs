//! [`RequestCount`], which counts the requests of a worker up to
//! [`max_requests`](crate::Supervisor::max_requests).

use std::cell::Cell;

/// The number of requests that a worker has still to serve before it reports that it retires.
///
/// Accepted connections count as requests until the first request is counted.
#[derive(Debug)]
pub(super) struct RequestCount {
    /// The limit, with its random part taken off. `None` if there is no limit.
    limit: Option<u64>,
    left: Cell<u64>,
    counts_connections: Cell<bool>,
}

impl RequestCount {
    /// Takes a random part of the limit off, a tenth at most, so that workers do not retire
    /// all at once.
    pub(super) fn new(limit: Option<u64>) -> Self {
        let limit = limit.map(|limit| (limit - fastrand::u64(0..=limit / 10)).max(1));
        Self {
            limit,
            left: Cell::new(limit.unwrap_or(0)),
            counts_connections: Cell::new(limit.is_some()),
        }
    }

    /// Counts a request. Returns whether the limit is reached; from there the count begins
    /// again.
    pub(super) fn request(&self) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        if self.counts_connections.replace(false) {
            self.left.set(limit);
        }
        self.count(limit)
    }

    /// Counts an accepted connection, unless requests are counted. Returns whether the limit
    /// is reached.
    #[inline]
    pub(super) fn connection(&self) -> bool {
        self.counts_connections.get() && self.limit.is_some_and(|limit| self.count(limit))
    }

    fn count(&self, limit: u64) -> bool {
        let left = self.left.get() - 1;
        self.left.set(if left == 0 { limit } else { left });
        left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns which of these calls, counted from 1, reach the limit.
    fn reached(calls: u64, call: impl Fn() -> bool) -> Vec<u64> {
        (1..=calls).filter(|_| call()).collect()
    }

    #[test]
    fn without_a_limit_none_is_reached() {
        let count = RequestCount::new(None);
        assert!(reached(10, || count.request()).is_empty());
        assert!(reached(10, || count.connection()).is_empty());
    }

    #[test]
    fn the_limit_is_reached_again_after_as_many_requests() {
        let count = RequestCount::new(Some(4));
        assert_eq!(reached(12, || count.request()), [4, 8, 12]);
        let every = RequestCount::new(Some(1));
        assert_eq!(reached(3, || every.request()), [1, 2, 3]);
    }

    #[test]
    fn at_most_a_tenth_is_taken_off() {
        for _ in 0..100 {
            let count = RequestCount::new(Some(100));
            let first = reached(100, || count.request())[0];
            assert!((90..=100).contains(&first), "{first}");
        }
        let largest = RequestCount::new(Some(u64::MAX));
        assert!(!largest.request());
    }

    #[test]
    fn connections_count_until_the_first_request() {
        let count = RequestCount::new(Some(4));
        assert_eq!(reached(7, || count.connection()), [4]);
        assert_eq!(reached(3, || count.request()), [0_u64; 0]);
        assert_eq!(reached(10, || count.connection()), [0_u64; 0]);
        assert!(count.request());
    }
}
