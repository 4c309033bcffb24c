//! Where a test's own statics are in its image.

use std::fs;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// Asserts that the statics of this image's module `module` whose names begin with `prefix` are `count`, and
/// that each is all zeros at first, or, if not `zero`, that none is. A linker keeps nothing of zeros, so they
/// take no flash.
pub fn assert_statics(module: &str, prefix: &str, zero: bool, count: usize) {
    let image = std::env::current_exe().and_then(fs::read).expect("a test's image can be read");
    let file = object::File::parse(&*image).expect("a test's image is one");
    let mut found = 0;
    for symbol in file.symbols() {
        let Ok(name) = symbol.name() else { continue };
        if !(name.contains(module) && name.contains(prefix)) {
            continue;
        }
        found += 1;
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        let is_zero = section.is_some_and(|section| section.kind() == SectionKind::UninitializedData);
        assert_eq!(is_zero, zero, "{name}: {} bytes", symbol.size());
    }
    assert_eq!(found, count, "statics named {prefix}");
}
