//! The bounds that coreloop should meet, and the tests for conditions that no figure of a
//! run shows.

/// A bound. `key` is its name in the program that measures it; a `*` at the end stands for
/// all ways in which it is measured.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) topic: &'static str,
    pub(crate) what: &'static str,
    pub(crate) key: &'static str,
}

const fn bound(topic: &'static str, what: &'static str, key: &'static str) -> Bound {
    Bound { topic, what, key }
}

/// All bounds on figures, in the order of the report.
pub(crate) const BOUNDS: &[Bound] = &[
    bound(
        "loop",
        "user-space instructions per 64-byte echo, 16 connections",
        "coreloop instructions per echo",
    ),
    bound(
        "loop",
        "server CPU per echo, 64 connections, times a bare epoll loop's",
        "ratio coreloop/bare epoll, 64 connections",
    ),
    bound(
        "loop",
        "the same, 1000 connections",
        "ratio coreloop/bare epoll, 1000 connections",
    ),
    bound(
        "loop",
        "resident bytes per idle connection with a 64-byte buffer",
        "coreloop bytes per connection",
    ),
    bound(
        "tasks",
        "spawn and join, 100 at once, times monoio's",
        "spawn and join",
    ),
    bound(
        "tasks",
        "self-wake through the queue, 100 tasks, times the best peer's",
        "self-wake",
    ),
    bound(
        "time",
        "set and cancel a timer, 1000 live, times the best peer's",
        "set and cancel, 1000 live",
    ),
    bound(
        "time",
        "10 000 tasks that sleep 1 to 20 ms, CPU per timer, times the best peer's",
        "sleep in a task, CPU time",
    ),
    bound(
        "time",
        "overshoot of a 100 µs sleep on an idle loop, median, µs",
        "median overshoot",
    ),
    bound(
        "time",
        "from another thread's wake to the poll, times tokio's",
        "wake, ratio coreloop/tokio",
    ),
    bound(
        "locks",
        "uncontended `Mutex`, times the best peer's",
        "Mutex, uncontended",
    ),
    bound("locks", "times tokio's", "Mutex, uncontended, tokio"),
    bound(
        "locks",
        "times tokio's on tokio",
        "Mutex, uncontended, tokio on tokio",
    ),
    bound(
        "locks",
        "uncontended `Semaphore`, times the best peer's",
        "Semaphore, uncontended",
    ),
    bound("locks", "times tokio's", "Semaphore, uncontended, tokio"),
    bound(
        "locks",
        "times tokio's on tokio",
        "Semaphore, uncontended, tokio on tokio",
    ),
    bound(
        "locks",
        "`Mutex` contended by 8 tasks, whose holder yields, times the best peer's",
        "Mutex, contended by 8 tasks whose holder yields",
    ),
    bound(
        "locks",
        "times tokio's",
        "Mutex, contended by 8 tasks whose holder yields, tokio",
    ),
    bound(
        "locks",
        "times tokio's on tokio",
        "Mutex, contended by 8 tasks whose holder yields, tokio on tokio",
    ),
    bound(
        "locks",
        "`Notify`, ping-pong of two tasks, times the best peer's",
        "Notify, ping-pong of two tasks",
    ),
    bound(
        "locks",
        "times tokio's",
        "Notify, ping-pong of two tasks, tokio",
    ),
    bound(
        "locks",
        "times tokio's on tokio",
        "Notify, ping-pong of two tasks, tokio on tokio",
    ),
    bound(
        "locks",
        "bytes of a `Mutex<()>`, with tokio's as the bound",
        "bytes of Mutex<()>",
    ),
    bound(
        "locks",
        "bytes of a `Semaphore`, with tokio's as the bound",
        "bytes of Semaphore",
    ),
    bound(
        "locks",
        "bytes of a `Notify`, with tokio's as the bound",
        "bytes of Notify",
    ),
    bound(
        "channels",
        "bounded `mpsc` (128), one producer, times the best peer's",
        "mpsc (128), one producer",
    ),
    bound(
        "channels",
        "`oneshot` created, sent, received, times the best peer's",
        "oneshot made, sent, received",
    ),
    bound(
        "channels",
        "`broadcast` to 10 receivers, times tokio's",
        "broadcast to 10 that wait",
    ),
    bound(
        "channels",
        "`watch` change and read, times tokio's",
        "watch change and read",
    ),
    bound(
        "channels",
        "the same between two tasks",
        "watch change, wake, read",
    ),
    bound(
        "network",
        "hyper, server CPU per request, times tokio's",
        "hyper: CPU per request, coreloop/tokio",
    ),
    bound(
        "network",
        "the same with a time limit for headers",
        "hyper with a time limit for headers: CPU per request, coreloop/tokio",
    ),
    bound(
        "network",
        "a connection per request, 64 bytes, server CPU, times tokio's",
        "a connection per request, 64 bytes each way: CPU per request, coreloop/tokio",
    ),
    bound(
        "network",
        "the same with hyper and `Connection: close`",
        "a connection per request, hyper, \"Connection: close\": CPU per request, coreloop/tokio",
    ),
    bound(
        "network",
        "16 KiB echoes, throughput, times a bare epoll loop's",
        "16 KiB echo: throughput, coreloop/bare epoll",
    ),
    bound(
        "network",
        "a stream through `copy_bidirectional`, throughput, times a bare epoll loop's",
        "a MiB through a proxy: throughput, coreloop/bare epoll",
    ),
    bound(
        "network",
        "64 KiB echoes over TLS, throughput, times tokio-rustls's",
        "64 KiB echo over TLS, each message read before it is written: throughput, coreloop/tokio",
    ),
    bound(
        "network",
        "the same with tokio's traits",
        "64 KiB echo over TLS, each message read before it is written: throughput, coreloop, \
         tokio-io/tokio",
    ),
    bound(
        "network",
        "the same, each read written at once",
        "64 KiB echo over TLS, each read written at once: throughput, coreloop, tokio-io/tokio",
    ),
    bound(
        "structure",
        "a generator's item, 8 bytes, times `async-stream`'s",
        "generator, items of 8 bytes",
    ),
    bound(
        "structure",
        "the same, 128 bytes",
        "generator, items of 128 bytes",
    ),
    bound(
        "structure",
        "the same, 8 bytes, through two generators",
        "generator in a generator",
    ),
    bound(
        "structure",
        "a child in a scope, from spawn to join, 100 children, times `FuturesUnordered`'s",
        "child of 100, ready at once",
    ),
    bound(
        "structure",
        "the same, where each child yields once",
        "child of 100, yields once",
    ),
    bound(
        "structure",
        "the same, where each child yields thrice",
        "child of 100, yields thrice",
    ),
    bound(
        "structure",
        "a dropped guard's cleanup queued, ns",
        "guard handed over",
    ),
    bound(
        "processes",
        "server CPU per echo, 2 workers on 2 cores, times tokio's multi-thread runtime",
        "ratio worker processes/tokio*",
    ),
    bound(
        "processes",
        "master and workers with nothing to do, percent of a core",
        "CPU, percent of a core",
    ),
    bound(
        "processes",
        "from the kill of a worker to the next one's first answer, median, ms",
        "median, ms",
    ),
    bound("processes", "the same, 99 of 100", "p99, ms"),
];

impl Bound {
    /// Returns the way in which the figure `key` was measured, which is empty if there is only
    /// one, or `None` if the bound is not for this figure.
    pub(crate) fn way<'a>(&self, key: &'a str) -> Option<&'a str> {
        match self.key.strip_suffix('*') {
            Some(start) => key.strip_prefix(start),
            None => (self.key == key).then_some(""),
        }
    }
}

/// A bound that is a condition and not a figure.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) what: &'static str,
    /// The tests that check the condition, if there are any.
    pub(crate) tests: &'static [Topic],
}

const fn condition(what: &'static str, tests: &'static [Topic]) -> Condition {
    Condition { what, tests }
}

/// The tests of `tests/<area>/<topic>.rs`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Topic {
    /// The name of the test binary.
    pub(crate) area: &'static str,
    /// The name of a module in it.
    pub(crate) topic: &'static str,
}

const fn topic(area: &'static str, topic: &'static str) -> Topic {
    Topic { area, topic }
}

impl Topic {
    /// Returns the name of the tests in the results.
    pub(crate) fn name(self) -> String {
        format!("{}/{}", self.area, self.topic)
    }
}

/// All conditions.
pub(crate) const CONDITIONS: &[Condition] = &[
    condition(
        "an item of a generator needs no allocation",
        &[topic("allocations", "stream")],
    ),
    condition(
        "1000 wakes from other threads while the loop is parked cause one write",
        &[topic("runtime", "turn")],
    ),
    condition(
        "38 `kill -9` under 256 clients, with 1, 2 and 4 workers, lose no connection from the queue",
        &[topic("process", "storm")],
    ),
    condition(
        "no request fails in 50 reloads, 20 scalings from 4 to 2 to 4, and upgrades, also to a \
         broken binary, all under load",
        &[topic("process", "storm"), topic("process", "storm_upgrade")],
    ),
    condition(
        "guards and scopes add at most 4 instructions to the poll of a task that uses neither; the \
         bound on instructions per echo leaves no room for more",
        &[],
    ),
];
