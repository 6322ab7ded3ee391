//! How the figures are printed.

use std::fmt::Display;

use crate::samples::Samples;

/// The verdict on a figure that has a bound.
pub(crate) fn bound(what: &str, figure: f64, bound: f64) {
    let verdict = if figure <= bound { "met" } else { "MISSED" };
    println!("{what}: {figure:.3}, bound {bound}: {verdict}");
}

/// Why somebody is missing from the table.
pub(crate) fn left_out(who: impl Display, reason: impl Display) {
    println!("{who:<20} left out: {reason}");
}

/// A table of times, best and middle turn.
pub(crate) fn minima(table: &[(&str, Samples)]) {
    println!("{:<20} {:>9} {:>9}", "", "minimum", "median");
    for (name, samples) in table {
        println!(
            "{name:<20} {:>9.1} {:>9.1}",
            samples.minimum(),
            samples.median()
        );
    }
}

/// The verdict on coreloop's minimum over that of the best of these peers.
pub(crate) fn against(table: &[(&str, Samples)], peers: &[&str], bound: f64) {
    compare(table, peers, bound, Samples::minimum);
}

/// The verdict on a figure of coreloop's over that of the best of these peers.
pub(crate) fn compare(
    table: &[(&str, Samples)],
    peers: &[&str],
    bound: f64,
    figure: impl Fn(&Samples) -> f64,
) {
    let figure_of = |name: &str| {
        table
            .iter()
            .find(|(row, _)| *row == name)
            .map(|(_, samples)| figure(samples))
    };
    let best = peers
        .iter()
        .filter_map(|name| Some((*name, figure_of(name)?)))
        .min_by(|(_, one), (_, other)| one.total_cmp(other));
    if let (Some(own), Some((name, best))) = (figure_of("coreloop"), best) {
        self::bound(&format!("ratio coreloop/{name}"), own / best, bound);
    }
}
