//! Which modules a file declares, and which paths it names.

use std::collections::BTreeSet;

use crate::source::{Kind::*, Token, end_of_attribute};

/// The names that lead to an item from the crate's root.
pub type Path = Vec<String>;

/// What one file says of others.
#[derive(Debug, Default)]
pub struct Imports {
    /// `mod NAME;`, with the file if an attribute names it.
    pub children: Vec<(String, Option<String>)>,
    /// What `use` brings in.
    pub uses: Vec<Use>,
    /// Paths elsewhere, such as `super::cancel::Reason` in a signature.
    pub paths: Vec<Path>,
    /// Whether there is nothing but modules and `use`.
    pub only_declares: bool,
    /// The names of the items that the file has.
    pub items: BTreeSet<String>,
}

/// One leaf of a `use`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Use {
    pub path: Path,
    /// What it is called here. `None` for all that is public there.
    pub name: Option<String>,
    /// Whether others are meant to use it from here.
    pub is_public: bool,
}

/// Reads what the file of `module` says.
pub fn imports(module: &[String], tokens: &[Token<'_>]) -> Imports {
    let mut reader = Reader { tokens, module, imports: Imports::default() };
    reader.imports.children = reader.children();
    reader.imports.only_declares = reader.only_declares();
    reader.imports.items = reader.items();
    let inner = reader.inner_modules();
    let mut in_a_use = vec![false; tokens.len()];
    for at in 0..tokens.len() {
        if reader.word(at) == Some("use") && (reader.word(at + 1).is_some() || reader.is(at + 1, '{')) {
            let is_public = at > 0 && (reader.word(at - 1) == Some("pub") || reader.is(at - 1, ')'));
            let mut leaves = Vec::new();
            let end = reader.tree(at + 1, Vec::new(), &mut leaves);
            in_a_use[at..end].fill(true);
            let full =
                |(path, name)| Some(Use { path: reader.absolute(path, &inner[at], true)?, name, is_public });
            let leaves: Vec<Use> = leaves.into_iter().filter_map(full).collect();
            reader.imports.uses.extend(leaves);
        }
    }
    for at in 0..tokens.len() {
        let begins = reader.word(at).is_some()
            && reader.kind(at + 1) == Some(PathSeparator)
            && (at == 0 || reader.kind(at - 1) != Some(PathSeparator) && reader.word(at - 1) != Some("in"));
        if begins && !in_a_use[at] {
            let mut end = at;
            while reader.kind(end + 1) == Some(PathSeparator) && reader.word(end + 2).is_some() {
                end += 2;
            }
            let path = (at..=end).step_by(2).filter_map(|at| reader.word(at)).map(str::to_owned).collect();
            let path = reader.absolute(path, &inner[at], false);
            reader.imports.paths.extend(path);
        }
    }
    reader.imports
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    module: &'a [String],
    imports: Imports,
}

impl<'a> Reader<'a> {
    fn kind(&self, at: usize) -> Option<crate::source::Kind<'a>> {
        self.tokens.get(at).map(|token| token.kind)
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        match self.kind(at) {
            Some(Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is(&self, at: usize, mark: char) -> bool {
        self.kind(at) == Some(Mark(mark))
    }

    fn children(&self) -> Vec<(String, Option<String>)> {
        let mut children = Vec::new();
        let mut file = None;
        for at in 0..self.tokens.len() {
            if let (Some("path"), true, Some(Text(text))) =
                (self.word(at), self.is(at + 1, '='), self.kind(at + 2))
            {
                file = Some(text.to_owned());
            }
            if let (Some("mod"), Some(name)) = (self.word(at), self.word(at + 1)) {
                if self.is(at + 2, ';') {
                    children.push((name.to_owned(), file));
                }
                file = None;
            }
        }
        children
    }

    /// For each token, the modules in this file that it stands in.
    fn inner_modules(&self) -> Vec<Path> {
        let mut depth = 0;
        let mut open: Vec<(String, u32)> = Vec::new();
        let inner = |at: usize| {
            if self.word(at) == Some("mod") && self.is(at + 2, '{') {
                open.push((self.word(at + 1).unwrap_or_default().to_owned(), depth));
            }
            if self.is(at, '{') {
                depth += 1;
            } else if self.is(at, '}') {
                depth -= 1;
                open.retain(|(_, outside)| *outside < depth);
            }
            open.iter().map(|(name, _)| name.clone()).collect()
        };
        (0..self.tokens.len()).map(inner).collect()
    }

    fn only_declares(&self) -> bool {
        let mut at = 0;
        while at < self.tokens.len() {
            let attribute = end_of_attribute(self.tokens, at);
            let item = if self.word(at) == Some("pub") { at + 1 } else { at };
            let item = if item > at && self.is(item, '(') {
                (item..).find(|&at| self.is(at, ')')).unwrap_or(item) + 1
            } else {
                item
            };
            at = match self.word(item) {
                _ if attribute > at => attribute,
                Some("mod") if self.is(item + 2, ';') => item + 3,
                Some("use") => (item..).find(|&at| self.is(at, ';')).unwrap_or(item) + 1,
                _ => return false,
            };
        }
        true
    }

    fn items(&self) -> BTreeSet<String> {
        const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static"];
        let item = |at: usize| match self.word(at)? {
            "macro_rules" => self.word(at + 2),
            word if KEYWORDS.contains(&word) => self.word(at + 1).filter(|name| !KEYWORDS.contains(name)),
            _ => None,
        };
        (0..self.tokens.len()).filter_map(item).map(str::to_owned).collect()
    }

    /// Reads one tree of a `use`, whose trunk is `path`. Returns where it ends.
    fn tree(&self, mut at: usize, mut path: Path, leaves: &mut Vec<(Path, Option<String>)>) -> usize {
        loop {
            if self.is(at, '{') {
                at += 1;
                while !self.is(at, '}') {
                    at = self.tree(at, path.clone(), leaves);
                    if self.is(at, ',') {
                        at += 1;
                    }
                }
                return at + 1;
            }
            if self.is(at, '*') {
                leaves.push((path, None));
                return at + 1;
            }
            let Some(word) = self.word(at) else { return at + 1 };
            // `{self}` stands for what the braces follow.
            if word != "self" || path.is_empty() {
                path.push(word.to_owned());
            }
            at += 1;
            if self.kind(at) == Some(PathSeparator) {
                at += 1;
                continue;
            }
            let mut name = path.last().cloned();
            if self.word(at) == Some("as") {
                name = self.word(at + 1).map(str::to_owned);
                at += 2;
            }
            leaves.push((path, name));
            return at;
        }
    }

    /// `path` from the crate's root, or `None` if it leads out of the crate or begins with no module.
    fn absolute(&self, path: Path, inner: &[String], in_a_use: bool) -> Option<Path> {
        let mut from = [self.module, inner].concat();
        let mut names = path.into_iter().peekable();
        let first = names.peek()?.clone();
        match first.as_str() {
            "crate" => from.clear(),
            "self" => {}
            "super" => {
                while names.next_if(|name| name == "super").is_some() {
                    from.pop();
                }
                from.extend(names);
                return Some(from);
            }
            name if inner.is_empty() && self.imports.children.iter().any(|(child, _)| child == name) => {
                from.extend(names);
                return Some(from);
            }
            name if !in_a_use => {
                // A module that `use` has brought in.
                let brought =
                    self.imports.uses.iter().find(|brought| brought.name.as_deref() == Some(name))?;
                let mut path = brought.path.clone();
                path.extend(names.skip(1));
                return Some(path);
            }
            _ => return None,
        }
        from.extend(names.skip(1));
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tokens;

    fn read(module: &str, source: &str) -> Imports {
        let module: Path = module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        imports(&module, &tokens(source))
    }

    fn uses(module: &str, source: &str) -> Vec<String> {
        let text = |one: Use| format!("{} as {}", one.path.join("::"), one.name.as_deref().unwrap_or("*"));
        read(module, source).uses.into_iter().map(text).collect()
    }

    fn paths(module: &str, source: &str) -> Vec<String> {
        read(module, source).paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn a_use_has_a_leaf_for_each_name() {
        let source = "use super::b::{self, C, d::{E as F, g::*}}; pub(crate) use crate::h;";
        let expected =
            ["exec::b as b", "exec::b::C as C", "exec::b::d::E as F", "exec::b::d::g as *", "h as h"];
        assert_eq!(uses("exec::a", source), expected);
        assert_eq!(uses("exec::a", "use {super::super::x, crate::{y::Z}};"), ["x as x", "y::Z as Z"]);
        assert_eq!(uses("exec::a", "use super::*;"), ["exec as *"]);
    }

    #[test]
    fn what_other_crates_have_is_left_out() {
        assert!(uses("a", "use core::fmt; use ::std::io; fn f() -> impl X + use<'a> {}").is_empty());
        assert!(paths("a", "fn f() { core::mem::drop(Vec::<u8>::new()) }").is_empty());
    }

    #[test]
    fn a_module_of_its_own_needs_no_self() {
        let read = read("exec", "mod a; pub mod b; mod c {} pub use a::{X}; pub use self::b::Y;");
        let names: Vec<&str> = read.children.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let paths: Vec<String> = read.uses.iter().map(|one| one.path.join("::")).collect();
        assert_eq!(paths, ["exec::a::X", "exec::b::Y"]);
        assert!(read.uses.iter().all(|one| one.is_public));
    }

    #[test]
    fn an_attribute_names_a_modules_file() {
        let children = read("", "#[cfg(x)] #[path = \"m.rs\"] mod types; mod other;").children;
        assert_eq!(children, [("types".into(), Some("m.rs".into())), ("other".into(), None)]);
    }

    #[test]
    fn paths_count_wherever_they_stand() {
        let source = "use super::join; use super::b::C; struct S { a: crate::x::Y, b: Option<super::z::W> }
                      fn f() { join::g::<super::v::T>(); C::new(); $crate::u!() } pub(in crate::q) fn h() {}";
        let expected = ["x::Y", "exec::z::W", "exec::join::g", "exec::v::T", "exec::b::C::new", "u"];
        assert_eq!(paths("exec::a", source), expected);
    }

    #[test]
    fn super_in_an_inner_module_is_the_file() {
        let source = "mod inner { use super::A; use super::super::b::B; } use super::c::C;";
        assert_eq!(uses("exec::a", source), ["exec::a::A as A", "exec::b::B as B", "exec::c::C as C"]);
    }

    #[test]
    fn a_file_that_only_declares_is_told_from_one_that_has_items() {
        let only = |source| read("", source).only_declares;
        assert!(only("#![no_std] #[doc = \"x\"] pub(crate) mod a; pub use a::{B, C}; use a::D;"));
        assert!(!only("mod a; mod b {}"));
        assert!(!only("mod a; fn b() {}"));
        let items = read("", "struct A; const fn b() {} macro_rules! c { () => {} }").items;
        assert_eq!(items.into_iter().collect::<Vec<_>>(), ["A", "b", "c"]);
    }
}
