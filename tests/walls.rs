//! What cargo compiles into what: the plugin holds nothing that it does not need, and nothing but the
//! plugin has a name that a GSS-API library looks up.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

/// All that is in the plugin: what reads a configuration file, NTLM's digests, and libc.
const IN_THE_PLUGIN: [&str; 20] = [
    "block-buffer",
    "cfg-if",
    "cmov",
    "crypto-common",
    "ctutils",
    "digest",
    "getrandom",
    "hmac",
    "hybrid-array",
    "libc",
    "md-5",
    "md4",
    "serde_spanned",
    "subtle",
    "toml",
    "toml_datetime",
    "toml_parser",
    "typenum",
    "winnow",
    "zeroize",
];

#[test]
fn the_plugin_holds_what_it_needs_and_no_more() {
    let tree = dependencies("gss-spnego");
    let foreign: Vec<&str> = tree
        .iter()
        .map(String::as_str)
        .filter(|name| !OURS.contains(name))
        .collect();
    assert_eq!(foreign, IN_THE_PLUGIN);
}

/// The packages of this workspace.
const OURS: [&str; 8] = [
    "args",
    "capi",
    "cli",
    "gss-spnego",
    "gssapi",
    "http",
    "ntlm",
    "spnego",
];

#[test]
fn each_package_names_only_those_below_it() {
    for (package, below) in [
        ("spnego", &[][..]),
        ("ntlm", &["spnego"]),
        ("http", &["spnego"]),
        ("gssapi", &["spnego"]),
        ("args", &["gssapi", "spnego"]),
        ("gss-spnego", &["args", "gssapi", "ntlm", "spnego"]),
        ("capi", &["args", "gssapi", "http", "spnego"]),
        ("cli", &["gssapi", "http", "spnego"]),
    ] {
        let tree = dependencies(package);
        let of_ours: Vec<&str> = tree
            .iter()
            .map(String::as_str)
            .filter(|name| *name != package && OURS.contains(name))
            .collect();
        assert_eq!(of_ours, below, "{package}");
    }
}

#[test]
fn only_the_plugin_exports_names_of_gssapi() {
    if !support::installed(&["nm"]) {
        return;
    }
    let built = support::built();
    let of_gssapi = |file: &std::path::Path| {
        let mut names = support::exported(file);
        names.retain(|name| name.starts_with("gss") && !name.starts_with("gss_spnego_"));
        names
    };
    assert!(!of_gssapi(&built.plugin).is_empty());
    for file in [&built.library, &built.tool] {
        assert_eq!(of_gssapi(file), [""; 0], "{}", file.display());
    }
}

/// The packages that cargo compiles into this one, itself among them.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--edges=normal",
            "--prefix=none",
            "--format={p}",
        ])
        .args(["--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(ToOwned::to_owned)
        .collect()
}
