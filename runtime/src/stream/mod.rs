//! Async generators, and the methods of streams that need the event loop.
//!
//! An async function that yields is a [`Stream`](futures_core::Stream):
//!
//! ```
//! use coreloop::{for_await, stream::stream, time::sleep};
//! use std::time::Duration;
//!
//! # coreloop::block_on(async {
//! let countdown = stream(async |mut co| {
//!     for number in (1..=3).rev() {
//!         co.yield_(number).await?;
//!         sleep(Duration::from_millis(1)).await;
//!     }
//!     Ok(())
//! });
//! for_await!(number in countdown {
//!     println!("{number}");
//! });
//! # })
//! ```
//!
//! | | |
//! |---|---|
//! | [`stream`](stream()) | a generator of items |
//! | [`try_stream`](try_stream()) | a generator that may fail: items are results, and an error is the last item |
//! | [`generator`], [`try_generator`] | generators whose consumer answers each item |
//! | [`for_await!`](crate::for_await) | a loop over any stream |
//! | [`Gen::into_channel`] | a generator in a task of its own |
//! | [`LoopStreamExt`] | time limits, throttles, batches and merges for any stream |
//! | [`IntervalStream`] | ticks as items |
//!
//! Generators are not boxed, and yielding an item does not allocate. A generator is
//! pinned in place, or with [`Box::pin`] if it has to move. `boxed_local` of the stream
//! traits of `futures-lite` and `futures-util` makes a trait object of it, which is also
//! how a generator can consume itself recursively.
//!
//! # Coming from Python
//!
//! | Python | here |
//! |---|---|
//! | `async def` with `yield` | [`stream`](stream()) |
//! | `async for` | [`for_await!`](crate::for_await) |
//! | `anext`, `asend` | [`Gen::next`], [`Gen::send`] |
//! | `athrow` | `send` of an `Err`, to a [`generator`] whose answers are results |
//! | `aclose` | [`Gen::close`]: yields then fail with [`Closed`], where Python raises `GeneratorExit` |
//! | `finally:` with an `await` | code after the yields, which also runs on `close` and may await |

mod channel;
mod co;
mod ending;
mod ext;
mod for_await;
mod generator;
mod state;
mod try_generator;

#[cfg(test)]
mod tests;

pub use channel::Channel;
pub use co::{Closed, Co, Yield};
pub use ending::{Ending, TryBody, TryEnd};
pub use ext::{ChunksTimeout, Debounce, IntervalStream, LoopStreamExt, Merge, Throttle, Timeout};
#[doc(hidden)]
pub use for_await::next;
pub use generator::{Gen, generator, stream};
pub use try_generator::{TryCo, TryGen, try_generator, try_stream};
