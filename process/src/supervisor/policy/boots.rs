//! [`Boots`]: when to give up on a program that does not start.

/// Deaths before ready.
#[derive(Debug)]
pub(in crate::supervisor) struct Boots {
    most: u32,
    in_a_row: u32,
    ever_ready: bool,
}

impl Boots {
    pub(in crate::supervisor) fn new(most: u32) -> Boots {
        Boots {
            most,
            in_a_row: 0,
            ever_ready: false,
        }
    }

    pub(in crate::supervisor) fn ready(&mut self) {
        self.ever_ready = true;
    }

    /// A worker died before it was ready. Answers how many did in a row, if that is
    /// the end.
    pub(in crate::supervisor) fn died(&mut self) -> Option<u32> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        (!self.ever_ready && self.in_a_row >= self.most).then_some(self.in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_budget_is_the_end() {
        let mut boots = Boots::new(3);
        assert_eq!(boots.died(), None);
        assert_eq!(boots.died(), None);
        assert_eq!(boots.died(), Some(3));
    }

    #[test]
    fn one_worker_that_was_ready_is_enough() {
        let mut boots = Boots::new(1);
        boots.ready();
        assert!((0..100).all(|_| boots.died().is_none()));
    }
}
