//! The metrics of this process: a [`Series`] for each combination of a name and labels.
//!
//! # Invariants
//!
//! 1. A series that was registered stays registered, at the same index.
//! 2. There are at most [`MAX_SERIES`]. A handle to a further one has a value that only the
//!    handle and its clones refer to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use super::name;
use crate::text::beginning;

/// The maximum number of series of a process.
pub(super) const MAX_SERIES: usize = 1000;

/// The maximum length of the name and the labels of a series.
const MAX_LENGTH: usize = 1000;

/// The maximum length of a help text.
const MAX_HELP: usize = 256;

/// The labels of a series with their values, in the order of their names.
pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// All metrics of one name.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) help: OnceLock<String>,
}

/// One number. A gauge's is the bits of an `i64`.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) family: Arc<Family>,
    pub(super) labels: Labels,
    pub(super) value: AtomicU64,
}

#[derive(Debug)]
struct Registry {
    families: BTreeMap<String, Known>,
    series: Vec<Arc<Series>>,
    refused: u64,
}

/// A family with its series.
type Known = (Arc<Family>, BTreeMap<Labels, Arc<Series>>);

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    families: BTreeMap::new(),
    series: Vec::new(),
    refused: 0,
});

fn registry() -> MutexGuard<'static, Registry> {
    // A thread that panicked while it had the lock has left nothing half done.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reference to a series.
#[derive(Clone)]
pub(super) struct Handle(Arc<Series>);

/// Returns the series of this name without labels.
#[track_caller]
pub(super) fn family(name: &str, kind: Kind) -> Handle {
    if let Err(why) = name::check_metric(name) {
        panic!("`{}` is no name for a metric: {why}", name.escape_debug());
    }
    let mut registry = registry();
    let family = match registry.families.get(name) {
        Some((family, _)) => Arc::clone(family),
        None => Arc::new(Family {
            kind,
            name: name.to_owned(),
            help: OnceLock::new(),
        }),
    };
    let found = registry.series(&family, Labels::new());
    drop(registry);
    assert!(
        family.kind == kind,
        "the metric `{name}` has another kind: it is a {:?}",
        family.kind
    );
    Handle(found)
}

/// Returns how many series were refused because there were too many, or they were too long.
pub(crate) fn refused() -> u64 {
    registry().refused
}

/// Returns the registered series from this index on.
pub(super) fn series_from(index: usize) -> Vec<Arc<Series>> {
    registry().series.get(index..).unwrap_or_default().to_vec()
}

impl Registry {
    fn series(&mut self, family: &Arc<Family>, labels: Labels) -> Arc<Series> {
        let known = self.families.get(&family.name);
        if let Some(found) = known.and_then(|(_, series)| series.get(&labels)) {
            return Arc::clone(found);
        }
        let length = |(name, value): (&String, &String)| name.len() + value.len();
        let length = family.name.len() + labels.iter().map(length).sum::<usize>();
        let series = Arc::new(Series {
            family: Arc::clone(family),
            labels: labels.clone(),
            value: AtomicU64::new(0),
        });
        if self.series.len() >= MAX_SERIES || length > MAX_LENGTH {
            self.refused += 1;
            return series;
        }
        self.series.push(Arc::clone(&series));
        let (_, all) = self
            .families
            .entry(family.name.clone())
            .or_insert_with(|| (Arc::clone(family), BTreeMap::new()));
        all.insert(labels, Arc::clone(&series));
        series
    }
}

impl Handle {
    #[inline]
    pub(super) fn value(&self) -> &AtomicU64 {
        &self.0.value
    }

    pub(super) fn set_help(&self, text: &str) {
        // The first text stays.
        let _ = self.0.family.help.set(beginning(text, MAX_HELP).to_owned());
    }

    #[track_caller]
    pub(super) fn label(&self, name: &str, value: &dyn fmt::Display) -> Self {
        if let Err(why) = name::check_label(name) {
            panic!("`{}` is no name for a label: {why}", name.escape_debug());
        }
        let mut labels = self.0.labels.clone();
        // Formatted without the lock, as this is code of the user.
        let before = labels.insert(name.to_owned(), value.to_string());
        assert!(
            before.is_none(),
            "the metric `{}` has the label `{name}` already",
            self.0.family.name
        );
        // Readers of the metrics take both for the same series.
        labels.retain(|_, value| !value.is_empty());
        Self(registry().series(&self.0.family, labels))
    }

    pub(super) fn describe(
        &self,
        mut debug: fmt::DebugStruct<'_, '_>,
        value: &dyn fmt::Debug,
    ) -> fmt::Result {
        debug
            .field("name", &self.0.family.name)
            .field("labels", &self.0.labels)
            .field("value", value)
            .finish()
    }
}
