//! Python's `Pool.map` over the files of a folder: worker processes count the words of each
//! file, and a progress bar shows how far they have come.
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example pool_map -- --folder runtime/src
//! ```
//!
//! In Python, the heart of the program is
//!
//! ```text
//! with Pool() as pool:
//!     for words in tqdm(pool.imap(count, files, chunksize=8), total=len(files)):
//! ```
//!
//! The workers are this program, started again: there `#[coreloop::main]` runs a worker instead of
//! the body. If a file crashed its worker, the result of this file would be an error, and the
//! others would still be counted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Parser;
use coreloop::for_await;
use coreloop::pool::Pool;
use futures_lite::{StreamExt, stream};
use indicatif::ProgressBar;

/// Counts the words of all files in a folder.
#[derive(Parser)]
struct Options {
    /// The folder
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// The number of processes; without it, one for each core
    #[arg(long)]
    workers: Option<u32>,
}

/// Runs in the workers. The error is a text, because it has to be sent to another process.
#[coreloop::job]
fn count(file: PathBuf) -> Result<usize, String> {
    let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).split_whitespace().count())
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut files = Vec::new();
    list(&options.folder, &mut files)?;

    let mut pool = Pool::builder();
    if let Some(workers) = options.workers {
        pool = pool.workers(workers);
    }
    let pool = pool.build()?;

    // The bar is drawn on the standard error, if that is a terminal.
    let bar = ProgressBar::new(files.len() as u64);
    let mut counts = Vec::new();
    // The results come in the order of the files, as from Python's `imap`.
    let results = pool.map(count, files.clone()).chunks(8);
    for_await!((result, file) in results.zip(stream::iter(&files)) {
        match result.map_err(io::Error::other)? {
            Ok(words) => counts.push((words, file)),
            Err(error) => bar.suspend(|| println!("{error}")),
        }
        bar.inc(1);
    });
    bar.finish_and_clear();

    let total: usize = counts.iter().map(|(words, _)| words).sum();
    println!("{total} words in {} files, most of them in", counts.len());
    counts.sort_by(|one, other| other.cmp(one));
    for (words, file) in counts.iter().take(5) {
        println!("{words:>8} {}", file.display());
    }
    Ok(())
}

/// Appends the files below a folder.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
