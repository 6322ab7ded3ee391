//! [`Word`], the state of one slot, which a master and a worker share.

use std::sync::atomic::AtomicU64;

/// The state of one slot: `sequence << 3 | state`.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(AtomicU64);

impl Word {
    pub(crate) fn queue(&self, sequence: u64) {
        let _ = (&self.0, sequence);
        unimplemented!()
    }

    pub(crate) fn revoke(&self, sequence: u64) -> bool {
        let _ = (&self.0, sequence);
        unimplemented!()
    }

    pub(crate) fn start(&self, sequence: u64) -> bool {
        let _ = (&self.0, sequence);
        unimplemented!()
    }

    pub(crate) fn ask_cancel(&self, sequence: u64) -> bool {
        let _ = (&self.0, sequence);
        unimplemented!()
    }

    pub(crate) fn is_cancel_asked(&self, sequence: u64) -> bool {
        let _ = (&self.0, sequence);
        unimplemented!()
    }

    pub(crate) fn has_started(&self, sequence: u64) -> bool {
        let _ = (&self.0, sequence);
        unimplemented!()
    }
}
