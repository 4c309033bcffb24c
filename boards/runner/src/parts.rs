//! To which part of an image a symbol belongs.

use std::collections::BTreeSet;

/// The parts, in the order shown.
pub const PARTS: [&str; 7] =
    ["trilane::sched", "trilane::exec", "trilane, rest", "board", "example", "core", "other"];

const OTHER: &str = PARTS[6];

/// Those of [`PARTS`] that are trilane itself.
pub const OWN: [&str; 3] = [PARTS[0], PARTS[1], PARTS[2]];

/// The crates by which symbols are told apart.
#[derive(Clone, Debug)]
pub struct Crates<'a> {
    /// The example.
    pub example: String,
    /// The crates in `boards/`.
    pub board: &'a BTreeSet<String>,
}

impl Crates<'_> {
    /// The part of the symbol, by the path it is [defined at](defined_at). What is inlined counts where it is
    /// inlined, and generic code of `core` as core whatever it is made for.
    pub fn part(&self, symbol: &str) -> &'static str {
        defined_at(symbol).map_or(OTHER, |path| self.part_of_path(&path))
    }

    fn part_of_path(&self, path: &str) -> &'static str {
        let mut names = path.split("::");
        match names.next().unwrap_or_default() {
            "trilane" => match names.next() {
                Some("sched") => PARTS[0],
                Some("exec") => PARTS[1],
                _ => PARTS[2],
            },
            name if self.board.contains(name) => PARTS[3],
            name if name == self.example => PARTS[4],
            "core" => PARTS[5],
            _ => OTHER,
        }
    }
}

/// The path that the symbol is defined at, if it is Rust's: a method's is its type's, unless the type is a
/// built-in one; then the trait's.
pub fn defined_at(symbol: &str) -> Option<String> {
    let name = format!("{:#}", rustc_demangle::try_demangle(symbol).ok()?);
    let paths = match name.strip_prefix('<') {
        // `<Type as Trait>::method`. The trait's path is only looked at when the type has none.
        Some(inner) => inner.splitn(2, " as ").map(path).collect(),
        None => vec![path(&name)],
    };
    paths.into_iter().find(|path| path.contains("::")).map(str::to_owned)
}

/// The path that `text` begins with, behind what makes it a reference, pointer, slice, tuple or qualified
/// path.
fn path(text: &str) -> &str {
    const BEFORE: [&str; 10] = ["<", "&", "mut ", "*const ", "*mut ", "dyn ", "[", "(", "impl ", " "];
    let mut text = text;
    while let Some(rest) = BEFORE.iter().find_map(|before| text.strip_prefix(before)) {
        text = rest;
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(symbol: &str) -> &'static str {
        let board = ["board".to_owned(), "trilane_cortex_m".to_owned()].into();
        Crates { example: "quakes".into(), board: &board }.part(symbol)
    }

    #[test]
    fn symbols_are_told_apart_by_crate_and_module() {
        assert_eq!(part("_RNvNtCs15kBYyAo9fc_7trilane5sched3pop"), "trilane::sched");
        assert_eq!(part("_RNvNtCs15kBYyAo9fc_7trilane4exec4poll"), "trilane::exec");
        assert_eq!(part("_RNvNtCs15kBYyAo9fc_7trilane4time3now"), "trilane, rest");
        assert_eq!(part("_RNvCs15kBYyAo9fc_5board5write"), "board");
        assert_eq!(part("_RNvCs15kBYyAo9fc_16trilane_cortex_m4idle"), "board");
        assert_eq!(part("_RNvCs15kBYyAo9fc_6quakes4main"), "example");
        assert_eq!(part("_RNvNtCs15kBYyAo9fc_4core9panicking5panic"), "core");
    }

    #[test]
    fn a_method_counts_for_its_type_and_one_of_a_built_in_type_for_the_trait() {
        // <trilane::exec::Task as core::fmt::Debug>::fmt and <u32 as core::fmt::Display>::fmt
        assert_eq!(
            part("_ZN56_$LT$trilane..exec..Task$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE"),
            "trilane::exec"
        );
        assert_eq!(
            part(
                "_ZN4core3fmt3num3imp52_$LT$impl$u20$core..fmt..Display$u20$for$u20$u32$GT$3fmt17h0123456789abcdefE"
            ),
            "core"
        );
        assert_eq!(path("<&mut [trilane::exec::Task<u8>] as core::fmt::Debug>::fmt"), "trilane::exec::Task");
        assert_eq!(path("u32 as quakes::Show>::show"), "u32");
    }

    #[test]
    fn what_has_no_rust_name_is_other() {
        for symbol in ["memcpy", "__aeabi_uldivmod", "Reset", "_RNvCs15kBYyAo9fc_17compiler_builtins3mul"] {
            assert_eq!(part(symbol), "other", "{symbol}");
        }
    }
}
