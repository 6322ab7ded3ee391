//! The task of a client: it has a connection, or makes one.

use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::time::{Instant, timeout};

use super::connect::{Connected, once};
use super::driver::{Driver, End};
use super::link::Link;

/// A connection that has lasted for this long was a success.
const SUCCESS: Duration = Duration::from_secs(1);

/// Runs until the client leaves.
pub(super) async fn run(link: Rc<Link>, first: Connected) {
    // It is dropped with the task as well, if the loop ends.
    let end = EndOnDrop(Rc::clone(&link));
    let mut backoff = Backoff::new();
    let mut connected = Some(first);
    loop {
        if let Some(connection) = connected.take() {
            let begin = Instant::now();
            let driver = Driver::new(&link, connection);
            match driver.run().await {
                End::Left => break,
                End::Lost(error) => link.set_trouble(error),
            }
            if begin.elapsed() >= SUCCESS {
                backoff = Backoff::new();
            }
        }
        // Without a connection there is nothing to say to the manager.
        if link.is_leaving() || timeout(backoff.next(), link.leaving()).await.is_ok() {
            break;
        }
        let attempt = async {
            match once(&link).await {
                Ok(connection) => Some(connection),
                Err(attempt) => {
                    link.set_trouble(attempt.into_error());
                    None
                }
            }
        };
        connected = coreloop_runtime::select! {
            connection = attempt => connection,
            () = link.leaving() => break,
        };
    }
    drop(end);
}

struct EndOnDrop(Rc<Link>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Pauses between attempts to connect, which grow.
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);
    const MAX: Duration = Duration::from_secs(2);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// Returns the next pause. It is random, so that many clients do not come back at once.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(Self::MAX);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}
