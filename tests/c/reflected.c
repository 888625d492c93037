/* An initiator and an acceptor in one process, as where somebody sends the acceptor's messages back
 * to the process that they come from.
 *
 *   reflected TARGET...    for each target: whether both ends are established, and who refused why
 */
#include "common.h"
#include "handshake.h"

int main(int argc, char **argv)
{
    take_options(argc, argv);
    for (int i = 1; i < argc; i++) {
        struct handshake handshake = {.target = imported(argv[i], "hostbased"),
                                      .mech = mech_oid("spnego"),
                                      .flags = GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG};
        OM_uint32 minor;

        show("== %s", argv[i]);
        if (shake_hands(&handshake) && messages_pass(&handshake)) {
            show("established");
        } else {
            show_status("initiator", handshake.initiator_major, handshake.initiator_minor,
                        handshake.mech);
            show_status("acceptor", handshake.acceptor_major, handshake.acceptor_minor,
                        handshake.mech);
        }
        end_handshake(&handshake);
        gss_release_name(&minor, &handshake.target);
    }
    return 0;
}
