//! Loom models of a word: every interleaving of a master with a worker. They run the code
//! that ships, with loom's atomic number in place of the standard library's.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p coreloop-pool --lib --release loom
//! ```

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::{Atomic, Ordering, Word};

impl Atomic for AtomicU64 {
    fn load(&self, ordering: Ordering) -> u64 {
        self.load(ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        self.store(value, ordering);
    }

    fn swap_if(&self, current: u64, new: u64, success: Ordering) -> Result<u64, u64> {
        self.compare_exchange(current, new, success, Ordering::Relaxed)
    }
}

/// What a master and a worker share: one slot, and a socket in each direction.
///
/// A result is ordered after what the worker did before, as the locks of a real socket order
/// it. A frame has no such order here: a word has to give the order that its position needs.
struct Shared {
    word: Word<AtomicU64>,
    position: AtomicU64,
    frames: AtomicU64,
    results: AtomicU64,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            word: Word(AtomicU64::new(0)),
            position: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            results: AtomicU64::new(0),
        })
    }

    /// Sends a job as the master does. Its position is its sequence, so that each send has
    /// another position.
    fn send(&self, sequence: u64) {
        self.position.store(sequence, Ordering::Relaxed);
        self.word.queue(sequence);
        self.frames.store(sequence, Ordering::Relaxed);
    }

    /// Starts a job as the worker does, once its frame has come.
    fn start(&self, sequence: u64) -> bool {
        while self.frames.load(Ordering::Relaxed) < sequence {
            thread::yield_now();
        }
        let started = self.word.start(sequence);
        if started {
            assert_eq!(self.position.load(Ordering::Relaxed), sequence);
        }
        started
    }
}

fn worker<R: 'static>(
    shared: &Arc<Shared>,
    run: impl FnOnce(&Shared) -> R + 'static,
) -> thread::JoinHandle<R> {
    let shared = Arc::clone(shared);
    thread::spawn(move || run(&shared))
}

#[test]
fn loom_of_a_start_and_a_revoke_exactly_one_succeeds() {
    loom::model(|| {
        let shared = Shared::new();
        shared.send(1);
        let worker = worker(&shared, |shared| shared.start(1));
        let revoked = shared.word.revoke(1);
        let started = worker.join().unwrap();
        assert!(revoked != started);
        // The worker is dead now.
        assert_eq!(shared.word.has_started(1), started);
    });
}

#[test]
fn loom_the_frame_of_a_revoked_job_starts_nothing_in_a_slot_that_is_used_again() {
    loom::model(|| {
        let shared = Shared::new();
        shared.send(1);
        let worker = worker(&shared, |shared| {
            let first = shared.start(1);
            // The second frame comes only if the first job was revoked.
            (first, !first && shared.start(2))
        });
        let revoked = shared.word.revoke(1);
        if revoked {
            shared.send(2);
        }
        let started = worker.join().unwrap();
        assert_eq!(started, (!revoked, revoked));
        assert_eq!(shared.word.has_started(1), !revoked);
        assert_eq!(shared.word.has_started(2), revoked);
    });
}

#[test]
fn loom_a_cancel_asks_no_job_but_its_own() {
    loom::model(|| {
        let shared = Shared::new();
        shared.send(1);
        let worker = worker(&shared, |shared| {
            assert!(shared.start(1));
            let asked = shared.word.is_cancel_asked(1);
            shared.results.store(1, Ordering::Release);
            // Code of the first job may still ask, on a thread that it has left behind.
            let asked_late = shared.word.is_cancel_asked(1);
            assert!(shared.start(2));
            assert!(!shared.word.is_cancel_asked(1) && !shared.word.is_cancel_asked(2));
            (asked, asked_late)
        });
        // Before the start this has no effect, and after the end of the job no reader.
        let was_running = shared.word.ask_cancel(1);
        assert!(!was_running || shared.word.has_started(1));
        while shared.results.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        shared.send(2);
        assert!(!shared.word.ask_cancel(1));
        let (asked, asked_late) = worker.join().unwrap();
        assert!(was_running || !(asked || asked_late));
        assert!(shared.word.has_started(2) && !shared.word.is_cancel_asked(2));
    });
}

#[test]
fn loom_a_job_that_was_asked_to_end_has_started() {
    loom::model(|| {
        let shared = Shared::new();
        shared.send(1);
        let worker = worker(&shared, |shared| shared.start(1));
        let asked = shared.word.ask_cancel(1);
        let has_started = shared.word.has_started(1);
        assert!(has_started || !asked);
        assert!(worker.join().unwrap());
        assert!(shared.word.has_started(1) && !shared.word.revoke(1));
        assert_eq!(shared.word.is_cancel_asked(1), asked);
    });
}
