//! A firmware has no allocator: neither Rust's nor C's is in the image.

use std::fs;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSymbol};

/// Parts of the names under which an allocator is linked; Rust's own have a mangled prefix.
const ALLOCATORS: [&str; 6] =
    ["__rust_alloc", "__rust_realloc", "__rg_alloc", "__rdl_alloc", "malloc", "calloc"];

#[test]
fn a_firmware_has_no_allocator_symbol() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built = Command::new(env!("CARGO"))
        .args(["board", "build", "hello", "--on", "mps2-an385"])
        .current_dir(root.canonicalize().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the example hello doesn't build for mps2-an385:\n{said}");
    let path = String::from_utf8(built.stdout).unwrap();
    let image = fs::read(path.lines().last().expect("no path was printed").trim()).unwrap();

    let file = object::File::parse(&*image).unwrap();
    let names: Vec<&str> = file.symbols().filter_map(|symbol| symbol.name().ok()).collect();
    // An image without symbols would have none of an allocator either.
    assert!(names.iter().any(|name| name.contains("trilane")), "the image has no symbols of trilane");
    let found: Vec<&&str> =
        names.iter().filter(|name| ALLOCATORS.iter().any(|allocator| name.contains(allocator))).collect();
    assert!(found.is_empty(), "the image has an allocator: {found:?}");
}
