//! Reads what each file of `src/` uses, as arrows from file to file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// One file with its place in the tree of modules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    path: PathBuf,
    place: Vec<String>,
}

/// One file uses a name of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: Source,
    pub to: Source,
    name: String,
}

/// What is known of one module.
#[derive(Default)]
struct Module {
    source: Option<Source>,
    /// What it gives on under a name of its own: the path behind the name.
    re_exports: BTreeMap<String, Vec<String>>,
    paths: Vec<Vec<String>>,
}

impl Source {
    /// The module of the top level that it belongs to.
    pub fn module(&self) -> String {
        self.place.first().cloned().unwrap_or_else(|| self.path.file_stem().unwrap().to_string_lossy().into_owned())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {}", self.from, self.to, self.name)
    }
}

/// The modules of the top level.
pub fn modules(root: &Path) -> BTreeSet<String> {
    read(root).into_values().filter_map(|module| Some(module.source?.module())).filter(|name| name != "lib").collect()
}

/// Every arrow between two files.
pub fn arrows(root: &Path) -> Vec<Arrow> {
    let tree = read(root);
    let mut arrows = BTreeSet::new();
    for (place, module) in &tree {
        let Some(from) = module.source.clone().filter(|source| !source.path.ends_with("lib.rs")) else { continue };
        for path in &module.paths {
            let Some(absolute) = absolute(&tree, place, path) else { continue };
            let to = definition(&tree, &absolute, 0);
            if let Some(to) = to.filter(|to| *to != from && !to.path.ends_with("lib.rs")) {
                arrows.insert(Arrow { from: from.clone(), to, name: path.join("::") });
            }
        }
    }
    arrows.into_iter().collect()
}

type Tree = BTreeMap<Vec<String>, Module>;

fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let place = place(path.strip_prefix(root.join("src")).unwrap());
                let source = Source { path: path.strip_prefix(root).unwrap().to_owned(), place: place.clone() };
                let file = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
                let mut reader = Reader { module: Module { source: Some(source), ..Module::default() } };
                reader.visit_file(&file);
                // Two crate roots: main.rs stands beside the tree.
                let place = if path.ends_with("main.rs") { vec!["main".to_owned()] } else { place };
                tree.insert(place, reader.module);
            }
        }
    }
    tree
}

/// `ledger/open.rs` is `ledger::open`, `ledger/mod.rs` is `ledger`.
fn place(path: &Path) -> Vec<String> {
    let mut place: Vec<_> = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(place.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        place.pop();
    }
    place
}

struct Reader {
    module: Module,
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, name) in leaves {
            if !matches!(item.vis, Visibility::Inherited) {
                self.module.re_exports.insert(name, path.clone());
            } else {
                self.module.paths.push(path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.module.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(in path)` and `pub(super)` are no use of anything.
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let Ok(list) = attribute.meta.require_list() else { return false };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

/// Every name of an import with its whole path.
fn flatten(tree: &UseTree, before: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
    let with = |last: String| [before.clone(), vec![last]].concat();
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, leaves);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            leaves.push((before.clone(), before.last().cloned().unwrap_or_default()));
        }
        UseTree::Name(name) => leaves.push((with(name.ident.to_string()), name.ident.to_string())),
        UseTree::Rename(rename) => leaves.push((with(rename.ident.to_string()), rename.rename.to_string())),
        UseTree::Glob(_) => leaves.push((before.clone(), "*".to_owned())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, leaves)),
    }
}

/// A path from the root of the crate; `None` for one that leads out of it, or that begins with an imported name.
fn absolute(tree: &Tree, place: &[String], path: &[String]) -> Option<Vec<String>> {
    let (mut base, mut rest) = match path.first()?.as_str() {
        "crate" | "mailhatch" => (Vec::new(), &path[1..]),
        "self" => (place.to_vec(), &path[1..]),
        "super" => (place.to_vec(), path),
        first => {
            let child = [place, &[first.to_owned()]].concat();
            (place.to_vec(), tree.contains_key(&child).then_some(path)?)
        }
    };
    while rest.first().is_some_and(|first| first == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    Some([base, rest.to_vec()].concat())
}

/// The file that defines what a path names; re-exports are followed.
fn definition(tree: &Tree, path: &[String], depth: usize) -> Option<Source> {
    assert!(depth < 20, "re-exports without an end at {path:?}");
    let known = (0..=path.len()).rev().find(|&length| tree.contains_key(&path[..length]))?;
    let (place, rest) = path.split_at(known);
    let module = &tree[place];
    if let Some(name) = rest.first()
        && let Some(behind) = module.re_exports.get(name)
    {
        let target = absolute(tree, place, behind)?;
        return definition(tree, &[target, rest[1..].to_vec()].concat(), depth + 1);
    }
    module.source.clone()
}
