//! The locks and signals of tokio, and the usual substitutes for the ones that it lacks.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work/mod.rs"]
pub(crate) mod work;

use tokio::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, watch};
use tokio::task::spawn_local as spawn;
use tokio_util::sync::CancellationToken;

/// A flag that tasks wait for, built on `watch`.
struct Event(watch::Sender<bool>);

impl Event {
    fn new() -> Event {
        Event(watch::Sender::new(false))
    }

    fn set(&self) {
        self.0.send_replace(true);
    }

    fn clear(&self) {
        self.0.send_replace(false);
    }

    async fn wait(&self) {
        let mut flag = self.0.subscribe();
        let set = flag.wait_for(|set| *set).await;
        drop(set.expect("the sender is there"));
    }
}

/// A number that tasks wait for, built without a `Condvar`.
#[derive(Default)]
struct Stage {
    number: Mutex<u64>,
    changed: Notify,
}

impl Stage {
    async fn wait_beyond(&self, seen: u64) {
        loop {
            let number = self.number.lock().await;
            if *number > seen {
                return;
            }
            // From here on the future receives notifications, even before its first poll.
            let changed = self.changed.notified();
            drop(number);
            changed.await;
        }
    }

    async fn advance(&self) {
        *self.number.lock().await += 1;
        self.changed.notify_waiters();
    }
}
