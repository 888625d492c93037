//! How the plugin is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Threads of the host may have storage with destructors of the plugin: it is never unloaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
