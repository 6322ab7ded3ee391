//! The order of the files of `runtime/src`: the front is built on the engine, and each room
//! of the engine on the rooms below it. A room is a folder of the engine or a module of the
//! front; an arrow points from a room to a room that it imports from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::imports::Imports;

/// The rooms, the lowest first: the folders of `engine`, the files directly in it, and the
/// modules that users name.
const ROOMS: [&str; 19] = [
    "engine/sys",
    "engine",
    "engine/report",
    "engine/task",
    "engine/reactor",
    "engine/timers",
    "engine/core",
    "engine/cancel",
    "engine/remote",
    "task",
    "runtime",
    "time",
    "io",
    "cleanup",
    "scope",
    "macros",
    "stream",
    "signal",
    "hyper",
];

/// The arrows that point from a room to a higher one. There should never be more.
const UPWARD: [Exception; 3] = [
    (
        "engine/core -> engine/cancel",
        "the options of a loop include the options of its cleanups, which `cancel` defines",
    ),
    (
        "engine/core -> engine/remote",
        "a loop owns the queue of spawn requests and the blocking pool, which send to it",
    ),
    (
        "engine/task -> engine/cancel",
        "the scheduler keeps the cleanup states of its tasks, which `cancel` defines",
    ),
];

/// The most files of which each depends on all the others, directly or not.
const LARGEST_CIRCLE: usize = 15;

/// Modules whose items are imported through their re-exports.
const REEXPORTING: [Exception; 1] = [(
    "crate::engine::sys::",
    "each platform defines these items in a file of its own, and `sys` selects the file",
)];

/// What a rule is not applied to, and why.
type Exception = (&'static str, &'static str);

static IMPORTS: LazyLock<Imports> = LazyLock::new(|| {
    let sources = crate::published_sources().into_iter();
    let sources = sources.filter_map(|(path, text)| {
        let path = path.strip_prefix("runtime/src/")?;
        Some((path.to_owned(), text))
    });
    Imports::of(&sources.collect())
});

#[test]
fn the_engine_imports_nothing_from_the_front() {
    let in_engine = |file: &str| file.starts_with("engine/");
    let wrong: Vec<_> = arrows()
        .filter(|(file, other)| in_engine(file) && !in_engine(other))
        .map(|(file, other)| format!("{file} imports from {other}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "the engine is below the modules that users name. Move the item into the engine, and \
         re-export it from the front:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_largest_import_circle_stays_small() {
    let reached: BTreeMap<&str, BTreeSet<&str>> = IMPORTS
        .files
        .keys()
        .map(|file| (file.as_str(), reached_from(file)))
        .collect();
    let largest = reached
        .iter()
        .map(|(file, others)| {
            let returns = |other: &&&str| reached[**other].contains(file);
            others.iter().filter(returns).copied().collect()
        })
        .max_by_key(BTreeSet::len)
        .unwrap();
    let circle: Vec<_> = arrows()
        .filter(|(file, other)| largest.contains(file) && largest.contains(other))
        .map(|(file, other)| format!("{file} imports from {other}"))
        .collect();
    assert!(
        largest.len() <= LARGEST_CIRCLE,
        "{} files depend on each other in a circle, and at most {LARGEST_CIRCLE} may. Break it: \
         move an item that several of them use into a file of its own, or pass it as an \
         argument:\n{}",
        largest.len(),
        circle.join("\n")
    );
}

#[test]
fn arrows_between_rooms_point_down() {
    let level = |room: &str| ROOMS.iter().position(|other| *other == room);
    let mut upward = BTreeMap::<String, Vec<String>>::new();
    for (file, other) in arrows() {
        let (from, to) = (room(file), room(other));
        for (file, room) in [(file, from), (other, to)] {
            assert!(
                level(room).is_some(),
                "{file} is in no room: add it to ROOMS"
            );
        }
        if level(from) < level(to) {
            let arrow = upward.entry(format!("{from} -> {to}")).or_default();
            arrow.push(format!("{file} imports from {other}"));
        }
    }
    for (arrow, files) in &upward {
        assert!(
            UPWARD.iter().any(|(listed, _)| listed == arrow),
            "{arrow} points to a higher room. Move the item down, or the code that uses it up:\n{}",
            files.join("\n")
        );
    }
    for (arrow, _) in UPWARD {
        assert!(
            upward.contains_key(arrow),
            "{arrow} no longer exists: remove it from UPWARD"
        );
    }
}

#[test]
fn files_import_from_the_home_of_an_item() {
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for detour in &IMPORTS.detours {
        let mut exceptions = REEXPORTING.iter();
        if let Some((module, _)) = exceptions.find(|(module, _)| detour.path.starts_with(module)) {
            used.insert(*module);
        } else {
            wrong.push(format!(
                "{}: `use {}` is defined in {:?}",
                detour.file, detour.path, detour.homes
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "these name an item through a re-export. Import it from the file that defines it, or \
         from its own crate if there is no such file:\n{}",
        wrong.join("\n")
    );
    for (module, _) in REEXPORTING {
        assert!(
            used.contains(module),
            "no re-export of {module} is used: remove it from REEXPORTING"
        );
    }
}

/// The pairs of a file and a file that it depends on.
fn arrows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = IMPORTS.files.iter();
    files.flat_map(|(file, others)| others.iter().map(|other| (file.as_str(), other.as_str())))
}

fn reached_from(file: &str) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![file];
    while let Some(file) = waiting.pop() {
        for other in &IMPORTS.files[file] {
            if reached.insert(other.as_str()) {
                waiting.push(other);
            }
        }
    }
    reached
}

fn room(file: &str) -> &str {
    let parts: Vec<_> = file.match_indices('/').map(|(at, _)| at).collect();
    match (file.starts_with("engine/"), parts.as_slice()) {
        (true, [_, end, ..]) | (_, [end, ..]) => &file[..*end],
        _ => file,
    }
}
