/* Everything two established contexts can say to each other. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "common.h"

/* Both ends call this with the same options; the initiator speaks first. */
void exchange_messages(gss_ctx_id_t context, int initiator);
/* A wrapped message and a MIC each way, for peers that know no more. */
void exchange_few_messages(gss_ctx_id_t context, int initiator);

#endif
