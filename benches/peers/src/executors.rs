//! The runtimes as executors, for `spawn` and `wake`.

use std::io;
use std::time::Duration;

use smol::LocalExecutor;

use crate::report;
use crate::spawning::spawn_and_join;
use crate::waking::{Wake, wake_through_queue};

/// A runtime that runs the work of `benches/workload/`.
pub(crate) trait Executor {
    fn name(&self) -> &'static str;
    fn spawn_and_join(&mut self, tasks: usize, rounds: u64) -> Duration;
    fn wake(&mut self, tasks: usize, wakes: u64, wake: Wake) -> Duration;
}

/// All executors that this machine can run, coreloop first.
pub(crate) fn all() -> io::Result<Vec<Box<dyn Executor>>> {
    let mut executors: Vec<Box<dyn Executor>> = vec![
        Box::new(coreloop::Runtime::new()?),
        Box::new(monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build()?),
        Box::new(tokio::runtime::LocalRuntime::new()?),
        Box::new(TokioLocalSet::new()?),
        Box::new(LocalExecutor::new()),
        Box::new(compio::runtime::Runtime::new()?),
    ];
    match glommio::LocalExecutorBuilder::default().make() {
        Ok(executor) => executors.push(Box::new(executor)),
        Err(error) => report::left_out("glommio", error),
    }
    Ok(executors)
}

impl Executor for coreloop::Runtime {
    fn name(&self) -> &'static str {
        "coreloop"
    }

    fn spawn_and_join(&mut self, tasks: usize, rounds: u64) -> Duration {
        self.block_on(spawn_and_join(tasks, rounds, coreloop::spawn))
    }

    fn wake(&mut self, tasks: usize, wakes: u64, wake: Wake) -> Duration {
        self.block_on(wake_through_queue(tasks, wakes, wake, coreloop::spawn))
    }
}

impl Executor for monoio::Runtime<monoio::LegacyDriver> {
    fn name(&self) -> &'static str {
        "monoio"
    }

    fn spawn_and_join(&mut self, tasks: usize, rounds: u64) -> Duration {
        self.block_on(spawn_and_join(tasks, rounds, monoio::spawn))
    }

    fn wake(&mut self, tasks: usize, wakes: u64, wake: Wake) -> Duration {
        self.block_on(wake_through_queue(tasks, wakes, wake, monoio::spawn))
    }
}

impl Executor for tokio::runtime::LocalRuntime {
    fn name(&self) -> &'static str {
        "tokio LocalRuntime"
    }

    fn spawn_and_join(&mut self, tasks: usize, rounds: u64) -> Duration {
        self.block_on(spawn_and_join(tasks, rounds, tokio::task::spawn_local))
    }

    fn wake(&mut self, tasks: usize, wakes: u64, wake: Wake) -> Duration {
        self.block_on(wake_through_queue(
            tasks,
            wakes,
            wake,
            tokio::task::spawn_local,
        ))
    }
}

/// tokio's older way to run tasks that are not `Send`.
struct TokioLocalSet {
    runtime: tokio::runtime::Runtime,
    tasks: tokio::task::LocalSet,
}

impl TokioLocalSet {
    fn new() -> io::Result<TokioLocalSet> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        Ok(TokioLocalSet {
            runtime,
            tasks: tokio::task::LocalSet::new(),
        })
    }
}

impl Executor for TokioLocalSet {
    fn name(&self) -> &'static str {
        "tokio LocalSet"
    }

    fn spawn_and_join(&mut self, tasks: usize, rounds: u64) -> Duration {
        self.tasks.block_on(
            &self.runtime,
            spawn_and_join(tasks, rounds, tokio::task::spawn_local),
        )
    }

    fn wake(&mut self, tasks: usize, wakes: u64, wake: Wake) -> Duration {
        self.tasks.block_on(
            &self.runtime,
            wake_through_queue(tasks, wakes, wake, tokio::task::spawn_local),
        )
    }
}

impl Executor for LocalExecutor<'_> {
    fn name(&self) -> &'static str {
        "smol LocalExecutor"
    }

    fn spawn_and_join(&mut self, tasks: usize, rounds: u64) -> Duration {
        smol::block_on(self.run(spawn_and_join(tasks, rounds, |task| self.spawn(task))))
    }

    fn wake(&mut self, tasks: usize, wakes: u64, wake: Wake) -> Duration {
        smol::block_on(self.run(wake_through_queue(tasks, wakes, wake, |task| {
            self.spawn(task)
        })))
    }
}

impl Executor for compio::runtime::Runtime {
    fn name(&self) -> &'static str {
        "compio"
    }

    fn spawn_and_join(&mut self, tasks: usize, rounds: u64) -> Duration {
        self.block_on(spawn_and_join(tasks, rounds, compio::runtime::spawn))
    }

    fn wake(&mut self, tasks: usize, wakes: u64, wake: Wake) -> Duration {
        self.block_on(wake_through_queue(
            tasks,
            wakes,
            wake,
            compio::runtime::spawn,
        ))
    }
}

impl Executor for glommio::LocalExecutor {
    fn name(&self) -> &'static str {
        "glommio"
    }

    fn spawn_and_join(&mut self, tasks: usize, rounds: u64) -> Duration {
        self.run(spawn_and_join(tasks, rounds, glommio::spawn_local))
    }

    fn wake(&mut self, tasks: usize, wakes: u64, wake: Wake) -> Duration {
        self.run(wake_through_queue(tasks, wakes, wake, glommio::spawn_local))
    }
}
