//! The wheel against a sorted map, and its corners.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::{Key, Look, TICK, Wheel};

/// Debug builds and Miri look at a smaller part of the same.
const STEPS: usize = if cfg!(miri) {
    400
} else if cfg!(debug_assertions) {
    60_000
} else {
    1_000_000
};

/// A waker that tells one timer from another by its address.
struct Name;

impl Wake for Name {
    fn wake(self: Arc<Self>) {}
}

fn name() -> Waker {
    Arc::new(Name).into()
}

/// As `will_wake`, but for the vtables: Miri gives that of an `Arc` a new
/// address whenever it is asked for.
fn same(one: &Waker, other: &Waker) -> bool {
    one.data() == other.data()
}

/// How a timer that waits looks to whom it will wake.
fn own() -> Look {
    if cfg!(miri) {
        Look::Foreign
    } else {
        Look::Waiting
    }
}

fn fire(wheel: &mut Wheel, now: u64) -> Vec<Waker> {
    let mut due = Vec::new();
    wheel.advance(now, &mut due);
    due
}

/// Whether the wheel has to fire the timer at `now`: its tick has come. The
/// last tick is that of all that do not fit.
fn is_due(deadline: u64, now: u64) -> bool {
    deadline.div_ceil(1 << TICK).min(u64::MAX >> TICK) <= now >> TICK
}

/// The wheel, and what it ought to hold, by deadline and order of setting.
struct Model {
    wheel: Wheel,
    expected: BTreeMap<(u64, u64), (Key, Waker)>,
    fired: Vec<Key>,
    now: u64,
    count: u64,
}

impl Model {
    fn new() -> Model {
        Model {
            wheel: Wheel::new(),
            expected: BTreeMap::new(),
            fired: Vec::new(),
            now: 0,
            count: 0,
        }
    }

    fn insert(&mut self, deadline: u64) {
        let waker = name();
        let key = self.wheel.insert(deadline, waker.clone());
        self.count += 1;
        // What has passed fires in the order of the deadlines as well.
        self.expected.insert((deadline, self.count), (key, waker));
    }

    fn cancel(&mut self, random: &mut fastrand::Rng) {
        if self.expected.is_empty() {
            return;
        }
        let nth = random.usize(..self.expected.len().min(50));
        let entry = if random.bool() {
            self.expected.iter().nth(nth)
        } else {
            self.expected.iter().nth_back(nth)
        };
        let at = *entry.expect("it is in range").0;
        let (key, waker) = self.expected.remove(&at).expect("it was there");
        assert_eq!(self.wheel.look(key, &waker), own());
        let removed = self.wheel.remove(key).expect("it has a waker");
        assert!(same(&removed, &waker));
    }

    fn replace(&mut self) {
        let Some(mut first) = self.expected.first_entry() else {
            return;
        };
        let (key, waker) = first.get_mut();
        let other = name();
        assert_eq!(self.wheel.look(*key, &other), Look::Foreign);
        let before = self.wheel.set_waker(*key, other.clone());
        assert!(same(&before.expect("it has a waker"), waker));
        *waker = other;
    }

    fn advance(&mut self, to: u64) {
        self.now = self.now.max(to);
        let due = fire(&mut self.wheel, self.now);
        let mut fired = due.iter();
        while let Some(first) = self.expected.first_entry() {
            if !is_due(first.key().0, self.now) {
                break;
            }
            let (_, (key, waker)) = first.remove_entry();
            let next = fired.next().expect("a timer that is due fires");
            assert!(same(next, &waker), "in the order of deadline, then setting");
            assert_eq!(self.wheel.look(key, &waker), Look::Fired);
            self.fired.push(key);
        }
        assert_eq!(fired.count(), 0, "none is early");
    }

    fn check(&self) {
        assert_eq!(self.wheel.is_empty(), self.expected.is_empty());
        let next = self.wheel.next();
        let Some((&(deadline, _), _)) = self.expected.first_key_value() else {
            assert_eq!(next, None);
            return;
        };
        let next = next.expect("a timer is set");
        let tick = deadline.div_ceil(1 << TICK).min(u64::MAX >> TICK) << TICK;
        assert!(
            next <= tick.max(self.now >> TICK << TICK),
            "the wait would be too long"
        );
    }

    /// Fired timers are removed by whoever set them, at leisure.
    fn forget_fired(&mut self) {
        for key in self.fired.drain(..) {
            assert!(self.wheel.remove(key).is_none());
        }
    }
}

fn compare_with_a_map(seed: u64, steps: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut model = Model::new();
    for _ in 0..steps {
        match random.u32(..100) {
            0..45 => {
                // Near and far alike, often the same, sometimes past.
                let width = random.u32(..64);
                let distance = random.u64(..) >> width;
                let base = if random.u32(..4) == 0 { 0 } else { model.now };
                let rounding = if random.bool() {
                    u64::MAX
                } else {
                    u64::MAX << 16
                };
                model.insert(base.saturating_add(distance) & rounding);
            }
            45..70 => model.cancel(&mut random),
            70..75 => model.replace(),
            75..85 => {
                // As the loop does it: to the next timer.
                if let Some(next) = model.wheel.next()
                    && next < 1 << 40
                {
                    model.advance(next);
                }
            }
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
    assert_eq!(model.wheel.occupied, [0; super::LEVELS]);
    assert!(model.wheel.timers.is_empty());
}

#[test]
fn it_does_as_a_sorted_map() {
    for seed in 0..5 {
        compare_with_a_map(seed, STEPS / 5);
    }
}

/// Deadlines on and beside the borders of slots and levels, seen from times on
/// and beside them.
#[test]
fn the_borders_of_slots_and_levels() {
    let levels = if cfg!(miri) { 3 } else { 9 };
    for level in 0..levels {
        let width = 1_u64 << (TICK + 6 * level);
        for start in [0, width - 1, width, 63 * width] {
            let mut model = Model::new();
            model.advance(start);
            for slots in [1, 2, 62, 63, 64, 65] {
                let border = (start / width).saturating_add(slots).saturating_mul(width);
                for deadline in [border - 1, border, border.saturating_add(1)] {
                    model.insert(deadline);
                    model.insert(deadline);
                }
            }
            while let Some(next) = model.wheel.next() {
                // Not a moment before.
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
    // Each time from nearer, and so at a lower level.
    for shift in (0..40).rev() {
        for _ in 0..3 {
            let name = name();
            wheel.insert(deadline, name.clone());
            names.push(name);
        }
        assert!(fire(&mut wheel, deadline - (1 << shift) - 1).is_empty());
    }
    let fired = fire(&mut wheel, deadline);
    assert_eq!(fired.len(), names.len());
    for (fired, name) in fired.iter().zip(&names) {
        assert!(same(fired, name));
    }
}

#[test]
fn a_timer_never_fires_early() {
    for deadline in [1, 2, 1023, 1024, 1025, 65_535, 65_536, 65_537, 1_000_000] {
        let mut wheel = Wheel::new();
        wheel.insert(deadline, name());
        assert!(fire(&mut wheel, deadline - 1).is_empty());
        let due = wheel.next().unwrap();
        assert!(due >= deadline && due < deadline + (1 << TICK));
        assert!(fire(&mut wheel, due - 1).is_empty());
        assert_eq!(fire(&mut wheel, due).len(), 1);
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
            wheel.insert(deadline, name.clone());
            name
        })
        .collect();
    assert!(wheel.next().unwrap() <= 5_000_000);
    let fired = fire(&mut wheel, 5_000_000);
    assert_eq!(fired.len(), 4);
    for (fired, name) in fired.iter().zip([1, 3, 0, 2]) {
        assert!(same(fired, &names[name]));
    }
}

#[test]
fn the_farthest_deadlines() {
    let mut wheel = Wheel::new();
    for deadline in [u64::MAX, u64::MAX - 1, u64::MAX - (1 << TICK), u64::MAX / 2] {
        wheel.insert(deadline, name());
    }
    assert!(fire(&mut wheel, u64::MAX / 2 - 1).is_empty());
    let next = wheel.next().unwrap();
    assert_eq!(fire(&mut wheel, next).len(), 1);
    assert!(fire(&mut wheel, u64::MAX - (2 << TICK)).is_empty());
    assert_eq!(fire(&mut wheel, u64::MAX).len(), 3);
    assert_eq!(wheel.next(), None);
    // A wheel at the end of time still takes timers.
    wheel.insert(u64::MAX, name());
    assert_eq!(fire(&mut wheel, u64::MAX).len(), 1);
}

/// The clock of a loop that was stopped for long, and one that is set back.
#[test]
fn time_jumps() {
    let mut wheel = Wheel::new();
    for distance in 0..50 {
        wheel.insert(1 << distance, name());
    }
    assert_eq!(fire(&mut wheel, 1 << 50).len(), 50);
    wheel.insert((1 << 50) + 5000, name());
    assert!(fire(&mut wheel, 0).is_empty(), "time does not go back");
    assert_eq!(fire(&mut wheel, (1 << 50) + 6000).len(), 1);
}

#[test]
fn the_next_of_very_many_is_never_late() {
    let mut wheel = Wheel::new();
    let start = 1 << 30;
    for n in 0..100 {
        // All in one slot of a high level, the earliest last.
        wheel.insert(start + (200 - n) * 2000, name());
    }
    let earliest = start + 101 * 2000;
    let mut turns = 0;
    loop {
        let next = wheel.next().unwrap();
        assert!(next <= earliest + (1 << TICK));
        turns += 1;
        if !fire(&mut wheel, next).is_empty() {
            break;
        }
        assert!(turns < 10, "it comes closer");
    }
}
