//! Tests of yields in scopes, which need the private [`EnteredScope`].

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use crate::engine::core::context::EnteredScope;
use crate::runtime::block_on;
use crate::stream::generator::stream;
use crate::task::yield_now;

/// Enters a scope around each poll of a future, as a cancel scope does.
async fn scoped<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        let _entered = EnteredScope::new();
        future.as_mut().poll(cx)
    })
    .await
}

#[test]
fn yielding_out_of_a_scope_of_the_generator_panics() {
    let line = RefCell::new(0);
    let generator = || {
        stream(async |mut co| {
            scoped(async {
                yield_now().await;
                *line.borrow_mut() = line!() + 1;
                co.yield_(1).await
            })
            .await
        })
    };
    let caught = catch_unwind(AssertUnwindSafe(|| {
        block_on(async { pin!(generator()).next().await })
    }));
    let payload = caught.expect_err("the yield is in a scope");
    let message = payload.downcast_ref::<String>().expect("a message");
    let location = format!("{}:{}:", file!(), line.borrow());
    assert!(message.contains(&location), "{message}");
    assert!(message.contains("cancel scope"), "{message}");
}

#[test]
fn a_scope_left_before_the_yield_or_around_the_consumer_is_allowed() {
    block_on(async {
        let mut numbers = pin!(stream(async |mut co| {
            for number in 0..4 {
                scoped(yield_now()).await;
                co.yield_(number).await?;
            }
            Ok(())
        }));
        assert_eq!(numbers.next().await, Some(0));
        assert_eq!(scoped(numbers.next()).await, Some(1));
        assert_eq!(scoped(scoped(numbers.next())).await, Some(2));
        assert_eq!(numbers.next().await, Some(3));
        assert_eq!(scoped(numbers.next()).await, None);
    });
}

#[test]
fn a_yield_to_an_outer_generator_panics_in_a_scope_of_the_inner_one() {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            let mut outer = pin!(stream(async |mut outer| {
                let inner = stream(async |mut inner| {
                    inner.yield_(()).await?;
                    scoped(outer.yield_(1)).await
                });
                let mut inner = pin!(inner);
                while let Some(()) = inner.next().await {}
                Ok(())
            }));
            outer.next().await
        })
    }));
    assert!(caught.is_err());
}
