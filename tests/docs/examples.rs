//! The examples in the documentation of every crate use the facade, as users do.

/// The crates behind the facade.
const PARTS: [&str; 6] = [
    "coreloop_jobs::",
    "coreloop_net::",
    "coreloop_pool::",
    "coreloop_process::",
    "coreloop_runtime::",
    "coreloop_sync::",
];

/// The target of a link may name another crate, because only that crate is a dependency, and
/// the reader sees only the text of the link.
#[test]
fn doc_examples_name_the_facade() {
    let mut wrong = Vec::new();
    let mut lines = 0;
    for (path, text) in crate::published_sources() {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("///") || line.starts_with("//!") {
                lines += 1;
                let shown = without_targets(line);
                if PARTS.iter().any(|part| shown.contains(part)) {
                    wrong.push(format!("{path}:{}: {line}", number + 1));
                }
            }
        }
    }
    assert!(
        lines > 1000,
        "only {lines} lines of documentation were found"
    );
    assert!(
        wrong.is_empty(),
        "users depend on the facade only: write `coreloop::` instead:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_targets_of_links_are_not_shown() {
    assert_eq!(
        without_targets("/// A [`spawn`](a::spawn)ed b::c."),
        "/// A [`spawn`]ed b::c."
    );
    assert_eq!(without_targets("//! [task]: a::task"), "//! [task]");
    assert_eq!(without_targets("//! [a](b"), "//! [a]");
}

/// Returns a line of documentation without the targets of its links.
fn without_targets(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some((before, target)) = rest.split_once("](") {
        shown.push_str(before);
        shown.push(']');
        rest = target.split_once(')').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    match shown.split_once("]: ") {
        Some((name, _)) if name[3..].trim_start().starts_with('[') => format!("{name}]"),
        _ => shown,
    }
}
