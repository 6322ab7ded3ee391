//! Compares the wheel with a sorted map, and tests its corner cases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::engine::panics::UserValue;
use crate::engine::timers::wheel::coalescing::{
    MAX_EXAMINED, SLACK_SHIFT, SLACK_UNIT_SHIFT, slack,
};
use crate::engine::timers::wheel::slots::{SLOTS, TICK_SHIFT};
use crate::engine::timers::wheel::{Key, TimerPoll, TimerWaiter, Wheel};

const STEPS: usize = 1_000_000;

/// A waker that does nothing. Its address identifies a timer.
struct Name;

impl Wake for Name {
    fn wake(self: Arc<Self>) {}
}

fn name() -> Waker {
    Arc::new(Name).into()
}

/// Sets a timer at the time `now`, which wakes `waker`.
fn set(wheel: &mut Wheel, deadline: u64, now: u64, waker: &Waker) -> Key {
    wheel.insert_foreign(deadline, now, UserValue::new(waker.clone()))
}

/// Advances the wheel to `now`, and returns the wakers of the timers that fired.
fn fire(wheel: &mut Wheel, now: u64) -> Vec<UserValue<Waker>> {
    let mut due = Vec::new();
    wheel.advance(now, &mut due, |_| panic!("no timer wakes a task"));
    due.into_iter()
        .map(|due| match due {
            TimerWaiter::Foreign(waker) => waker,
            TimerWaiter::Task(_) => panic!("no timer wakes a task"),
        })
        .collect()
}

/// A timer that the wheel should hold.
struct Expected {
    key: Key,
    waker: Waker,
    /// The end of its slack.
    slack_end: u64,
}

/// The wheel, and the timers that it should hold, by deadline and order of setting.
struct Model {
    wheel: Wheel,
    expected: BTreeMap<(u64, u64), Expected>,
    fired: Vec<Key>,
    now: u64,
    count: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            wheel: Wheel::new(),
            expected: BTreeMap::new(),
            fired: Vec::new(),
            now: 0,
            count: 0,
        }
    }

    fn insert(&mut self, deadline: u64) {
        let waker = name();
        let key = set(&mut self.wheel, deadline, self.now, &waker);
        self.expect(deadline, key, waker);
    }

    fn expect(&mut self, deadline: u64, key: Key, waker: Waker) {
        self.count += 1;
        let slack = u64::from(slack(deadline, self.now)) << SLACK_UNIT_SHIFT;
        let slack_end = deadline.saturating_add(slack);
        let expected = Expected {
            key,
            waker,
            slack_end,
        };
        // Deadlines that have passed fire in the order of the deadlines too.
        self.expected.insert((deadline, self.count), expected);
    }

    /// Removes one of the first or last timers from the map.
    fn take(&mut self, random: &mut fastrand::Rng) -> Option<Expected> {
        if self.expected.is_empty() {
            return None;
        }
        let nth = random.usize(..self.expected.len().min(50));
        let entry = if random.bool() {
            self.expected.iter().nth(nth)
        } else {
            self.expected.iter().nth_back(nth)
        };
        let at = *entry.expect("it is in range").0;
        self.expected.remove(&at)
    }

    fn cancel(&mut self, random: &mut fastrand::Rng) {
        let Some(timer) = self.take(random) else {
            return;
        };
        assert_eq!(self.wheel.poll(timer.key, &timer.waker), TimerPoll::Waiting);
        let removed = self.wheel.remove(timer.key).expect("it has a waker");
        assert!(removed.will_wake(&timer.waker));
    }

    fn reset(&mut self, deadline: u64, random: &mut fastrand::Rng) {
        if let Some(timer) = self.take(random) {
            assert!(self.wheel.reset(timer.key, deadline, self.now));
            self.expect(deadline, timer.key, timer.waker);
        }
        if let Some(&fired) = self.fired.first() {
            assert!(!self.wheel.reset(fired, deadline, self.now));
        }
    }

    fn replace(&mut self) {
        let Some(mut first) = self.expected.first_entry() else {
            return;
        };
        let timer = first.get_mut();
        let other = name();
        assert_eq!(self.wheel.poll(timer.key, &other), TimerPoll::OtherWaiter);
        let waiter = TimerWaiter::Foreign(UserValue::new(other.clone()));
        let before = self.wheel.set_waiter(timer.key, waiter);
        let before = before.expect("it has a waker");
        assert!(before.will_wake(&timer.waker));
        timer.waker = other;
    }

    fn advance(&mut self, to: u64) {
        self.now = self.now.max(to);
        let due = fire(&mut self.wheel, self.now);
        let mut fired = due.iter();
        while let Some(first) = self.expected.first_entry() {
            if first.key().0 > self.now {
                break;
            }
            let timer = first.remove();
            let next = fired.next().expect("a timer that is due fires");
            assert!(
                next.will_wake(&timer.waker),
                "in the order of deadline, then setting"
            );
            assert_eq!(self.wheel.poll(timer.key, &timer.waker), TimerPoll::Fired);
            self.fired.push(timer.key);
        }
        assert_eq!(fired.count(), 0, "no timer fires early");
    }

    fn check(&self) {
        assert_eq!(self.wheel.is_empty(), self.expected.is_empty());
        let first = self.expected.keys().next();
        let deadline = first.map(|&(deadline, _)| deadline);
        assert_eq!(self.wheel.next_exactly(), deadline);
        let (next, alarm) = (self.wheel.next(), self.wheel.wake_time());
        let Some(deadline) = deadline else {
            assert_eq!((next, alarm), (None, None));
            return;
        };
        let next = next.expect("a timer is set");
        assert!(next <= deadline.max(self.now), "the wait would be too long");
        // No timer that is due by then is later than the end of its slack.
        let alarm = alarm.expect("a timer is set");
        for (_, timer) in self.expected.range(..(alarm, 0)) {
            let slack_end = timer.slack_end.max(self.now);
            assert!(alarm <= slack_end, "later than its slack");
        }
    }

    /// Removes the fired timers, as the sleeps that set them do at some later time.
    fn forget_fired(&mut self) {
        for key in self.fired.drain(..) {
            assert!(
                self.wheel.remove(key).is_none(),
                "its waker was taken when it fired"
            );
        }
    }
}

/// Returns a deadline: near or far, often equal to another, sometimes in the past.
fn some_deadline(now: u64, random: &mut fastrand::Rng) -> u64 {
    let distance = random.u64(..) >> random.u32(..64);
    let base = if random.u32(..4) == 0 { 0 } else { now };
    let rounding = if random.bool() {
        u64::MAX
    } else {
        u64::MAX << 16
    };
    base.saturating_add(distance) & rounding
}

/// Advances to the time that `woken` returns, as the loop does, if it is near.
fn advance_if_near(model: &mut Model, woken: impl Fn(&Wheel) -> Option<u64>) {
    if let Some(next) = woken(&model.wheel)
        && next < 1 << 40
    {
        model.advance(next);
    }
}

/// Compares the wheel with a sorted map, in `steps` random steps.
fn compare_with_a_map(seed: u64, steps: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut model = Model::new();
    for _ in 0..steps {
        match random.u32(..100) {
            0..40 => model.insert(some_deadline(model.now, &mut random)),
            40..60 => model.cancel(&mut random),
            60..70 => {
                let deadline = some_deadline(model.now, &mut random);
                model.reset(deadline, &mut random);
            }
            70..75 => model.replace(),
            75..80 => advance_if_near(&mut model, Wheel::next_exactly),
            80..85 => advance_if_near(&mut model, Wheel::wake_time),
            85..99 => {
                let distance = random.u64(..1 << random.clone().u32(1..20));
                model.advance(model.now.saturating_add(distance));
            }
            _ => model.forget_fired(),
        }
        model.check();
        if model.expected.len() > 2000 {
            model.advance(model.now + (1 << 30));
            while model.expected.len() > 500 {
                model.cancel(&mut random);
            }
        }
    }
    model.advance(u64::MAX);
    assert!(model.expected.is_empty() && model.wheel.is_empty());
    model.forget_fired();
    assert!(model.wheel.slots.occupied(0).next().is_none());
    let (timers, free) = model.wheel.timers.count();
    assert_eq!(timers, free);
}

#[test]
fn the_wheel_behaves_like_a_sorted_map() {
    for seed in 0..5 {
        compare_with_a_map(seed, STEPS / 5);
    }
}

/// The deadlines are on and next to the borders of slots and levels, and so are the times
/// at which they are set.
#[test]
fn deadlines_at_the_borders_of_slots_and_levels_fire_on_time() {
    for level in 0..9 {
        let width = 1_u64 << (TICK_SHIFT + 6 * level);
        for start in [0, width - 1, width, width.saturating_mul(63)] {
            let mut model = Model::new();
            model.advance(start);
            for slots in [1, 2, 62, 63, 64, 65] {
                let border = (start / width).saturating_add(slots).saturating_mul(width);
                for deadline in [border - 1, border, border.saturating_add(1)] {
                    model.insert(deadline);
                    model.insert(deadline);
                }
            }
            while let Some(next) = model.wheel.next_exactly() {
                // The timer does not fire a nanosecond earlier.
                model.advance(next.saturating_sub(1));
                model.check();
                model.advance(next);
            }
            assert!(model.expected.is_empty());
        }
    }
}

#[test]
fn equal_deadlines_fire_in_the_order_of_setting() {
    let deadline = 1 << 40;
    let mut wheel = Wheel::new();
    let mut names = Vec::new();
    // Each round sets timers from a nearer time, and so at a lower level.
    for shift in (0..40).rev() {
        for _ in 0..3 {
            let name = name();
            set(&mut wheel, deadline, 0, &name);
            names.push(name);
        }
        assert!(fire(&mut wheel, deadline - (1 << shift) - 1).is_empty());
    }
    let fired = fire(&mut wheel, deadline);
    assert_eq!(fired.len(), names.len());
    for (fired, name) in fired.iter().zip(&names) {
        assert!(fired.will_wake(name));
    }
}

#[test]
fn a_timer_never_fires_early() {
    for deadline in [1, 2, 1023, 1024, 1025, 65_535, 65_536, 65_537, 1_000_000] {
        let mut wheel = Wheel::new();
        set(&mut wheel, deadline, 0, &name());
        assert!(fire(&mut wheel, deadline - 1).is_empty());
        assert_eq!(wheel.next_exactly(), Some(deadline));
        assert_eq!(
            wheel.wake_time(),
            Some(deadline),
            "no other timer shares the wake"
        );
        assert_eq!(fire(&mut wheel, deadline).len(), 1);
    }
}

#[test]
fn a_deadline_that_has_passed_fires_at_the_next_turn() {
    let mut wheel = Wheel::new();
    assert!(fire(&mut wheel, 5_000_000).is_empty());
    let names: Vec<_> = [4_000_000, 0, 4_990_000, 0]
        .into_iter()
        .map(|deadline| {
            let name = name();
            set(&mut wheel, deadline, 0, &name);
            name
        })
        .collect();
    assert!(wheel.next().unwrap() <= 5_000_000);
    let fired = fire(&mut wheel, 5_000_000);
    assert_eq!(fired.len(), 4);
    for (fired, name) in fired.iter().zip([1, 3, 0, 2]) {
        assert!(fired.will_wake(&names[name]));
    }
}

#[test]
fn the_farthest_deadlines_fire_on_time() {
    let mut wheel = Wheel::new();
    for deadline in [
        u64::MAX,
        u64::MAX - 1,
        u64::MAX - (1 << TICK_SHIFT),
        u64::MAX / 2,
    ] {
        set(&mut wheel, deadline, 0, &name());
    }
    assert!(fire(&mut wheel, u64::MAX / 2 - 1).is_empty());
    assert_eq!(fire(&mut wheel, u64::MAX / 2).len(), 1);
    assert_eq!(fire(&mut wheel, u64::MAX - (1 << TICK_SHIFT)).len(), 1);
    assert_eq!(wheel.wake_time(), Some(u64::MAX));
    assert_eq!(fire(&mut wheel, u64::MAX - 1).len(), 1);
    assert_eq!(fire(&mut wheel, u64::MAX).len(), 1);
    assert_eq!(wheel.next(), None);
    // A wheel at the end of the clock's range still accepts timers.
    set(&mut wheel, u64::MAX, u64::MAX, &name());
    assert_eq!(fire(&mut wheel, u64::MAX).len(), 1);
}

/// The clock of a loop jumps if the loop was stopped for long. It never goes back, and
/// the wheel ignores a time that does.
#[test]
fn the_wheel_follows_jumps_of_the_clock() {
    let mut wheel = Wheel::new();
    for distance in 0..50 {
        set(&mut wheel, 1 << distance, 0, &name());
    }
    assert_eq!(fire(&mut wheel, 1 << 50).len(), 50);
    set(&mut wheel, (1 << 50) + 5000, 1 << 50, &name());
    assert!(fire(&mut wheel, 0).is_empty(), "the wheel does not go back");
    assert_eq!(fire(&mut wheel, (1 << 50) + 6000).len(), 1);
}

#[test]
fn the_next_of_very_many_timers_is_never_late() {
    let mut wheel = Wheel::new();
    let start = 1 << 30;
    for n in 0..100 {
        // All are in one slot of a high level, the earliest last.
        set(&mut wheel, start + (200 - n) * 2000, 0, &name());
    }
    let earliest = start + 101 * 2000;
    assert_eq!(wheel.next_exactly(), Some(earliest));
    let mut turns = 0;
    loop {
        let next = wheel.next().unwrap();
        assert!(next <= earliest);
        turns += 1;
        if !fire(&mut wheel, next).is_empty() {
            break;
        }
        assert!(turns < 10, "each wake is closer to the deadline");
    }
}

/// Sets timers for `durations`, in nanoseconds. Returns when a loop is first woken, and
/// how many timers fire then.
fn first_wake(durations: &[u64]) -> (u64, usize) {
    let mut wheel = Wheel::new();
    for &duration in durations {
        set(&mut wheel, duration, 0, &name());
    }
    let alarm = wheel.wake_time().unwrap();
    (alarm, fire(&mut wheel, alarm).len())
}

#[test]
fn timers_share_a_wake_within_their_slack() {
    let slack = 10_000_000 >> SLACK_SHIFT & !((1 << SLACK_UNIT_SHIFT) - 1);
    // A timer with no other deadline within its slack is not delayed.
    assert_eq!(first_wake(&[10_000_000]), (10_000_000, 1));
    assert_eq!(first_wake(&[10_000_000, 20_000_000]), (10_000_000, 1));
    assert_eq!(
        first_wake(&[10_000_000, 10_000_001 + slack]),
        (10_000_000, 1)
    );
    // A second deadline within the slack shares the wake.
    let both = [10_000_000, 10_000_000 + slack];
    assert_eq!(first_wake(&both), (both[1], 2));
    // The wake is not later than the end of the first slack.
    let (alarm, fired) = first_wake(&[10_000_000, 10_001_000, 10_000_000 + slack + 2000]);
    assert_eq!(fired, 2);
    assert!((10_001_000..=10_000_000 + slack).contains(&alarm));
    // A timer for a short time fires on time, however large the slacks of the others are.
    let mut wheel = Wheel::new();
    set(&mut wheel, 10_000_000, 0, &name());
    assert!(fire(&mut wheel, 9_950_000).is_empty());
    set(&mut wheel, 10_050_000, 9_950_000, &name());
    assert_eq!(wheel.wake_time(), Some(10_050_000));
    set(&mut wheel, 9_990_000, 9_950_000, &name());
    let alarm = wheel.wake_time().unwrap();
    assert!((9_990_000..=9_992_500).contains(&alarm), "{alarm}");
    // The wake for very many timers is within the slack of the first.
    let many: Vec<_> = (0..1000).map(|n| 10_000_000 + n * 1000).collect();
    let (alarm, fired) = first_wake(&many);
    assert!(alarm > 10_000_000 && alarm <= 10_000_000 + slack);
    assert!(fired > MAX_EXAMINED);
}

#[test]
fn a_level_has_no_lists_before_its_first_timer() {
    let mut wheel = Wheel::new();
    assert_eq!((wheel.slots.levels(), wheel.wake_time()), (0, None));
    assert!(fire(&mut wheel, 1 << 40).is_empty());
    assert_eq!(
        wheel.slots.levels(),
        0,
        "the passing of time creates no lists"
    );
    for (bit, levels) in [
        (TICK_SHIFT, 1),
        (TICK_SHIFT + 12, 3),
        (TICK_SHIFT + 6, 3),
        (63, 9),
    ] {
        let key = set(&mut wheel, (1 << 40) + (1 << bit), 1 << 40, &name());
        assert_eq!(wheel.slots.levels(), levels);
        drop(wheel.remove(key));
        assert_eq!(wheel.slots.levels(), levels, "the lists stay");
    }
}

#[test]
fn the_slots_of_all_levels_are_in_order() {
    let mut wheel = Wheel::new();
    for bit in 0..64 {
        set(&mut wheel, 1 << bit, 0, &name());
    }
    let mut before = None;
    for span in wheel.slots.occupied(0) {
        assert!(
            Some(span.start_nanos()) >= before,
            "a slot begins after the one before it has ended"
        );
        assert!(span.start_nanos() < span.end_nanos());
        assert!(span.slot < SLOTS * 9);
        before = Some(span.end_nanos());
    }
}
