//! The figures for which a peer is better than coreloop, beyond the spread of the turns.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::results::{Results, Row};

/// A figure for which a peer is better.
#[derive(Debug)]
pub(crate) struct Loss<'a> {
    pub(crate) own: &'a Row,
    pub(crate) peer: &'a Row,
    /// How many times as good the peer is.
    pub(crate) factor: f64,
}

/// Returns all losses, the largest first: for each case and measure, the best peer whose
/// middle half of turns is entirely better than coreloop's. The bare loop does not count as
/// a peer, because it is a lower limit.
pub(crate) fn losses(results: &Results) -> Vec<Loss<'_>> {
    // Runtimes that were measured alone with the bare loop are compared by their ratio to
    // it.
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
        // Worker threads are coreloop's too.
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

/// The known reasons for losses, from a file that is written by hand.
///
/// The file has a heading `## name` for each reason, then a line `for: words; words`, and
/// text. A reason explains a loss if the loss's description contains all words of one of
/// its lists.
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

    /// Returns the reason for a loss, if it is known.
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
