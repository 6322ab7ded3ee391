//! Wakes from another thread, written once so that every runtime does the same.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The time after which the loop is parked.
const ASLEEP: Duration = Duration::from_micros(200);

/// Waits repeatedly to be woken by a thread. Returns the times from each wake to the poll.
pub(crate) async fn woken_by_a_thread(wakes: usize) -> Vec<Duration> {
    let woken_at: Arc<Mutex<Option<Instant>>> = Arc::default();
    let (wakers, waiting) = mpsc::channel::<Waker>();
    let thread = thread::spawn({
        let woken_at = Arc::clone(&woken_at);
        move || {
            for waker in waiting {
                thread::sleep(ASLEEP);
                *lock(&woken_at) = Some(Instant::now());
                waker.wake();
            }
        }
    });
    let mut delays = Vec::with_capacity(wakes);
    for _ in 0..wakes {
        let mut asked = false;
        let delay = poll_fn(|context| {
            if let Some(at) = lock(&woken_at).take() {
                return Poll::Ready(at.elapsed());
            }
            if !asked {
                asked = true;
                // The thread lives as long as the sender.
                let _ = wakers.send(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
        delays.push(delay);
    }
    drop(wakers);
    let _ = thread.join();
    delays
}

fn lock<T>(mutex: &Mutex<T>) -> impl std::ops::DerefMut<Target = T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
