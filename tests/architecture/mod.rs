//! The picture in `docs/architecture.md` and the code agree: which module uses which, and that nothing goes in a circle.
//!
//! Every `use` and every path of `src/` is read (tests left out), re-exports are followed to the file that defines the name.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use imports::{Arrow, Source};

/// The folder of the crate.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The table in `docs/architecture.md`: each module with those that it may use.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rows = page.lines().skip_while(|line| !line.starts_with("| module | may use |"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let names = |cell: &str| cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect::<Vec<_>>();
    let mut table = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [module, may_use, ..] = cells[..] else { panic!("not a row: {row}") };
        let may_use = names(may_use).into_iter().filter(|name| name != "-").collect();
        assert!(table.insert(names(module).remove(0), may_use).is_none(), "{module} stands twice in the table");
    }
    assert!(table.len() > 10, "the table \"module, may use\" is not in docs/architecture.md");
    table
}

fn between_modules(arrows: &[Arrow]) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for arrow in arrows {
        let (from, to) = (arrow.from.module(), arrow.to.module());
        if from != to {
            found.entry((from, to)).or_insert_with(|| arrow.to_string());
        }
    }
    found
}

#[test]
fn each_module_uses_what_the_table_lets_it_use_and_nothing_else() {
    let (table, arrows) = (table(), imports::arrows(root()));
    let found = between_modules(&arrows);
    let everything = || table.keys().cloned().collect();
    let may_use = |module: &str| -> BTreeSet<String> {
        let row = table.get(module).unwrap_or_else(|| panic!("{module} is not in the table of docs/architecture.md"));
        if row.contains("everything") { everything() } else { row.clone() }
    };
    for ((from, to), example) in &found {
        assert!(may_use(from).contains(to), "{from} uses {to}, which the table does not let it: {example}");
    }
    let modules: BTreeSet<_> = imports::modules(root());
    for module in table.keys() {
        assert!(modules.contains(module), "the table has the module {module}, src/ does not");
        let used: BTreeSet<_> = found.keys().filter(|(from, _)| from == module).map(|(_, to)| to.clone()).collect();
        let idle: Vec<_> = may_use(module).into_iter().filter(|to| !used.contains(to)).collect();
        let is_open = table[module].contains("everything");
        assert!(is_open || idle.is_empty(), "{module} may use {idle:?}, but does not: the table is not true");
    }
}

#[test]
fn no_module_and_no_file_is_part_of_a_circle() {
    let arrows = imports::arrows(root());
    let modules = between_modules(&arrows).into_keys();
    assert_eq!(circles(modules), Vec::<Vec<String>>::new(), "circles between modules");
    let files = arrows.iter().map(|arrow| (arrow.from.to_string(), arrow.to.to_string()));
    let circles = circles(files);
    let tied = |circle: &[String]| -> Vec<String> {
        let inside = |source: &Source| circle.contains(&source.to_string());
        arrows.iter().filter(|arrow| inside(&arrow.from) && inside(&arrow.to)).map(Arrow::to_string).collect()
    };
    let shown: Vec<_> = circles.iter().map(|circle| tied(circle).join("\n  ")).collect();
    assert!(circles.is_empty(), "circles between files:\n  {}", shown.join("\n\n  "));
}

#[test]
fn the_reader_of_imports_sees_what_there_is_to_see() {
    let arrows = imports::arrows(root());
    let has = |from: &str, to: &str| arrows.iter().any(|a| a.from.to_string() == from && a.to.to_string() == to);
    // A plain import, one through a re-export, one by a path without an import.
    assert!(has("src/pipeline/execute.rs", "src/verdict.rs"));
    assert!(has("src/notice/canonical.rs", "src/mail/address.rs"));
    assert!(has("src/main.rs", "src/cli/mod.rs"));
    assert_eq!(
        circles([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")].map(|(a, b)| (a.to_owned(), b.to_owned()))),
        [["a", "b", "c"]]
    );
}

/// The sets of nodes that can all reach each other.
fn circles(arrows: impl IntoIterator<Item = (String, String)>) -> Vec<Vec<String>> {
    let mut next: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(to.clone()).or_default();
        next.entry(from).or_default().insert(to);
    }
    let reachable = |start: &String| -> BTreeSet<String> {
        let (mut seen, mut left) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(node) = left.pop() {
            left.extend(next[&node].iter().filter(|to| seen.insert((*to).clone())).cloned());
        }
        seen
    };
    let reached: BTreeMap<_, _> = next.keys().map(|node| (node.clone(), reachable(node))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (node, reaches) in &reached {
        if !reaches.contains(node) || circles.iter().any(|circle| circle.contains(node)) {
            continue;
        }
        circles.push(reaches.iter().filter(|other| reached[*other].contains(node)).cloned().collect());
    }
    circles
}
