//! Metrics of this process, in the registry that all tests share; and sums of invented workers.

use super::changes::{Change, Definition, Outbox};
use super::registry::{Kind, Labels, MAX_SERIES};
use super::text::{Format, Text};
use super::totals::Totals;
use super::{Counter, counter, gauge};
use proptest::prelude::*;

#[test]
fn a_name_and_labels_lead_to_one_value() {
    let one = counter("test_one").help("The first.");
    let same = counter("test_one").help("Ignored.");
    one.label("b", 2).label("a", "x").inc();
    let other_order = same.label("a", "x").label("b", "2");
    other_order.add(2);
    assert_eq!(other_order.get(), 3);
    assert_eq!((one.get(), same.label("a", "y").get()), (0, 0));

    let depth = gauge("test_depth");
    depth.set(-5);
    depth.clone().inc();
    depth.dec();
    depth.add(-2);
    assert_eq!(gauge("test_depth").get(), -7);
    assert_eq!(
        format!("{:?}", depth.label("q", "a")),
        "Gauge { name: \"test_depth\", labels: {\"q\": \"a\"}, value: 0 }"
    );
}

/// Two samples were written that readers take for the same one.
#[test]
fn a_label_without_a_value_is_no_label() {
    let base = counter("test_empty");
    base.inc();
    base.label("a", "").inc();
    let one = base.label("a", "").label("b", "x").label("c", "");
    one.inc();
    assert_eq!(base.get(), 2);
    assert_eq!(base.label("b", "x").get(), 1);
}

#[test]
fn an_invalid_name_is_a_panic_that_says_why() {
    let base = counter("test_invalid");
    let labelled = base.label("code", 1);
    gauge("test_invalid_gauge").set(1);
    for (call, why) in [
        (Box::new(|| drop(counter(""))) as Box<dyn Fn()>, "no name"),
        (Box::new(|| drop(counter("1a"))), "begin with a digit"),
        (Box::new(|| drop(gauge("a b"))), "`a b` is no name"),
        (Box::new(|| drop(gauge("a:b"))), "letters, digits"),
        (Box::new(|| drop(gauge("é"))), "of ASCII"),
        (Box::new(|| drop(counter("a\nb"))), "`a\\nb`"),
        (Box::new(|| drop(counter("a_total"))), "ends in `_total`"),
        (Box::new(|| drop(gauge("a_count"))), "ends in `_count`"),
        (Box::new(|| drop(gauge("coreloop_x"))), "to the supervisor"),
        (Box::new(|| drop(gauge("test_invalid"))), "it is a Counter"),
        (Box::new(|| drop(counter("test_invalid_gauge"))), "a Gauge"),
        (Box::new(|| drop(base.label("__a", 1))), "two underscores"),
        (Box::new(|| drop(base.label("a-b", 1))), "for a label"),
        (Box::new(|| drop(labelled.label("code", 2))), "already"),
        (Box::new(|| drop(labelled.label("code", ""))), "already"),
        (Box::new(|| drop(base.label("__a", ""))), "two underscores"),
    ] {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains(why), "{message}");
    }
    // The lock is still usable.
    base.inc();
    assert_eq!(base.get(), 1);
}

#[test]
fn only_what_has_changed_is_sent_again() {
    let base = counter("test_changes");
    let one = base.label("n", 1);
    one.add(3);
    let mut outbox = Outbox::default();
    let first = of("test_changes", &mut outbox);
    assert_eq!(first.len(), 4, "{first:?}");
    assert!(matches!(&first[2], Change::Define(defined) if defined.labels["n"] == "1"));
    assert!(matches!(first[3], Change::Set { value: 3, .. }));
    assert_eq!(of("test_changes", &mut outbox), []);

    one.inc();
    let change = of("test_changes", &mut outbox);
    assert!(
        matches!(change[..], [Change::Set { value: 4, .. }]),
        "{change:?}"
    );
    // A help text that is set later is sent too.
    drop(base.help("Changes."));
    let change = of("test_changes", &mut outbox);
    assert_eq!(change.len(), 4);
    assert!(matches!(&change[0], Change::Define(defined) if defined.help == "Changes."));
    assert_eq!(of("test_changes", &mut outbox), []);
}

#[test]
fn each_piece_is_short_and_a_series_that_is_too_long_is_refused() {
    let base = counter("test_pieces").help(&"é".repeat(200));
    for number in 0..50 {
        base.label("text", format!("{number:0>900}")).inc();
    }
    let refused = super::refused();
    let long = base.label("text", "x".repeat(1000));
    long.inc();
    assert_eq!(long.get(), 1);
    assert!(super::refused() > refused);
    let mut outbox = Outbox::default();
    let mut defined = 0;
    while let Some(piece) = outbox.piece() {
        let bytes = postcard::to_stdvec(&piece.changes).unwrap().len();
        assert!(bytes < 1600, "{bytes}");
        for change in &piece.changes {
            if let Change::Define(definition) = change {
                assert!(definition.help.len() <= 256);
                defined += u32::from(definition.name == "test_pieces");
            }
        }
        outbox.sent(piece.changes, piece.end);
    }
    assert_eq!(defined, 51);
    const { assert!(MAX_SERIES > 500) };
}

/// A limit that a label with a value for each request would reach.
#[test]
fn a_counter_never_falls_and_the_series_of_a_worker_are_limited_in_the_master() {
    let mut totals = Totals::new();
    let define = |series, labels: &[(&str, &str)], kind, name: &str| {
        Change::Define(Definition {
            series,
            kind,
            name: name.to_owned(),
            help: String::new(),
            labels: labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<Labels>(),
        })
    };
    let set = |series, value| Change::Set { series, value };
    for worker in 0..2 {
        totals.apply(
            worker,
            vec![
                define(0, &[], Kind::Counter, "hits"),
                define(1, &[("a", "b")], Kind::Counter, "hits"),
                define(2, &[], Kind::Gauge, "depth"),
                set(1, 5),
                set(2, 3),
            ],
        );
    }
    let text = "# TYPE depth gauge\ndepth 6\n\
                # TYPE hits counter\nhits_total{a=\"b\"} 10\n# EOF\n";
    assert_eq!(written(&totals), text);
    totals.ended(0);
    assert_eq!(written(&totals), text.replace("depth 6", "depth 3"));
    totals.ended(1);
    let counters = "# TYPE hits counter\nhits_total{a=\"b\"} 10\n# EOF\n";
    assert_eq!(written(&totals), counters);

    // Of another kind, out of order, or without a definition.
    totals.apply(2, vec![define(0, &[], Kind::Gauge, "hits"), set(0, 9)]);
    totals.apply(
        2,
        vec![define(7, &[], Kind::Gauge, "x"), set(7, 1), set(1, 1)],
    );
    assert_eq!(written(&totals), counters);
    assert_eq!(totals.refused(), 1);

    for worker in 10..40 {
        for series in 0..1000 {
            let value = format!("{worker}-{series}");
            let defined = define(series, &[("id", &value)], Kind::Counter, "hits");
            totals.apply(worker, vec![defined, set(series, 1)]);
        }
        totals.ended(worker);
    }
    assert_eq!(written(&totals).lines().count(), 10_000 + 2 - 1);
    assert!(totals.refused() > 20_000);
}

#[test]
fn the_older_format_names_counters_with_their_suffix() {
    for (format, text) in [
        (
            Format::OpenMetrics,
            "# HELP a \\\"x\\\" \\\\ \\n\n# TYPE a counter\na_total{l=\"\\\"\\\\\\n\",m=\"é\"} 1.5\n# EOF\n",
        ),
        (
            Format::Prometheus,
            "# HELP a_total \"x\" \\\\ \\n\n# TYPE a_total counter\na_total{l=\"\\\"\\\\\\n\",m=\"é\"} 1.5\n",
        ),
    ] {
        let mut written = Text::new(format);
        written.family(Kind::Counter, "a", "\"x\" \\ \n");
        written.sample([("l", "\"\\\n"), ("m", "é")], 1.5);
        assert_eq!(written.finish(), text);
    }
}

proptest! {
    #[test]
    fn any_label_value_is_one_line_and_is_read_back(value in "\\PC*|[\"\\\\\n\r\t{}]*") {
        let mut text = Text::new(Format::OpenMetrics);
        text.family(Kind::Gauge, "g", &value);
        text.sample([("l", value.as_str())], 1);
        let text = text.finish();
        let line = text.split('\n').find(|line| line.starts_with("g{")).unwrap();
        let quoted = line.strip_prefix("g{l=\"").unwrap().strip_suffix("\"} 1").unwrap();
        let mut read = String::new();
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            read.push(match character {
                '\\' => match characters.next().unwrap() {
                    'n' => '\n',
                    other => other,
                },
                '"' => panic!("a quote ends the value: {line}"),
                other => other,
            });
        }
        prop_assert_eq!(read, value);
    }
}

fn written(totals: &Totals<u32>) -> String {
    let mut text = Text::new(Format::OpenMetrics);
    totals.write(&mut text);
    text.finish()
}

/// Sends everything, and returns the changes of the series of one name.
fn of(name: &str, outbox: &mut Outbox) -> Vec<Change> {
    outbox.restart();
    let mut numbers = Vec::new();
    let mut found = Vec::new();
    while let Some(piece) = outbox.piece() {
        for change in &piece.changes {
            match change {
                Change::Define(definition) if definition.name == name => {
                    numbers.push(definition.series);
                    found.push(change.clone());
                }
                Change::Set { series, value } => {
                    // The values of `test_changes` are known by the series of its handles.
                    let is_of = numbers.contains(series) || is_series_of(name, *series);
                    if is_of {
                        found.push(Change::Set {
                            series: *series,
                            value: *value,
                        });
                    }
                }
                Change::Define(_) => {}
            }
        }
        outbox.sent(piece.changes, piece.end);
    }
    found
}

fn is_series_of(name: &str, series: u32) -> bool {
    let all = super::registry::series_from(series as usize);
    all.first().is_some_and(|series| series.family.name == name)
}

/// Handles go to other threads.
#[test]
fn handles_are_shared_by_threads() {
    let shared: Counter = counter("test_threads");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mine = shared.clone();
            scope.spawn(move || (0..1000).for_each(|_| mine.inc()));
        }
    });
    assert_eq!(shared.get(), 4000);
}
