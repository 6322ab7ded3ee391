//! Where a peer is better than coreloop, beyond what the turns differ by.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::results::{Results, Row};

/// A figure by which a peer is better.
#[derive(Debug)]
pub(crate) struct Loss<'a> {
    pub(crate) own: &'a Row,
    pub(crate) peer: &'a Row,
    /// How many times as good the peer is.
    pub(crate) factor: f64,
}

/// All of them, the largest first: for each case and measure the best peer whose
/// middle half of turns is all better than coreloop's. The bare loop is no peer:
/// it is what there is to lose against.
pub(crate) fn losses(results: &Results) -> Vec<Loss<'_>> {
    // Who was measured alone with the bare loop is compared by that.
    let apart = |row: &Row| row.part == "cpu" && row.measure == "CPU";
    let own = results
        .rows
        .iter()
        .filter(|row| is_own(row) && row.part != "bounds" && !apart(row));
    let mut losses: Vec<_> = own.filter_map(|own| loss(results, own)).collect();
    losses.sort_by(|one, other| other.factor.total_cmp(&one.factor));
    losses
}

fn is_own(row: &Row) -> bool {
    row.who == "coreloop" || row.who == "worker processes"
}

fn is_peer(row: &Row) -> bool {
    !is_own(row) && !row.who.starts_with("bare") && !row.who.starts_with("coreloop")
        // Workers of coreloop's, as threads.
        && row.who != "worker threads"
}

fn loss<'a>(results: &'a Results, own: &'a Row) -> Option<Loss<'a>> {
    let better = |peer: &&Row| {
        let ((own_low, own_high), (low, high)) = (own.range(), peer.range());
        if own.more_is_better() {
            low > own_high
        } else {
            high < own_low
        }
    };
    let factor = |peer: &Row| {
        let ratio = own.figure.quoted / peer.figure.quoted;
        if own.more_is_better() {
            1.0 / ratio
        } else {
            ratio
        }
    };
    let rivals = results.rows.iter().filter(|row| {
        is_peer(row) && row.part == own.part && row.case == own.case && row.measure == own.measure
    });
    let best = rivals
        .filter(better)
        .max_by(|one, other| factor(one).total_cmp(&factor(other)))?;
    Some(Loss {
        own,
        peer: best,
        factor: factor(best),
    })
}

/// What is known about losses, from a file that people write.
///
/// It has a heading `## name` for each reason, then a line `for: words; words`,
/// and text. A reason is for the losses in whose description all words of one of
/// its lists are found.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Vec<Reason>);

#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) name: String,
    pub(crate) text: String,
    of: Vec<String>,
}

impl Reasons {
    pub(crate) fn read(file: &Path) -> io::Result<Reasons> {
        match fs::read_to_string(file) {
            Ok(text) => Ok(Reasons::parse(&text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Reasons::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Reasons {
        let sections = text.split("\n## ").skip(1);
        let reasons = sections.map(|section| {
            let (name, rest) = section.split_once('\n').unwrap_or((section, ""));
            let rest = rest.trim();
            let (of, text) = rest.split_once('\n').unwrap_or((rest, ""));
            let of = of.strip_prefix("for:").unwrap_or_default();
            Reason {
                name: name.trim().to_owned(),
                text: text.trim().to_owned(),
                of: of.split(';').map(|words| words.trim().to_owned()).collect(),
            }
        });
        Reasons(reasons.collect())
    }

    /// Why this is so, if somebody has found out.
    pub(crate) fn of(&self, loss: &Loss<'_>) -> Option<&Reason> {
        let row = loss.own;
        let description = format!("{} {} {}", row.part, row.case, row.measure);
        let fits = |words: &String| {
            let mut words = words.split_whitespace().peekable();
            words.peek().is_some() && words.all(|word| description.contains(word))
        };
        self.0.iter().find(|reason| reason.of.iter().any(fits))
    }
}
