//! [`Window`], which limits how many inputs a map takes.

use std::task::{Context, Poll};

/// How many inputs a map may have taken whose results it has not returned yet, and how many it
/// submits together.
#[derive(Debug)]
pub(crate) struct Window {
    inputs: Option<usize>,
    chunk: usize,
}

/// A map that gathers its inputs to chunks.
pub(crate) trait Gather {
    fn window(&self) -> &Window;

    /// The number of processes or threads that run the jobs.
    fn workers(&self) -> usize;

    /// The number of inputs that were taken, and whose results were not returned.
    fn pending(&self) -> usize;

    /// The number of inputs that were taken, and not submitted.
    fn gathered(&self) -> usize;

    /// Takes an input, and submits the chunk if it is full. Returns `false` at the end of the
    /// inputs.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<bool>;

    /// Submits the gathered inputs.
    fn flush(&mut self);
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            inputs: None,
            chunk: 1,
        }
    }

    pub(crate) fn set_inputs(&mut self, inputs: usize) {
        self.inputs = Some(inputs.max(1));
    }

    pub(crate) fn set_chunk(&mut self, inputs: usize) {
        self.chunk = inputs.max(1);
    }

    /// The number of inputs of a full chunk.
    pub(crate) fn chunk(&self) -> usize {
        self.chunk
    }

    fn inputs(&self, workers: usize) -> usize {
        let default = || self.chunk.saturating_mul(4).max(64).saturating_mul(workers);
        self.inputs.unwrap_or_else(default)
    }
}

/// Takes inputs and submits them while the window has room.
pub(crate) fn fill(map: &mut impl Gather, cx: &mut Context<'_>) {
    let window = map.window().inputs(map.workers());
    loop {
        if map.pending() >= window {
            if map.pending() > map.gathered() {
                // Returning the results of other inputs makes room to fill this chunk.
                return;
            }
            break;
        }
        if !matches!(map.poll_take(cx), Poll::Ready(true)) {
            break;
        }
    }
    // Inputs that were kept would wait for others that do not come, or for the room that they
    // take themselves.
    map.flush();
}
