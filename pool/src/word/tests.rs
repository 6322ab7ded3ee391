use super::*;

fn new() -> Word {
    Word(AtomicU64::new(0))
}

/// A word after some transitions, with the name of its state.
fn in_state(state: u64, sequence: u64) -> Word {
    let slot = new();
    if state != FREE {
        slot.queue(sequence);
    }
    match state {
        STARTED => assert!(slot.start(sequence)),
        REVOKED => assert!(slot.revoke(sequence)),
        CANCEL_ASKED => assert!(slot.start(sequence) && slot.ask_cancel(sequence)),
        _ => {}
    }
    slot
}

const STATES: [u64; 5] = [FREE, QUEUED, STARTED, REVOKED, CANCEL_ASKED];

#[test]
fn each_state_has_its_transitions_and_no_others() {
    for state in STATES {
        let after = |transition: fn(&Word, u64) -> bool| {
            let slot = in_state(state, 5);
            transition(&slot, 5).then(|| slot.0.load(Ordering::Relaxed) & 7)
        };
        assert_eq!(after(Word::start), (state == QUEUED).then_some(STARTED));
        assert_eq!(after(Word::revoke), (state == QUEUED).then_some(REVOKED));
        let runs = state == STARTED || state == CANCEL_ASKED;
        assert_eq!(after(Word::ask_cancel), runs.then_some(CANCEL_ASKED));
        assert_eq!(in_state(state, 5).has_started(5), runs);
        let asked = state == CANCEL_ASKED;
        assert_eq!(in_state(state, 5).is_cancel_asked(5), asked);
    }
}

#[test]
fn a_word_answers_for_no_other_sequence() {
    for state in STATES {
        for other in [0, 4, 6, 5 << 3, (1 << 58) - 1] {
            let slot = in_state(state, 5);
            let before = slot.0.load(Ordering::Relaxed);
            assert!(!slot.start(other) && !slot.revoke(other) && !slot.ask_cancel(other));
            assert!(!slot.has_started(other) && !slot.is_cancel_asked(other));
            assert_eq!(slot.0.load(Ordering::Relaxed), before);
        }
    }
}

#[test]
fn a_slot_can_be_used_again_after_each_end() {
    for state in [FREE, STARTED, REVOKED, CANCEL_ASKED] {
        let slot = in_state(state, 5);
        slot.queue(6);
        assert!(!slot.start(5), "the stale frame is skipped");
        assert!(slot.start(6));
    }
}

#[test]
fn the_largest_sequence_of_a_ticket_fits() {
    let largest = u64::MAX >> 6;
    let slot = new();
    slot.queue(largest);
    assert!(slot.start(largest) && slot.has_started(largest));
}

#[test]
fn any_bits_have_a_text() {
    assert_eq!(
        format!("{:?}", in_state(CANCEL_ASKED, 9)),
        "Word(9, cancel asked)"
    );
    assert_eq!(format!("{:?}", new()), "Word(0, free)");
    assert!(format!("{:?}", Word(AtomicU64::new(u64::MAX))).contains("invalid"));
}
