//! ARCHITECTURE.md names files, folders, functions and links that exist.
//!
//! A path may leave out its first folders, as each section says what its paths are relative
//! to. A function that is followed by a path, as in "`poll_queue` (`cancel/run.rs`)", is
//! defined in that file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// What has the form of a function of a type or a module, and is not looked for.
const EXCEPTIONS: [(&str, &str); 2] = [
    ("Waker::wake", "a function of std"),
    ("coreloop::io", "a module of the facade"),
];

/// The folders whose files and folders may be named, beside the `src` of each crate.
const OTHER_FOLDERS: [&str; 4] = ["tests", "benches", "ecosystem", "examples"];

/// What the repository contains.
struct Tree {
    /// The paths of the files and folders, from the root, and the texts of source files.
    entries: Vec<(String, String)>,
}

static TREE: LazyLock<Tree> = LazyLock::new(Tree::read);

#[test]
fn the_architecture_names_paths_that_exist() {
    let tree = &*TREE;
    let text = architecture();
    let names: Vec<_> = code_spans(&text).filter(|name| is_path(name)).collect();
    assert!(names.len() > 100, "{names:?}");
    let wrong: BTreeSet<_> = names
        .into_iter()
        .filter(|name| tree.texts_at(name).next().is_none())
        .collect();
    assert!(wrong.is_empty(), "these do not exist: {wrong:?}");
}

#[test]
fn the_architecture_names_items_that_are_defined() {
    let tree = &*TREE;
    let text = architecture();
    let names: Vec<_> = code_spans(&text)
        .filter_map(|name| Some((name, item(name)?)))
        .filter(|(name, _)| !EXCEPTIONS.iter().any(|(exception, _)| exception == name))
        .collect();
    assert!(names.len() > 50, "{names:?}");
    let wrong: BTreeSet<_> = names
        .into_iter()
        .filter(|(_, (owner, member))| {
            !tree
                .entries
                .iter()
                .any(|(path, text)| defines(path, text, owner, member))
        })
        .map(|(name, _)| name)
        .collect();
    assert!(wrong.is_empty(), "these are not defined: {wrong:?}");
    for (name, _) in EXCEPTIONS {
        assert!(
            code_spans(&text).any(|span| span == name),
            "{name} is not named: remove it from EXCEPTIONS"
        );
    }
}

#[test]
fn the_architecture_names_the_file_of_a_function() {
    let tree = &*TREE;
    let text = architecture();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (name, path) in placed(&text) {
        seen += 1;
        let member = name.rsplit("::").next().unwrap();
        let is_there = tree
            .texts_at(path)
            .any(|text| has_word_after(text, &["fn", "struct", "enum"], member));
        if !is_there {
            wrong.push(format!("`{name}` (`{path}`)"));
        }
    }
    assert!(
        wrong.is_empty(),
        "these are not defined there:\n{}",
        wrong.join("\n")
    );
    assert!(seen > 20, "only {seen} functions with a file were found");
}

#[test]
fn links_of_the_architecture_lead_somewhere() {
    let text = architecture();
    let anchors: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    let targets: Vec<_> = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert!(targets.len() > 5, "{targets:?}");
    for target in targets {
        let exists = match target.strip_prefix('#') {
            Some(name) => anchors.iter().any(|anchor| anchor == name),
            None => target.starts_with("https://") || crate::root().join(target).exists(),
        };
        assert!(exists, "the link to {target} leads nowhere");
    }
}

#[test]
fn the_search_finds_definitions() {
    let text = "impl<F: Future> Trait for Task<F> {\n    fn poll(self) {}\n}\nenum Kind { Some }\n";
    assert!(defines("src/a.rs", text, "Task", "poll"));
    assert!(defines("src/a.rs", text, "Kind", "Some"));
    assert!(defines("src/a.rs", text, "a", "poll"));
    assert!(defines("src/a/mod.rs", text, "a", "poll"));
    assert!(!defines("src/a.rs", text, "Task", "pol"));
    assert!(!defines("src/a.rs", text, "Tas", "poll"));
    assert!(!defines("src/a.rs", text, "Kind", "None"));
    assert!(!defines("src/b.rs", text, "a", "poll"));

    let text = "see `f` (`a.rs`), `T::g` in\n`b/c.rs` and `h`, `d.rs`";
    let found: Vec<_> = placed(text).collect();
    assert_eq!(found, [("f", "a.rs"), ("T::g", "b/c.rs")]);
    assert_eq!(anchor("The way of a `read`, now"), "the-way-of-a-read-now");
}

fn architecture() -> String {
    fs::read_to_string(crate::root().join("ARCHITECTURE.md")).unwrap()
}

impl Tree {
    fn read() -> Self {
        let mut entries = Vec::new();
        let mut folders = OTHER_FOLDERS.map(str::to_owned).to_vec();
        for entry in fs::read_dir(crate::root()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if crate::root().join(&name).join("Cargo.toml").is_file() {
                folders.push(format!("{name}/src"));
            }
        }
        folders.push("src".to_owned());
        for folder in folders {
            walk(&folder, &mut entries);
        }
        for name in ["fuzz", "CONTRIBUTING.md", "deny.toml"] {
            entries.push((name.to_owned(), String::new()));
        }
        Self { entries }
    }

    /// Returns the texts of the entries whose path is `path`, or ends with it.
    fn texts_at(&self, path: &str) -> impl Iterator<Item = &str> {
        let end = format!("/{path}");
        self.entries
            .iter()
            .filter(move |(entry, _)| entry == path || entry.ends_with(&end))
            .map(|(_, text)| text.as_str())
    }
}

/// Adds a folder and what is in it, with the texts of source files.
fn walk(folder: &str, entries: &mut Vec<(String, String)>) {
    let path = crate::root().join(folder);
    if !path.is_dir() {
        return;
    }
    entries.push((folder.to_owned(), String::new()));
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            if entry.file_name() != "target" {
                walk(&name, entries);
            }
        } else if Path::new(&name).extension().is_some_and(|end| end == "rs") {
            entries.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// Returns the texts in backticks, outside blocks of code.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

/// Returns whether a text in backticks is the path of a file or folder of the repository.
fn is_path(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    (name.ends_with(".rs") || name.contains('/')) && name.chars().all(is_word)
}

/// Splits the name of an item into its type or module and its own name.
fn item(name: &str) -> Option<(&str, &str)> {
    let (owner, member) = name.rsplit_once("::")?;
    let is_word = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let owner = owner.rsplit("::").next()?;
    (is_word(owner) && is_word(member)).then_some((owner, member))
}

/// Returns the functions that are followed by their file: "`f` (`a.rs`" or "`f` in `a.rs`".
fn placed(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| {
        let parts: Vec<_> = prose.split('`').collect();
        let mut found = Vec::new();
        for at in (1..parts.len().saturating_sub(2)).step_by(2) {
            let (name, between, path) = (parts[at], parts[at + 1], parts[at + 2]);
            let follows = between.trim() == "(" || between.trim() == "in";
            let is_name = name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
            if follows && is_name && path.ends_with(".rs") {
                found.push((name, path));
            }
        }
        found
    })
}

/// Returns whether a source file defines `member` of `owner`, which is a type, a trait, an
/// enum or a module.
fn defines(path: &str, text: &str, owner: &str, member: &str) -> bool {
    if !text.contains(member) || !path.contains("src/") {
        return false;
    }
    if owner.starts_with(|c: char| c.is_lowercase()) {
        let is_in_module =
            path.ends_with(&format!("/{owner}.rs")) || path.contains(&format!("/{owner}/"));
        return is_in_module && has_word_after(text, &["fn", "struct", "enum"], member);
    }
    if has_word_after(text, &["enum"], owner) {
        let (_, body) = text.split_once(&format!("enum {owner}")).unwrap();
        let body = body.split("\n}").next().unwrap_or(body);
        if words(body).any(|word| word == member) {
            return true;
        }
    }
    let implements = text
        .lines()
        .filter(|line| line.starts_with("impl") || line.contains("trait "))
        .any(|line| words(line).any(|word| word == owner));
    implements && has_word_after(text, &["fn"], member)
}

/// Returns whether one of `keywords` stands directly before `word` in the code.
fn has_word_after(text: &str, keywords: &[&str], word: &str) -> bool {
    text.lines()
        .filter(|line| line.contains(word) && !line.trim_start().starts_with("//"))
        .any(|line| {
            let words: Vec<_> = words(line).collect();
            let mut pairs = words.windows(2);
            pairs.any(|pair| keywords.contains(&pair[0]) && pair[1] == word)
        })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Returns the anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
