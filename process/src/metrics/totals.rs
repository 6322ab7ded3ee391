//! [`Totals`], the sums of the metrics of all workers.
//!
//! # Invariants
//!
//! 1. A counter keeps what the workers that have ended had counted, so it never falls.
//! 2. A gauge has only the values of workers that run, and disappears with the last of them.
//! 3. There are at most [`MAX_TOTALS`] series. Changes of further ones are refused and counted,
//!    as are those whose kind differs from the kind that the name has already.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::changes::{Change, Definition};
use super::registry::{Kind, Labels};
use super::text::Text;

/// The maximum number of series of all workers, including those that have ended.
const MAX_TOTALS: usize = 10_000;

/// The sums of the metrics of workers, which `W` identifies.
#[derive(Debug)]
pub(crate) struct Totals<W> {
    families: BTreeMap<String, Family<W>>,
    /// The name and the labels of each series of a worker; `None` if it was refused.
    workers: HashMap<W, Vec<Option<(String, Labels)>>>,
    series: usize,
    refused: u64,
}

#[derive(Debug)]
struct Family<W> {
    kind: Kind,
    help: String,
    series: BTreeMap<Labels, Sum<W>>,
}

#[derive(Debug)]
struct Sum<W> {
    /// What the workers that have ended had counted.
    ended: u64,
    running: HashMap<W, u64>,
}

impl<W: Copy + Eq + Hash> Totals<W> {
    pub(crate) fn new() -> Self {
        Self {
            families: BTreeMap::new(),
            workers: HashMap::new(),
            series: 0,
            refused: 0,
        }
    }

    /// Applies changes of a worker.
    pub(crate) fn apply(&mut self, worker: W, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Define(definition) => self.define(worker, definition),
                Change::Set { series, value } => self.set(worker, series, value),
            }
        }
    }

    /// Keeps what a worker that has ended had counted, and removes its gauges.
    pub(crate) fn ended(&mut self, worker: W) {
        let series = self.workers.remove(&worker).unwrap_or_default();
        for (name, labels) in series.into_iter().flatten() {
            let Some(family) = self.families.get_mut(&name) else {
                continue;
            };
            let Some(sum) = family.series.get_mut(&labels) else {
                continue;
            };
            let last = sum.running.remove(&worker).unwrap_or(0);
            match family.kind {
                Kind::Counter => sum.ended = sum.ended.wrapping_add(last),
                Kind::Gauge if sum.running.is_empty() => {
                    family.series.remove(&labels);
                    self.series -= 1;
                }
                Kind::Gauge => {}
            }
            if family.series.is_empty() {
                self.families.remove(&name);
            }
        }
    }

    /// Returns how many definitions were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Writes all metrics, in the order of their names.
    pub(crate) fn write(&self, text: &mut Text) {
        for (name, family) in &self.families {
            let mut is_begun = false;
            for (labels, sum) in &family.series {
                let running = sum.running.values();
                let total = running.fold(sum.ended, |total, value| total.wrapping_add(*value));
                // The base from which the handles with labels were made.
                if labels.is_empty() && total == 0 && family.series.len() > 1 {
                    continue;
                }
                if !is_begun {
                    text.family(family.kind, name, &family.help);
                    is_begun = true;
                }
                let labels = labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()));
                match family.kind {
                    Kind::Counter => text.sample(labels, total),
                    Kind::Gauge => text.sample(labels, total.cast_signed()),
                }
            }
        }
    }

    fn define(&mut self, worker: W, definition: Definition) {
        let Definition {
            series,
            kind,
            name,
            help,
            labels,
        } = definition;
        let family = self.families.get(&name);
        let is_known = family.is_some_and(|family| family.series.contains_key(&labels));
        let is_other = family.is_some_and(|family| family.kind != kind);
        let is_refused = is_other || (!is_known && self.series >= MAX_TOTALS);
        let all = self.workers.entry(worker).or_default();
        // Workers number their series from 0 without a gap.
        let index = series as usize;
        if index > all.len() {
            return;
        }
        let place = (!is_refused).then(|| (name.clone(), labels.clone()));
        match all.get_mut(index) {
            Some(known) => *known = place,
            None => all.push(place),
        }
        if is_refused {
            self.refused += 1;
            return;
        }
        let family = self.families.entry(name).or_insert_with(|| Family {
            kind,
            help: String::new(),
            series: BTreeMap::new(),
        });
        if !help.is_empty() {
            family.help = help;
        }
        if !is_known {
            self.series += 1;
            let sum = Sum {
                ended: 0,
                running: HashMap::new(),
            };
            family.series.insert(labels, sum);
        }
    }

    fn set(&mut self, worker: W, series: u32, value: u64) {
        let all = self.workers.get(&worker);
        let Some(Some((name, labels))) = all.and_then(|all| all.get(series as usize)) else {
            return;
        };
        let family = self.families.get_mut(name);
        if let Some(sum) = family.and_then(|family| family.series.get_mut(labels)) {
            sum.running.insert(worker, value);
        }
    }
}
