//! The names that the shared object exports are those that the glues look up, and no others.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn the_whole_surface_and_nothing_else_is_exported() {
    let names = support::exported(support::plugin().expect("the shared object is built"));
    let exported: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let expected: BTreeSet<&str> = MIT.iter().chain(HEIMDAL).chain(LOADING).copied().collect();
    let missing: Vec<_> = expected.difference(&exported).collect();
    let surplus: Vec<_> = exported.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:?}, surplus {surplus:?}"
    );
}

#[test]
fn the_shared_objects_are_never_unloaded() {
    for object in [
        support::plugin().expect("the shared object is built"),
        &support::built().library,
    ] {
        let dynamic = Command::new("readelf")
            .args(["--dynamic", "--wide"])
            .arg(object)
            .output()
            .expect("readelf runs");
        let text = String::from_utf8(dynamic.stdout).expect("a table is text");
        assert!(text.contains("NODELETE"), "{text}");
    }
}

/// What MIT looks up before it takes a library for an interposer, and for a mechanism; and what
/// Heimdal asks the one it loads.
const LOADING: &[&str] = &["gss_mech_initialize", "gss_mech_interposer", "gss_mo_init"];

/// What Heimdal 7.8 looks up in a mechanism: all that it requires, and what it takes besides; and
/// gss_acquire_cred_ext, for which it has a place.
const HEIMDAL: &[&str] = &[
    "gss_accept_sec_context",
    "gss_acquire_cred",
    "gss_acquire_cred_ext",
    "gss_add_cred",
    "gss_canonicalize_name",
    "gss_compare_name",
    "gss_context_time",
    "gss_delete_name_attribute",
    "gss_delete_sec_context",
    "gss_display_name",
    "gss_display_name_ext",
    "gss_display_status",
    "gss_duplicate_name",
    "gss_export_cred",
    "gss_export_name",
    "gss_export_name_composite",
    "gss_export_sec_context",
    "gss_get_mic",
    "gss_get_name_attribute",
    "gss_import_cred",
    "gss_import_name",
    "gss_import_sec_context",
    "gss_indicate_mechs",
    "gss_init_sec_context",
    "gss_inquire_context",
    "gss_inquire_cred",
    "gss_inquire_cred_by_mech",
    "gss_inquire_cred_by_oid",
    "gss_inquire_mechs_for_name",
    "gss_inquire_name",
    "gss_inquire_names_for_mech",
    "gss_inquire_sec_context_by_oid",
    "gss_localname",
    "gss_process_context_token",
    "gss_pseudo_random",
    "gss_release_cred",
    "gss_release_name",
    "gss_set_name_attribute",
    "gss_set_sec_context_option",
    "gss_store_cred",
    "gss_unwrap",
    "gss_unwrap_iov",
    "gss_verify_mic",
    "gss_wrap",
    "gss_wrap_iov",
    "gss_wrap_iov_length",
    "gss_wrap_size_limit",
    "gssspi_authorize_localname",
    "gssspi_set_cred_option",
];

/// What MIT looks up in an interposer: `gssi_` before each name of its dispatch table.
const MIT: &[&str] = &[
    "gssi_accept_sec_context",
    "gssi_acquire_cred",
    "gssi_acquire_cred_from",
    "gssi_acquire_cred_impersonate_name",
    "gssi_acquire_cred_with_password",
    "gssi_add_cred",
    "gssi_add_cred_impersonate_name",
    "gssi_authorize_localname",
    "gssi_compare_name",
    "gssi_complete_auth_token",
    "gssi_context_time",
    "gssi_delete_name_attribute",
    "gssi_delete_sec_context",
    "gssi_display_name",
    "gssi_display_name_ext",
    "gssi_display_status",
    "gssi_duplicate_name",
    "gssi_export_cred",
    "gssi_export_name",
    "gssi_export_name_composite",
    "gssi_export_sec_context",
    "gssi_get_mic",
    "gssi_get_mic_iov",
    "gssi_get_mic_iov_length",
    "gssi_get_name_attribute",
    "gssi_import_cred",
    "gssi_import_cred_by_mech",
    "gssi_import_name",
    "gssi_import_name_by_mech",
    "gssi_import_sec_context",
    "gssi_import_sec_context_by_mech",
    "gssi_indicate_mechs",
    "gssi_init_sec_context",
    "gssi_inquire_attrs_for_mech",
    "gssi_inquire_context",
    "gssi_inquire_cred",
    "gssi_inquire_cred_by_mech",
    "gssi_inquire_cred_by_oid",
    "gssi_inquire_mech_for_saslname",
    "gssi_inquire_name",
    "gssi_inquire_names_for_mech",
    "gssi_inquire_saslname_for_mech",
    "gssi_inquire_sec_context_by_oid",
    "gssi_internal_release_oid",
    "gssi_localname",
    "gssi_map_name_to_any",
    "gssi_mech_invoke",
    "gssi_process_context_token",
    "gssi_pseudo_random",
    "gssi_release_any_name_mapping",
    "gssi_release_cred",
    "gssi_release_name",
    "gssi_set_cred_option",
    "gssi_set_name_attribute",
    "gssi_set_neg_mechs",
    "gssi_set_sec_context_option",
    "gssi_store_cred",
    "gssi_store_cred_into",
    "gssi_unwrap",
    "gssi_unwrap_aead",
    "gssi_unwrap_iov",
    "gssi_verify_mic",
    "gssi_verify_mic_iov",
    "gssi_wrap",
    "gssi_wrap_aead",
    "gssi_wrap_iov",
    "gssi_wrap_iov_length",
    "gssi_wrap_size_limit",
];
