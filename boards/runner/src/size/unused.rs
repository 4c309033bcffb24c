//! What an image has of parts of trilane that it doesn't use: by the functions in it, part by part.
//!
//! What is inlined into another function is that one's. So a part may be used by less than is seen here, and
//! the flash of the whole image is gated beside.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compared;
use crate::{
    Error, Result,
    build::{self, Images},
    image::{Image, Kind},
    install::Ready,
    parts::defined_at,
    table,
    workspace::Board,
};

/// The example that uses none of [`PARTS`].
pub const PLAIN: &str = "hello";

/// A part of trilane that an image has only if it uses it.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// What it gives.
    pub name: &'static str,
    /// Its modules, below the crate.
    pub modules: &'static [&'static str],
    /// Why these are nobody else's.
    pub why: &'static str,
    /// An example that uses it: it must have functions of each module, or [`PLAIN`] lacking them would prove
    /// nothing.
    pub used_by: &'static str,
    /// Whether it is an error if [`PLAIN`] has any of its functions, whatever the budget says.
    pub strict: bool,
}

/// All of them, in the order shown.
pub const PARTS: [Part; 4] = [
    Part {
        name: "cancellation",
        modules: &["exec::cancel"],
        why: "a request to stop, and what is looked at before a task with one is polled",
        used_by: "cancel",
        strict: true,
    },
    Part {
        name: "deadlines",
        modules: &["sched::edf"],
        why: "the heap of the timed lane, in which only tasks with deadlines wait",
        used_by: "deadlines",
        strict: true,
    },
    Part {
        name: "priorities",
        modules: &["sched::lanes"],
        why: "the lanes, with the queues of each priority inlined: tasks of one priority need no more than the woken bits",
        used_by: "lanes",
        strict: true,
    },
    Part {
        name: "regions",
        modules: &["exec::region"],
        why: "scopes that own tasks: opened by a call that only their users make",
        used_by: "cancel",
        strict: true,
    },
];

/// What [`PLAIN`] has at one opt-level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The board.
    pub board: String,
    /// The example.
    pub example: String,
    /// Its opt-level.
    pub opt_level: String,
    /// By part, the functions.
    pub unused: BTreeMap<&'static str, Vec<Function>>,
}

/// A function in an image.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Function {
    /// Its path.
    pub name: String,
    /// Its bytes.
    pub flash: u64,
}

impl Row {
    /// Its name in the budget.
    pub fn budget_name(&self, board: &Board) -> String {
        format!("{}-unused", compared::at_level(&self.example, &self.opt_level, board))
    }

    /// The bytes of each part.
    pub fn to_budget(&self) -> BTreeMap<String, f64> {
        super::costs(PARTS.map(|Part { name, .. }| (name, self.bytes(name))))
    }

    fn bytes(&self, part: &str) -> u64 {
        self.unused.get(part).into_iter().flatten().map(|function| function.flash).sum()
    }
}

/// Measures [`PLAIN`], at both opt-levels where the board compares it with a peer's; nothing if another
/// example is named or the board lacks it.
pub fn measure(board: &Board, ready: &Ready, example: Option<&str>) -> Result<Vec<Row>> {
    if !board.has(PLAIN) || example.is_some_and(|example| example != PLAIN) {
        return Ok(Vec::new());
    }
    let is_compared = board.metadata.compared.iter().any(|compared| compared.image.bin() == PLAIN);
    let levels = if is_compared { compared::levels(board) } else { vec![board.opt_level.as_str()] };
    let mut rows = Vec::new();
    for level in levels {
        let bins = [(board.package.as_str(), PLAIN)];
        let images = build::build_packages(board, ready, &bins, compared::variant(board, level))?;
        let image = Image::read(images.get(PLAIN)?)?;
        rows.push(Row {
            board: board.name.clone(),
            example: PLAIN.into(),
            opt_level: level.into(),
            unused: PARTS.iter().map(|part| (part.name, functions(&image, part.modules))).collect(),
        });
    }
    Ok(rows)
}

/// Fails if [`PLAIN`] has functions of a part that is strictly absent, or if an example lacks those of a part
/// that it uses. Without `example` all are looked at, else that one alone.
pub fn check(board: &Board, ready: &Ready, rows: &[Row], example: Option<&str>) -> Result<()> {
    let mut wrong = Vec::new();
    for row in rows {
        for part in PARTS.iter().filter(|part| part.strict) {
            for Function { name, flash } in row.unused.get(part.name).into_iter().flatten() {
                let Row { example, opt_level, .. } = row;
                wrong.push(format!("{example} at {opt_level} has {name} ({flash} bytes) of {}", part.name));
            }
        }
    }
    let is_looked_at = |name: &str| board.has(name) && example.is_none_or(|example| example == name);
    let used: Vec<&Part> = PARTS.iter().filter(|part| is_looked_at(part.used_by)).collect();
    let bins: Vec<&str> = used.iter().map(|part| part.used_by).collect();
    let images = build::build(board, ready, &bins)?;
    for part in used {
        wrong.extend(lacking(&images, part)?);
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Parts { board: board.name.clone(), wrong }) }
}

/// The modules of which the part's user has no function.
fn lacking(images: &Images, part: &Part) -> Result<Vec<String>> {
    let image = Image::read(images.get(part.used_by)?)?;
    let lacks = |module: &&&str| functions(&image, &[**module]).is_empty();
    let line = |module: &&str| {
        let Part { name, used_by, why, .. } = part;
        format!(
            "{used_by} uses {name} and has no function of {module}: has it another name now? ({why})\n    the list is in \
             boards/runner/src/size/unused.rs"
        )
    };
    Ok(part.modules.iter().filter(lacks).map(line).collect())
}

/// The image's functions that trilane's `modules` define, the largest first.
fn functions(image: &Image, modules: &[&str]) -> Vec<Function> {
    let of_them = |name: &str| modules.iter().any(|module| is_of(name, module));
    let symbols = image.symbols.iter().filter(|symbol| symbol.kind == Kind::Text && of_them(&symbol.name));
    let mut functions: Vec<Function> = symbols
        .map(|symbol| Function {
            name: format!("{:#}", rustc_demangle::demangle(&symbol.name)),
            flash: symbol.size,
        })
        .collect();
    functions.sort_by(|one, other| other.flash.cmp(&one.flash).then_with(|| one.name.cmp(&other.name)));
    functions
}

/// Whether trilane's `module` defines the symbol. A method may be in another module than its type, and the
/// path of Rust's newer names has only the type's; the symbol begins with the method's, unless that is a
/// trait's in an older name.
fn is_of(symbol: &str, module: &str) -> bool {
    let Some(path) = defined_at(symbol) else { return false };
    let Some(path) = path.strip_prefix("trilane::") else { return false };
    if let Some((_, start)) = symbol.split_once("7trilane") {
        let names = module.split("::");
        return start.starts_with(&names.map(|name| format!("{}{name}", name.len())).collect::<String>());
    }
    path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

/// The bytes for a reader; of `example`, if it was named, each function.
pub fn to_text(board: &str, rows: &[Row], example: Option<&str>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut lines = vec![vec!["image".to_owned(), "opt-level".to_owned()]];
    lines[0].extend(PARTS.map(|part| part.name.to_owned()));
    for row in rows {
        let mut line = vec![row.example.clone(), row.opt_level.clone()];
        line.extend(PARTS.map(|part| row.bytes(part.name).to_string()));
        lines.push(line);
    }
    let mut text =
        format!("{board}: bytes of functions that are not used (goal: none)\n{}", table::render(&lines, 2));
    for row in rows.iter().filter(|_| example == Some(PLAIN)) {
        let functions = row.unused.iter().flat_map(|(part, functions)| {
            functions.iter().map(move |Function { name, flash }| {
                vec![String::new(), (*part).to_owned(), name.clone(), flash.to_string()]
            })
        });
        text += &format!(
            "  at opt-level {}\n{}",
            row.opt_level,
            table::render(&functions.collect::<Vec<_>>(), 3)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Symbol;

    fn image(names: &[(&str, Kind)]) -> Image {
        let symbol = |&(name, kind): &(&str, Kind)| Symbol { name: name.to_owned(), kind, size: 10, own: 10 };
        Image { symbols: names.iter().map(symbol).collect(), ..Image::default() }
    }

    #[test]
    fn a_function_is_of_the_module_that_defines_it_whatever_its_type() {
        let old = "_ZN7trilane4exec6limits58_$LT$impl$u20$trilane..exec..slots..Slots$LT$_$C$_$GT$$GT$4look17h0b5ae1febdca96f0E";
        // <trilane::exec::slots::Slots>::look in the module trilane::exec::limits
        let new = "_RNvMNtNtCs15kBYyAo9fc_7trilane4exec6limitsNtNtB4_5slots5Slots4look";
        let of_a_trait = "_ZN72_$LT$trilane..exec..limits..Unclaim$u20$as$u20$core..ops..drop..Drop$GT$4drop17h5c6848730c6beb2cE";
        for symbol in [old, new, of_a_trait] {
            assert!(is_of(symbol, "exec::limits"), "{symbol}");
            assert!(!is_of(symbol, "exec::limit"), "{symbol}");
            assert!(!is_of(symbol, "exec::slots"), "{symbol}");
        }
        assert!(!is_of("_ZN5hello4main17h4314e8e21855c203E", "exec::limits"));
        assert!(!is_of("memcpy", "exec::limits"));
    }

    #[test]
    fn constants_are_no_functions() {
        let [function, constant] =
            ["_RNvNtNtCs15kBYyAo9fc_7trilane5sched3edf3pop", "_RNvNtNtCs15kBYyAo9fc_7trilane5sched3edf4ZERO"];
        let image = image(&[(function, Kind::Text), (constant, Kind::Rodata)]);
        let found = functions(&image, &["sched::edf"]);
        assert_eq!(found, [Function { name: "trilane::sched::edf::pop".into(), flash: 10 }]);
    }

    #[test]
    fn no_module_is_of_two_parts() {
        let modules: Vec<&str> = PARTS.iter().flat_map(|part| part.modules).copied().collect();
        for (index, module) in modules.iter().enumerate() {
            assert!(!modules[..index].contains(module), "{module}");
        }
    }
}
