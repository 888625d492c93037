"""Make a domain for Samba's gensec to accept NTLM in: a database of users in a directory, no daemon.

    gensec_domain.py SETUP DIRECTORY USER PASSWORD

SETUP is the directory of samba-ad-provision that a domain is made of. The domain is called TEST, and
its configuration is etc/smb.conf. Run by the system's Python, which has Samba's modules.
"""

import logging
import sys

import samba.param

SETUP, DIRECTORY, USER, PASSWORD = sys.argv[1:]
# Where the modules look for it is compiled in.
samba.param.setup_dir = lambda: SETUP

from samba.auth import system_session  # noqa: E402
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2  # noqa: E402
from samba.provision import provision  # noqa: E402

made = provision(
    logging.getLogger(), system_session(), targetdir=DIRECTORY, realm="SPNEGO.TEST", domain="TEST",
    hostname="PEER", hostip="127.0.0.1", adminpass="Unused-1", dns_backend="NONE", serverrole="dc",
    dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2, use_ntvfs=True, batch_mode=True)
# Passwords of any kind.
made.samdb.set_pwdProperties("0")
made.samdb.set_minPwdLength("0")
made.samdb.newuser(USER, PASSWORD)
