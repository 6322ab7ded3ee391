//! Promises of the documentation that no lint checks.
//!
//! Every public async function says whether dropping its future loses
//! anything: its documentation has a paragraph that begins "Cancel safe:" or
//! "Not cancel safe:". ARCHITECTURE.md names every file that opens `unsafe_code`.
//! Every example says its command, is listed with it, and is run by a test. The
//! links of the README work in the documentation, too. And tests are where the rule of
//! ARCHITECTURE.md puts them.
//!
//! The modules check which files of the runtime import from which, which files ask for the
//! platform, that examples in the documentation use the facade, that the sections of a comment
//! have one order, that the deployment guide shows files that exist, and that ARCHITECTURE.md
//! names only what exists.
#![cfg(test)]
#![cfg(not(miri))]

mod deployment;
mod examples;
mod imports;
mod layers;
mod map;
mod platforms;
mod sections;
mod tokio_names;

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn public_async_functions_say_whether_they_are_cancel_safe() {
    let mut seen = 0;
    let mut silent = Vec::new();
    for (path, text) in published_sources() {
        for function in async_functions(&text) {
            seen += 1;
            if !function.says_cancel_safety {
                silent.push(format!("{path}:{}: {}", function.line, function.head));
            }
        }
    }

    assert!(seen > 0, "no public async function was found at all");
    assert!(
        silent.is_empty(),
        "these say neither \"Cancel safe:\" nor \"Not cancel safe:\":\n{}",
        silent.join("\n")
    );
}

#[test]
fn the_architecture_names_every_file_with_unsafe_code() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("## Where unsafe code lives").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut named: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    named.sort_unstable();

    let sources = published_sources();
    let opened: Vec<_> = sources
        .iter()
        .filter(|(_, text)| text.contains("    unsafe_code,\n") || text.contains("(unsafe_code"))
        .filter(|(_, text)| !text.contains("#![forbid(unsafe_code)]"))
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(named, opened);
}

#[test]
fn every_example_is_listed_and_is_run_by_a_test() {
    let list = fs::read_to_string(root().join("examples/README.md")).unwrap();
    let mut tests = Vec::new();
    collect(&root().join("tests"), &mut tests);
    collect(&root().join("ecosystem/tests"), &mut tests);
    let tests: String = tests
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();

    let examples = examples();
    assert!(examples.len() > 20, "{examples:?}");
    for (name, text) in &examples {
        let line = list
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        let command = format!("--example {name}");
        assert!(
            line.is_some_and(|line| line.contains(&command)),
            "examples/README.md has no line for `{name}` with its command"
        );
        let says_how = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .any(|line| line.contains(&command));
        assert!(says_how, "{name} does not open by saying how to run it");
        assert!(
            tests.contains(&format!("(\"{name}\""))
                || tests.contains(&format!("(\n        \"{name}\"")),
            "no test runs {name}"
        );
    }
    let listed = list.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(
        listed,
        examples.len(),
        "an example is listed that does not exist"
    );
}

/// The README is also the first page of the documentation, where relative links lead
/// nowhere.
#[test]
fn links_of_the_readme_to_files_lead_elsewhere_in_the_documentation() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let documentation = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let names: Vec<_> = readme
        .lines()
        .filter(|line| line.starts_with('['))
        .filter_map(|line| line.split_once("]: "))
        .map(|(name, _)| name)
        .collect();
    assert!(names.contains(&"[race"), "{names:?}");
    for name in names {
        let other = format!("//! {name}]: https://");
        assert!(documentation.contains(&other), "{name}]");
    }
    let direct = readme
        .split("](")
        .skip(1)
        .find(|target| !target.starts_with("https://"));
    assert_eq!(direct, None, "define it at the end instead");
}

/// Each binary costs seconds to link and megabytes to keep.
#[test]
fn a_test_has_a_binary_of_its_own_only_with_a_reason() {
    let mut areas = Vec::new();
    let mut files = Vec::new();
    let mut folders = vec![root().join("tests"), root().join("ecosystem/clients/tests")];
    for entry in fs::read_dir(root()).unwrap() {
        folders.push(entry.unwrap().path().join("tests"));
    }
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.join("main.rs").is_file() {
                areas.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(areas.len() > 10, "{areas:?}");
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let head: Vec<_> = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        assert!(
            head.join(" ").contains(" because "),
            "{}: a test that does not say why it has a process of its own belongs to a module \
             of an area",
            path.display()
        );
    }
    // One more is the binary of the package `tests/ui`.
    let binaries = areas.len() + files.len() + 1;
    assert!(binaries <= 31, "{binaries}: {areas:?} {files:?}");
}

/// A module that is included by its path is compiled once for each binary, and leaves
/// unused items in each. Code that tests share is in `tests/support`.
///
/// The suite of job queues consists of tests, which a library cannot pass on, and the engines
/// that need servers are tested in a package of their own.
#[test]
fn tests_share_a_crate_and_no_files() {
    let mut paths = Vec::new();
    for folder in ["tests", "ecosystem/tests", "ecosystem/clients/tests"] {
        collect(&root().join(folder), &mut paths);
    }
    assert!(paths.len() > 100, "{paths:?}");
    let queues = root().join("ecosystem/clients/tests/queues/main.rs");
    assert!(paths.contains(&queues));
    for path in paths.into_iter().filter(|path| *path != queues) {
        let text = fs::read_to_string(&path).unwrap();
        let includes = text.lines().any(|line| line.starts_with("#[path"));
        assert!(!includes, "{}", path.display());
    }
}

#[test]
fn the_search_finds_async_functions_and_their_paragraphs() {
    let text = "\
/// Cancel safe: nothing is lost.
#[inline]
pub async fn said() {}

/// Says nothing.
pub async fn silent() {}

impl Socket {
    /// Reads.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was read is lost.
    #[expect(
        clippy::unused_async,
        reason = \"a reason\"
    )]
    pub async fn documented<T>(&self) {}
    pub fn undocumented(
        &self,
    ) -> impl Future<Output = u8> + '_ {
    }
    /// Cancel safe: but only in a comment of another function.
    fn private() -> impl Future<Output = ()> {}
    pub(crate) async fn internal() {}
    pub fn ordinary() -> u8 {}
    pub unsafe async fn hidden() {}
}
";
    let found: Vec<_> = async_functions(text)
        .map(|function| (function.line, function.says_cancel_safety))
        .collect();
    assert_eq!(
        found,
        [(3, true), (6, false), (18, true), (19, false), (27, false)]
    );
}

struct AsyncFunction<'a> {
    line: usize,
    head: &'a str,
    says_cancel_safety: bool,
}

/// Finds `pub async fn` and `pub fn … -> impl Future` in a source file.
fn async_functions(text: &str) -> impl Iterator<Item = AsyncFunction<'_>> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let found: Vec<_> = (0..lines.len())
        .filter(|&at| is_async_function(&lines[at..]))
        .map(|at| AsyncFunction {
            line: at + 1,
            head: lines[at],
            says_cancel_safety: says_cancel_safety(&lines[..at]),
        })
        .collect();
    found.into_iter()
}

fn is_async_function(lines: &[&str]) -> bool {
    let Some((qualifiers, _)) = lines[0].split_once("fn ") else {
        return false;
    };
    let mut qualifiers = qualifiers.split_whitespace();
    if qualifiers.next() != Some("pub") {
        return false;
    }
    if qualifiers.any(|qualifier| qualifier == "async") {
        return true;
    }
    let mut signature = String::new();
    for line in lines {
        signature.push_str(line);
        if line.ends_with('{') || line.ends_with('}') || line.ends_with(';') {
            break;
        }
    }
    signature
        .split_once("->")
        .is_some_and(|(_, output)| output.trim_start().starts_with("impl Future"))
}

/// Searches the documentation among the lines that end `above`, past attributes.
fn says_cancel_safety(above: &[&str]) -> bool {
    above
        .iter()
        .rev()
        .take_while(|line| {
            let is_item = line.ends_with('{') || line.ends_with('}') || line.ends_with(';');
            line.starts_with("///") || !(line.is_empty() || is_item)
        })
        .filter_map(|line| line.strip_prefix("///"))
        .map(str::trim)
        .any(|line| line.starts_with("Cancel safe:") || line.starts_with("Not cancel safe:"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files below the `src` of the root and of each crate directly in it: their
/// paths from the root, in order, and their texts.
fn published_sources() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    collect(&root().join("src"), &mut paths);
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.join("Cargo.toml").is_file() && path.join("src").is_dir() {
            collect(&path.join("src"), &mut paths);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap();
            (path.to_str().unwrap().to_owned(), text)
        })
        .collect()
}

/// Returns the names and texts of all examples.
fn examples() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["examples", "ecosystem/examples"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let main = if path.join("main.rs").is_file() {
                path.join("main.rs")
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                path
            } else {
                continue;
            };
            found.push((name, fs::read_to_string(main).unwrap()));
        }
    }
    found
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let mut all = Vec::new();
    collect_all(folder, &mut all);
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    paths.extend(all.into_iter().filter(is_rust));
}

/// Collects the files of each kind in the folder and below it.
fn collect_all(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_all(&path, paths);
        } else {
            paths.push(path);
        }
    }
}
