//! Prints figures, and records them for the report.
//!
//! A measuring program prints tables for its user. If the environment variable [`RESULTS`]
//! names a file, it also adds a line for each figure to that file, with the columns of
//! [`COLUMNS`]. The program `report` sets the variable.

use std::env;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

use crate::samples::{Samples, Spread};

/// The variable that names the file for results.
pub(crate) const RESULTS: &str = "PEERS_RESULTS";

/// The columns of a line of results, separated by tabs.
///
/// `figure` is the quoted value, the median unless the measure says otherwise; the five
/// columns after it describe the spread of the turns. Only lines about a bound have the last
/// two.
pub(crate) const COLUMNS: [&str; 14] = [
    "part",
    "case",
    "who",
    "measure",
    "unit",
    "figure",
    "minimum",
    "lower quarter",
    "median",
    "upper quarter",
    "maximum",
    "turns",
    "bound",
    "verdict",
];

/// The quoted value, and the spread of the turns if there were several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) quoted: f64,
    pub(crate) spread: Option<Spread>,
}

impl Figure {
    /// Quotes the best turn instead of the median.
    pub(crate) fn best(samples: &Samples) -> Figure {
        Figure {
            quoted: samples.minimum(),
            spread: Some(samples.spread()),
        }
    }
}

impl From<f64> for Figure {
    fn from(quoted: f64) -> Figure {
        Figure {
            quoted,
            spread: None,
        }
    }
}

impl From<&Samples> for Figure {
    fn from(samples: &Samples) -> Figure {
        let spread = samples.spread();
        Figure {
            quoted: spread.median,
            spread: Some(spread),
        }
    }
}

impl From<Samples> for Figure {
    fn from(samples: Samples) -> Figure {
        Figure::from(&samples)
    }
}

/// The place of a figure: the part of the report, and the case within it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) part: &'a str,
    pub(crate) case: &'a str,
}

impl Place<'_> {
    /// Records a contestant's figure for a measure, which has a unit.
    pub(crate) fn note(
        self,
        who: impl Display,
        (measure, unit): (&str, &str),
        figure: impl Into<Figure>,
    ) {
        let who = who.to_string();
        write(
            [self.part, self.case, &who, measure, unit],
            figure.into(),
            None,
        );
    }
}

/// Prints and records the verdict on a figure with an upper bound. `what` is the name of
/// the bound in the report.
pub(crate) fn bound(what: &str, figure: impl Into<Figure>, bound: f64) {
    judge(what, what, figure.into(), Limit::AtMost(bound));
}

/// Prints and records the verdict on a figure with a lower bound.
pub(crate) fn bound_below(what: &str, figure: impl Into<Figure>, bound: f64) {
    judge(what, what, figure.into(), Limit::AtLeast(bound));
}

/// Prints why a contestant is missing from the table.
pub(crate) fn left_out(who: impl Display, reason: impl Display) {
    println!("{who:<20} left out: {reason}");
}

/// Prints a table of times, with the best and the median turn.
pub(crate) fn minima(place: Place<'_>, unit: &str, table: &[(&str, Samples)]) {
    println!("{:<20} {:>9} {:>9}", "", "minimum", "median");
    for (name, samples) in table {
        println!(
            "{name:<20} {:>9.1} {:>9.1}",
            samples.minimum(),
            samples.median()
        );
        place.note(name, ("time", unit), Figure::best(samples));
    }
}

/// Prints the verdict on the ratio of coreloop's minimum to the best of these peers'
/// minima.
pub(crate) fn against(what: &str, table: &[(&str, Samples)], peers: &[&str], bound: f64) {
    compare(what, table, peers, bound, Samples::minimum);
}

/// Prints the verdict on the ratio of a figure of coreloop's to the best of these peers'
/// figures.
pub(crate) fn compare(
    what: &str,
    table: &[(&str, Samples)],
    peers: &[&str],
    bound: f64,
    figure: impl Fn(&Samples) -> f64,
) {
    let row = |name: &str| {
        let mut rows = table.iter().filter(|(row, _)| *row == name);
        rows.next().map(|(_, samples)| samples)
    };
    let best = peers
        .iter()
        .filter_map(|name| Some((*name, row(name)?)))
        .min_by(|(_, one), (_, other)| figure(one).total_cmp(&figure(other)));
    if let (Some(own), Some((name, best))) = (row("coreloop"), best) {
        let ratio = Figure {
            quoted: figure(own) / figure(best),
            spread: Some(own.ratios_to(best).spread()),
        };
        let printed = format!("ratio coreloop/{name}");
        judge(what, &printed, ratio, Limit::AtMost(bound));
    }
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

fn judge(what: &str, printed: &str, figure: Figure, limit: Limit) {
    let (met, words) = match limit {
        Limit::AtMost(bound) => (figure.quoted <= bound, format!("at most {bound}")),
        Limit::AtLeast(bound) => (figure.quoted >= bound, format!("at least {bound}")),
    };
    let verdict = if met { "met" } else { "MISSED" };
    println!("{printed}: {:.3}, {words}: {verdict}", figure.quoted);
    write(
        ["bounds", what, printed, "", ""],
        figure,
        Some((&words, verdict)),
    );
}

/// Writes a line of results.
fn write(names: [&str; 5], figure: Figure, verdict: Option<(&str, &str)>) {
    let Some(file) = env::var_os(RESULTS) else {
        return;
    };
    let mut columns: Vec<String> = names.map(str::to_owned).into();
    columns.push(figure.quoted.to_string());
    match figure.spread {
        Some(spread) => {
            let five = [
                spread.minimum,
                spread.lower,
                spread.median,
                spread.upper,
                spread.maximum,
            ];
            columns.extend(five.map(|figure| figure.to_string()));
            columns.push(spread.turns.to_string());
        }
        None => columns.extend([const { String::new() }; 6]),
    }
    let (bound, verdict) = verdict.unwrap_or_default();
    columns.extend([bound.to_owned(), verdict.to_owned()]);
    debug_assert_eq!(columns.len(), COLUMNS.len());
    let line = columns.join("\t");
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&file)
        .and_then(|mut file| writeln!(file, "{line}"));
    if let Err(error) = written {
        eprintln!("{}: {error}", file.display());
    }
}
