//! Settings of the shortest and of the longest duration. The clock is paused.

use std::time::Duration;

use coreloop::jobs::{Client, ClientBuilder, ManagerBuilder, Service};
use coreloop::spawn;
use coreloop::task::yield_now;
use coreloop::time::{sleep, timeout};
use coreloop_test_support::clock::paused;

use super::line::Line;

const EXTREMES: [Duration; 2] = [Duration::ZERO, Duration::MAX];

struct Double;

impl Service for Double {
    const NAME: &'static str = "double";
    type Request = u32;
    type Response = u32;
}

/// Sets a manager and a client up, and uses them on two connections.
fn works(
    manager: impl Fn(ManagerBuilder) -> ManagerBuilder,
    client: impl Fn(ClientBuilder) -> ClientBuilder,
) {
    paused().block_on(async {
        let line = Line::new();
        let builder = line
            .manager()
            .service::<Double, &str>(async |number, _| Ok(2 * number));
        let _manager = manager(builder).start().await.unwrap();
        let client = client(line.client()).connect().await.unwrap();
        is_answered(&client).await;
        sleep(Duration::from_secs(1)).await;
        line.hang_up();
        while client.is_connected() {
            yield_now().await;
        }
        is_answered(&client).await;
        assert_eq!(line.connections(), 2);
    });
}

async fn is_answered(client: &Client) {
    let call = client.call::<Double>(&21).timeout(Duration::MAX);
    assert_eq!(call.await.unwrap(), 42);
}

#[test]
fn a_grace_and_a_heartbeat_of_any_duration_work() {
    for duration in EXTREMES {
        works(|manager| manager.grace(duration), |client| client);
        works(|manager| manager.heartbeat(duration), |client| client);
    }
}

/// Each connection panicked.
#[test]
fn a_handshake_without_a_limit_works() {
    works(
        |manager| manager.handshake_timeout(Duration::MAX),
        |client| client,
    );
}

#[test]
fn a_handshake_without_any_time_fails() {
    paused().block_on(async {
        let line = Line::new();
        let manager = line.manager().handshake_timeout(Duration::ZERO);
        let manager = manager.start().await.unwrap();
        let error = line.client().connect().await.unwrap_err();
        assert!(error.is_refused(), "{error}");
        assert_eq!(manager.unauthenticated(), 0);
    });
}

/// The refusal of a client has the same limit as a handshake.
#[test]
fn a_client_is_refused_without_a_limit() {
    paused().block_on(async {
        let line = Line::new();
        let manager = line.manager().max_clients(0);
        let manager = manager.handshake_timeout(Duration::MAX);
        let _manager = manager.start().await.unwrap();
        let error = line.client().connect().await.unwrap_err();
        assert!(error.to_string().contains("as many clients"), "{error}");
    });
}

#[test]
fn the_settings_of_a_client_may_have_any_duration() {
    for duration in EXTREMES {
        works(|manager| manager, |client| client.connect_timeout(duration));
        works(|manager| manager, |client| client.call_timeout(duration));
        works(
            |manager| manager,
            |client| client.unreachable_after(duration),
        );
    }
}

#[test]
fn requests_wait_for_a_manager_as_long_as_they_may() {
    for duration in EXTREMES {
        paused().block_on(async {
            let line = Line::new();
            let manager = line.manager().queue("tasks", 1);
            let manager = manager.start().await.unwrap();
            let client = line.client().unreachable_after(duration);
            let client = client.connect().await.unwrap();
            let tasks = client.queue::<u32>("tasks");
            let mut getting = spawn(async move { tasks.get().await });
            sleep(Duration::from_secs(1)).await;
            drop(manager);
            let waited = timeout(Duration::from_secs(600), &mut getting).await;
            if duration.is_zero() {
                assert!(waited.unwrap().unwrap().is_err());
            } else {
                assert!(waited.is_err());
            }
        });
    }
}

#[test]
fn a_call_waits_for_its_answer_as_long_as_it_may() {
    for duration in EXTREMES {
        paused().block_on(async {
            let line = Line::new();
            let manager = line.manager().service::<Double, &str>(async |number, _| {
                sleep(Duration::from_secs(86_400)).await;
                Ok(2 * number)
            });
            let _manager = manager.start().await.unwrap();
            let client = line.client().call_timeout(duration);
            let client = client.connect().await.unwrap();
            let answer = client.call::<Double>(&21).await;
            if duration.is_zero() {
                assert!(answer.unwrap_err().is_timeout());
            } else {
                assert_eq!(answer.unwrap(), 42);
            }
        });
    }
}
