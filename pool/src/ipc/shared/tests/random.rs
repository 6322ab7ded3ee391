//! Random files, with random lengths announced: whatever is accepted cannot change.

use std::sync::atomic::AtomicU32;

use coreloop_test_support::size;
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::SealFlags;

use super::{ALL, file, receive_atomics, receive_slice};

const SEALS: [SealFlags; 5] = [
    SealFlags::SHRINK,
    SealFlags::GROW,
    SealFlags::SEAL,
    SealFlags::WRITE,
    SealFlags::FUTURE_WRITE,
];

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![0..40_u64, 4090..4110_u64, Just(1 << 20), Just(1 << 40)]
}

fn lengths() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..12_u64,
        1020..1030_u64,
        Just(1 << 18),
        Just(1 << 38),
        any::<u64>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: size::pick(500, 20_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn only_what_cannot_change_is_accepted(
        size in sizes(),
        length in lengths(),
        has_memory in any::<bool>(),
        set in vec(any::<bool>(), SEALS.len()),
    ) {
        let set = SEALS.into_iter().zip(set).filter(|(_, is_set)| *is_set);
        let seals: SealFlags = set.map(|(seal, _)| seal).collect();
        let allocated = if has_memory { size.min(1 << 20) } else { 0 };
        let is_whole = length > 0 && length.checked_mul(4) == Some(size);

        let slice = receive_slice::<u32>(file(size, allocated, seals), length);
        let expected = is_whole && seals.contains(ALL) && allocated == size;
        prop_assert_eq!(slice.is_ok(), expected, "{:?} {:?}", slice, seals);
        if let Ok(slice) = slice {
            prop_assert!(slice.iter().all(|value| *value == 0));
        }

        let size_only = ALL.difference(SealFlags::WRITE);
        let numbers = receive_atomics::<AtomicU32>(file(size, allocated, seals), length);
        // A file that is sealed for writing cannot be mapped for it.
        let is_writable = !seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE);
        let expected = is_whole && seals.contains(size_only) && is_writable;
        prop_assert_eq!(numbers.is_ok(), expected, "{:?} {:?}", seals, size);
    }

    #[test]
    fn garbled_messages_are_errors(bytes in vec(any::<u8>(), 0..12)) {
        let made = || vec![file(16, 16, ALL), file(16, 16, ALL)];
        let slice = crate::ipc::decode::<super::SharedSlice<u32>>(&bytes, made());
        if let Ok(slice) = slice {
            prop_assert!(slice.len() <= 10);
        }
        let numbers = crate::ipc::decode::<super::SharedAtomics<AtomicU32>>(&bytes, made());
        prop_assert!(numbers.is_err() || numbers.is_ok_and(|numbers| numbers.is_empty()));
    }
}
