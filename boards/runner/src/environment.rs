//! What a child must not inherit from the `cargo run` that started this tool.

use std::{env, ffi::OsStr, process::Command};

/// Removes from `command` every inherited variable that would make its cargo or rustc behave as part of the
/// outer call.
pub fn clean(command: &mut Command) -> &mut Command {
    remove(command, leaks)
}

/// Removes what would replace a firmware board's own `.cargo/config.toml`: with `RUSTFLAGS` set, cargo
/// ignores the linker script that the board passes there, and the image links to nothing.
pub fn isolate(command: &mut Command) -> &mut Command {
    remove(command, overrides)
}

fn remove(command: &mut Command, unwanted: fn(&str) -> bool) -> &mut Command {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(unwanted) {
            command.env_remove(OsStr::new(&name));
        }
    }
    command
}

/// Set by the outer cargo or by rustup's proxy for its own children.
fn leaks(name: &str) -> bool {
    const NAMES: [&str; 13] = [
        "CARGO",
        "CARGO_CRATE_NAME",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_LINKS",
        "CARGO_MANIFEST_PATH",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "OUT_DIR",
        "RUSTC",
        "RUSTDOC",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
    ];
    NAMES.contains(&name)
        || ["CARGO_PKG_", "CARGO_BIN_", "CARGO_FEATURE_", "RUSTUP_TOOLCHAIN_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn overrides(name: &str) -> bool {
    const NAMES: [&str; 5] = [
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_TARGET_DIR",
        "RUSTFLAGS",
    ];
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_outer_cargo_sets_is_removed() {
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_VERSION", "RUSTC", "RUSTUP_TOOLCHAIN"] {
            assert!(leaks(name), "{name}");
        }
    }

    #[test]
    fn what_the_user_sets_stays() {
        for name in [
            "CARGO_HOME",
            "RUSTUP_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_TERM_COLOR",
            "CARGO_BUILD_JOBS",
            "RUSTFLAGS",
            "PATH",
        ] {
            assert!(!leaks(name), "{name}");
        }
    }

    #[test]
    fn firmware_is_built_with_the_flags_of_its_board_only() {
        assert!(overrides("RUSTFLAGS") && overrides("CARGO_TARGET_DIR"));
        assert!(!overrides("CARGO_TARGET_THUMBV7M_NONE_EABI_LINKER"));
    }
}
