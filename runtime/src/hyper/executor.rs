//! [`LocalExecutor`]: an executor for hyper's tasks.

use ::hyper::rt::Executor;

use crate::task;

/// An executor for hyper that spawns tasks on the current loop.
///
/// The tasks need not be `Send`.
///
/// hyper requires an executor wherever it spawns tasks: for the streams of an HTTP/2
/// server, and for the connections of an HTTP/2 client.
///
/// # Panics
///
/// [`execute`](Executor::execute) panics outside a runtime, as
/// [`spawn`](crate::spawn) does.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// use coreloop::hyper::LocalExecutor;
/// use hyper::rt::Executor;
///
/// # coreloop::block_on(async {
/// let shared = Rc::new(7);
/// LocalExecutor.execute(async move { assert_eq!(*shared, 7) });
/// # coreloop::task::yield_now().await;
/// # })
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        drop(task::spawn(future));
    }
}
