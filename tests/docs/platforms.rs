//! What differs between platforms is in `sys`: one folder or file of that name in a crate,
//! where each platform fulfils the same contract.

use std::collections::BTreeMap;

/// What a condition on the platform names. Miri supports only a part of what Linux has.
const PLATFORM: [&str; 3] = ["miri", "target_os", "target_vendor"];

/// A file outside `sys` that asks for the platform, how many times it does, and why.
type Exception = (&'static str, usize, &'static str);

const ITEMS: &str = "public items that exist on some platforms only";
const TESTS: &str = "tests of what only some platforms have, or that take too long under Miri";

const EXCEPTIONS: [Exception; 40] = [
    ("net/src/tcp/options/binding.rs", 11, ITEMS),
    ("net/src/tcp/options/buffers.rs", 6, ITEMS),
    ("net/src/tcp/options/liveness.rs", 8, ITEMS),
    ("net/src/tcp/options/packets.rs", 11, ITEMS),
    ("net/src/tcp/options/segments.rs", 8, ITEMS),
    ("net/src/udp/multicast.rs", 2, ITEMS),
    ("net/src/udp/options.rs", 8, ITEMS),
    ("net/src/unix/address.rs", 1, ITEMS),
    ("runtime/src/engine/reactor/interest.rs", 1, ITEMS),
    ("runtime/src/engine/reactor/ready.rs", 1, ITEMS),
    ("runtime/src/signal/unix.rs", 1, ITEMS),
    ("pool/src/dispatch/tests/broken.rs", 1, TESTS),
    ("pool/src/dispatch/tests/model/mod.rs", 2, TESTS),
    ("pool/src/frame/chunk.rs", 1, TESTS),
    ("pool/src/frame/reader/tests.rs", 7, TESTS),
    ("pool/src/frame/side.rs", 1, TESTS),
    ("pool/src/home.rs", 1, TESTS),
    ("pool/src/ipc/broker/server/mod.rs", 1, TESTS),
    ("pool/src/ipc/broker/state/tests/clients.rs", 1, TESTS),
    ("pool/src/ipc/broker/state/tests/model.rs", 2, TESTS),
    ("pool/src/ipc/fd.rs", 1, TESTS),
    ("pool/src/ipc/queue/mod.rs", 1, TESTS),
    ("pool/src/ipc/queue/remote/producer.rs", 1, TESTS),
    ("pool/src/ipc/queue/state/tests/model.rs", 2, TESTS),
    ("pool/src/ipc/shared/mod.rs", 1, TESTS),
    ("pool/src/ipc/wire/mod.rs", 1, TESTS),
    ("pool/src/ipc/wire/tests.rs", 1, TESTS),
    ("pool/src/page.rs", 1, TESTS),
    ("pool/src/pool/attached.rs", 1, TESTS),
    ("process/src/sockets/tests/mod.rs", 1, TESTS),
    ("process/src/sockets/tests/per_slot.rs", 1, TESTS),
    ("process/src/sockets/tests/storm.rs", 1, TESTS),
    ("process/src/supervisor/fleet/tests/mod.rs", 1, TESTS),
    ("process/src/supervisor/notify.rs", 1, TESTS),
    ("process/src/supervisor/upgrade/tests.rs", 1, TESTS),
    ("runtime/src/engine/cancel/node/pending.rs", 1, TESTS),
    ("runtime/src/engine/timers/wheel/mod.rs", 1, TESTS),
    ("runtime/src/engine/timers/wheel/slots.rs", 1, TESTS),
    ("runtime/src/engine/timers/wheel/storage.rs", 1, TESTS),
    ("sync/src/waiters/tests.rs", 1, TESTS),
];

#[test]
fn platforms_are_asked_for_in_sys_only() {
    let mut found = BTreeMap::new();
    for (path, text) in crate::published_sources() {
        let is_in_sys = path.split(['/', '.']).any(|part| part == "sys");
        let count = conditions(&text)
            .filter(|condition| PLATFORM.iter().any(|word| condition.contains(word)))
            .count();
        if count > 0 && !is_in_sys {
            found.insert(path, count);
        }
    }
    let mut wrong = Vec::new();
    for (path, count) in &found {
        let listed = EXCEPTIONS.iter().find(|(file, ..)| file == path);
        let listed = listed.map_or(0, |(_, listed, _)| *listed);
        if *count != listed {
            wrong.push(format!(
                "{path} asks for the platform {count} times, and {listed} are listed"
            ));
        }
    }
    for (path, ..) in EXCEPTIONS {
        if !found.contains_key(path) {
            wrong.push(format!(
                "{path} does not ask for the platform, and is listed"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "define an item for each platform in the `sys` of the crate, and use it elsewhere. If a \
         file needs fewer conditions than before, correct EXCEPTIONS:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_search_finds_conditions_on_several_lines() {
    let text = r#"
// #[cfg(target_os = "linux")]
#[cfg(any(
    target_os = "linux",
    target_os = "android",
))]
fn f() -> bool { g(1) && cfg!(miri) && !cfg!(not(loom)) }
#![cfg_attr(target_os = "linux", doc = "(")]
"#;
    let found: Vec<_> = conditions(text).collect();
    assert_eq!(
        found,
        [
            r#"any(target_os="linux",target_os="android",)"#,
            "miri",
            "not(loom)",
            r#"target_os="linux",doc="(")]"#,
        ]
    );
}

/// Returns the conditions in `cfg(…)`, `cfg!(…)` and `cfg_attr(…)`, without white space.
fn conditions(text: &str) -> impl Iterator<Item = String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(str::split_whitespace)
        .collect();
    let starts = ["cfg(", "cfg!(", "cfg_attr("];
    let found: Vec<_> = starts
        .iter()
        .flat_map(|start| code.match_indices(start))
        .map(|(at, start)| {
            let condition = &code[at + start.len()..];
            let mut depth = 1;
            let end = condition.find(|c: char| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            condition[..end.unwrap_or(condition.len())].to_owned()
        })
        .collect();
    found.into_iter()
}
