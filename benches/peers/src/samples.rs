//! Figures measured in turns, and the quoted values.

/// The figures of one contestant, one per turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

/// The spread of the turns' figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) minimum: f64,
    /// A quarter of the turns lie below.
    pub(crate) lower: f64,
    pub(crate) median: f64,
    /// A quarter of the turns lie above.
    pub(crate) upper: f64,
    pub(crate) maximum: f64,
    pub(crate) turns: usize,
}

impl Samples {
    /// Adds the figure of one more turn.
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// Returns the best turn, because noise only ever adds to a time.
    pub(crate) fn minimum(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Returns the median turn.
    pub(crate) fn median(&self) -> f64 {
        self.spread().median
    }

    /// Returns the median of the ratios of this contestant's figures to the other's, turn
    /// by turn, so that a disturbance of the machine affects both.
    pub(crate) fn ratio_to(&self, other: &Samples) -> f64 {
        self.ratios_to(other).median()
    }

    /// Returns the ratios of this contestant's figures to the other's, turn by turn.
    pub(crate) fn ratios_to(&self, other: &Samples) -> Samples {
        let turns = self.0.iter().zip(&other.0);
        turns.map(|(own, other)| own / other).collect()
    }

    /// Converts figures in nanoseconds per operation to operations per second.
    pub(crate) fn per_second(&self) -> Samples {
        self.0.iter().map(|nanoseconds| 1e9 / nanoseconds).collect()
    }

    pub(crate) fn spread(&self) -> Spread {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        // For an even number of turns, this is the upper of the two in the middle.
        let at = |quarters: usize| {
            let turn = sorted.get((last * quarters + 2) / 4);
            turn.copied().unwrap_or(f64::NAN)
        };
        Spread {
            minimum: at(0),
            lower: at(1),
            median: at(2),
            upper: at(3),
            maximum: at(4),
            turns: sorted.len(),
        }
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Samples {
        Samples(figures.into_iter().collect())
    }
}
