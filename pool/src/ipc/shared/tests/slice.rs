//! What the owner of a slice sees.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::super::map::Sealed;
use super::super::{SharedSlice, SharedSliceBuilder};
use super::{pass, receive_slice};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn values_are_the_same_on_the_other_side() {
    let slice = SharedSlice::from_slice(&[[1.5_f64, -2.0], [0.0, f64::INFINITY]]).unwrap();
    let received = pass(&slice).unwrap();
    drop(slice);
    assert_eq!(*received, [[1.5, -2.0], [0.0, f64::INFINITY]]);
    // It can be passed on.
    let third = pass(&received).unwrap();
    drop(received);
    assert_eq!(third[1][0], 0.0);
}

#[test]
fn shared_memory_may_move_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<SharedSlice<u64>>();
    check::<SharedSliceBuilder<u64>>();
    check::<super::super::SharedArray<u64>>();
    check::<super::super::SharedAtomics<std::sync::atomic::AtomicU64>>();
    check::<super::super::Shared<std::sync::atomic::AtomicU64>>();
}

#[test]
fn clones_share_the_mapping() {
    let slice = SharedSlice::from_slice(&[1_u8, 2, 3]).unwrap();
    let clone = slice.clone();
    assert_eq!(slice.as_ptr(), clone.as_ptr());
    drop(slice);
    let other = thread::spawn(move || clone.iter().sum::<u8>());
    assert_eq!(other.join().unwrap(), 6);
}

#[test]
fn an_empty_slice_has_no_descriptor() {
    for slice in [
        SharedSlice::<u64>::from_slice(&[]).unwrap(),
        SharedSlice::from_values([]).unwrap(),
        SharedSliceBuilder::with_len(0).unwrap().seal().unwrap(),
    ] {
        let mut bytes = Vec::new();
        let attached = crate::ipc::encode(&slice, &mut bytes).unwrap();
        assert!(attached.is_empty() && bytes.len() == 2);
        let received: SharedSlice<u64> = crate::ipc::decode(&bytes, attached).unwrap();
        assert!(received.is_empty());
    }
}

#[test]
fn values_of_an_iterator_are_written_in_chunks() {
    for length in [1, 5_461, 5_462, 5_463, 100_000] {
        let value = |number: u32| [number, !number, 7];
        let slice = SharedSlice::from_values((0..length).map(value)).unwrap();
        assert_eq!(slice.len(), length as usize);
        assert!(
            (0..length)
                .map(value)
                .eq(pass(&slice).unwrap().iter().copied())
        );
    }
}

/// As on a system that cannot seal memory.
#[test]
fn values_within_the_message_are_copied() {
    let message = |bytes: &[u8]| {
        let mut message = vec![1, u8::try_from(bytes.len()).unwrap()];
        message.extend_from_slice(bytes);
        message
    };
    for length in [0, 1, 9] {
        let values: Vec<u32> = (0..length).map(|number| number * 0x0101_0101).collect();
        let message = message(bytemuck::cast_slice(&values));
        let received: SharedSlice<u32> = crate::ipc::decode(&message, Vec::new()).unwrap();
        assert_eq!(*received, *values);
        assert_eq!(*pass(&received).unwrap(), *values);
    }
    crate::ipc::decode::<SharedSlice<u32>>(&message(&[1, 2, 3]), Vec::new()).unwrap_err();
}

#[test]
fn a_builder_is_zero_and_keeps_what_is_written() {
    let mut builder = SharedSliceBuilder::<u16>::with_len(5_000).unwrap();
    assert!(builder.iter().all(|value| *value == 0));
    builder[4_999] = 9;
    builder.reverse();
    let slice = builder.seal().unwrap();
    assert_eq!((slice[0], slice[4_999]), (9, 0));
}

#[test]
fn a_length_that_no_memory_has_is_an_error() {
    for length in [usize::MAX, usize::MAX / 8, isize::MAX.unsigned_abs() / 8] {
        SharedSliceBuilder::<u64>::with_len(length).unwrap_err();
    }
}

#[test]
fn an_alignment_of_a_page_is_kept() {
    #[derive(Clone, Copy)]
    #[repr(C, align(64))]
    struct Line([u8; 64]);
    // This crate denies unsafe code, so the type is not sent; the mapping is what counts.
    let slice = SharedSlice::from_slice(&[[3_u8; 64]; 100]).unwrap();
    assert!(slice.as_ptr().cast::<Line>().is_aligned());
    assert_eq!(slice.as_ptr().addr() % 4096, 0);
}

#[test]
fn other_serializers_get_an_error() {
    let slice = SharedSlice::from_slice(&[1_u8]).unwrap();
    postcard::to_stdvec(&slice).unwrap_err();
    // A position without a message.
    postcard::from_bytes::<SharedSlice<u8>>(&[0, 0, 1]).unwrap_err();
}

#[test]
fn a_descriptor_is_taken_once() {
    let slice = SharedSlice::from_slice(&[1_u8]).unwrap();
    let mut bytes = Vec::new();
    let descriptors = crate::ipc::encode(&(slice.clone(), slice.clone()), &mut bytes).unwrap();
    assert_eq!(descriptors.len(), 2);
    let twice: Vec<u8> = [&bytes[..3], &bytes[..3]].concat();
    crate::ipc::decode::<(SharedSlice<u8>, SharedSlice<u8>)>(&twice, descriptors).unwrap_err();
    receive_slice::<u8>(slice.file().try_clone().unwrap(), 1).unwrap();
}

#[test]
fn a_panic_of_the_iterator_frees_the_memory() {
    for after in [0, 70_000] {
        let panicking = (0..).inspect(|number: &u64| {
            assert!(*number < after, "this is the end of the test");
        });
        let made = catch_unwind(AssertUnwindSafe(|| SharedSlice::from_values(panicking)));
        assert!(made.is_err());
    }
}

/// A forgotten value leaks its memory, and nothing else.
#[test]
fn forgotten_values_leak_only() {
    let slice = SharedSlice::from_slice(&[1_u8]).unwrap();
    let other = pass(&slice).unwrap();
    std::mem::forget(slice);
    assert_eq!(*other, [1]);
    let mut builder = SharedSliceBuilder::<u8>::with_len(1).unwrap();
    builder[0] = 2;
    let leaked = Box::leak(Box::new(builder));
    leaked[0] = 3;
    assert_eq!(**leaked, [3]);
}

/// Other tests of this binary open descriptors too, so that only a large number shows a leak.
#[test]
fn slices_close_their_descriptors() {
    let before = descriptors();
    for number in 0..2_000_u32 {
        let slice = SharedSlice::from_slice(&[number]).unwrap();
        assert_eq!(*pass(&slice).unwrap(), [number]);
        drop(SharedSliceBuilder::<u32>::with_len(1).unwrap());
        assert!(Sealed::<u32>::open(slice.file(), 2).is_err());
    }
    assert!(descriptors() < before + 1_000);
}
