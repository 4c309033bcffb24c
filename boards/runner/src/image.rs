//! What an image's ELF file says of its sections and symbols.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use object::{Architecture, Object, ObjectSection, ObjectSymbol, SectionFlags, SectionIndex, elf};

use crate::{Error, Result};

/// What the names begin with that the compiler gives to constants and to variables it has put side by side.
/// The variables have names of their own as well.
const UNNAMED: &str = ".L";

/// Where riscv-rt's linker script puts the stacks: in all that the variables leave of the RAM.
const STACKS: &str = ".stack";

/// The sizes in an image, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Code.
    pub text: u64,
    /// Constants and the vector table.
    pub rodata: u64,
    /// Variables with a start value, which is kept in flash.
    pub data: u64,
    /// Variables that start as zero or as nothing.
    pub bss: u64,
    /// By kind, then by address.
    pub symbols: Vec<Symbol>,
}

/// The four kinds of memory in an image.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Code.
    Text,
    /// Constants.
    Rodata,
    /// Variables with a start value.
    Data,
    /// Variables without.
    Bss,
}

impl Kind {
    /// Whether it takes flash.
    pub fn in_flash(self) -> bool {
        self != Self::Bss
    }

    /// Whether it takes RAM.
    pub fn in_ram(self) -> bool {
        matches!(self, Self::Data | Self::Bss)
    }
}

/// A symbol and its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Symbol {
    /// As the linker knows it.
    pub name: String,
    /// Where it is.
    pub kind: Kind,
    /// All it covers.
    pub size: u64,
    /// What of that is no earlier symbol's: equal functions that the linker merged share an address.
    pub own: u64,
}

impl Image {
    /// Reads the image's file.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |error: object::Error| Error::Image { file: path.to_owned(), why: error.to_string() };
        let bytes = fs::read(path).map_err(Error::io(format!("read {}", path.display())))?;
        let file = object::File::parse(&*bytes).map_err(wrong)?;
        let kinds: HashMap<SectionIndex, Kind> =
            file.sections().filter_map(|section| Some((section.index(), kind(&section)?))).collect();
        let total = |wanted: Kind| {
            let sections = file.sections().filter(|section| kinds.get(&section.index()) == Some(&wanted));
            sections.map(|section| section.size()).sum::<u64>()
        };
        Ok(Self {
            text: total(Kind::Text),
            rodata: total(Kind::Rodata),
            data: total(Kind::Data),
            bss: total(Kind::Bss),
            symbols: symbols(&file, &kinds),
        })
    }

    /// What it takes of the flash.
    pub fn flash(&self) -> u64 {
        self.text + self.rodata + self.data
    }

    /// What is static of its RAM. Stacks are not in it.
    pub fn ram(&self) -> u64 {
        self.data + self.bss
    }

    /// What the symbols that `wanted` accepts by their names take of the flash.
    pub fn flash_of(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let symbols = self.symbols.iter().filter(|symbol| symbol.kind.in_flash() && wanted(&symbol.name));
        symbols.map(|symbol| symbol.own).sum()
    }
}

fn kind<'a>(section: &impl ObjectSection<'a>) -> Option<Kind> {
    let SectionFlags::Elf { sh_flags, sh_type } = section.flags() else { return None };
    let has = |flag: elf::SectionFlags| sh_flags.0 & flag.0 != 0;
    if !has(elf::SHF_ALLOC) || section.name() == Ok(STACKS) {
        return None;
    }
    Some(match (has(elf::SHF_EXECINSTR), has(elf::SHF_WRITE), sh_type == elf::SHT_NOBITS) {
        (_, _, true) => Kind::Bss,
        (true, ..) => Kind::Text,
        (false, true, _) => Kind::Data,
        (false, false, _) => Kind::Rodata,
    })
}

/// The bytes of each symbol, each byte once: equal functions that the linker merged share an address.
fn symbols(file: &object::File<'_>, kinds: &HashMap<SectionIndex, Kind>) -> Vec<Symbol> {
    // On Arm, the lowest bit of a function's address says that it is Thumb code.
    let thumb = file.architecture() == Architecture::Arm;
    let mut found: Vec<(Kind, u64, u64, &str)> = file
        .symbols()
        .filter(|symbol| symbol.size() > 0)
        .filter_map(|symbol| {
            let kind = *kinds.get(&symbol.section_index()?)?;
            let address = if thumb && kind == Kind::Text { symbol.address() & !1 } else { symbol.address() };
            let name = symbol.name().ok().filter(|name| !name.starts_with(UNNAMED))?;
            Some((kind, address, symbol.size(), name))
        })
        .collect();
    found.sort_unstable();
    let mut counted = Vec::new();
    let mut end: BTreeMap<Kind, u64> = BTreeMap::new();
    for (kind, address, bytes, name) in found {
        let end = end.entry(kind).or_default();
        let new = (address + bytes).saturating_sub(address.max(*end));
        *end = (*end).max(address + bytes);
        counted.push(Symbol { name: name.to_owned(), kind, size: bytes, own: new });
    }
    counted
}
