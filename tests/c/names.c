/* Every function about names, on a name of each kind, as SPNEGO's own (canonicalized for it, and as
 * its contexts hand them out) and as the caller imported it.
 *
 * Options: of=contexts   those of contexts alone
 *          ask_target=no   without the target's, which kills gss-ntlmssp's acceptor
 *          like=TEXT   compare the context's source with a user of this name */
#include "common.h"
#include "handshake.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show_buffer(const char *label, OM_uint32 major, const gss_buffer_desc *text)
{
    if (!GSS_ERROR(major))
        show("  %s: %.*s", label, (int)text->length, (char *)text->value);
}

static void inquire(gss_name_t name)
{
    OM_uint32 major, minor;
    int is_mn = -1;
    gss_OID mech = GSS_C_NO_OID;
    gss_buffer_set_t attributes = GSS_C_NO_BUFFER_SET;

    SHOW("inquire_name", gss_inquire_name(&minor, name, &is_mn, &mech, &attributes));
    if (!GSS_ERROR(major))
        /* The mechanism that is told is the glue's own affair: with an interposer it is longer. */
        show("  mechanism name: %d attributes: %zu", is_mn, attributes == NULL ? 0 : attributes->count);
    gss_release_oid(&minor, &mech);
    gss_release_buffer_set(&minor, &attributes);
}

static void attributes(gss_name_t name)
{
    gss_buffer_desc attribute = text_buffer("urn:example:attribute"), value = text_buffer("value");
    gss_buffer_desc found = GSS_C_EMPTY_BUFFER, displayed = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc exported = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;
    int authenticated = -1, complete = -1, more = -1;
    gss_any_t any = NULL;

    SHOW("set_name_attribute", gss_set_name_attribute(&minor, name, 1, &attribute, &value));
    SHOW("get_name_attribute", gss_get_name_attribute(&minor, name, &attribute, &authenticated,
                                                      &complete, &found, &displayed, &more));
    show("  more: %d", more);
    gss_release_buffer(&minor, &found);
    gss_release_buffer(&minor, &displayed);
    SHOW("delete_name_attribute", gss_delete_name_attribute(&minor, name, &attribute));
    more = -1;
    SHOW("get local login", gss_get_name_attribute(&minor, name, GSS_C_ATTR_LOCAL_LOGIN_USER,
                                                   &authenticated, &complete, &found, &displayed,
                                                   &more));
    show_buffer("local login", major, &found);
    gss_release_buffer(&minor, &found);
    gss_release_buffer(&minor, &displayed);
    SHOW("export_name_composite", gss_export_name_composite(&minor, name, &exported));
    if (!GSS_ERROR(major)) {
        gss_name_t again = GSS_C_NO_NAME;

        SHOW("  import composite",
             gss_import_name(&minor, &exported, GSS_C_NT_COMPOSITE_EXPORT, &again));
        if (!GSS_ERROR(major))
            show_name("  again", again);
        gss_release_name(&minor, &again);
    }
    gss_release_buffer(&minor, &exported);
    SHOW("map_name_to_any", gss_map_name_to_any(&minor, name, 0, &attribute, &any));
    if (!GSS_ERROR(major))
        SHOW("release_any", gss_release_any_name_mapping(&minor, name, &attribute, &any));
}

static void local(gss_name_t name)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_name_t user = imported("user", "user"), other = imported("other", "user");
    OM_uint32 major, minor;

    for (int i = 0; i < 2; i++) {
        gss_OID mech = i == 0 ? GSS_C_NO_OID : mech_oid(option("mech", "spnego"));

        SHOW("localname", gss_localname(&minor, name, mech, &text));
        show_buffer("local", major, &text);
        gss_release_buffer(&minor, &text);
        show("pname_to_uid: %d", gss_pname_to_uid(&minor, name, mech, &(uid_t){0}) == 0);
    }
    SHOW("authorize user", gss_authorize_localname(&minor, name, user));
    SHOW("authorize other", gss_authorize_localname(&minor, name, other));
    show("userok: %d", gss_userok(name, "user"));
    gss_release_name(&minor, &user);
    gss_release_name(&minor, &other);
}

static void exported(const char *label, gss_name_t name, gss_name_t original)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    gss_name_t again = GSS_C_NO_NAME;
    OM_uint32 major, minor;
    int equal = -1;

    SHOW(label, gss_export_name(&minor, name, &token));
    if (GSS_ERROR(major))
        return;
    if (token.length > 4) {
        const unsigned char *octets = token.value;
        gss_OID_desc mech = {octets[3] - 2u, (void *)(octets + 6)};

        show("  token of: %s", octets[3] < token.length - 4 ? mech_text(&mech) : "?");
    }
    SHOW("import exported", gss_import_name(&minor, &token, GSS_C_NT_EXPORT_NAME, &again));
    if (!GSS_ERROR(major)) {
        show_name("  again", again);
        SHOW("  compare with the exported", gss_compare_name(&minor, again, name, &equal));
        show("  equal: %d", equal);
        SHOW("  compare with the original", gss_compare_name(&minor, again, original, &equal));
        show("  equal: %d", equal);
    }
    gss_release_name(&minor, &again);
    gss_release_buffer(&minor, &token);
}

static void every_function(gss_name_t name)
{
    gss_name_t copy = GSS_C_NO_NAME, other = imported("other@SPNEGO.TEST", "principal");
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;
    int equal = -1;

    show_name("display", name);
    inquire(name);
    SHOW("duplicate", gss_duplicate_name(&minor, name, &copy));
    show_name("  copy", copy);
    SHOW("compare with its copy", gss_compare_name(&minor, name, copy, &equal));
    show("  equal: %d", equal);
    SHOW("compare with another", gss_compare_name(&minor, name, other, &equal));
    show("  equal: %d", equal);
    SHOW("display_name_ext", gss_display_name_ext(&minor, name, GSS_C_NT_USER_NAME, &text));
    show_buffer("text", major, &text);
    gss_release_buffer(&minor, &text);
    local(name);
    attributes(name);
    exported("export", name, copy);
    gss_release_name(&minor, &copy);
    gss_release_name(&minor, &other);
}

static void canonical(gss_name_t name, const char *mech)
{
    gss_name_t of_mech = GSS_C_NO_NAME;
    OM_uint32 major, minor;
    int equal = -1;

    show("-- canonicalized for %s", mech);
    SHOW("canonicalize", gss_canonicalize_name(&minor, name, mech_oid(mech), &of_mech));
    if (GSS_ERROR(major))
        return;
    SHOW("compare with what it was", gss_compare_name(&minor, name, of_mech, &equal));
    show("  equal: %d", equal);
    every_function(of_mech);
    gss_release_name(&minor, &of_mech);
}

static void kind(const char *text, const char *type)
{
    gss_name_t name = imported(text, type);
    gss_OID_set mechs = GSS_C_NO_OID_SET;
    OM_uint32 major, minor;

    show("== %s as %s", text, type);
    SHOW("inquire_mechs_for_name", gss_inquire_mechs_for_name(&minor, name, &mechs));
    if (!GSS_ERROR(major))
        show_mechs("  mechs", mechs);
    gss_release_oid_set(&minor, &mechs);
    every_function(name);
    canonical(name, option("mech", "spnego"));
    canonical(name, "krb5");
    gss_release_name(&minor, &name);
}

static void compare_with_user(gss_name_t source)
{
    gss_name_t user = imported(option("like", "none"), "user");
    OM_uint32 major, minor;
    int equal = -1;

    if (user == GSS_C_NO_NAME)
        return;
    SHOW("compare with the user", gss_compare_name(&minor, source, user, &equal));
    show("  equal: %d", equal);
    SHOW("compare the user", gss_compare_name(&minor, user, source, &equal));
    show("  equal: %d", equal);
    gss_release_name(&minor, &user);
}

static void of_contexts(void)
{
    struct handshake handshake = {.target = imported("HTTP@localhost", "hostbased"),
                                  .mech = mech_oid(option("mech", "spnego")), .flags = GSS_C_MUTUAL_FLAG};
    gss_name_t names[3] = {GSS_C_NO_NAME, GSS_C_NO_NAME, GSS_C_NO_NAME};
    int count = strcmp(option("ask_target", "yes"), "yes") == 0 ? 3 : 2;
    const char *labels[] = {"accept's source", "the context's source", "the context's target"};
    OM_uint32 minor;

    if (!shake_hands(&handshake))
        stop("no handshake");
    compare_with_user(handshake.peer);
    MUST("inquire_context", gss_inquire_context(&minor, handshake.acceptor, &names[1],
                                                count == 3 ? &names[2] : NULL, NULL, NULL, NULL,
                                                NULL, NULL));
    names[0] = handshake.peer;
    handshake.peer = GSS_C_NO_NAME;
    for (int i = 0; i < count; i++) {
        show("== %s", labels[i]);
        every_function(names[i]);
        canonical(names[i], option("mech", "spnego"));
        gss_release_name(&minor, &names[i]);
    }
    end_handshake(&handshake);
    gss_release_name(&minor, &handshake.target);
}

int main(int argc, char **argv)
{
    take_options(argc, argv);
    if (strcmp(option("of", "all"), "contexts") != 0) {
        kind("user@SPNEGO.TEST", "principal");
        kind("user", "user");
        kind("HTTP@localhost", "hostbased");
        kind("0", "string_uid");
        kind("a name that no mechanism has", "none");
    }
    of_contexts();
    show_plugin();
    return 0;
}
