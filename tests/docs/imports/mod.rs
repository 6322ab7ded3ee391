//! The import graph of a crate: which of its files depends on which others.
//!
//! A file depends on the files that define the items which it names. A re-export is followed
//! to the definition of the item, and does not make the file that contains it depend on
//! anything. Code for some features or platforms counts; code that is compiled only for
//! tests does not.

mod reader;

use std::collections::{BTreeMap, BTreeSet};

/// A path, one segment after the other. As the name of a module, it begins below the crate.
type Path = Vec<String>;

#[derive(Debug)]
pub(crate) struct Imports {
    /// The files, and the files that each depends on.
    pub(crate) files: BTreeMap<String, BTreeSet<String>>,
    /// The paths of `use crate::…` that pass through a re-export.
    pub(crate) detours: Vec<Detour>,
}

#[derive(Debug)]
pub(crate) struct Detour {
    pub(crate) file: String,
    pub(crate) path: String,
    /// The files that define the item: none if another crate defines it.
    pub(crate) homes: BTreeSet<String>,
}

#[derive(Default)]
struct Module {
    file: String,
    /// The items that are defined here, and in which file.
    items: BTreeMap<String, String>,
    /// What the names that are imported here stand for. A name may have a path for each
    /// platform. The name of an import with `*` is `*`.
    imported: Vec<(String, Path)>,
    mentions: Vec<Mention>,
}

struct Mention {
    path: Path,
    is_use: bool,
    is_reexport: bool,
}

impl Imports {
    /// Reads a crate whose root is `lib.rs` among `sources`, the texts of files by their
    /// paths.
    pub(crate) fn of(sources: &BTreeMap<String, String>) -> Imports {
        let modules = reader::read(sources);
        let mut found = Imports {
            files: BTreeMap::new(),
            detours: Vec::new(),
        };
        for (name, module) in &modules {
            found.files.entry(module.file.clone()).or_default();
            for mention in &module.mentions {
                let homes = homes(&modules, name, &mention.path);
                let path = &mention.path;
                if mention.is_use && path[0] == "crate" && !is_direct(&modules, &path[1..]) {
                    found.detours.push(Detour {
                        file: module.file.clone(),
                        path: path.join("::"),
                        homes: homes.clone(),
                    });
                }
                if !mention.is_reexport {
                    let others = homes.into_iter().filter(|home| *home != module.file);
                    found.files.get_mut(&module.file).unwrap().extend(others);
                }
            }
        }
        found
    }
}

/// Whether the path consists of modules and an item that the last of them defines.
fn is_direct(modules: &BTreeMap<Path, Module>, path: &[String]) -> bool {
    let depth = (0..=path.len())
        .rev()
        .find(|&depth| modules.contains_key(&path[..depth]))
        .unwrap();
    path.get(depth)
        .is_none_or(|item| modules[&path[..depth]].items.contains_key(item))
}

/// Returns the files that define what `path` stands for in a module. The path may continue
/// after an item, for instance with a variant. If its end leads nowhere, as the name of an
/// item that a macro makes does, the file of its last module is returned.
fn homes(modules: &BTreeMap<Path, Module>, module: &Path, path: &[String]) -> BTreeSet<String> {
    let keywords = path
        .iter()
        .take_while(|segment| is_keyword(segment))
        .count();
    let shortest = path.len().min(keywords + 1);
    (shortest..=path.len())
        .rev()
        .map(|length| {
            let mut homes = BTreeSet::new();
            follow(modules, module, &path[..length], 0, &mut homes);
            homes
        })
        .find(|homes| !homes.is_empty())
        .unwrap_or_default()
}

fn is_keyword(segment: &str) -> bool {
    matches!(segment, "crate" | "self" | "super")
}

fn follow(
    modules: &BTreeMap<Path, Module>,
    module: &Path,
    path: &[String],
    depth: usize,
    homes: &mut BTreeSet<String>,
) {
    let here = &modules[module];
    let Some((name, rest)) = path.split_first() else {
        homes.insert(here.file.clone());
        return;
    };
    let mut child = module.clone();
    child.push(name.clone());
    if depth > 20 {
        // An import of a name from a crate of the same name.
    } else if name == "crate" {
        follow(modules, &Path::new(), rest, depth + 1, homes);
    } else if name == "self" {
        follow(modules, module, rest, depth + 1, homes);
    } else if name == "super" {
        let parent = module[..module.len() - 1].to_vec();
        follow(modules, &parent, rest, depth + 1, homes);
    } else if modules.contains_key(&child) {
        follow(modules, &child, rest, depth + 1, homes);
    } else if let Some(file) = here.items.get(name) {
        homes.insert(file.clone());
    } else {
        for (imported, origin) in &here.imported {
            let mut origin = origin.clone();
            if imported == name {
                origin.extend_from_slice(rest);
                follow(modules, module, &origin, depth + 1, homes);
            } else if imported == "*" {
                origin.extend_from_slice(path);
                follow(modules, module, &origin, depth + 1, homes);
            }
        }
    }
}

/// One crate in which every way to name an item occurs.
#[test]
fn a_name_is_followed_to_the_file_that_defines_it() {
    let sources = BTreeMap::from([
        (
            "lib.rs",
            "mod low; mod high; #[cfg(test)] mod tests; pub use low::{Low, deep::Deep as Renamed};",
        ),
        (
            "low/mod.rs",
            "pub mod deep; pub struct Low; pub use std::time::Duration; pub mod inline { pub use super::deep::*; }",
        ),
        (
            "low/deep.rs",
            "pin_project! { pub struct Deep; } #[macro_export] macro_rules! m { () => { $crate::low::Low } }",
        ),
        (
            "high/mod.rs",
            "mod a; mod b; mod c; mod d; mod e; use crate::low::deep as other; use std::io;",
        ),
        (
            "high/a.rs",
            "use crate::{Renamed as It, low::Low}; use crate::low::Duration;",
        ),
        (
            "high/b.rs",
            "fn f() { crate::m!(); super::other::Deep::new(); io::new(); }",
        ),
        ("high/c.rs", "fn f() { g(vec![crate::low::inline::Deep]) }"),
        (
            "high/d.rs",
            "#[cfg(all(test, unix))] use crate::low; struct S<T: crate::Low>(T);",
        ),
        (
            "high/e.rs",
            "#[cfg(test)] mod tests { use crate::low; } pub(in crate::low) struct S;",
        ),
    ]);
    let sources = sources
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.to_owned()));
    let imports = Imports::of(&sources.collect());

    let of = |file: &str| {
        imports.files[file]
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("lib.rs"), [""; 0]);
    assert_eq!(of("low/mod.rs"), [""; 0]);
    assert_eq!(of("low/deep.rs"), ["low/mod.rs"]);
    assert_eq!(of("high/mod.rs"), ["low/deep.rs"]);
    assert_eq!(of("high/a.rs"), ["low/deep.rs", "low/mod.rs"]);
    assert_eq!(of("high/b.rs"), ["low/deep.rs"]);
    assert_eq!(of("high/c.rs"), ["low/deep.rs"]);
    assert_eq!(of("high/d.rs"), ["low/mod.rs"]);
    assert_eq!(of("high/e.rs"), [""; 0]);
    assert!(!imports.files.contains_key("tests.rs"));

    let detours: Vec<_> = imports.detours.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(detours, ["crate::Renamed", "crate::low::Duration"]);
}
