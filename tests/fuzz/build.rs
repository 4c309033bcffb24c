//! Fails if the code is not instrumented: libFuzzer would do with a warning.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if !flags.contains("sancov-module") {
        println!(
            "cargo::error=without the flags in .cargo/config.toml libFuzzer sees nothing: unset RUSTFLAGS"
        );
    }
}
