//! Queues of a manager.

use coreloop::jobs::{Manager, SharedQueue};
use coreloop_test_support::meeting::soon;

use super::{client, key};

async fn manager() -> Manager {
    Manager::bind("127.0.0.1:0")
        .key(&key())
        .queue("tasks", 4)
        .start()
        .await
        .unwrap()
}

#[coreloop::test]
async fn items_come_out_in_order() {
    let manager = manager().await;
    let client = client(&manager).await;
    let tasks = client.queue::<u32>("tasks");
    for number in 0..4 {
        tasks.put(&number).await.unwrap();
    }
    let here: SharedQueue<u32> = manager.queue("tasks");
    assert_eq!(here.len().await.unwrap(), 4);
    for number in 0..4 {
        assert_eq!(soon(tasks.get()).await.unwrap(), number);
    }
    soon(tasks.join()).await.unwrap();
}
