//! Compiles what speaks to the interpreter in C and links the interpreter, whose places `tools/binary/build` names.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=src/interpreter.c");
    println!("cargo:rerun-if-changed=src/old_glibc.c");
    println!("cargo:rerun-if-env-changed=TIDEGATE_PYTHON_INCLUDE");
    println!("cargo:rerun-if-env-changed=TIDEGATE_PYTHON_LIBRARIES");
    // Without them (an editor, clippy, tests of this crate) the code is checked and nothing is linked.
    let (Some(include), Some(libraries)) =
        (env::var_os("TIDEGATE_PYTHON_INCLUDE"), env::var_os("TIDEGATE_PYTHON_LIBRARIES"))
    else {
        return;
    };
    let mut interpreter = cc::Build::new();
    interpreter.file("src/interpreter.c").warnings_into_errors(true);
    for path in env::split_paths(&include) {
        interpreter.include(path);
    }
    interpreter.compile("interpreter");
    cc::Build::new().file("src/old_glibc.c").compile("old_glibc");

    let libraries: Vec<PathBuf> = env::split_paths(&libraries).collect();
    // Whole: modules that come later call functions that nothing here does.
    if let Some((python, others)) = libraries.split_first() {
        println!("cargo:rustc-link-arg-bins=-Wl,--whole-archive");
        println!("cargo:rustc-link-arg-bins={}", python.display());
        println!("cargo:rustc-link-arg-bins=-Wl,--no-whole-archive");
        for other in others {
            println!("cargo:rustc-link-arg-bins={}", other.display());
        }
    }
    // Python's names are for modules that are loaded later; no other is, so that what is not used falls out.
    let folder = env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it");
    println!("cargo:rustc-link-arg-bins=-rdynamic");
    println!("cargo:rustc-link-arg-bins=-Wl,--version-script={folder}/src/python.map");
    println!("cargo:rerun-if-changed=src/python.map");
    for library in ["m", "dl", "pthread", "util"] {
        println!("cargo:rustc-link-arg-bins=-l{library}");
    }
}
