//! The locks and signals of coreloop.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work/mod.rs"]
pub(crate) mod work;

use coreloop::spawn;
use coreloop::sync::{
    Barrier, CancellationToken, Condvar, Event, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce,
};

/// A number that tasks wait for.
#[derive(Default)]
struct Stage {
    number: Mutex<u64>,
    changed: Condvar,
}

impl Stage {
    async fn wait_beyond(&self, seen: u64) {
        let number = self.number.lock().await;
        drop(
            self.changed
                .wait_while(number, |number| *number <= seen)
                .await,
        );
    }

    async fn advance(&self) {
        *self.number.lock().await += 1;
        self.changed.notify_all();
    }
}
