//! [`wait`], which waits for one or all of several jobs.

use coreloop_runtime::scope::{ReturnWhen, as_completed};

use crate::pool::JobHandle;

/// Waits for one or all of several jobs, and removes the handles of those that have finished.
///
/// This is Python's `concurrent.futures.wait`. Awaiting a handle that is returned does not wait.
/// The handles are in the order in which they were in the list, and so are those that stay in it.
///
/// With [`ReturnWhen::FirstError`] the function returns when a job has failed with a
/// [`JobError`](crate::JobError), or all have finished. A job that returns an `Err` of its own
/// has not failed.
///
/// # Cancel safety
///
/// Cancel safe: the handles stay in the list.
///
/// # Panics
///
/// Panics if a handle has returned its outcome already.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use coreloop::pool::{self, Executor};
/// use coreloop::scope::ReturnWhen;
///
/// #[coreloop::job]
/// fn nap(millis: u64) -> u64 {
///     std::thread::sleep(Duration::from_millis(millis));
///     millis
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
/// let executor = Executor::threads(2)?;
/// let mut jobs = vec![
///     executor.submit(nap, 100).await?,
///     executor.submit(nap, 0).await?,
/// ];
/// for job in pool::wait(&mut jobs, ReturnWhen::First).await {
///     println!("finished: {}", job.await?);
/// }
/// println!("still running: {}", jobs.len());
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn wait<R>(
    handles: &mut Vec<JobHandle<R>>,
    return_when: ReturnWhen,
) -> Vec<JobHandle<R>> {
    let mut finished = as_completed(handles.iter_mut().map(JobHandle::keep));
    while let Some(has_result) = finished.next().await {
        match return_when {
            ReturnWhen::First => break,
            ReturnWhen::FirstError if !has_result => break,
            _ => {}
        }
    }
    drop(finished);
    handles
        .extract_if(.., |handle| handle.is_finished())
        .collect()
}
