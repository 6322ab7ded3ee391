use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

use super::{MAX_UNUSED, PairRc, UNUSED};

/// Adds its number to a list when it is dropped, and then panics if `panics` is set.
struct Recorder {
    number: u32,
    dropped: Rc<RefCell<Vec<u32>>>,
    panics: bool,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.number);
        assert!(!self.panics, "this destructor panics");
    }
}

fn recorder(number: u32, dropped: &Rc<RefCell<Vec<u32>>>) -> (PairRc<Recorder>, PairRc<Recorder>) {
    let dropped = Rc::clone(dropped);
    PairRc::new_pair(|| Recorder {
        number,
        dropped,
        panics: false,
    })
}

fn address<T>(owner: &PairRc<T>) -> usize {
    (&raw const **owner).addr()
}

fn unused_blocks() -> usize {
    UNUSED.with(|unused| unused.count.get())
}

/// Runs a test in a thread that has no unused blocks yet.
fn in_new_thread(test: impl FnOnce() + Send + 'static) {
    if let Err(payload) = thread::spawn(test).join() {
        panic::resume_unwind(payload);
    }
}

#[test]
fn the_value_is_dropped_with_the_second_owner_in_either_order() {
    let dropped = Rc::default();
    let (first, second) = recorder(1, &dropped);
    drop(first);
    assert!(dropped.borrow().is_empty());
    assert_eq!(second.number, 1);
    drop(second);
    let (first, second) = recorder(2, &dropped);
    drop(second);
    assert_eq!(first.number, 2);
    drop(first);
    assert_eq!(*dropped.borrow(), [1, 2]);
}

#[test]
fn values_may_have_any_size_and_alignment() {
    #[repr(align(64))]
    struct Aligned(u8);

    in_new_thread(|| {
        for _ in 0..2 {
            let (small, other) = PairRc::new_pair(|| 7_u8);
            let (full, _other) = PairRc::new_pair(|| [7_u64; 15]);
            let (large, _other) = PairRc::new_pair(|| [7_u64; 16]);
            let (aligned, _other) = PairRc::new_pair(|| Aligned(7));
            let (empty, _other) = PairRc::new_pair(|| ());
            assert_eq!((*small, *other), (7, 7));
            assert_eq!((*full, *large), ([7; 15], [7; 16]));
            assert_eq!(address(&aligned) % 64, 0);
            assert_eq!((aligned.0, *empty), (7, ()));
        }
        // Neither the large value nor the aligned one fits a block.
        assert_eq!(unused_blocks(), 3);
    });
}

#[test]
fn a_block_is_reused_for_a_value_of_another_type() {
    in_new_thread(|| {
        let (one, two) = PairRc::new_pair(|| 1_u64);
        let before = address(&one);
        drop((one, two));
        let (one, two) = PairRc::new_pair(|| [3_u32, 4]);
        assert_eq!(address(&one), before);
        assert_eq!(*two, [3, 4]);
    });
}

#[test]
fn a_thread_keeps_a_limited_number_of_unused_blocks() {
    in_new_thread(|| {
        let make = |number| PairRc::new_pair(|| number);
        let pairs: Vec<_> = (0..2 * MAX_UNUSED).map(make).collect();
        drop(pairs);
        assert_eq!(unused_blocks(), MAX_UNUSED);
        let pairs: Vec<_> = (0..2 * MAX_UNUSED).map(make).collect();
        assert_eq!(unused_blocks(), 0);
        for (number, (one, two)) in pairs.iter().enumerate() {
            assert_eq!((**one, **two), (number, number));
        }
    });
}

#[test]
fn an_owner_may_outlive_the_unused_blocks_of_its_thread() {
    thread_local! {
        static LATE: RefCell<Option<(PairRc<u64>, PairRc<u64>)>> = const { RefCell::new(None) };
    }

    in_new_thread(|| {
        // Registered first, so it is dropped after the blocks or before them, as the
        // platform has it.
        LATE.with(|late| drop(late.take()));
        let pair = PairRc::new_pair(|| 5);
        drop(PairRc::new_pair(|| 6));
        LATE.set(Some(pair));
    });
}

#[test]
fn locals_of_a_thread_may_make_pairs_when_they_are_dropped() {
    struct Maker;

    impl Drop for Maker {
        fn drop(&mut self) {
            let (one, two) = PairRc::new_pair(|| 5_u64);
            assert_eq!((*one, *two), (5, 5));
        }
    }

    thread_local! {
        static BEFORE: RefCell<Option<Maker>> = const { RefCell::new(None) };
        static AFTER: RefCell<Option<Maker>> = const { RefCell::new(None) };
    }

    in_new_thread(|| {
        // One is registered before the blocks and one after them, so in any order of
        // destructors, one of them runs when the blocks are gone.
        BEFORE.set(Some(Maker));
        drop(PairRc::new_pair(|| 6));
        AFTER.set(Some(Maker));
    });
}

#[test]
fn a_destructor_may_panic_or_make_a_pair() {
    struct Maker;

    impl Drop for Maker {
        fn drop(&mut self) {
            let (one, _two) = PairRc::new_pair(|| 5_u64);
            assert_eq!(*one, 5);
        }
    }

    in_new_thread(|| {
        drop(PairRc::new_pair(|| Maker));
        assert_eq!(unused_blocks(), 2);

        let dropped = Rc::default();
        let list = Rc::clone(&dropped);
        let pair = PairRc::new_pair(|| Recorder {
            number: 1,
            dropped: list,
            panics: true,
        });
        assert_eq!(unused_blocks(), 1);
        catch_unwind(AssertUnwindSafe(|| drop(pair))).unwrap_err();
        assert_eq!(*dropped.borrow(), [1]);
        assert_eq!(unused_blocks(), 2);
    });
}

#[test]
fn a_value_whose_construction_panics_leaves_nothing_behind() {
    in_new_thread(|| {
        drop(PairRc::new_pair(|| 1_u64));
        let result = catch_unwind(|| PairRc::new_pair(|| -> u64 { panic!("not made") }));
        assert!(result.is_err());
        assert_eq!(unused_blocks(), 0);
    });
}
