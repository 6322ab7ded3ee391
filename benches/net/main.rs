//! Echoes over loopback: both ends are tasks of one loop.

mod bytes;
mod on_coreloop;
mod on_tokio;
#[path = "../workload/samples.rs"]
mod samples;
#[path = "../workload/suite.rs"]
mod suite;

use crate::suite::{Suite, contest};

const BYTES: [usize; 3] = [64, 1024, 16 * 1024];

fn main() {
    let mut suite = Suite::new();
    contest!(suite, "net/tcp_ping_pong", Bytes BYTES, work::tcp_ping_pong);
    contest!(suite, "net/unix_ping_pong", Bytes BYTES, work::unix_ping_pong);
    contest!(suite, "net/udp_ping_pong", Bytes BYTES, work::udp_ping_pong);
    contest!(suite, "net/echo", Operations [1, 16, 128], work::echo);
    contest!(suite, "net/connect", Operations [1, 8, 32], work::connect);
    suite.finish();
}
