//! Generators, the children of scopes, and guards.

use std::hint::black_box;

use coreloop::cleanup::{AsyncGuard, flush};
use coreloop::for_await;
use coreloop::scope::scope;
use coreloop::stream::stream;

const AT_ONCE: u64 = 100;

pub(super) async fn generate(times: u64) {
    let items = stream(async move |mut co| {
        for number in 0..times {
            co.yield_(number).await?;
        }
        Ok(())
    });
    for_await!(item in items {
        black_box(item);
    });
}

pub(super) async fn children(times: u64) {
    for _ in 0..times / AT_ONCE {
        scope(async |scope| {
            let handles: Vec<_> = (0..AT_ONCE)
                .map(|number| scope.spawn(async move { black_box(number) }))
                .collect();
            for handle in handles {
                black_box(handle.await);
            }
        })
        .await;
    }
}

pub(super) async fn guards(times: u64) {
    for _ in 0..times / AT_ONCE {
        for number in 0..AT_ONCE {
            drop(AsyncGuard::new(number, async |number| {
                black_box(number);
            }));
        }
        flush().await;
    }
}
