//! The figures, from the file into which the measuring programs wrote them.
//!
//! The file begins with lines about the machine, which start with `# `. The names of the
//! columns follow, and then a line for each figure.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::report::{COLUMNS, Figure};
use crate::samples::Spread;

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Names and values about the machine and the run, in order.
    pub(crate) about: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
}

/// A figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) part: String,
    pub(crate) case: String,
    pub(crate) who: String,
    pub(crate) measure: String,
    pub(crate) unit: String,
    pub(crate) figure: Figure,
    pub(crate) bound: String,
    pub(crate) verdict: String,
}

impl Row {
    /// Returns the range of the middle half of the turns, or the figure itself.
    pub(crate) fn range(&self) -> (f64, f64) {
        let quoted = self.figure.quoted;
        self.figure
            .spread
            .map_or((quoted, quoted), |spread| (spread.lower, spread.upper))
    }

    /// Returns whether a larger figure is better.
    pub(crate) fn more_is_better(&self) -> bool {
        self.unit == "/s"
    }

    fn parse(line: &str) -> Option<Row> {
        let columns: Vec<&str> = line.split('\t').collect();
        let [
            part,
            case,
            who,
            measure,
            unit,
            figure,
            minimum,
            lower,
            median,
            upper,
            maximum,
            turns,
            bound,
            verdict,
        ] = columns[..]
        else {
            return None;
        };
        let spread = if turns.is_empty() {
            None
        } else {
            Some(Spread {
                minimum: minimum.parse().ok()?,
                lower: lower.parse().ok()?,
                median: median.parse().ok()?,
                upper: upper.parse().ok()?,
                maximum: maximum.parse().ok()?,
                turns: turns.parse().ok()?,
            })
        };
        Some(Row {
            part: part.to_owned(),
            case: case.to_owned(),
            who: who.to_owned(),
            measure: measure.to_owned(),
            unit: unit.to_owned(),
            figure: Figure {
                quoted: figure.parse().ok()?,
                spread,
            },
            bound: bound.to_owned(),
            verdict: verdict.to_owned(),
        })
    }
}

impl Results {
    /// Creates a file, to which the programs append.
    pub(crate) fn start(file: &Path, about: &[(String, String)]) -> io::Result<()> {
        let mut text = String::new();
        for (name, value) in about {
            text.push_str(&about_line(name, value));
        }
        text.push_str(&COLUMNS.join("\t"));
        text.push('\n');
        fs::write(file, text)
    }

    /// Appends a remark about the run to a file.
    pub(crate) fn remark(file: &Path, name: &str, value: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(file)?;
        file.write_all(about_line(name, value).as_bytes())
    }

    pub(crate) fn read(file: &Path) -> io::Result<Results> {
        let mut results = Results::default();
        let header = COLUMNS.join("\t");
        for line in fs::read_to_string(file)?.lines() {
            if let Some(about) = line.strip_prefix("# ") {
                let (name, value) = about.split_once('\t').unwrap_or((about, ""));
                results.about.push((name.to_owned(), value.to_owned()));
            } else if line != header {
                let row = Row::parse(line).ok_or_else(|| {
                    io::Error::new(ErrorKind::InvalidData, format!("no figure: {line}"))
                })?;
                results.rows.push(row);
            }
        }
        Ok(results)
    }

    /// Returns the figures of a part for a measure.
    pub(crate) fn select<'a>(
        &'a self,
        part: &'a str,
        measure: &'a str,
    ) -> impl Iterator<Item = &'a Row> + Clone {
        let rows = self.rows.iter();
        rows.filter(move |row| row.part == part && row.measure == measure)
    }

    /// Returns the cases of a part, in the order in which they were measured.
    pub(crate) fn cases(&self, part: &str) -> Vec<&str> {
        distinct(self.of(part).map(|row| row.case.as_str()))
    }

    /// Returns the contestants of a part, in the order of the first case.
    pub(crate) fn contestants(&self, part: &str) -> Vec<&str> {
        distinct(self.of(part).map(|row| row.who.as_str()))
    }

    /// Returns one figure.
    pub(crate) fn find(&self, part: &str, case: &str, who: &str, measure: &str) -> Option<&Row> {
        self.of(part)
            .find(|row| row.case == case && row.who == who && row.measure == measure)
    }

    fn of(&self, part: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.part == part)
    }
}

fn about_line(name: &str, value: &str) -> String {
    format!("# {name}\t{}\n", value.replace(['\n', '\t'], " "))
}

/// Returns each item once, in the order of the first occurrences.
pub(crate) fn distinct<T: PartialEq>(names: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}
