//! Reads the modules of a crate with `syn`.

use std::collections::BTreeMap;

use syn::buffer::{Cursor, TokenBuffer};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItemFn, Item, ItemMod, ItemUse, Macro, Meta, Token, UseTree};

use super::{Mention, Module, Path};

/// Returns the modules that are reached from `lib.rs`, by their paths.
pub(super) fn read(sources: &BTreeMap<String, String>) -> BTreeMap<Path, Module> {
    let mut reader = Reader {
        sources,
        module: Path::new(),
        modules: BTreeMap::new(),
    };
    reader.read("lib.rs");
    reader.modules
}

struct Reader<'a> {
    sources: &'a BTreeMap<String, String>,
    /// The module that is being read.
    module: Path,
    modules: BTreeMap<Path, Module>,
}

impl Reader<'_> {
    fn read(&mut self, file: &str) {
        let parsed = syn::parse_file(&self.sources[file]).unwrap();
        self.here().file = file.to_owned();
        visit::visit_file(self, &parsed);
    }

    fn here(&mut self) -> &mut Module {
        self.modules.entry(self.module.clone()).or_default()
    }

    fn define(&mut self, name: &Ident) {
        let here = self.here();
        here.items.insert(name.to_string(), here.file.clone());
    }

    fn mention(&mut self, path: Path) {
        if path.len() > 1 {
            self.here().mentions.push(Mention {
                path,
                is_use: false,
                is_reexport: false,
            });
        }
    }

    /// Reads the paths in the input or the body of a macro, and the items that are defined
    /// at its top level.
    fn scan(&mut self, mut cursor: Cursor<'_>, is_top: bool) {
        let mut keyword = String::new();
        while !cursor.eof() {
            if let Some((name, after)) = cursor.ident() {
                let defines = ["const", "enum", "fn", "static", "struct", "trait", "type"];
                if is_top && defines.contains(&keyword.as_str()) {
                    self.define(&name);
                }
                keyword = name.to_string();
                let mut path = vec![keyword.clone()];
                cursor = after;
                while let Some((name, after)) = next_segment(cursor) {
                    path.push(name.to_string());
                    cursor = after;
                }
                self.mention(path);
            } else if let Some((inside, _, _, after)) = cursor.any_group() {
                self.scan(inside, false);
                cursor = after;
            } else if let Some((_, after)) = cursor.token_tree() {
                cursor = after;
            }
        }
    }
}

fn next_segment(cursor: Cursor<'_>) -> Option<(Ident, Cursor<'_>)> {
    let (first, cursor) = cursor.punct()?;
    let (second, cursor) = cursor.punct()?;
    let is_separator = first.as_char() == ':' && second.as_char() == ':';
    is_separator.then(|| cursor.ident()).flatten()
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        let (attributes, name) = parts(item);
        if is_for_tests(attributes) {
            return;
        }
        if let Some(name) = name {
            self.define(name);
            // Such a macro is an item of the crate's root.
            if attributes
                .iter()
                .any(|it| it.path().is_ident("macro_export"))
            {
                let file = self.here().file.clone();
                let root = self.modules.get_mut(&Path::new()).unwrap();
                root.items.insert(name.to_string(), file);
            }
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        let parent = self.here().file.clone();
        self.module.push(item.ident.to_string());
        if item.content.is_some() {
            self.here().file = parent;
            visit::visit_item_mod(self, item);
        } else {
            let path = self.module.join("/");
            let files = [format!("{path}.rs"), format!("{path}/mod.rs")];
            let file = files.iter().find(|it| self.sources.contains_key(*it));
            self.read(file.unwrap_or_else(|| panic!("neither of {files:?} exists")));
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        if item.leading_colon.is_some() {
            return;
        }
        let mut names = Vec::new();
        expand(&item.tree, &Path::new(), &mut names);
        for (name, path) in names {
            let is_reexport = !matches!(item.vis, syn::Visibility::Inherited);
            let here = self.here();
            here.mentions.push(Mention {
                path: path.clone(),
                is_use: true,
                is_reexport,
            });
            here.imported.push((name, path));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter();
            self.mention(segments.map(|it| it.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'a Macro) {
        self.visit_path(&called.path);
        let tokens = TokenBuffer::new2(called.tokens.clone());
        self.scan(tokens.begin(), true);
    }

    // Neither attributes nor `pub(in path)` make a file depend on another.
    fn visit_attribute(&mut self, _: &'a Attribute) {}
    fn visit_vis_restricted(&mut self, _: &'a syn::VisRestricted) {}
}

fn parts(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// Whether the code with these attributes is compiled only for tests.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    fn requires_test(condition: &Meta) -> bool {
        match condition {
            Meta::Path(path) => path.is_ident("test"),
            Meta::List(list) if list.path.is_ident("all") => list
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .is_ok_and(|conditions| conditions.iter().any(requires_test)),
            _ => false,
        }
    }
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .filter_map(|attribute| attribute.parse_args().ok())
        .any(|condition| requires_test(&condition))
}

/// Lists the names that a `use` brings into scope, and their paths.
fn expand(tree: &UseTree, before: &Path, names: &mut Vec<(String, Path)>) {
    let mut path = before.clone();
    let mut add = |name: &Ident, renamed: &Ident| {
        if name != "self" {
            path.push(name.to_string());
        }
        let last = path.last().cloned().unwrap_or_default();
        let renamed = if name == renamed {
            last
        } else {
            renamed.to_string()
        };
        names.push((renamed, path.clone()));
    };
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            expand(&tree.tree, &path, names);
        }
        UseTree::Name(tree) => add(&tree.ident, &tree.ident),
        UseTree::Rename(tree) => add(&tree.ident, &tree.rename),
        UseTree::Glob(_) => names.push(("*".to_owned(), path)),
        UseTree::Group(tree) => tree.items.iter().for_each(|it| expand(it, &path, names)),
    }
}
