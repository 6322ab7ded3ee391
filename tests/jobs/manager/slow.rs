//! Connections that are slow, stop or stay half open. The clock is paused.

use std::time::Duration;

use coreloop::jobs::Client;
use coreloop::spawn;
use coreloop::task::yield_now;
use coreloop::time::{Instant, sleep};
use coreloop_test_support::clock::paused;

use super::line::Line;

/// The old connection of a client kept its waker in the session after the new one had, so that an
/// answer waited for the next heartbeat.
#[test]
fn an_answer_does_not_wait_for_a_heartbeat_after_a_client_has_replaced_its_connection() {
    paused().block_on(async {
        let line = Line::new();
        let manager = line
            .manager()
            .queue("tasks", 4)
            .heartbeat(Duration::from_secs(3600));
        let manager = manager.start().await.unwrap();
        let client = line.client().connect().await.unwrap();
        let tasks = client.queue::<u32>("tasks");
        let getting = spawn(async move { tasks.get().await });
        settled().await;
        line.hang_up();
        reconnected(&client).await;
        assert_eq!((line.connections(), manager.clients()), (2, (1, 1)));
        let start = Instant::now();
        manager.queue("tasks").put(&7_u32).await.unwrap();
        assert_eq!(getting.await.unwrap().unwrap(), 7);
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

/// Waits until all bytes that are on their way have come: the clock moves when no task is ready.
async fn settled() {
    sleep(Duration::from_millis(1)).await;
}

/// Waits until the client has lost its connection and has a new one.
async fn reconnected(client: &Client) {
    while client.is_connected() {
        yield_now().await;
    }
    while !client.is_connected() {
        sleep(Duration::from_millis(1)).await;
    }
}
