//! Gives the library the name that programs load it by. With `--features generate`: makes
//! `include/gss_spnego.h` anew from the source, and fails when the checked-in one differs.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "to stop is how a build script says that something is missing"
)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libgss_spnego.so.0");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,defs");
    // Threads of the host may have storage with destructors of this library: it is never unloaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    #[cfg(feature = "generate")]
    generate::header();
}

#[cfg(feature = "generate")]
mod generate {
    use std::{env, fs};

    /// The header for C programs, from the functions, the answers to questions and the minor codes.
    pub(super) fn header() {
        let made =
            cbindgen::Builder::new().with_config(cbindgen::Config::from_root_or_default("."));
        let made = SOURCES
            .iter()
            .fold(made, |made, source| made.with_src(source))
            .generate()
            .expect("cbindgen reads the sources of the header");
        for source in SOURCES.iter().chain(&["cbindgen.toml"]) {
            println!("cargo::rerun-if-changed={source}");
        }
        let mut text = Vec::new();
        made.write(&mut text);
        check(
            "../../include/gss_spnego.h",
            &String::from_utf8(text).expect("a header is text"),
        );
    }

    const SOURCES: [&str; 3] = [
        "src/public.rs",
        "../spnego/src/answer.rs",
        "../spnego/src/error.rs",
    ];

    fn check(path: &str, made: &str) {
        println!("cargo::rerun-if-changed={path}");
        println!("cargo::rerun-if-env-changed=GSS_SPNEGO_ACCEPT_GENERATED");
        if fs::read_to_string(path).is_ok_and(|kept| kept == made) {
            return;
        }
        if env::var_os("GSS_SPNEGO_ACCEPT_GENERATED").is_some() {
            fs::write(path, made).expect("the source tree is writable");
            return;
        }
        panic!(
            "{path} is not what the source gives; look at the difference made by\n  \
             GSS_SPNEGO_ACCEPT_GENERATED=1 cargo build --features generate\nand commit it"
        );
    }
}
