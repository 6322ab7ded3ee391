//! A value that two ends share, for the crates beside this one.
//!
//! It is what `Rc` is for exactly two owners, in memory that the loop uses again:
//! making and freeing a small allocation takes longer than all else that a
//! channel for one value does.
//!
//! # Invariants
//!
//! 1. `shared` of a [`Twin`] points to a `Shared` that [`pair`] has made, in a
//!    box of its own or at the start of a `Block`, whichever `Shared::KIND`
//!    says. It is alive until the second twin is dropped, and its `value` until
//!    then is only lent out shared.
//! 2. `alone` is false while there are two twins. The first that is dropped sets
//!    it and touches nothing else; the second frees. Neither leaves its thread.
//! 3. Nobody's code is run while a block is on its way to the loop or from it.
#![expect(
    unsafe_code,
    reason = "one allocation with two owners, of memory that is used again; see the invariants"
)]

use std::alloc::Layout;
use std::cell::Cell;
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use crate::engine::core::context;

/// How many blocks of a kind a loop keeps.
const KEPT: usize = 16;

/// One of two owners of a value, which is dropped with the second.
pub struct Twin<T> {
    shared: NonNull<Shared<T>>,
}

struct Shared<T> {
    alone: Cell<bool>,
    value: T,
}

/// Makes the two owners of what `make` makes.
///
/// It is made last, so that it need not be moved: reading in large pieces what
/// was just written in small ones takes longer than an allocation.
#[inline]
pub fn pair<T>(make: impl FnOnce() -> T) -> (Twin<T>, Twin<T>) {
    let shared = match Shared::<T>::KIND {
        Kind::Small => put_in(context::with_running(|on| on.spares.small.take()), make),
        Kind::Medium => put_in(context::with_running(|on| on.spares.medium.take()), make),
        Kind::Large => NonNull::from(Box::leak(Box::new(Shared::new(make())))),
    };
    (Twin { shared }, Twin { shared })
}

/// Makes it in a block that was left over, or a new one. The block has to be of
/// the kind that it needs.
#[inline]
fn put_in<T, const WORDS: usize>(
    spare: Option<Option<Box<Block<WORDS>>>>,
    make: impl FnOnce() -> T,
) -> NonNull<Shared<T>> {
    let (layout, room) = (Layout::new::<Shared<T>>(), Layout::new::<Block<WORDS>>());
    debug_assert!(layout.size() <= room.size() && layout.align() <= room.align());
    let block = spare.flatten().unwrap_or_else(Block::new);
    let shared = Shared::new(make());
    let place = NonNull::from(Box::leak(block)).cast::<Shared<T>>();
    // SAFETY: of its kind, so large enough and aligned, and nobody else's.
    unsafe { place.write(shared) };
    place
}

impl<T> Deref for Twin<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1, this twin has not been dropped.
        let shared = unsafe { self.shared.as_ref() };
        &shared.value
    }
}

impl<T> Drop for Twin<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: invariant 1, this twin is only about to be dropped.
        let alone = &unsafe { self.shared.as_ref() }.alone;
        if alone.replace(true) {
            drop(Last(self.shared));
        }
    }
}

/// What the second twin leaves.
struct Last<T>(NonNull<Shared<T>>);

impl<T> Drop for Last<T> {
    #[inline(never)]
    fn drop(&mut self) {
        // Freed at the end, panic or not.
        let memory = Memory(self.0);
        // SAFETY: invariant 2, the other twin is gone, and nothing is lent out
        // by this one.
        unsafe { ptr::drop_in_place(memory.0.as_ptr()) };
    }
}

impl<T: fmt::Debug> fmt::Debug for Twin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Where a `Shared` lies.
#[derive(Clone, Copy)]
enum Kind {
    Small,
    Medium,
    /// In a box of its own.
    Large,
}

impl<T> Shared<T> {
    const KIND: Kind = {
        let layout = Layout::new::<Shared<T>>();
        if layout.align() > align_of::<SmallBlock>() || layout.size() > size_of::<MediumBlock>() {
            Kind::Large
        } else if layout.size() > size_of::<SmallBlock>() {
            Kind::Medium
        } else {
            Kind::Small
        }
    };

    fn new(value: T) -> Self {
        Shared {
            alone: Cell::new(false),
            value,
        }
    }
}

/// The memory of a `Shared` that is dropped.
struct Memory<T>(NonNull<Shared<T>>);

impl<T> Drop for Memory<T> {
    #[inline]
    fn drop(&mut self) {
        match Shared::<T>::KIND {
            Kind::Small => {
                // SAFETY: invariant 1, that is where it came from.
                let block = unsafe { Box::from_raw(self.0.cast::<SmallBlock>().as_ptr()) };
                context::with_running(|on| on.spares.small.keep(block));
            }
            Kind::Medium => {
                // SAFETY: likewise.
                let block = unsafe { Box::from_raw(self.0.cast::<MediumBlock>().as_ptr()) };
                context::with_running(|on| on.spares.medium.keep(block));
            }
            Kind::Large => {
                let shared = self.0.cast::<MaybeUninit<Shared<T>>>();
                // SAFETY: likewise; a box of what is dropped already.
                drop(unsafe { Box::from_raw(shared.as_ptr()) });
            }
        }
    }
}

/// Memory for whatever fits in.
#[repr(align(16))]
struct Block<const WORDS: usize> {
    #[expect(dead_code, reason = "only its size counts")]
    memory: [MaybeUninit<u64>; WORDS],
}

type SmallBlock = Block<8>;
type MediumBlock = Block<16>;

impl<const WORDS: usize> Block<WORDS> {
    fn new() -> Box<Self> {
        Box::new(Block {
            memory: [const { MaybeUninit::uninit() }; WORDS],
        })
    }
}

/// What a loop keeps of memory that was freed.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    small: Stack<8>,
    medium: Stack<16>,
}

/// Blocks of one kind.
struct Stack<const WORDS: usize> {
    /// Those before `count` are there.
    blocks: [Cell<Option<Box<Block<WORDS>>>>; KEPT],
    count: Cell<usize>,
}

impl<const WORDS: usize> Stack<WORDS> {
    #[inline]
    fn take(&self) -> Option<Box<Block<WORDS>>> {
        let last = self.count.get().checked_sub(1)?;
        self.count.set(last);
        self.blocks.get(last)?.take()
    }

    #[inline]
    fn keep(&self, block: Box<Block<WORDS>>) {
        let count = self.count.get();
        if let Some(place) = self.blocks.get(count) {
            place.set(Some(block));
            self.count.set(count + 1);
        }
    }
}

impl<const WORDS: usize> Default for Stack<WORDS> {
    fn default() -> Self {
        Stack {
            blocks: [const { Cell::new(None) }; KEPT],
            count: Cell::new(0),
        }
    }
}

impl<const WORDS: usize> fmt::Debug for Stack<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("count", &self.count.get())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::{KEPT, Twin, pair};
    use crate::engine::core::context;
    use crate::runtime::Runtime;

    /// Notes in a list that it is dropped, and panics if it is to.
    struct Noted {
        number: u32,
        dropped: Rc<RefCell<Vec<u32>>>,
        panics: bool,
    }

    impl Drop for Noted {
        fn drop(&mut self) {
            self.dropped.borrow_mut().push(self.number);
            assert!(!self.panics, "as it is to");
        }
    }

    fn noted(number: u32, dropped: &Rc<RefCell<Vec<u32>>>) -> (Twin<Noted>, Twin<Noted>) {
        let dropped = Rc::clone(dropped);
        pair(|| Noted {
            number,
            dropped,
            panics: false,
        })
    }

    fn address<T>(twin: &Twin<T>) -> usize {
        (&raw const **twin).addr()
    }

    fn kept() -> (usize, usize) {
        let kept = context::with_running(|on| {
            let spares = &on.spares;
            (spares.small.count.get(), spares.medium.count.get())
        });
        kept.expect("in a loop")
    }

    #[test]
    fn the_value_goes_with_the_second_twin_in_whatever_order() {
        let dropped = Rc::default();
        let (first, second) = noted(1, &dropped);
        drop(first);
        assert!(dropped.borrow().is_empty());
        assert_eq!(second.number, 1);
        drop(second);
        let (first, second) = noted(2, &dropped);
        drop(second);
        assert_eq!(first.number, 2);
        drop(first);
        assert_eq!(*dropped.borrow(), [1, 2]);
    }

    #[test]
    fn values_of_all_sizes_and_alignments() {
        #[repr(align(64))]
        struct Aligned(u8);

        Runtime::new().unwrap().block_on(async {
            for _ in 0..2 {
                let (small, own) = pair(|| 7_u8);
                let (medium, _own) = pair(|| [7_u64; 15]);
                let (large, _own) = pair(|| [7_u64; 16]);
                let (aligned, _own) = pair(|| Aligned(7));
                let (nothing, _own) = pair(|| ());
                assert_eq!((*small, *own), (7, 7));
                assert_eq!((*medium, *large), ([7; 15], [7; 16]));
                assert_eq!(address(&aligned) % 64, 0);
                assert_eq!((aligned.0, *nothing), (7, ()));
            }
            // What is small and nothing; what is medium.
            assert_eq!(kept(), (2, 1));
        });
    }

    #[test]
    fn memory_is_used_again_by_others_of_its_kind() {
        Runtime::new().unwrap().block_on(async {
            let (one, two) = pair(|| 1_u64);
            let place = address(&one);
            drop((one, two));
            let (one, two) = pair(|| [3_u32, 4]);
            assert_eq!(address(&one), place);
            assert_eq!(*two, [3, 4]);
            drop((one, two));
            let (one, _two) = pair(|| [0_u64; 10]);
            assert_ne!(address(&one), place);
        });
    }

    #[test]
    fn no_more_than_some_is_kept() {
        Runtime::new().unwrap().block_on(async {
            let pairs: Vec<_> = (0..2 * KEPT).map(|number| pair(|| number)).collect();
            drop(pairs);
            assert_eq!(kept(), (KEPT, 0));
            let again: Vec<_> = (0..2 * KEPT).map(|number| pair(|| number)).collect();
            assert_eq!(kept(), (0, 0));
            for (number, (one, two)) in again.iter().enumerate() {
                assert_eq!((**one, **two), (number, number));
            }
        });
    }

    #[test]
    fn twins_outlive_the_loop_that_they_were_made_in() {
        let dropped = Rc::default();
        let (one, two) = Runtime::new()
            .unwrap()
            .block_on(async { noted(1, &dropped) });
        drop(one);
        // And end in another.
        Runtime::new().unwrap().block_on(async {
            drop(two);
            assert_eq!(kept(), (1, 0));
        });
        assert_eq!(*dropped.borrow(), [1]);
    }

    #[test]
    fn a_destructor_that_panics_or_makes_twins_costs_no_memory() {
        struct Maker;

        impl Drop for Maker {
            fn drop(&mut self) {
                let (one, _two) = pair(|| 5_u64);
                assert_eq!(*one, 5);
            }
        }

        Runtime::new().unwrap().block_on(async {
            drop(pair(|| Maker));
            assert_eq!(kept(), (2, 0));

            let dropped = Rc::default();
            let list = Rc::clone(&dropped);
            let twins = pair(|| Noted {
                number: 1,
                dropped: list,
                panics: true,
            });
            assert_eq!(kept(), (1, 0));
            let outcome = catch_unwind(AssertUnwindSafe(|| drop(twins)));
            assert!(outcome.is_err());
            assert_eq!(*dropped.borrow(), [1]);
            assert_eq!(kept(), (2, 0));
        });
    }

    #[test]
    fn a_value_whose_making_panics_leaves_nothing() {
        Runtime::new().unwrap().block_on(async {
            drop(pair(|| 1_u64));
            let outcome = catch_unwind(|| pair(|| -> u64 { panic!("not made") }));
            assert!(outcome.is_err());
            assert_eq!(kept(), (0, 0));
        });
    }
}
