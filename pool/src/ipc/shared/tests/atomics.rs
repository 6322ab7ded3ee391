//! Atomic numbers with two mappings in one process.

use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};
use std::thread;

use super::super::{Shared, SharedAtomics};
use super::pass;

#[test]
fn both_sides_see_one_number() {
    let here = Shared::new(AtomicU64::new(7)).unwrap();
    let there = pass(&here).unwrap();
    assert_eq!(there.load(Ordering::Relaxed), 7);
    assert_ne!(&raw const *here, &raw const *there);
    there.store(8, Ordering::Relaxed);
    assert_eq!(here.clone().swap(9, Ordering::Relaxed), 8);
    drop(here);
    assert_eq!(there.load(Ordering::Relaxed), 9);
}

#[test]
fn every_type_of_number_keeps_its_value() {
    macro_rules! check {
        ($($atomic:ty: $number:ty),*) => {$({
            for value in [<$number>::MIN, 1, <$number>::MAX] {
                let shared = pass(&Shared::new(<$atomic>::new(value)).unwrap()).unwrap();
                assert_eq!(shared.fetch_xor(!0, Ordering::Relaxed), value);
                assert_eq!(shared.load(Ordering::Relaxed), !value);
            }
            let values = [<$number>::MAX, 0, 3];
            let shared = SharedAtomics::from_values(values.map(<$atomic>::new)).unwrap();
            let received = pass(&shared).unwrap();
            assert!(received.iter().map(|number| number.load(Ordering::Relaxed)).eq(values));
        })*};
    }
    check!(
        AtomicU8: u8, AtomicU16: u16, AtomicU32: u32, AtomicU64: u64,
        AtomicI8: i8, AtomicI16: i16, AtomicI32: i32, AtomicI64: i64
    );
}

#[test]
fn numbers_are_zero_at_first_and_stay_after_their_creator() {
    let numbers = SharedAtomics::<AtomicU16>::with_len(10_000).unwrap();
    assert!(
        numbers
            .iter()
            .all(|number| number.load(Ordering::Relaxed) == 0)
    );
    let other = pass(&numbers).unwrap();
    numbers[9_999].store(1, Ordering::Relaxed);
    drop(numbers);
    assert_eq!(other[9_999].load(Ordering::Relaxed), 1);
    assert_eq!(other.len(), 10_000);
}

#[test]
fn threads_count_through_two_mappings() {
    let counter = Shared::new(AtomicU32::new(0)).unwrap();
    let other = pass(&counter).unwrap();
    let clone = counter.clone();
    thread::scope(|scope| {
        for shared in [&counter, &other, &clone] {
            scope.spawn(move || {
                for _ in 0..50_000 {
                    shared.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(other.load(Ordering::Relaxed), 150_000);
}

#[test]
fn no_numbers_have_no_descriptor() {
    let none = SharedAtomics::<AtomicI64>::with_len(0).unwrap();
    let mut bytes = Vec::new();
    assert!(crate::ipc::encode(&none, &mut bytes).unwrap().is_empty());
    assert_eq!(format!("{:?}", pass(&none).unwrap()), "SharedAtomics([])");
    assert_eq!(
        format!("{:?}", Shared::new(AtomicI8::new(-1)).unwrap()),
        "Shared(-1)"
    );
}
