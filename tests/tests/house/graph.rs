//! The crate's files, and which of them uses which.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::imports::{Imports, Path, imports};
use crate::source::{Size, size, tokens, without_tests};

/// The files of a crate by their modules.
pub struct Crate(BTreeMap<Path, File>);

struct File {
    /// Its path below the crate's `src`.
    name: String,
    size: Size,
    imports: Imports,
}

/// Which file uses which others.
#[derive(Debug)]
pub struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Crate {
    /// Reads the crate from its root on. `read` gives a file's text, if there is the file.
    pub fn load(read: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut files = BTreeMap::new();
        let mut left = vec![(Path::new(), vec!["lib.rs".to_owned()])];
        while let Some((module, names)) = left.pop() {
            let found = names.iter().find_map(|name| Some((name, read(name)?)));
            let (name, text) = found.unwrap_or_else(|| panic!("there is no {}", names.join(" or ")));
            let tokens = without_tests(&tokens(&text));
            let imports = imports(&module, &tokens);
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            let beside = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let below = match file {
                "lib.rs" | "mod.rs" => beside.clone(),
                _ => format!("{}/", name.trim_end_matches(".rs")),
            };
            for (child, given) in &imports.children {
                let usual = vec![format!("{below}{child}.rs"), format!("{below}{child}/mod.rs")];
                let names = given.as_ref().map_or(usual, |given| vec![format!("{beside}{given}")]);
                left.push(([&module[..], std::slice::from_ref(child)].concat(), names));
            }
            files.insert(module, File { name: name.clone(), size: size(&tokens), imports });
        }
        Self(files)
    }

    /// The sum over the files that `wanted` names.
    pub fn size(&self, wanted: impl Fn(&str) -> bool) -> Size {
        let files = self.0.values().filter(|file| wanted(&file.name));
        files.fold(Size::default(), |sum, File { size, .. }| Size {
            files: sum.files + size.files,
            lines: sum.lines + size.lines,
            unsafe_functions: sum.unsafe_functions + size.unsafe_functions,
            unsafe_blocks: sum.unsafe_blocks + size.unsafe_blocks,
        })
    }

    /// Who uses whom. A file that only declares modules and hands out what they have is no node: whoever
    /// names something of it uses the file where that is.
    pub fn graph(&self) -> Graph {
        let mut graph = BTreeMap::new();
        for file in self.0.values() {
            let has_children = !file.imports.children.is_empty();
            if has_children && file.imports.only_declares {
                continue;
            }
            let mut used = BTreeSet::new();
            // A folder's module that hands something out does not use it.
            for one in file.imports.uses.iter().filter(|one| !(has_children && one.is_public)) {
                // A folder that was brought in by its name: the paths that begin with it say what is used of
                // it.
                if !(one.name.is_some() && self.is_folder(&one.path)) {
                    self.resolve(&one.path, &mut BTreeSet::new(), &mut used);
                }
            }
            for path in &file.imports.paths {
                self.resolve(path, &mut BTreeSet::new(), &mut used);
            }
            used.remove(&file.name);
            graph.insert(file.name.clone(), used);
        }
        let nodes: BTreeSet<String> = graph.keys().cloned().collect();
        graph.values_mut().for_each(|used| used.retain(|name| nodes.contains(name)));
        Graph(graph)
    }

    fn is_folder(&self, path: &[String]) -> bool {
        self.0.get(path).is_some_and(|file| !file.imports.children.is_empty())
    }

    /// Adds the files that have what `path` names.
    fn resolve(&self, path: &[String], seen: &mut BTreeSet<Path>, used: &mut BTreeSet<String>) {
        if !seen.insert(path.to_vec()) {
            return;
        }
        let Some(length) = (0..=path.len()).rev().find(|&length| self.0.contains_key(&path[..length])) else {
            return;
        };
        let (module, rest) = path.split_at(length);
        let File { name, imports, .. } = &self.0[module];
        let mut resolve = |path: &[String], rest: &[String]| self.resolve(&[path, rest].concat(), seen, used);
        let (item, rest) = match rest.split_first() {
            // All of it, or a file by its name.
            None => {
                let handed_out = imports.uses.iter().filter(|one| one.is_public);
                if self.is_folder(module) {
                    handed_out.for_each(|one| resolve(&one.path, &[]));
                }
                used.insert(name.clone());
                return;
            }
            Some(split) => split,
        };
        if self.is_folder(module) && !imports.items.contains(item) {
            let by_name = imports.uses.iter().find(|one| one.name.as_ref() == Some(item));
            if let Some(one) = by_name {
                return resolve(&one.path, rest);
            }
            // It comes from one of those of which everything is handed out.
            imports.uses.iter().filter(|one| one.name.is_none()).for_each(|one| resolve(&one.path, &[]));
        }
        used.insert(name.clone());
    }
}

impl Graph {
    /// The part of it that `wanted` names.
    pub fn of(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let files = self.0.iter().filter(|(file, _)| wanted(file));
        let used = |used: &BTreeSet<String>| used.iter().filter(|file| wanted(file)).cloned().collect();
        Self(files.map(|(file, all)| (file.clone(), used(all))).collect())
    }

    /// Each pair of a file and one that it uses.
    pub fn arrows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(file, used)| used.iter().map(move |other| (file.as_str(), other.as_str())))
    }

    /// The most files of which each reaches each. One, if there is no circle.
    pub fn largest_circle(&self) -> Vec<&str> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.0.keys().map(|file| (file.as_str(), self.before(file).into_keys().collect())).collect();
        let circle = |file: &str| -> Vec<&str> {
            let back = |other: &&&str| reached[**other].contains(file);
            let others = reached[file].iter().filter(|other| **other == file || back(other));
            others.copied().collect()
        };
        let circles = self.0.keys().map(|file| circle(file));
        circles.reduce(|a, b| if b.len() > a.len() { b } else { a }).unwrap_or_default()
    }

    /// The shortest way from a file back to it; empty, if there is none.
    pub fn shortest_circle(&self) -> Vec<&str> {
        let circles = self.0.keys().flat_map(|file| {
            let before = self.before(file);
            // Whoever uses `file` and is reached from it closes a circle.
            let closing: Vec<&str> =
                before.keys().copied().filter(|other| self.0[*other].contains(file)).collect();
            closing.into_iter().map(move |last| {
                let mut circle = vec![last];
                while let Some(&Some(other)) = circle.last().map(|file| &before[file]) {
                    circle.push(other);
                }
                circle.reverse();
                circle
            })
        });
        circles.min_by_key(Vec::len).unwrap_or_default()
    }

    /// All that `file` reaches, itself included, each with the one before it on a shortest way.
    fn before<'a>(&'a self, file: &'a str) -> BTreeMap<&'a str, Option<&'a str>> {
        let mut before = BTreeMap::from([(file, None)]);
        let mut left = VecDeque::from([file]);
        while let Some(file) = left.pop_front() {
            for other in &self.0[file] {
                before.entry(other).or_insert_with(|| {
                    left.push_back(other);
                    Some(file)
                });
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Graph {
        let text =
            |name: &str| files.iter().find(|(file, _)| *file == name).map(|(_, text)| text.to_string());
        Crate::load(&text).graph()
    }

    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        load(files).arrows().map(|(file, other)| format!("{file} -> {other}")).collect()
    }

    #[test]
    fn what_a_folder_hands_out_is_used_where_it_is() {
        let files = [
            ("lib.rs", "mod a; mod exec;"),
            ("exec/mod.rs", "mod b; mod c; pub use b::B; pub use c::*;"),
            ("exec/b.rs", "pub struct B;"),
            ("exec/c.rs", "use super::B; pub struct C;"),
            ("a.rs", "use crate::exec::{B, C};"),
        ];
        assert_eq!(arrows(&files), ["a.rs -> exec/b.rs", "a.rs -> exec/c.rs", "exec/c.rs -> exec/b.rs"]);
    }

    #[test]
    fn a_folder_brought_in_by_its_name_is_used_where_it_is_named() {
        let files = [
            ("lib.rs", "mod a; mod exec;"),
            ("exec/mod.rs", "mod b; mod c; pub use b::b; pub use c::c;"),
            ("exec/b.rs", "pub fn b() {}"),
            ("exec/c.rs", "pub fn c() {}"),
            ("a.rs", "use crate::exec; fn f() { exec::c() }"),
        ];
        assert_eq!(arrows(&files), ["a.rs -> exec/c.rs"]);
    }

    #[test]
    fn a_folder_with_items_of_its_own_is_used_for_these_alone() {
        let files = [
            ("lib.rs", "mod exec;"),
            ("exec/mod.rs", "mod b; mod c; mod d; pub use b::B; use d::D; pub struct Own(D);"),
            ("exec/b.rs", "use super::Own; pub struct B;"),
            ("exec/c.rs", "use super::B;"),
            ("exec/d.rs", "pub struct D;"),
        ];
        let expected = ["exec/b.rs -> exec/mod.rs", "exec/c.rs -> exec/b.rs", "exec/mod.rs -> exec/d.rs"];
        assert_eq!(arrows(&files), expected);
    }

    #[test]
    fn a_file_may_have_a_folder_beside_it_and_tests_do_not_count() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; #[cfg(test)] mod tests; pub struct A;"),
            ("a/b.rs", "use super::A; #[cfg(test)] mod tests { use super::super::c; }"),
        ];
        assert_eq!(arrows(&files), ["a/b.rs -> a.rs"]);
    }

    #[test]
    fn circles_are_found() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            ("a.rs", "use crate::b::X; fn f() {}"),
            ("b.rs", "use crate::c::X; fn f() {}"),
            ("c.rs", "use crate::{a::X, d::X}; fn f() {}"),
            ("d.rs", "use crate::c::X; use crate::e; fn f() {}"),
            ("e.rs", "fn f() {}"),
        ];
        let graph = load(&files);
        assert_eq!(graph.largest_circle(), ["a.rs", "b.rs", "c.rs", "d.rs"]);
        assert_eq!(graph.shortest_circle(), ["c.rs", "d.rs"]);
        let without = graph.of(|file| file != "c.rs");
        assert_eq!((without.largest_circle().len(), without.shortest_circle().len()), (1, 0));
    }
}
