//! [`Event`]: a flag that requests wait for.

use super::{Call, Effects, Key, Leave, Line, Object, Violation};
use crate::ipc::broker::protocol::{Answer, Operation, Status};

/// **Invariant:** no request waits while the flag is set.
pub(crate) struct Event {
    is_set: bool,
    line: Line<()>,
}

impl Event {
    pub(crate) fn new() -> Self {
        Self {
            is_set: false,
            line: Line::new(),
        }
    }

    fn finish_all(&mut self, status: Status, effects: &mut Effects) {
        while let Some((key, ())) = self.line.pop() {
            effects.finish(key, Answer::new(status));
        }
    }
}

impl Object for Event {
    fn handle(&mut self, key: Key, call: Call<'_>, effects: &mut Effects) -> Result<(), Violation> {
        match call.operation {
            Operation::SET => {
                self.is_set = true;
                effects.finish(key, Answer::done());
                self.finish_all(Status::DONE, effects);
            }
            Operation::CLEAR => {
                self.is_set = false;
                effects.finish(key, Answer::done());
            }
            Operation::IS_SET => {
                let body = vec![u8::from(self.is_set)];
                effects.finish(key, Answer::with(Status::DONE, body));
            }
            Operation::WAIT if self.is_set => effects.finish(key, Answer::done()),
            Operation::WAIT => {
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
        self.finish_all(Status::CLOSED, effects);
    }
}
