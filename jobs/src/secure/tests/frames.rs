use proptest::prelude::*;

use super::{Broken, HEADER, MAX, connected, open, seal};

#[test]
fn bodies_of_all_sizes_arrive() {
    let ((mut out, _), (_, mut opener)) = connected(MAX);
    let sizes = [0, 1, HEADER, 16 * 1024 - HEADER, 16 * 1024, 100_000, MAX, 3];
    let bodies: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![7; size]).collect();
    let bytes: Vec<u8> = bodies
        .iter()
        .flat_map(|body| seal(&mut out, body))
        .collect();
    assert_eq!(open(&mut opener, &bytes).unwrap(), bodies);
    assert!(!opener.is_in_frame());
    assert!(opener.allocated() <= 4 * MAX);
    // After a long frame, the memory is given back.
    let _ = opener.space();
    assert!(opener.allocated() <= 64 * 1024);
}

#[test]
fn a_frame_arrives_byte_by_byte() {
    let ((mut out, _), (_, mut opener)) = connected(MAX);
    let bytes = [seal(&mut out, b"first"), seal(&mut out, b"second")].concat();
    let mut bodies = Vec::new();
    for byte in bytes {
        bodies.extend(open(&mut opener, &[byte]).unwrap());
    }
    assert_eq!(bodies, [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn a_flipped_bit_at_any_position_of_a_frame_is_refused() {
    let body = b"the body of a frame";
    for bit in 0..(HEADER + body.len()) * 8 {
        let ((mut out, _), (_, mut opener)) = connected(20_000);
        let mut bytes = seal(&mut out, body);
        bytes[bit / 8] ^= 1 << (bit % 8);
        // A longer length waits for bytes, which the next frames bring.
        let more: Vec<u8> = (0..2).flat_map(|_| seal(&mut out, &[0; 8192])).collect();
        bytes.extend(&more);
        bytes.extend(&more);
        assert!(open(&mut opener, &bytes).is_err(), "bit {bit} was flipped");
        // It stays refused.
        assert!(open(&mut opener, &seal(&mut out, body)).is_err());
    }
}

#[test]
fn a_repeated_frame_is_refused() {
    let ((mut out, _), (_, mut opener)) = connected(MAX);
    let bytes = seal(&mut out, b"pay 5");
    assert_eq!(open(&mut opener, &bytes).unwrap().len(), 1);
    assert_eq!(open(&mut opener, &bytes), Err(Broken::Code));
}

#[test]
fn a_frame_that_was_left_out_is_noticed() {
    let ((mut out, _), (_, mut opener)) = connected(MAX);
    let _left_out = seal(&mut out, b"first");
    let bytes = seal(&mut out, b"second");
    assert_eq!(open(&mut opener, &bytes), Err(Broken::Code));
}

#[test]
fn exchanged_frames_are_refused() {
    let ((mut out, _), (_, mut opener)) = connected(MAX);
    let (first, second) = (seal(&mut out, b"same"), seal(&mut out, b"same"));
    assert_eq!(
        open(&mut opener, &[second, first].concat()),
        Err(Broken::Code)
    );
}

#[test]
fn a_frame_of_the_other_direction_is_refused() {
    let ((mut out, mut opener), _) = connected(MAX);
    let own = seal(&mut out, b"reflected");
    assert_eq!(open(&mut opener, &own), Err(Broken::Code));
}

#[test]
fn a_frame_of_another_connection_is_refused() {
    let ((mut out, _), _) = connected(MAX);
    // The nonces of the two are equal in these tests; so one frame is sent before.
    let ((mut other, _), (_, mut opener)) = connected(MAX);
    let _ = seal(&mut out, b"");
    let _ = seal(&mut other, b"");
    assert!(open(&mut opener, &seal(&mut out, b"")).is_err());
}

#[test]
fn a_truncated_frame_is_not_returned() {
    let ((mut out, _), (_, mut opener)) = connected(MAX);
    let bytes = seal(&mut out, b"a body that does not come as a whole");
    for byte in &bytes[..bytes.len() - 1] {
        assert_eq!(open(&mut opener, &[*byte]).unwrap().len(), 0);
        assert!(opener.is_in_frame());
    }
}

/// The first frame of a client may be longer than the others.
#[test]
fn a_limit_that_was_lowered_is_the_limit_of_the_next_frame() {
    let ((mut out, _), (_, mut opener)) = connected(100);
    let bytes = [seal(&mut out, &[1; 100]), seal(&mut out, &[2; 11])].concat();
    let space = opener.space();
    space[..bytes.len()].copy_from_slice(&bytes);
    opener.filled(bytes.len());
    assert_eq!(opener.next().unwrap().unwrap(), [1; 100]);
    opener.set_max(10);
    assert_eq!(opener.next(), Err(Broken::TooLong(11)));
}

#[test]
fn a_length_above_the_limit_is_refused_before_its_body_comes() {
    let ((mut out, _), (_, mut opener)) = connected(100);
    assert_eq!(
        open(&mut opener, &seal(&mut out, &[1; 100])).unwrap().len(),
        1
    );
    let bytes = seal(&mut out, &[1; 101]);
    assert_eq!(
        open(&mut opener, &bytes[..HEADER]),
        Err(Broken::TooLong(101))
    );
    assert_eq!(opener.allocated(), 0);
}

#[test]
fn memory_grows_with_the_bytes_and_not_with_the_claimed_length() {
    let ((mut out, _), (_, mut opener)) = connected(1 << 30);
    let bytes = seal(&mut out, &vec![1; 4 << 20]);
    for (sent, chunk) in bytes.chunks(10_000).enumerate() {
        let whole = (sent + 1) * 10_000 >= bytes.len();
        assert_eq!(open(&mut opener, chunk).unwrap().len(), usize::from(whole));
        let bound = 2 * (sent + 1) * 10_000 + 32 * 1024;
        assert!(opener.allocated() <= bound, "{} bytes", opener.allocated());
    }
}

proptest! {
    /// Any change of a stream ends it at the changed frame, and all bodies before are exact.
    #[test]
    fn a_changed_stream_gives_only_the_frames_before_the_change(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        chunk in 1_usize..100,
    ) {
        let ((mut out, _), (_, mut opener)) = connected(1000);
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for body in &bodies {
            bytes.extend(seal(&mut out, body));
            ends.push(bytes.len());
        }
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let mut opened = Vec::new();
        for part in bytes.chunks(chunk) {
            match open(&mut opener, part) {
                Ok(more) => opened.extend(more),
                // Frames that came in the same part as the changed one are lost.
                Err(_) => break,
            }
        }
        let before = ends.iter().filter(|&&end| end <= at).count();
        prop_assert!(opened.len() <= before);
        prop_assert_eq!(&opened[..], &bodies[..opened.len()]);
    }
}
