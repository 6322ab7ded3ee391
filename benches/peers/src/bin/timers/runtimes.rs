//! The runtimes, for `timers`.

use std::io;
use std::time::Duration;

use smol::LocalExecutor;

use crate::posting::woken_by_a_thread;
use crate::report;
use crate::timing::{overshoots, set_and_cancel, sleep_in_tasks};

/// A runtime that does the work of `benches/workload/timing.rs`.
pub(super) trait TimerRuntime {
    fn name(&self) -> &'static str;
    fn set_and_cancel(&mut self, live: u64, count: u64) -> Duration;
    fn sleep_in_tasks(&mut self, tasks: u64);
    fn overshoots(&mut self, duration: Duration, count: usize) -> Vec<Duration>;
    /// Returns `None` if the runtime accepts no wakes from other threads.
    fn woken_by_a_thread(&mut self, wakes: usize) -> Option<Vec<Duration>>;
}

type Monoio = monoio::Runtime<monoio::time::TimeDriver<monoio::LegacyDriver>>;

/// Returns all runtimes that this machine can run, coreloop first.
pub(super) fn all() -> io::Result<Vec<Box<dyn TimerRuntime>>> {
    let monoio = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer();
    let mut runtimes: Vec<Box<dyn TimerRuntime>> = vec![
        Box::new(coreloop::Runtime::new()?),
        Box::new(monoio.build()?),
        Box::new(tokio::runtime::LocalRuntime::new()?),
        Box::new(LocalExecutor::new()),
        Box::new(compio::runtime::Runtime::new()?),
    ];
    match glommio::LocalExecutorBuilder::default().make() {
        Ok(executor) => runtimes.push(Box::new(executor)),
        Err(error) => report::left_out("glommio", error),
    }
    Ok(runtimes)
}

impl TimerRuntime for coreloop::Runtime {
    fn name(&self) -> &'static str {
        "coreloop"
    }

    fn set_and_cancel(&mut self, live: u64, count: u64) -> Duration {
        self.block_on(set_and_cancel(live, count, coreloop::time::sleep))
    }

    fn sleep_in_tasks(&mut self, tasks: u64) {
        self.block_on(sleep_in_tasks(
            tasks,
            coreloop::time::sleep,
            coreloop::spawn,
        ));
    }

    fn overshoots(&mut self, duration: Duration, count: usize) -> Vec<Duration> {
        self.block_on(overshoots(duration, count, coreloop::time::sleep))
    }

    fn woken_by_a_thread(&mut self, wakes: usize) -> Option<Vec<Duration>> {
        Some(self.block_on(woken_by_a_thread(wakes)))
    }
}

impl TimerRuntime for Monoio {
    fn name(&self) -> &'static str {
        "monoio"
    }

    fn set_and_cancel(&mut self, live: u64, count: u64) -> Duration {
        self.block_on(set_and_cancel(live, count, monoio::time::sleep))
    }

    fn sleep_in_tasks(&mut self, tasks: u64) {
        self.block_on(sleep_in_tasks(tasks, monoio::time::sleep, monoio::spawn));
    }

    fn overshoots(&mut self, duration: Duration, count: usize) -> Vec<Duration> {
        self.block_on(overshoots(duration, count, monoio::time::sleep))
    }

    /// monoio accepts them only with a feature that slows its own wakes.
    fn woken_by_a_thread(&mut self, _: usize) -> Option<Vec<Duration>> {
        None
    }
}

impl TimerRuntime for tokio::runtime::LocalRuntime {
    fn name(&self) -> &'static str {
        "tokio"
    }

    fn set_and_cancel(&mut self, live: u64, count: u64) -> Duration {
        self.block_on(set_and_cancel(live, count, tokio::time::sleep))
    }

    fn sleep_in_tasks(&mut self, tasks: u64) {
        self.block_on(sleep_in_tasks(
            tasks,
            tokio::time::sleep,
            tokio::task::spawn_local,
        ));
    }

    fn overshoots(&mut self, duration: Duration, count: usize) -> Vec<Duration> {
        self.block_on(overshoots(duration, count, tokio::time::sleep))
    }

    fn woken_by_a_thread(&mut self, wakes: usize) -> Option<Vec<Duration>> {
        Some(self.block_on(woken_by_a_thread(wakes)))
    }
}

impl TimerRuntime for LocalExecutor<'_> {
    fn name(&self) -> &'static str {
        "smol"
    }

    fn set_and_cancel(&mut self, live: u64, count: u64) -> Duration {
        smol::block_on(self.run(set_and_cancel(live, count, smol::Timer::after)))
    }

    fn sleep_in_tasks(&mut self, tasks: u64) {
        let spawn = |timer| self.spawn(timer);
        smol::block_on(self.run(sleep_in_tasks(tasks, smol::Timer::after, spawn)));
    }

    fn overshoots(&mut self, duration: Duration, count: usize) -> Vec<Duration> {
        smol::block_on(self.run(overshoots(duration, count, smol::Timer::after)))
    }

    fn woken_by_a_thread(&mut self, wakes: usize) -> Option<Vec<Duration>> {
        Some(smol::block_on(self.run(woken_by_a_thread(wakes))))
    }
}

impl TimerRuntime for compio::runtime::Runtime {
    fn name(&self) -> &'static str {
        "compio"
    }

    fn set_and_cancel(&mut self, live: u64, count: u64) -> Duration {
        self.block_on(set_and_cancel(live, count, compio::time::sleep))
    }

    fn sleep_in_tasks(&mut self, tasks: u64) {
        self.block_on(sleep_in_tasks(
            tasks,
            compio::time::sleep,
            compio::runtime::spawn,
        ));
    }

    fn overshoots(&mut self, duration: Duration, count: usize) -> Vec<Duration> {
        self.block_on(overshoots(duration, count, compio::time::sleep))
    }

    fn woken_by_a_thread(&mut self, wakes: usize) -> Option<Vec<Duration>> {
        Some(self.block_on(woken_by_a_thread(wakes)))
    }
}

impl TimerRuntime for glommio::LocalExecutor {
    fn name(&self) -> &'static str {
        "glommio"
    }

    fn set_and_cancel(&mut self, live: u64, count: u64) -> Duration {
        self.run(set_and_cancel(live, count, glommio::timer::Timer::new))
    }

    fn sleep_in_tasks(&mut self, tasks: u64) {
        self.run(sleep_in_tasks(
            tasks,
            glommio::timer::Timer::new,
            glommio::spawn_local,
        ));
    }

    fn overshoots(&mut self, duration: Duration, count: usize) -> Vec<Duration> {
        self.run(overshoots(duration, count, glommio::timer::Timer::new))
    }

    fn woken_by_a_thread(&mut self, wakes: usize) -> Option<Vec<Duration>> {
        Some(self.run(woken_by_a_thread(wakes)))
    }
}
