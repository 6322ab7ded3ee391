//! Counts the costs of operations of coreloop, and compares them with their budgets.
//! README.md explains what is counted, and how to raise a budget.

mod budgets;
mod child;
mod instructions;
mod judge;
mod operation;
mod system_calls;
mod tools;
mod work;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::budgets::Budgets;
use crate::judge::{Judge, Unit};
use crate::operation::Operation;
use crate::tools::Tools;

/// The profile of this build. Figures are counted only in `budgets`.
const PROFILE: &str = env!("PROFILE");
/// By how much two counts may differ, if a budget is to be made of them.
const REPEATS: f64 = 0.001;

/// The bound on the system calls of a master for a job: a write, a wait and a read.
const ONE_BY_ONE: f64 = 3.0;
/// The same with 5,000 jobs in the queue. How many results come with a read depends on the
/// machine, so this is a bound and no budget.
const QUEUED: f64 = 0.12;

/// Counts the costs of operations, and compares them with their budgets.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// The operations whose instructions are counted; by default all
    #[arg(value_enum)]
    operations: Vec<Operation>,
    /// Writes the counts into the file of the budgets; counts twice before that, and
    /// refuses if the counts differ
    #[arg(long)]
    write: bool,
    /// Leaves one of the counts out
    #[arg(long, value_enum)]
    skip: Vec<Count>,
    /// The file of the budgets
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/budgets.toml"))]
    file: PathBuf,
    #[command(subcommand)]
    work: Option<Work>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Count {
    /// The count of instructions, which needs valgrind
    Instructions,
    /// The count of system calls, which needs strace
    SystemCalls,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Does an operation a number of times and counts nothing. valgrind and strace run this
    /// command; `perf` can too
    Run {
        /// The operation
        #[arg(value_enum)]
        operation: Operation,
        /// How often it is done
        times: u64,
    },
    /// Runs a number of jobs of a pool, all queued at once, and counts nothing
    RunQueued {
        /// How many jobs
        times: u64,
    },
}

impl Options {
    fn wants(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation)
    }
}

fn main() -> ExitCode {
    coreloop_budgets_jobs::enter_worker();
    let options = Options::parse();
    let result = match options.work {
        Some(Work::Run { operation, times }) => work::run(operation, times).map(|()| true),
        Some(Work::RunQueued { times }) => coreloop_budgets_jobs::queued(times).map(|()| true),
        None if PROFILE != "budgets" => Err(io::Error::other(format!(
            "this was built with the profile {PROFILE}: use `cargo run --profile budgets`"
        ))),
        None => measure(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, and returns whether all figures are within their budgets.
fn measure(options: &Options) -> io::Result<bool> {
    let recorded = Budgets::read(&options.file)?;
    let mut counted = Budgets::default();
    let mut judge = Judge::new(options.write);

    let with_instructions = !options.skip.contains(&Count::Instructions);
    let with_system_calls =
        !options.skip.contains(&Count::SystemCalls) && options.operations.is_empty();
    if !with_instructions && !with_system_calls {
        return Err(io::Error::other("nothing is left to count"));
    }
    if with_instructions {
        counted.tools = Tools::here()?;
        judge.compare_tools(&recorded.tools, &counted.tools);
        judge.title("user-space instructions per operation");
        let all = Operation::value_variants().iter().copied();
        for operation in all.filter(|operation| options.wants(*operation)) {
            let count = if options.write {
                twice(operation)?
            } else {
                instructions::per_operation(operation)?
            };
            let budget = recorded.instructions.get(&operation).copied();
            judge.compare(Unit::Instructions, operation.name(), count, budget);
            counted.instructions.insert(operation, count);
        }
    }
    if with_system_calls {
        judge.title("system calls per echo, on 16 connections at once");
        counted.system_calls_per_echo = system_calls::per_echo()?;
        let names = recorded.system_calls_per_echo.keys();
        let more = counted.system_calls_per_echo.keys();
        let mut names: Vec<_> = names.chain(more).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let of = |budgets: &Budgets| budgets.system_calls_per_echo.get(name).copied();
            // A call that was never made before has no budget.
            let budget = of(&recorded).unwrap_or(0.0);
            let count = of(&counted).unwrap_or(0.0);
            judge.compare(Unit::SystemCalls, name, count, Some(budget));
        }
    }

    if with_system_calls {
        judge.title("system calls of a master per job");
        let one_by_one = system_calls::per_job()?;
        judge.bound("one by one", one_by_one, ONE_BY_ONE);
        let queued = system_calls::per_queued_job()?;
        judge.bound("5,000 queued, 32 sent at a time", queued, QUEUED);
    }

    if options.write {
        recorded.replaced_by(counted)?.write(&options.file)?;
        println!("\nwritten to {}", options.file.display());
        return Ok(true);
    }
    Ok(judge.sum_up())
}

/// Counts an operation, and fails if a second count differs.
fn twice(operation: Operation) -> io::Result<f64> {
    let first = instructions::per_operation(operation)?;
    let second = instructions::per_operation(operation)?;
    if (first - second).abs() > REPEATS * first {
        return Err(io::Error::other(format!(
            "{}: {first:.2} instructions the first time and {second:.2} the second: \
             a budget needs work that is the same each time",
            operation.name()
        )));
    }
    Ok(first)
}
