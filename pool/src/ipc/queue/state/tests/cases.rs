//! Single cases.

use super::*;

/// The actions since the last call.
fn actions(state: &mut State<u64, Memory>) -> Vec<Action<u64>> {
    state.check();
    let mut actions = Vec::new();
    state.take_actions(&mut actions);
    actions
}

fn put(state: &mut State<u64, Memory>, request: u64, item: u64) -> Outcome<()> {
    state.put(key(0, request), item, true)
}

fn get(state: &mut State<u64, Memory>, request: u64) -> Option<u64> {
    match state.get(key(0, request), true, false) {
        Outcome::Done(item) => Some(item.payload),
        _ => None,
    }
}

/// A consumer in another process.
struct Remote {
    client: Client,
    words: Offers<Memory>,
    seen: u64,
}

impl Remote {
    fn new(state: &mut State<u64, Memory>, client: Client) -> Self {
        let memory = memory(OFFER_WORDS);
        state.add_consumer(key(client, 1), offers(&memory)).unwrap();
        Self {
            client,
            words: offers(&memory),
            seen: 0,
        }
    }

    /// The offers that were sent to this consumer.
    fn came(&mut self, state: &mut State<u64, Memory>) -> Vec<Offer<u64>> {
        let mut came = Vec::new();
        for action in actions(state) {
            match action {
                Action::Offer(to, offer) if to.client == self.client => {
                    self.seen = offer.sequence;
                    came.push(offer);
                }
                _ => {}
            }
        }
        came
    }

    fn notice(&self, state: &mut State<u64, Memory>, waiting: u64) {
        state.notice(self.client, self.seen, waiting).unwrap();
    }
}

fn payloads(offers: &[Offer<u64>]) -> Vec<u64> {
    offers.iter().map(|offer| offer.payload).collect()
}

#[test]
fn items_come_in_order_and_puts_wait_for_room() {
    let mut state = State::new(limits(2));
    assert_eq!(put(&mut state, 1, 10), Outcome::Done(()));
    assert_eq!(put(&mut state, 2, 11), Outcome::Done(()));
    assert_eq!(put(&mut state, 3, 12), Outcome::Waits);
    let tried = state.put(key(0, 4), 13, false);
    assert_eq!(tried, Outcome::Unavailable);
    assert_eq!((state.len(), get(&mut state, 5)), (2, Some(10)));
    // A held item takes room until it is confirmed.
    assert!(actions(&mut state).is_empty());
    assert!(state.confirm(key(0, 5)) && !state.confirm(key(0, 5)));
    let came = actions(&mut state);
    assert!(matches!(came[..], [Action::Put(put)] if put == key(0, 3)));
    assert_eq!(get(&mut state, 6), Some(11));
    assert_eq!(get(&mut state, 7), Some(12));
}

#[test]
fn a_withdrawn_get_puts_its_item_back_in_front() {
    let mut state = State::new(limits(9));
    assert_eq!(get(&mut state, 1), None);
    assert_eq!(put(&mut state, 2, 10), Outcome::Done(()));
    put(&mut state, 3, 11).assert_done();
    assert!(matches!(actions(&mut state)[..], [Action::Give(_, _)]));
    assert!(state.leave(key(0, 1), Leave::Withdrawn));
    let Outcome::Done(item) = state.get(key(0, 4), true, false) else {
        panic!("there is an item");
    };
    assert_eq!((item.payload, item.deliveries), (10, 0));
    assert!(state.give_back(key(0, 4)));
    let Outcome::Done(item) = state.get(key(0, 5), true, true) else {
        panic!("there is an item");
    };
    assert_eq!((item.payload, item.deliveries), (10, 1));
}

impl<T> Outcome<T> {
    fn assert_done(self) {
        assert!(matches!(self, Self::Done(_)));
    }
}

#[test]
fn a_consumer_gets_a_few_items_before_it_asks() {
    let mut state = State::new(limits(100));
    let mut consumer = Remote::new(&mut state, 1);
    for item in 0..6 {
        put(&mut state, 1, item).assert_done();
    }
    let came = consumer.came(&mut state);
    assert_eq!(payloads(&came), [0, 1, 2, 3]);
    assert!(consumer.words.take(came[0].slot, came[0].sequence));
    assert!(consumer.words.lease(came[1].slot, came[1].sequence));
    consumer.notice(&mut state, 0);
    // The leased item is still outstanding.
    assert_eq!(payloads(&consumer.came(&mut state)), [4]);
    // It gets more if it waits for them.
    consumer.notice(&mut state, 1);
    assert_eq!(payloads(&consumer.came(&mut state)), [5]);
    assert_eq!((state.len(), state.unconfirmed()), (4, 5));
}

#[test]
fn an_item_in_reserve_goes_to_what_waits() {
    let mut state = State::new(limits(100));
    let mut busy = Remote::new(&mut state, 1);
    for item in 0..4 {
        put(&mut state, 1, item).assert_done();
    }
    let came = busy.came(&mut state);
    assert!(busy.words.take(came[0].slot, came[0].sequence));
    let mut idle = Remote::new(&mut state, 2);
    idle.notice(&mut state, 2);
    assert_eq!(payloads(&idle.came(&mut state)), [1, 2]);
    assert!(!busy.words.take(came[1].slot, came[1].sequence));
    assert_eq!(get(&mut state, 7), Some(3));
    assert!(!busy.words.lease(came[3].slot, came[3].sequence));
    // What came for a consumer that waits is not taken back.
    assert_eq!(get(&mut state, 8), None);
    let none = idle.came(&mut state);
    assert!(none.is_empty());
    // Unless it waits no longer.
    idle.notice(&mut state, 0);
    let given = actions(&mut state);
    assert!(matches!(&given[..], [Action::Give(_, item)] if item.payload == 1));
}

#[test]
fn the_items_of_a_dead_consumer_come_back_in_order() {
    let mut state = State::new(limits(100));
    let mut consumer = Remote::new(&mut state, 1);
    for item in 0..5 {
        put(&mut state, 1, item).assert_done();
    }
    let came = consumer.came(&mut state);
    let [first, second, third, _] = &came[..] else {
        panic!("{came:?}");
    };
    assert!(consumer.words.take(first.slot, first.sequence));
    assert!(consumer.words.lease(second.slot, second.sequence));
    assert!(consumer.words.lease(third.slot, third.sequence));
    consumer.words.confirm(third.slot, third.sequence);
    // Its socket ends, and it still has the second item.
    assert!(!state.leave(key(1, 1), Leave::SocketEnded));
    assert_eq!(get(&mut state, 2), Some(3));
    assert!(state.leave(key(1, 1), Leave::Died));
    assert_eq!(get(&mut state, 3), Some(1));
    assert_eq!(get(&mut state, 4), Some(4));
    assert_eq!(get(&mut state, 5), None);
    assert_eq!(state.unconfirmed(), 3);
}

#[test]
fn a_producer_sends_with_credits_and_loses_those_that_it_has_not_used() {
    let mut state = State::new(limits(3));
    let memory = memory(CREDIT_WORDS);
    let words = credits(&memory);
    state.add_producer(key(1, 1), credits(&memory)).unwrap();
    assert!(words.take());
    state.put_with_credit(1, 10).unwrap();
    assert!(words.take());
    // The room is reserved, and one credit of it can be taken back.
    put(&mut state, 2, 20).assert_done();
    assert!(!words.take());
    assert_eq!(put(&mut state, 3, 21), Outcome::Waits);
    // The item of the other credit is on its way.
    state.put_with_credit(1, 11).unwrap();
    assert!(state.put_with_credit(1, 12).is_err());
    state.check();
    assert_eq!(get(&mut state, 4), Some(10));
    assert_eq!(get(&mut state, 5), Some(20));
    assert_eq!(get(&mut state, 6), Some(11));
}

#[test]
fn the_end_waits_for_items_on_their_way_and_at_consumers() {
    let mut state = State::new(limits(10));
    let memory = memory(CREDIT_WORDS);
    state.add_producer(key(1, 1), credits(&memory)).unwrap();
    assert!(credits(&memory).take());
    put(&mut state, 1, 1).assert_done();
    state.close();
    assert_eq!(put(&mut state, 2, 2), Outcome::Closed);
    assert!(!credits(&memory).take());
    assert_eq!(get(&mut state, 3), Some(1));
    assert_eq!(get(&mut state, 4), None);
    assert!(!state.join(key(0, 5)));
    state.put_with_credit(1, 3).unwrap();
    assert!(matches!(actions(&mut state)[..], [Action::Give(_, _)]));
    assert!(state.confirm(key(0, 4)));
    assert_eq!(get(&mut state, 6), None);
    assert!(actions(&mut state).is_empty());
    assert!(state.confirm(key(0, 3)));
    let came = actions(&mut state);
    assert!(matches!(came[..], [Action::Joined(_), Action::End(_)]));
    assert_eq!(state.get(key(0, 7), true, true), Outcome::Closed);
    assert!(state.join(key(0, 8)));
}

impl PartialEq for Item<u64> {
    fn eq(&self, other: &Self) -> bool {
        (self.number, self.payload) == (other.number, other.payload)
    }
}

#[test]
fn what_a_dead_producer_had_sent_is_still_accepted() {
    let mut state = State::new(limits(10));
    let memory = memory(CREDIT_WORDS);
    state.add_producer(key(1, 1), credits(&memory)).unwrap();
    assert!(credits(&memory).take() && credits(&memory).take());
    assert!(!state.leave(key(1, 1), Leave::SocketEnded));
    state.put_with_credit(1, 1).unwrap();
    state.check();
    assert!(!credits(&memory).take());
    assert!(state.leave(key(1, 1), Leave::Died));
    assert_eq!(state.reserved, 0);
    assert_eq!(get(&mut state, 2), Some(1));
}

#[test]
fn a_client_with_too_much_that_waits_is_refused() {
    let mut state = State::new(limits(1));
    put(&mut state, 1, 0).assert_done();
    for request in 0..50 {
        let outcome = state.put(key(1, request), 1, true);
        assert_eq!(outcome, Outcome::Waits);
    }
    assert_eq!(state.put(key(1, 50), 1, true), Outcome::Unavailable);
    assert_eq!(state.put(key(2, 1), 1, true), Outcome::Waits);
    assert!(state.leave(key(1, 0), Leave::SocketEnded));
    assert_eq!(state.put(key(1, 51), 1, true), Outcome::Waits);
    // The items of the thread of the queue are in its memory in any case.
    for request in 100..200 {
        assert_eq!(state.put(key(LOCAL, request), 1, true), Outcome::Waits);
    }
}

#[test]
fn a_notice_about_an_offer_that_was_not_sent_is_refused() {
    let mut state = State::new(limits(10));
    let mut consumer = Remote::new(&mut state, 1);
    put(&mut state, 1, 0).assert_done();
    consumer.came(&mut state);
    consumer.notice(&mut state, 0);
    assert!(state.notice(1, 2, 0).is_err());
    assert!(state.notice(1, 0, 0).is_err());
    assert!(state.notice(9, 5, 5).is_ok());
}

#[test]
fn a_consumer_without_a_free_slot_gets_more_when_it_confirms() {
    let capacity = SLOTS + 10;
    let mut state = State::new(limits(capacity));
    let mut consumer = Remote::new(&mut state, 1);
    for item in 0..capacity as u64 {
        put(&mut state, 1, item).assert_done();
    }
    consumer.notice(&mut state, 2000);
    let came = consumer.came(&mut state);
    assert_eq!(came.len(), SLOTS);
    for offer in &came {
        assert!(consumer.words.lease(offer.slot, offer.sequence));
    }
    consumer.notice(&mut state, 3);
    assert!(consumer.came(&mut state).is_empty());
    consumer.words.confirm(came[7].slot, came[7].sequence);
    consumer.notice(&mut state, 3);
    let more = consumer.came(&mut state);
    assert_eq!(
        (payloads(&more), more[0].slot),
        (vec![SLOTS as u64], came[7].slot)
    );
}

#[test]
fn a_consumer_that_reads_nothing_is_sent_no_more_although_its_reserve_is_taken_back() {
    let mut state = State::new(limits(10));
    let mut idle = Remote::new(&mut state, 1);
    for item in 0..1000 {
        put(&mut state, 1, item).assert_done();
        let came = state.get(key(0, 2), true, true);
        assert!(matches!(came, Outcome::Done(given) if given.payload == item));
    }
    assert_eq!(idle.came(&mut state).len(), 4);
    // It reads again.
    idle.notice(&mut state, 0);
    put(&mut state, 1, 1000).assert_done();
    assert_eq!(payloads(&idle.came(&mut state)), [1000]);
}

#[test]
fn consumers_are_asked_for_reports_while_a_put_waits() {
    let mut state = State::new(limits(4));
    let mut consumer = Remote::new(&mut state, 1);
    for item in 0..4 {
        put(&mut state, 1, item).assert_done();
    }
    let came = consumer.came(&mut state);
    assert!(consumer.words.take(came[0].slot, came[0].sequence));
    assert!(!consumer.words.take_request_for_report());
    // The queue finds what was confirmed before anything has waited.
    put(&mut state, 2, 4).assert_done();
    assert!(!consumer.words.take_request_for_report());
    for request in 3..5 {
        assert_eq!(put(&mut state, request, request), Outcome::Waits);
    }
    assert!(consumer.words.take(came[1].slot, came[1].sequence));
    assert!(consumer.words.take_request_for_report());
    assert!(!consumer.words.take_request_for_report());
    consumer.notice(&mut state, 0);
    let is_put = |action: &Action<u64>| matches!(action, Action::Put(_));
    assert_eq!(
        actions(&mut state)
            .iter()
            .filter(|action| is_put(action))
            .count(),
        1
    );
    // Another put still waits.
    assert!(consumer.words.take_request_for_report());
    // A consumer that comes later is asked too.
    let other = Remote::new(&mut state, 2);
    assert!(other.words.take_request_for_report());
}

#[test]
fn an_item_with_descriptors_is_not_sent_before_a_consumer_asks() {
    let mut state = State::new(limits(10));
    let mut consumer = Remote::new(&mut state, 1);
    for item in [0, WITH_DESCRIPTORS, 1] {
        put(&mut state, 1, item).assert_done();
    }
    assert_eq!(payloads(&consumer.came(&mut state)), [0]);
    consumer.notice(&mut state, 1);
    // The one behind it is sent ahead then.
    assert_eq!(payloads(&consumer.came(&mut state)), [WITH_DESCRIPTORS, 1]);
}
