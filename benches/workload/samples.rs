//! Figures measured in turns, and the quoted values.

/// The figures of one contestant, one per turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

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
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Returns the median of the ratios of this contestant's figures to the other's, turn
    /// by turn, so that a disturbance of the machine affects both.
    pub(crate) fn ratio_to(&self, other: &Samples) -> f64 {
        let turns = self.0.iter().zip(&other.0);
        Samples(turns.map(|(own, other)| own / other).collect()).median()
    }
}
