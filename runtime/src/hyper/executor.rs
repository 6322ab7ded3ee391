//! Where hyper's tasks run.

use ::hyper::rt::Executor;

use crate::task;

/// Spawns tasks on the loop that it is used in. They need not be `Send`.
///
/// hyper asks for one wherever it starts tasks of its own: for the streams of an
/// HTTP/2 server, and the connections of an HTTP/2 client.
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
