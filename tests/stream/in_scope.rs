//! A generator that yields inside a cancel scope that it opened: the mistake that
//! Python's PEP 789 describes, <https://peps.python.org/pep-0789/>.

use std::pin::pin;
use std::time::Duration;

use coreloop::block_on;
use coreloop::scope::{cancel_scope, timeout_at};
use coreloop::stream::stream;
use coreloop::time::Instant;
use coreloop_test_support::panics::panic_of;

#[test]
fn yielding_inside_a_cancel_scope_of_the_generator_is_caught() {
    let message = panic_of(|| {
        block_on(async {
            let mut numbers = pin!(stream(async |mut co| {
                let inside = cancel_scope(async |_| co.yield_(1).await);
                inside.await.unwrap()
            }));
            numbers.next().await;
        });
    });
    assert!(
        message.contains("cancel scope") && message.contains(file!()),
        "{message}"
    );
}

#[test]
fn yielding_under_a_deadline_of_the_generator_is_caught() {
    let message = panic_of(|| {
        block_on(async {
            let soon = Instant::now() + Duration::from_secs(60);
            let mut numbers = pin!(stream(async |mut co| {
                timeout_at(soon, co.yield_(1)).await.unwrap()
            }));
            numbers.next().await;
        });
    });
    assert!(message.contains("cancel scope"), "{message}");
}

#[test]
fn a_scope_around_the_consumer_or_left_before_the_yield_is_allowed() {
    block_on(async {
        let mut numbers = pin!(stream(async |mut co| {
            for number in 0..3 {
                let squared = cancel_scope(async |_| number * number).await.unwrap();
                co.yield_(squared).await?;
            }
            Ok(())
        }));
        assert_eq!(numbers.next().await, Some(0));
        let within = cancel_scope(async |_| numbers.next().await).await;
        assert_eq!(within.unwrap(), Some(1));
        assert_eq!(numbers.next().await, Some(4));
        assert_eq!(numbers.next().await, None);
    });
}
