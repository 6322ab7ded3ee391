//! [`Barrier`]: requests that continue together.

use super::{Call, Effects, Key, Leave, Line, Object, Violation};
use crate::ipc::broker::protocol::{Answer, Operation, Status};

/// **Invariant:** fewer than `size` requests wait.
pub(crate) struct Barrier {
    size: usize,
    line: Line<()>,
}

impl Barrier {
    /// Creates a barrier for `size` requests. A size of zero counts as one.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            line: Line::new(),
        }
    }
}

/// The answer to one of the requests that continue.
fn continues(is_leader: bool) -> Answer {
    Answer::with(Status::DONE, vec![u8::from(is_leader)])
}

impl Object for Barrier {
    fn handle(&mut self, key: Key, call: Call<'_>, effects: &mut Effects) -> Result<(), Violation> {
        match call.operation {
            Operation::ARRIVE if self.line.len() + 1 == self.size => {
                effects.finish(key, continues(true));
                while let Some((key, ())) = self.line.pop() {
                    effects.finish(key, continues(false));
                }
            }
            Operation::ARRIVE => {
                self.line.push(key, ());
                effects.wait(key);
            }
            _ => effects.finish(key, Answer::new(Status::WRONG_KIND)),
        }
        Ok(())
    }

    fn leave(&mut self, key: Key, _why: Leave, effects: &mut Effects) {
        if self.line.remove(key).is_some() {
            effects.end(key);
        }
    }

    fn close(&mut self, effects: &mut Effects) {
        while let Some((key, ())) = self.line.pop() {
            effects.finish(key, Answer::new(Status::CLOSED));
        }
    }
}
