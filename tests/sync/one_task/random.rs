//! Random programs whose tasks leave futures behind: each program ends, and no permit is
//! lost.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::Semaphore;
use coreloop::task::yield_now;
use coreloop::{join, select};
use fastrand::Rng;

use super::Boxed;
use coreloop_test_support::deadline::in_time;

/// The random operations of a task. It never requests permits while it holds some.
struct Program {
    semaphore: Rc<Semaphore>,
    random: RefCell<Rng>,
    /// The number of permits that a future requests which is left behind.
    left_behind: u32,
    /// The maximum number of permits that other futures request.
    most: u32,
}

impl Program {
    fn draw(&self, below: u32) -> u32 {
        self.random.borrow_mut().u32(0..below)
    }

    async fn yield_a_few_times(&self) {
        for _ in 0..self.draw(4) {
            yield_now().await;
        }
    }

    /// Holds some permits for a while.
    async fn hold(&self) {
        let count = 1 + self.draw(self.most);
        let _held = self.semaphore.acquire_many(count).await.unwrap();
        self.yield_a_few_times().await;
    }

    /// Begins to acquire permits. The future is left behind, unless it is ready soon.
    async fn begin(&self) -> Option<Boxed<'_>> {
        let mut future: Boxed<'_> = Box::pin(async {
            let permits = self.semaphore.acquire_many(self.left_behind).await;
            drop(permits.unwrap());
        });
        for _ in 0..=self.draw(2) {
            let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            if polled.is_ready() {
                return None;
            }
            self.yield_a_few_times().await;
        }
        Some(future)
    }

    fn run(&self, depth: u32) -> Boxed<'_> {
        Box::pin(async move {
            let mut left_behind: Vec<Pin<_>> = Vec::new();
            for _ in 0..5 {
                match self.draw(5) {
                    0 | 1 => left_behind.extend(self.begin().await),
                    2 => self.hold().await,
                    3 => {
                        select! {
                            () = self.hold() => {}
                            () = self.yield_a_few_times() => {}
                        }
                    }
                    _ if depth > 0 => {
                        join!(self.run(depth - 1), self.run(depth - 1));
                    }
                    _ => self.yield_a_few_times().await,
                }
            }
            // Not in the order of the requests.
            while let Some(future) = left_behind.pop() {
                future.await;
            }
        })
    }
}

fn run_programs(tasks: usize, permits: usize, left_behind: u32, most: u32) {
    let seeds = if cfg!(miri) { 0..2 } else { 0..300 };
    for seed in seeds {
        let semaphore = Rc::new(Semaphore::new(permits));
        coreloop::block_on(async {
            let mut random = Rng::with_seed(seed);
            let mut handles = Vec::new();
            for _ in 0..tasks {
                let program = Program {
                    semaphore: Rc::clone(&semaphore),
                    random: RefCell::new(random.fork()),
                    left_behind,
                    most,
                };
                handles.push(coreloop::spawn(async move { program.run(2).await }));
            }
            for handle in handles {
                handle.await.unwrap();
            }
        });
        assert_eq!(semaphore.available_permits(), permits, "with seed {seed}");
    }
}

#[test]
fn several_tasks_request_one_permit_each() {
    in_time(|| {
        for permits in [1, 2, 5] {
            run_programs(4, permits, 1, 1);
        }
    });
}

#[test]
fn one_task_requests_fewer_permits_than_were_left_behind() {
    in_time(|| run_programs(1, 4, 4, 4));
}

#[test]
fn one_task_requests_more_permits_than_were_left_behind() {
    in_time(|| run_programs(1, 4, 1, 4));
}
