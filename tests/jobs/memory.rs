//! Queues in the memory of this process.

use coreloop::jobs::{Memory, Queue};

use crate::suite::{Place, in_place};

/// A [`Memory`] of the test.
struct Here(Memory);

impl Place for Here {
    async fn queue(&self, name: &str) -> Queue {
        let queue = Queue::memory(&self.0).name(name);
        queue.connect().await.unwrap()
    }
}

in_place!(Some(Here(Memory::new())));
