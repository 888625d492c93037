//! Every entry point of the C surface, one row each, with its name on the face of each glue. A row
//! with a body calls it; a row that forwards lends the inner handle to the glue's function of the
//! same name; one for a message does so as well, and goes to our own NTLM when that has the
//! context; one that asks does either, unless the question is ours to answer.

use super::context::Context;
use super::credential::Shared;
use super::handle::{Lend, Lent, Refuse};
use super::name::Name;
use super::{bare, context, credential, heimdal, inquiry, mechanism, message, name};
use crate::guard::{answer, guard};
use crate::takeover;
use args::panics;
use args::statics;
use args::{
    Argument, In, InOut, InOutHandle, Iov, MechIn, MechsIn, More, Octets, OidIn, OidSetIn, Out,
    OutHandle, OutOctets, OutOid, OutOidSet, OutSet, Status, Through,
};
use gssapi::owned::{Bindings, LentOid, Store};
use gssapi::sys::{gss_OID, gss_OID_set, gss_any, gss_buffer_desc};
use gssapi::{Mechglue, behind, call, catalog, environment};
use spnego::error::{Error, major};
use spnego::oid;
use spnego::policy;
use std::ffi::{c_int, c_void};
use std::ptr;

/// The function of gssapi.h whose arguments a row must have; entry points between a glue and its
/// mechanisms have none.
macro_rules! prototype {
    () => {
        None
    };
    ($header:ident) => {
        Some(gssapi::sys::$header)
    };
}

macro_rules! surface {
    ($([$($face:ident $export:ident),+]$arguments:tt
        $(as $header:ident)? => $how:ident $body:tt $(bare $bare:tt)?;)*) => {
        $(
            surface!(@prototype $arguments $($header)?);
            surface!(@faces [$($face $export),+] $arguments [$($header)?] $how $body [$($bare)?]);
        )*
    };
    (@prototype ($($argument:ident: $type:ty),* $(,)?) $($header:ident)?) => {
        const _: Option<unsafe extern "C" fn(*mut u32, $(<$type as Argument>::C),*) -> u32> =
            prototype!($($header)?);
    };
    (@faces [$($face:ident $export:ident),+] $arguments:tt $header:tt $how:ident $body:tt
        $bare:tt) => {
        $(surface!(@export $face $export $arguments $header $how $body $bare);)+
    };
    (@export $face:ident $export:ident ($($argument:ident: $type:ty),* $(,)?)
        $header:tt $how:ident {$($body:ident)::+} $bare:tt) => {
        // SAFETY: the name is this library's to export; a glue finds it by dlsym in this
        // library alone.
        #[unsafe(no_mangle)]
        #[allow(unused_mut, reason = "which arguments change depends on the row")]
        pub(crate) unsafe extern "C" fn $export(
            mut minor: Out<'_, u32>,
            $(mut $argument: $type),*
        ) -> u32 {
            surface!(@$how $face $header $bare minor, $($body)::+, $($argument),*)
        }
    };
    (@body $face:ident $header:tt $bare:tt $place:ident, $($body:ident)::+,
        $($argument:ident),*) => {{
        surface!(@bare $face $header $bare $place, $($argument),*);
        $(Argument::clear(&mut $argument);)*
        let glue = Mechglue::$face();
        answer(glue, $place, move || $($body)::+(glue, $($argument),*))
    }};
    (@forward $face:ident $header:tt $bare:tt $place:ident, $function:ident, $handle:ident
        $(, $argument:ident)*) => {{
        let glue = Mechglue::$face();
        surface!(@lend $place, glue, $function, $handle, ($($argument),*), {
            surface!(@bare $face $header $bare $place, $handle $(, $argument)*);
            $(Argument::clear(&mut $argument);)*
            refused(glue, $place, move || $handle.refusal(glue))
        })
    }};
    (@message $face:ident $header:tt $bare:tt $place:ident, $function:ident, $handle:ident
        $(, $argument:ident)*) => {{
        let glue = Mechglue::$face();
        surface!(@lend $place, glue, $function, $handle, ($($argument),*), {
            surface!(@bare $face $header $bare $place, $handle $(, $argument)*);
            $(Argument::clear(&mut $argument);)*
            aside(glue, $place, move || message::$function(glue, $handle $(, $argument)*))
        })
    }};
    // A question that is ours to answer, or else one for the mechanism, as a message or forwarded.
    (@ask_context $face:ident $header:tt $bare:tt $place:ident, $function:ident, $handle:ident,
        $object:ident, $data:ident) => {{
        if inquiry::is_ours(&$object) && !$handle.is_bare() {
            Argument::clear(&mut $data);
            let glue = Mechglue::$face();
            return aside(glue, $place, move || inquiry::$function(glue, $handle, $object, $data));
        }
        surface!(@message $face $header $bare $place, $function, $handle, $object, $data)
    }};
    (@ask_cred $face:ident $header:tt $bare:tt $place:ident, $function:ident, $handle:ident,
        $object:ident, $data:ident) => {{
        if inquiry::is_ours(&$object) && !$handle.is_bare() {
            Argument::clear(&mut $data);
            let glue = Mechglue::$face();
            return aside(glue, $place, move || inquiry::$function(glue, $handle, $object, $data));
        }
        surface!(@forward $face $header $bare $place, $function, $handle, $object, $data)
    }};
    // The way of every message: nothing here may panic before the glue has answered, so there is
    // nothing to guard until it reports a failure. The glue's function clears the outs itself.
    (@lend $place:ident, $glue:ident, $function:ident, $handle:ident,
        ($($argument:ident),*), $otherwise:block) => {{
        let Some(lent) = $handle.lend($glue) else {
            return $otherwise;
        };
        // SAFETY: the inner handle is alive while `lent` is; the other arguments are the caller's
        // own, as gssapi.h asks of callers of this function.
        let status = unsafe {
            $glue.$function($place.lower(), lent.raw() $(, $argument.lower())*)
        };
        if call::is_failure(status) {
            $($argument.failed();)*
            let minor = $place.read();
            // Heimdal's mechanisms say so that they do not know what they are asked for, and its
            // callers, Cyrus SASL for one, know it by this.
            if minor == 0 && $glue.is_heimdal() {
                return status;
            }
            let failure = move || call::failure($glue, &lent.mech(), status, minor);
            return refused($glue, $place, failure);
        }
        status
    }};
    // A call of MIT's glue for NTLMSSP goes on to the function of the same name behind us, or to
    // one of our own that is named.
    (@bare heimdal $header:tt $bare:tt $($rest:tt)*) => {};
    (@bare mit [] [] $($rest:tt)*) => {};
    (@bare mit [$header:ident] [] $place:ident, $($argument:ident),*) => {
        if false $(|| Argument::is_bare(&$argument))* {
            $(Argument::clear(&mut $argument);)*
            let glue = Mechglue::mit();
            return aside(glue, $place, move || bare::pass!(glue, $header, $($argument),*));
        }
    };
    (@bare mit $header:tt [{$($body:ident)::+}] $place:ident, $($argument:ident),*) => {
        if false $(|| Argument::is_bare(&$argument))* {
            $(Argument::clear(&mut $argument);)*
            let glue = Mechglue::mit();
            return aside(glue, $place, move || $($body)::+(glue, $($argument),*));
        }
    };
}

/// The end of a row that forwards and fails.
#[cold]
#[inline(never)]
fn refused(glue: &'static Mechglue, minor: Out<'_, u32>, why: impl FnOnce() -> Error) -> u32 {
    answer(glue, minor, move || Err(why()))
}

/// The way of a message that no mechanism behind the glue protects.
#[cold]
#[inline(never)]
fn aside(glue: &'static Mechglue, minor: Out<'_, u32>, body: impl FnOnce() -> Status) -> u32 {
    answer(glue, minor, body)
}

type Any<'a> = Through<'a, *mut gss_any>;

surface! {
    // Credentials.
    [mit gssi_acquire_cred, heimdal gss_acquire_cred](
        name: In<'_, Name>, lifetime: u32, mechs: MechsIn<'_>, usage: c_int,
        cred: OutHandle<'_, Shared>, actual: OutOidSet<'_>, time_rec: Out<'_, u32>,
    ) as gss_acquire_cred => body {credential::acquire_cred} bare {bare::acquire_cred};
    [mit gssi_acquire_cred_from](
        name: In<'_, Name>, lifetime: u32, mechs: MechsIn<'_>, usage: c_int, store: Store<'_>,
        cred: OutHandle<'_, Shared>, actual: OutOidSet<'_>, time_rec: Out<'_, u32>,
    ) as gss_acquire_cred_from => body {credential::acquire_cred_from} bare {bare::acquire_cred_from};
    [mit gssi_acquire_cred_with_password](
        name: In<'_, Name>, password: Octets<'_>, lifetime: u32, mechs: MechsIn<'_>,
        usage: c_int, cred: OutHandle<'_, Shared>, actual: OutOidSet<'_>,
        time_rec: Out<'_, u32>,
    ) as gss_acquire_cred_with_password => body {credential::acquire_cred_with_password} bare {bare::acquire_cred_with_password};
    [mit gssi_acquire_cred_impersonate_name](
        impersonator: In<'_, Shared>, name: In<'_, Name>, lifetime: u32,
        mechs: MechsIn<'_>, usage: c_int, cred: OutHandle<'_, Shared>,
        actual: OutOidSet<'_>, time_rec: Out<'_, u32>,
    ) as gss_acquire_cred_impersonate_name => body {credential::acquire_cred_impersonate_name};
    [mit gssi_add_cred, heimdal gss_add_cred](
        input: In<'_, Shared>, name: In<'_, Name>, mech: MechIn<'_>, usage: c_int,
        initiator_lifetime: u32, acceptor_lifetime: u32, output: OutHandle<'_, Shared>,
        actual: OutOidSet<'_>, initiator_time_rec: Out<'_, u32>,
        acceptor_time_rec: Out<'_, u32>,
    ) as gss_add_cred => body {credential::add_cred};
    [mit gssi_add_cred_impersonate_name](
        input: In<'_, Shared>, impersonator: In<'_, Shared>, name: In<'_, Name>,
        mech: MechIn<'_>, usage: c_int, initiator_lifetime: u32, acceptor_lifetime: u32,
        output: OutHandle<'_, Shared>, actual: OutOidSet<'_>,
        initiator_time_rec: Out<'_, u32>, acceptor_time_rec: Out<'_, u32>,
    ) as gss_add_cred_impersonate_name => body {credential::add_cred_impersonate_name};
    [mit gssi_release_cred](cred: InOutHandle<'_, Shared>) as gss_release_cred
        => body {credential::release_cred};
    [mit gssi_inquire_cred, heimdal gss_inquire_cred](
        cred: In<'_, Shared>, name: OutHandle<'_, Name>, lifetime: Out<'_, u32>,
        usage: Out<'_, c_int>, mechs: OutOidSet<'_>,
    ) as gss_inquire_cred => body {credential::inquire_cred};
    [mit gssi_inquire_cred_by_mech, heimdal gss_inquire_cred_by_mech](
        cred: In<'_, Shared>, mech: MechIn<'_>, name: OutHandle<'_, Name>,
        initiator_lifetime: Out<'_, u32>, acceptor_lifetime: Out<'_, u32>,
        usage: Out<'_, c_int>,
    ) as gss_inquire_cred_by_mech => body {credential::inquire_cred_by_mech};
    [mit gssi_inquire_cred_by_oid, heimdal gss_inquire_cred_by_oid](
        cred: In<'_, Shared>, object: OidIn<'_>, data: OutSet<'_>,
    ) as gss_inquire_cred_by_oid => ask_cred {gss_inquire_cred_by_oid};
    [mit gssi_set_cred_option, heimdal gssspi_set_cred_option](
        cred: InOutHandle<'_, Shared>, option: OidIn<'_>, value: Octets<'_>,
    ) as gss_set_cred_option => body {credential::set_cred_option};
    [mit gssi_export_cred](cred: In<'_, Shared>, token: OutOctets<'_>) as gss_export_cred
        => body {credential::export_cred} bare {bare::export_cred};
    [mit gssi_import_cred](token: Octets<'_>, cred: OutHandle<'_, Shared>) as gss_import_cred
        => body {credential::import_cred};
    [mit gssi_import_cred_by_mech](
        mech: MechIn<'_>, token: Octets<'_>, cred: OutHandle<'_, Shared>,
    ) => body {credential::import_cred_by_mech} bare {bare::import_cred_by_mech};
    [mit gssi_store_cred, heimdal gss_store_cred](
        cred: In<'_, Shared>, usage: c_int, mech: MechIn<'_>, overwrite: u32,
        make_default: u32, stored: OutOidSet<'_>, stored_usage: Out<'_, c_int>,
    ) as gss_store_cred => body {credential::store_cred};
    [mit gssi_store_cred_into](
        cred: In<'_, Shared>, usage: c_int, mech: MechIn<'_>, overwrite: u32,
        make_default: u32, store: Store<'_>, stored: OutOidSet<'_>,
        stored_usage: Out<'_, c_int>,
    ) as gss_store_cred_into => body {credential::store_cred_into};
    [mit gssi_set_neg_mechs](cred: In<'_, Shared>, mechs: OidSetIn<'_>) as gss_set_neg_mechs
        => body {credential::set_neg_mechs} bare {bare::set_neg_mechs};

    // Names.
    [mit gssi_import_name, heimdal gss_import_name](
        text: Octets<'_>, kind: OidIn<'_>, name: OutHandle<'_, Name>,
    ) as gss_import_name => body {name::import_name};
    [mit gssi_import_name_by_mech](
        mech: MechIn<'_>, text: Octets<'_>, kind: OidIn<'_>, name: OutHandle<'_, Name>,
    ) => body {name::import_name_by_mech} bare {bare::import_name_by_mech};
    [mit gssi_release_name, heimdal gss_release_name](
        name: InOutHandle<'_, Name>,
    ) as gss_release_name
        => body {name::release_name};
    [mit gssi_display_name, heimdal gss_display_name](
        name: In<'_, Name>, text: OutOctets<'_>, kind: OutOid<'_>,
    ) as gss_display_name => body {name::display_name};
    [mit gssi_display_name_ext, heimdal gss_display_name_ext](
        name: In<'_, Name>, kind: OidIn<'_>, text: OutOctets<'_>,
    ) as gss_display_name_ext => forward {gss_display_name_ext};
    [mit gssi_compare_name, heimdal gss_compare_name](
        one: In<'_, Name>, other: In<'_, Name>, equal: Out<'_, c_int>,
    ) as gss_compare_name => body {name::compare_name};
    [mit gssi_duplicate_name, heimdal gss_duplicate_name](
        name: In<'_, Name>, copy: OutHandle<'_, Name>,
    ) as gss_duplicate_name
        => body {name::duplicate_name};
    [mit gssi_export_name, heimdal gss_export_name](
        name: In<'_, Name>, token: OutOctets<'_>,
    ) as gss_export_name
        => body {name::export_name};
    [mit gssi_export_name_composite, heimdal gss_export_name_composite](
        name: In<'_, Name>, token: OutOctets<'_>,
    )
        as gss_export_name_composite => forward {gss_export_name_composite};
    [mit gssi_inquire_name, heimdal gss_inquire_name](
        name: In<'_, Name>, is_mn: Out<'_, c_int>, mech: OutOid<'_>, attributes: OutSet<'_>,
    ) as gss_inquire_name => forward {gss_inquire_name};
    [mit gssi_get_name_attribute, heimdal gss_get_name_attribute](
        name: In<'_, Name>, attribute: Octets<'_>, authenticated: Out<'_, c_int>,
        complete: Out<'_, c_int>, value: OutOctets<'_>, shown: OutOctets<'_>, more: More<'_>,
    ) as gss_get_name_attribute => forward {gss_get_name_attribute};
    [mit gssi_set_name_attribute, heimdal gss_set_name_attribute](
        name: In<'_, Name>, complete: c_int, attribute: Octets<'_>, value: Octets<'_>,
    ) as gss_set_name_attribute => forward {gss_set_name_attribute};
    [mit gssi_delete_name_attribute, heimdal gss_delete_name_attribute](
        name: In<'_, Name>, attribute: Octets<'_>,
    )
        as gss_delete_name_attribute => forward {gss_delete_name_attribute};
    [mit gssi_map_name_to_any](
        name: In<'_, Name>, authenticated: c_int, kind: Octets<'_>, any: Any<'_>,
    ) as gss_map_name_to_any => forward {gss_map_name_to_any};
    [mit gssi_release_any_name_mapping](name: In<'_, Name>, kind: Octets<'_>, any: Any<'_>)
        as gss_release_any_name_mapping => forward {gss_release_any_name_mapping};
    [mit gssi_localname, heimdal gss_localname](
        name: In<'_, Name>, mech: MechIn<'_>, account: OutOctets<'_>,
    ) => body {name::localname} bare {bare::localname};
    [mit gssi_authorize_localname, heimdal gssspi_authorize_localname](
        name: In<'_, Name>, user: Octets<'_>, kind: OidIn<'_>,
    ) => body {name::authorize_localname} bare {bare::authorize_localname};

    // Security contexts.
    [mit gssi_init_sec_context, heimdal gss_init_sec_context](
        cred: In<'_, Shared>, context: InOutHandle<'_, Context>, target: In<'_, Name>,
        mech: MechIn<'_>, flags: u32, lifetime: u32, bindings: Bindings<'_>, token: Octets<'_>,
        actual: OutOid<'_>, output: OutOctets<'_>, ret_flags: Out<'_, u32>,
        time_rec: Out<'_, u32>,
    ) as gss_init_sec_context => body {context::init_sec_context} bare {bare::init_sec_context};
    [mit gssi_accept_sec_context, heimdal gss_accept_sec_context](
        context: InOutHandle<'_, Context>, cred: In<'_, Shared>, token: Octets<'_>,
        bindings: Bindings<'_>, source: OutHandle<'_, Name>, actual: OutOid<'_>,
        output: OutOctets<'_>, ret_flags: Out<'_, u32>, time_rec: Out<'_, u32>,
        delegated: OutHandle<'_, Shared>,
    ) as gss_accept_sec_context => body {context::accept_sec_context} bare {bare::accept_sec_context};
    [mit gssi_delete_sec_context, heimdal gss_delete_sec_context](
        context: InOutHandle<'_, Context>, token: OutOctets<'_>,
    )
        as gss_delete_sec_context => body {context::delete_sec_context};
    [mit gssi_inquire_context, heimdal gss_inquire_context](
        context: In<'_, Context>, source: OutHandle<'_, Name>, target: OutHandle<'_, Name>,
        lifetime: Out<'_, u32>, mech: OutOid<'_>, flags: Out<'_, u32>,
        locally_initiated: Out<'_, c_int>, open: Out<'_, c_int>,
    ) as gss_inquire_context => body {context::inquire_context} bare {bare::inquire_context};
    [mit gssi_inquire_sec_context_by_oid, heimdal gss_inquire_sec_context_by_oid](
        context: In<'_, Context>, object: OidIn<'_>, data: OutSet<'_>,
    ) as gss_inquire_sec_context_by_oid => ask_context {gss_inquire_sec_context_by_oid};
    [mit gssi_set_sec_context_option, heimdal gss_set_sec_context_option](
        context: InOutHandle<'_, Context>, option: OidIn<'_>, value: Octets<'_>,
    ) as gss_set_sec_context_option => body {context::set_sec_context_option};
    [mit gssi_context_time, heimdal gss_context_time](
        context: In<'_, Context>, time_rec: Out<'_, u32>,
    ) as gss_context_time
        => message {gss_context_time};
    [mit gssi_process_context_token, heimdal gss_process_context_token](
        context: In<'_, Context>, token: Octets<'_>,
    )
        as gss_process_context_token => message {gss_process_context_token};
    [mit gssi_export_sec_context, heimdal gss_export_sec_context](
        context: InOutHandle<'_, Context>, token: OutOctets<'_>,
    )
        as gss_export_sec_context => body {context::export_sec_context} bare {bare::export_sec_context};
    [mit gssi_import_sec_context, heimdal gss_import_sec_context](
        token: Octets<'_>, context: OutHandle<'_, Context>,
    )
        as gss_import_sec_context => body {context::import_sec_context};
    [mit gssi_import_sec_context_by_mech](
        mech: MechIn<'_>, token: Octets<'_>, context: OutHandle<'_, Context>,
    ) => body {context::import_sec_context_by_mech} bare {bare::import_sec_context_by_mech};
    [mit gssi_complete_auth_token](context: In<'_, Context>, message: Octets<'_>)
        as gss_complete_auth_token => message {gss_complete_auth_token};

    // Messages.
    [mit gssi_get_mic, heimdal gss_get_mic](
        context: In<'_, Context>, qop: u32, message: Octets<'_>, mic: OutOctets<'_>,
    ) as gss_get_mic => message {gss_get_mic};
    [mit gssi_verify_mic, heimdal gss_verify_mic](
        context: In<'_, Context>, message: Octets<'_>, mic: Octets<'_>, qop: Out<'_, u32>,
    ) as gss_verify_mic => message {gss_verify_mic};
    [mit gssi_wrap, heimdal gss_wrap](
        context: In<'_, Context>, conf: c_int, qop: u32, message: Octets<'_>,
        conf_state: Out<'_, c_int>, output: OutOctets<'_>,
    ) as gss_wrap => message {gss_wrap};
    [mit gssi_unwrap, heimdal gss_unwrap](
        context: In<'_, Context>, input: Octets<'_>, message: OutOctets<'_>,
        conf_state: Out<'_, c_int>, qop: Out<'_, u32>,
    ) as gss_unwrap => message {gss_unwrap};
    [mit gssi_wrap_size_limit, heimdal gss_wrap_size_limit](
        context: In<'_, Context>, conf: c_int, qop: u32, size: u32, limit: Out<'_, u32>,
    ) as gss_wrap_size_limit => message {gss_wrap_size_limit};
    [mit gssi_wrap_iov, heimdal gss_wrap_iov](
        context: In<'_, Context>, conf: c_int, qop: u32, conf_state: Out<'_, c_int>,
        iov: Iov<'_>, count: c_int,
    ) as gss_wrap_iov => message {gss_wrap_iov};
    [mit gssi_unwrap_iov, heimdal gss_unwrap_iov](
        context: In<'_, Context>, conf_state: Out<'_, c_int>, qop: Out<'_, u32>,
        iov: Iov<'_>, count: c_int,
    ) as gss_unwrap_iov => message {gss_unwrap_iov};
    [mit gssi_wrap_iov_length, heimdal gss_wrap_iov_length](
        context: In<'_, Context>, conf: c_int, qop: u32, conf_state: Out<'_, c_int>,
        iov: Iov<'_>, count: c_int,
    ) as gss_wrap_iov_length => message {gss_wrap_iov_length};
    [mit gssi_wrap_aead](
        context: In<'_, Context>, conf: c_int, qop: u32, associated: Octets<'_>,
        message: Octets<'_>, conf_state: Out<'_, c_int>, output: OutOctets<'_>,
    ) as gss_wrap_aead => message {gss_wrap_aead};
    [mit gssi_unwrap_aead](
        context: In<'_, Context>, input: Octets<'_>, associated: Octets<'_>,
        message: OutOctets<'_>, conf_state: Out<'_, c_int>, qop: Out<'_, u32>,
    ) as gss_unwrap_aead => message {gss_unwrap_aead};
    [mit gssi_get_mic_iov](context: In<'_, Context>, qop: u32, iov: Iov<'_>, count: c_int)
        as gss_get_mic_iov => message {gss_get_mic_iov};
    [mit gssi_verify_mic_iov](
        context: In<'_, Context>, qop: Out<'_, u32>, iov: Iov<'_>, count: c_int,
    ) as gss_verify_mic_iov => message {gss_verify_mic_iov};
    [mit gssi_get_mic_iov_length](context: In<'_, Context>, qop: u32, iov: Iov<'_>, count: c_int)
        as gss_get_mic_iov_length => message {gss_get_mic_iov_length};
    [mit gssi_pseudo_random, heimdal gss_pseudo_random](
        context: In<'_, Context>, key: c_int, input: Octets<'_>, length: isize,
        output: OutOctets<'_>,
    ) as gss_pseudo_random => message {gss_pseudo_random};

    // The mechanism.
    [mit gssi_indicate_mechs, heimdal gss_indicate_mechs](
        mechs: OutOidSet<'_>,
    ) as gss_indicate_mechs
        => body {mechanism::indicate_mechs};
    [mit gssi_inquire_names_for_mech](mech: MechIn<'_>, kinds: OutOidSet<'_>)
        as gss_inquire_names_for_mech => body {mechanism::inquire_names_for_mech};
    [mit gssi_inquire_attrs_for_mech](
        mech: MechIn<'_>, attributes: OutOidSet<'_>, known: OutOidSet<'_>,
    ) => body {mechanism::inquire_attrs_for_mech} bare {bare::inquire_attrs_for_mech};
    [mit gssi_inquire_saslname_for_mech](
        mech: MechIn<'_>, sasl_name: OutOctets<'_>, mech_name: OutOctets<'_>,
        description: OutOctets<'_>,
    ) => body {mechanism::inquire_saslname_for_mech};
    [mit gssi_inquire_mech_for_saslname](sasl_name: Octets<'_>, mech: OutOid<'_>)
        => body {mechanism::inquire_mech_for_saslname};
    [mit gssi_display_status](
        code: u32, kind: c_int, mech: MechIn<'_>, position: InOut<'_, u32>, text: OutOctets<'_>,
    ) as gss_display_status => body {mechanism::display_status} bare {mechanism::display_status};

    // Heimdal's manners.
    [heimdal gss_release_cred](cred: InOutHandle<'_, Shared>) as gss_release_cred
        => body {heimdal::release_cred};
    [heimdal gss_acquire_cred_ext](
        name: In<'_, Name>, kind: OidIn<'_>, secret: Octets<'_>, lifetime: u32,
        mech: MechIn<'_>, usage: c_int, cred: OutHandle<'_, Shared>,
    ) => body {heimdal::acquire_cred_ext};
    [heimdal gss_export_cred](cred: In<'_, Shared>, token: OutOctets<'_>) as gss_export_cred
        => body {heimdal::export_cred};
    [heimdal gss_import_cred](token: Octets<'_>, cred: OutHandle<'_, Shared>)
        as gss_import_cred => body {heimdal::import_cred};
    [heimdal gss_canonicalize_name](
        name: In<'_, Name>, mech: MechIn<'_>, canonical: OutHandle<'_, Name>,
    ) as gss_canonicalize_name => body {heimdal::canonicalize_name};
    [heimdal gss_inquire_names_for_mech](mech: MechIn<'_>, kinds: OutOidSet<'_>)
        as gss_inquire_names_for_mech => body {heimdal::inquire_names_for_mech};
    [heimdal gss_inquire_mechs_for_name](name: In<'_, Name>, mechs: OutOidSet<'_>)
        as gss_inquire_mechs_for_name => body {heimdal::inquire_mechs_for_name};
    [heimdal gss_display_status](
        code: u32, kind: c_int, mech: MechIn<'_>, position: InOut<'_, u32>, text: OutOctets<'_>,
    ) as gss_display_status => body {heimdal::display_status};
}

/// Every glue asks one of the two functions below before any other.
fn configure() {
    panics::keep_off_descriptors();
    environment::install();
    // What panics there would panic again in the first call that needs it, and fail that.
    let _ = panics::caught(policy::prepare);
}

/// Heimdal asks, with its list of mechanisms locked, for the options of the one it is loading.
///
/// Parameters: the identifier of the new entry, whose octets are the entry's own memory.
/// Returns: GSS_S_COMPLETE when the entry has become SPNEGO; GSS_S_UNAVAILABLE when the glue is not
/// Heimdal 7 or the identifier not ours, and then the glue leaves us out.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn gss_mo_init(
    minor: Out<'_, u32>,
    entry: gss_OID,
    options: *mut *mut takeover::MechOption,
    count: *mut usize,
) -> u32 {
    configure();
    #[expect(
        clippy::as_conversions,
        reason = "the address of a function, for which there is no other way"
    )]
    let with_password = gss_acquire_cred_ext as *const c_void;
    // SAFETY: the arguments are those of Heimdal's loader, for which this is written.
    guard(minor, || unsafe {
        Ok(takeover::become_spnego(
            entry,
            options,
            count,
            with_password,
        ))
    })
}

/// MIT asks, with its list of mechanisms locked, which mechanisms to put us in front of.
///
/// Returns the set of SPNEGO and NTLMSSP, which the glue releases; it passes over what it does not
/// have. Null when the glue is not MIT's or there is no memory, then it leaves us out.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn gss_mech_interposer(_: gss_OID) -> gss_OID_set {
    configure();
    panics::caught(|| call::oid_set(Mechglue::mit(), &[oid::SPNEGO, oid::NTLMSSP]))
        .ok()
        .and_then(Result::ok)
        .map_or(ptr::null_mut(), gssapi::owned::OidSet::into_raw)
}

/// MIT asks this of a mechanism that is configured without `<interposer>`. Null: we are none.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn gss_mech_initialize(_: gss_OID) -> *mut c_void {
    ptr::null_mut()
}

/// MIT asks, with its list of mechanisms locked, whether an OID is one of ours, which nobody frees.
///
/// Returns: GSS_S_COMPLETE and the null OID when it is, GSS_S_CONTINUE_NEEDED when it is not.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn gssi_internal_release_oid(
    mut minor: Out<'_, u32>,
    mut oid: InOut<'_, gss_OID>,
) -> u32 {
    minor.clear();
    if !oid.read().is_some_and(statics::is_ours) {
        return major::CONTINUE_NEEDED;
    }
    oid.put(ptr::null_mut());
    major::COMPLETE
}

/// A private call: NTLMSSP answers one that is for it, else the first mechanism behind us that knows
/// the object.
// SAFETY: the name is this library's to export.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn gssi_mech_invoke(
    minor: Out<'_, u32>,
    mut mech: MechIn<'_>,
    mut object: OidIn<'_>,
    mut value: Through<'_, gss_buffer_desc>,
) -> u32 {
    let glue = Mechglue::mit();
    if mech.is_bare() {
        return guard(minor, move || {
            bare::pass!(glue, gssspi_mech_invoke, mech, object, value)
        });
    }
    guard(minor, move || {
        for inner in catalog::available(glue).iter() {
            let (mut lent, mut minor) = (LentOid::new(behind::address(glue, inner)), 0);
            // SAFETY: the mech is lent for the call; object and value are the caller's own.
            let status = unsafe {
                glue.gssspi_mech_invoke(&raw mut minor, lent.raw(), object.lower(), value.lower())
            };
            if status != major::UNAVAILABLE && status != major::BAD_MECH {
                return call::outcome(glue, inner, status, minor);
            }
        }
        Err(Error::Unavailable(
            "no mechanism behind SPNEGO knows this object",
        ))
    })
}
