//! Connections that are slow, stop or stay half open. The clock is paused.

use std::future::pending;
use std::task::{Context, Waker};
use std::time::Duration;

use coreloop::jobs::{Client, Service};
use coreloop::spawn;
use coreloop::task::yield_now;
use coreloop::time::{Instant, sleep, timeout};
use coreloop_test_support::clock::paused;

use super::line::{Line, Pace};

const HEARTBEAT: Duration = Duration::from_secs(2);

/// After this time without a sign of life, a peer counts as gone.
const GONE: Duration = Duration::from_secs(8);

/// What has not happened after this time does not happen.
const LONG: Duration = Duration::from_secs(3600);

/// Returns the length of a text.
struct Length;

impl Service for Length {
    const NAME: &'static str = "length";
    type Request = String;
    type Response = usize;
}

/// Returns a text of a length.
struct Text;

impl Service for Text {
    const NAME: &'static str = "text";
    type Request = usize;
    type Response = String;
}

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

/// The client ended the connection after four heartbeats, and began again with the first byte.
#[test]
fn a_request_may_take_longer_than_the_heartbeats_of_a_silent_peer() {
    paused().block_on(async {
        let line = Line::new();
        let manager = line.manager().heartbeat(HEARTBEAT);
        let manager = manager.service::<Length, &str>(async |text, _| Ok(text.len()));
        let manager = manager.start().await.unwrap();
        let client = line.client().connect().await.unwrap();
        line.set_to_manager(Pace::Slow(Duration::from_secs(1)));
        for length in [150_000, 1 << 20] {
            let start = Instant::now();
            let text = "x".repeat(length);
            let call = client.call::<Length>(&text).timeout(Duration::MAX);
            assert_eq!(timeout(LONG, call).await.unwrap().unwrap(), length);
            assert!(start.elapsed() > GONE);
        }
        assert_eq!((line.connections(), manager.clients()), (1, (1, 1)));
    });
}

/// The manager does not read while many bytes of answers wait, and ended the connection then.
#[test]
fn answers_may_take_longer_than_the_heartbeats_of_a_silent_peer() {
    const LENGTH: usize = 1 << 20;
    paused().block_on(async {
        let line = Line::new();
        let manager = line.manager().heartbeat(HEARTBEAT);
        let manager = manager.service::<Text, &str>(async |length, _| Ok("x".repeat(length)));
        let manager = manager.start().await.unwrap();
        let client = line.client().connect().await.unwrap();
        let start = Instant::now();
        line.set_to_client(Pace::Slow(Duration::from_millis(125)));
        let calls: Vec<_> = (0..24)
            .map(|_| {
                let client = client.clone();
                spawn(async move {
                    let call = client.call::<Text>(&LENGTH).timeout(Duration::MAX);
                    call.await.map(|text| text.len())
                })
            })
            .collect();
        for call in calls {
            assert_eq!(timeout(LONG, call).await.unwrap().unwrap().unwrap(), LENGTH);
        }
        assert!(start.elapsed() > 10 * GONE);
        assert_eq!((line.connections(), manager.clients()), (1, (1, 1)));
    });
}

/// The manager looked at the bytes that wait once for all requests that had come together.
#[test]
fn requests_that_come_together_wait_for_a_client_that_does_not_read() {
    const ITEMS: u64 = 64;
    paused().block_on(async {
        let line = Line::new();
        let manager = line.manager().queue("tasks", 64);
        let manager = manager.start().await.unwrap();
        let here = manager.queue::<String>("tasks");
        for _ in 0..ITEMS {
            here.put(&"x".repeat(1 << 20)).await.unwrap();
        }
        let client = line.client().connect().await.unwrap();
        line.set_to_client(Pace::Stopped);
        let gets: Vec<_> = (0..ITEMS)
            .map(|_| {
                let tasks = client.queue::<String>("tasks");
                spawn(async move { tasks.get().await.map(|item| item.len()) })
            })
            .collect();
        settled().await;
        let left = here.len().await.unwrap();
        assert!((ITEMS - 24..ITEMS - 16).contains(&left), "{left}");
        line.set_to_client(Pace::Fast);
        for get in gets {
            assert_eq!(get.await.unwrap().unwrap(), 1 << 20);
        }
    });
}

/// What the client writes stays in the buffers of its own system.
#[test]
fn a_manager_that_falls_silent_is_gone_after_its_heartbeats() {
    for length in [0, 1 << 20] {
        paused().block_on(async {
            let line = Line::new();
            let manager = line.manager().heartbeat(HEARTBEAT);
            let manager = manager.service::<Length, &str>(async |text, _| Ok(text.len()));
            let _manager = manager.start().await.unwrap();
            let client = line.client().connect().await.unwrap();
            line.set_to_manager(Pace::Stopped);
            line.set_to_client(Pace::Stopped);
            let other = client.clone();
            let call = spawn(async move {
                let text = "x".repeat(length);
                other.call::<Length>(&text).timeout(Duration::MAX).await
            });
            sleep(GONE - HEARTBEAT).await;
            assert!(client.is_connected());
            sleep(HEARTBEAT * 2).await;
            assert!(!client.is_connected());
            line.set_to_manager(Pace::Fast);
            line.set_to_client(Pace::Fast);
            assert_eq!(timeout(LONG, call).await.unwrap().unwrap().unwrap(), length);
        });
    }
}

/// The two seconds began when all requests were written.
#[test]
fn a_client_leaves_within_two_seconds_while_a_request_is_not_written() {
    for length in [0, 1 << 20] {
        paused().block_on(async {
            let line = Line::new();
            let manager = line.manager();
            let manager = manager.service::<Length, &str>(async |text, _| Ok(text.len()));
            let _manager = manager.start().await.unwrap();
            let client = line.client().connect().await.unwrap();
            line.set_to_manager(Pace::Stopped);
            let other = client.clone();
            let call = spawn(async move {
                let text = "x".repeat(length);
                other.call::<Length>(&text).await
            });
            settled().await;
            let start = Instant::now();
            timeout(LONG, client.close()).await.unwrap();
            let lasted = start.elapsed();
            assert!(
                lasted >= Duration::from_secs(2) && lasted < Duration::from_secs(3),
                "{lasted:?}"
            );
            assert!(call.await.unwrap().unwrap_err().is_closed());
        });
    }
}

/// The manager ended the connection at twice as many, and the client sent all of them again.
#[test]
fn a_client_has_a_limited_number_of_requests() {
    const MAX: usize = 65_536;
    paused().block_on(async {
        let line = Line::new();
        // A text is answered, and no text is not.
        let manager = line.manager().service::<Length, &str>(async |text, _| {
            if text.is_empty() {
                pending::<()>().await;
            }
            Ok(text.len())
        });
        let _manager = manager.start().await.unwrap();
        let client = line.client().connect().await.unwrap();
        let (waits, hello) = (String::new(), "hello".to_owned());
        let call = |text| client.call::<Length>(text).timeout(LONG).into_future();
        let mut cx = Context::from_waker(Waker::noop());
        let mut calls: Vec<_> = (0..MAX).map(|_| call(&waits)).collect();
        for call in &mut calls {
            assert!(call.as_mut().poll(&mut cx).is_pending());
        }
        settled().await;
        let error = call(&hello).await.unwrap_err();
        assert!(error.to_string().contains("more than 65536"), "{error}");
        // There is room when one of them was cancelled, and answered as such.
        calls.pop();
        settled().await;
        assert_eq!(call(&hello).await.unwrap(), 5);
        let mut another = call(&waits);
        assert!(another.as_mut().poll(&mut cx).is_pending());
        assert!(call(&hello).await.is_err());
        assert_eq!(line.connections(), 1);
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
