//! Measures everything, and writes the report: `benches/REPORT.md`, its pictures
//! and the figures they are made of.
//!
//! ```sh
//! cargo run --release -p coreloop-peers --bin report
//! ```
//!
//! Other programs of this package do the measuring. This one builds and runs them;
//! `README.md` describes the measurements.

mod bounds;
mod losses;
mod machine;
mod markdown;
mod pictures;
mod plots;
#[path = "../../report.rs"]
#[expect(dead_code, reason = "the programs that measure use the rest")]
mod report;
mod results;
#[path = "../../samples.rs"]
#[expect(dead_code, reason = "the programs that measure use the rest")]
mod samples;
mod steps;

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::Parser;

use crate::losses::Reasons;
use crate::results::Results;

/// Measures coreloop and its peers, and writes the report.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Options {
    /// Measures a little of everything, to check that it works. The figures mean nothing,
    /// so the report is written beside the program unless --folder is given.
    #[arg(long)]
    quick: bool,
    /// Measures nothing, and writes the report from saved results.
    #[arg(long, conflicts_with = "quick")]
    from: Option<PathBuf>,
    /// The folder for `REPORT.md`, and for the folder `report` with the other files.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Runs only the programs whose name or words contain this text; `tests` are the tests.
    /// The report then lacks the others.
    #[arg(long, conflicts_with = "from", requires = "folder")]
    only: Option<String>,
    /// Does not build the measuring programs first.
    #[arg(long)]
    built: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or("benches/peers".into(), PathBuf::from);
    let benches = package.join("..");
    let programs = steps::programs()?;
    let folder = match options.folder {
        Some(folder) => folder,
        None if options.quick => programs.join("quick-report"),
        None => benches.clone(),
    };
    let pictures = folder.join("report");
    fs::create_dir_all(&pictures)?;
    let results = match &options.from {
        Some(file) => Results::read(file)?,
        None => {
            if !options.built {
                steps::build()?;
            }
            let file = pictures.join("results.tsv");
            Results::start(&file, &machine::about()?)?;
            steps::run(&programs, &file, options.quick, options.only.as_deref())?;
            Results::read(&file)?
        }
    };
    pictures::draw(&results, &pictures)?;
    let reasons = Reasons::read(&benches.join("report").join("reasons.md"))?;
    let text = markdown::write(&results, &reasons);
    fs::write(folder.join("REPORT.md"), text)?;
    println!("\nthe report is in {}", folder.display());
    Ok(())
}
