/* What the mechanisms are asked about themselves, and what status codes mean. */
#include "common.h"
#include "handshake.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word;
    const gss_const_OID *oid;
} attributes[] = {
    {"concrete", &GSS_C_MA_MECH_CONCRETE},       {"pseudo", &GSS_C_MA_MECH_PSEUDO},
    {"composite", &GSS_C_MA_MECH_COMPOSITE},     {"nego", &GSS_C_MA_MECH_NEGO},
    {"glue", &GSS_C_MA_MECH_GLUE},               {"not mech", &GSS_C_MA_NOT_MECH},
    {"deprecated", &GSS_C_MA_DEPRECATED},        {"not default", &GSS_C_MA_NOT_DFLT_MECH},
    {"itok framed", &GSS_C_MA_ITOK_FRAMED},      {"auth init", &GSS_C_MA_AUTH_INIT},
    {"auth targ", &GSS_C_MA_AUTH_TARG},          {"deleg cred", &GSS_C_MA_DELEG_CRED},
    {"integ prot", &GSS_C_MA_INTEG_PROT},        {"conf prot", &GSS_C_MA_CONF_PROT},
    {"mic", &GSS_C_MA_MIC},                      {"wrap", &GSS_C_MA_WRAP},
    {"prot ready", &GSS_C_MA_PROT_READY},        {"replay det", &GSS_C_MA_REPLAY_DET},
    {"oos det", &GSS_C_MA_OOS_DET},              {"cbindings", &GSS_C_MA_CBINDINGS},
    {"pfs", &GSS_C_MA_PFS},                      {"ctx trans", &GSS_C_MA_CTX_TRANS},
    {"negoex", &GSS_C_MA_NEGOEX_AND_SPNEGO},
};

static void show_attributes(const char *label, gss_OID_set set)
{
    show("%s: %zu", label, set == NULL ? 0 : set->count);
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        int present = 0;
        OM_uint32 minor;

        if (set != NULL)
            gss_test_oid_set_member(&minor, (gss_OID)*attributes[i].oid, set, &present);
        if (present)
            show("  %s", attributes[i].word);
    }
}

static void about(const char *word)
{
    gss_OID mech = mech_oid(word);
    gss_OID_set of_mech = GSS_C_NO_OID_SET, known = GSS_C_NO_OID_SET, types = GSS_C_NO_OID_SET;
    gss_buffer_desc name = GSS_C_EMPTY_BUFFER, mech_name = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc description = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    show("== %s", word);
    SHOW("inquire_attrs_for_mech", gss_inquire_attrs_for_mech(&minor, mech, &of_mech, &known));
    show_attributes("  of it", of_mech);
    show_attributes("  known", known);
    gss_release_oid_set(&minor, &of_mech);
    gss_release_oid_set(&minor, &known);
    SHOW("inquire_names_for_mech", gss_inquire_names_for_mech(&minor, mech, &types));
    if (!GSS_ERROR(major))
        show_mechs("  types", types);
    gss_release_oid_set(&minor, &types);
    SHOW("inquire_saslname_for_mech",
         gss_inquire_saslname_for_mech(&minor, mech, &name, &mech_name, &description));
    if (!GSS_ERROR(major)) {
        gss_OID found = GSS_C_NO_OID;

        show("  %.*s / %.*s / %.*s", (int)name.length, (char *)name.value, (int)mech_name.length,
             (char *)mech_name.value, (int)description.length, (char *)description.value);
        SHOW("inquire_mech_for_saslname", gss_inquire_mech_for_saslname(&minor, &name, &found));
        show("  mech: %s", mech_text(found));
    }
    gss_release_buffer(&minor, &name);
    gss_release_buffer(&minor, &mech_name);
    gss_release_buffer(&minor, &description);
}

static void with_attribute(const char *label, gss_const_OID wanted, gss_const_OID except)
{
    gss_OID_set_desc want = {1, (gss_OID)wanted}, leave = {1, (gss_OID)except};
    gss_OID_set mechs = GSS_C_NO_OID_SET;
    OM_uint32 major, minor;

    SHOW(label, gss_indicate_mechs_by_attrs(&minor, wanted == NULL ? NULL : &want,
                                            except == NULL ? NULL : &leave, NULL, &mechs));
    show_mechs("  mechs", mechs);
    gss_release_oid_set(&minor, &mechs);
}

/* Everything that display_status is asked: what must hold of its answers, not their words. */
static void codes(void)
{
    static const OM_uint32 minors[] = {0,          1,          2,          22,         0x1234,
                                       0x20000001, 0x20000002, 0x20000003, 0x20000004, 0x20000005,
                                       0x20001001, 0x20001009, 100001,     0x96c73a00, 0xffffffff};
    const char *const mechs[] = {"none", "spnego", "krb5"};

    show("== display_status");
    for (int mech = 0; mech < 3; mech++) {
        for (size_t i = 0; i < sizeof(minors) / sizeof(minors[0]); i++) {
            OM_uint32 major, minor, more = 0;
            gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

            major = gss_display_status(&minor, minors[i], GSS_C_MECH_CODE, mech_oid(mechs[mech]),
                                       &more, &text);
            show("minor 0x%x of %s: %s, %s", minors[i], mechs[mech], major_text(major),
                 GSS_ERROR(major) || text.length > 0 ? "with words" : "without a word");
            gss_release_buffer(&minor, &text);
        }
        for (OM_uint32 error = 0; error < 20; error++) {
            OM_uint32 major, minor, more = 0;
            gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

            major = gss_display_status(&minor, error << 16, GSS_C_GSS_CODE, mech_oid(mechs[mech]),
                                       &more, &text);
            show("major %u of %s: %s, %.*s", error, mechs[mech], major_text(major),
                 (int)text.length, (char *)text.value);
            gss_release_buffer(&minor, &text);
        }
    }
}

/* A failure's text must be had again, on another thread's errors or not, and by parts. */
static void a_failures_words(void)
{
    struct handshake handshake = {.target = imported("nobody@localhost", "hostbased"),
                                  .mech = mech_oid(option("mech", "spnego"))};
    OM_uint32 major, minor, more = 0;
    gss_buffer_desc first = GSS_C_EMPTY_BUFFER, again = GSS_C_EMPTY_BUFFER;

    show("== a failure's words");
    shake_hands(&handshake);
    show("init: %s", major_text(handshake.initiator_major));
    major = gss_display_status(&minor, handshake.initiator_minor, GSS_C_MECH_CODE,
                               mech_oid(option("mech", "spnego")), &more, &first);
    show("words: %s %s", major_text(major), first.length > 0 ? "some" : "none");
    more = 0;
    major = gss_display_status(&minor, handshake.initiator_minor, GSS_C_MECH_CODE,
                               mech_oid(option("mech", "spnego")), &more, &again);
    show("again: %s %s", major_text(major), same_buffer(&first, &again) ? "the same" : "others");
    gss_release_buffer(&minor, &first);
    gss_release_buffer(&minor, &again);
    end_handshake(&handshake);
    gss_release_name(&minor, &handshake.target);
}

int main(int argc, char **argv)
{
    gss_OID_set mechs = GSS_C_NO_OID_SET;
    OM_uint32 major, minor;

    take_options(argc, argv);
    SHOW("indicate_mechs", gss_indicate_mechs(&minor, &mechs));
    show_mechs("  mechs", mechs);
    gss_release_oid_set(&minor, &mechs);
    about(option("mech", "spnego"));
    about("krb5");
    about("unused");
    with_attribute("negotiating", GSS_C_MA_MECH_NEGO, NULL);
    with_attribute("not negotiating", NULL, GSS_C_MA_MECH_NEGO);
    with_attribute("concrete", GSS_C_MA_MECH_CONCRETE, NULL);
    with_attribute("not deprecated", NULL, GSS_C_MA_DEPRECATED);
    codes();
    a_failures_words();
    show_plugin();
    return 0;
}
