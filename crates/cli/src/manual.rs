//! doc/spnego.1 is what the parser says of itself. `GSS_SPNEGO_ACCEPT_GENERATED=1 cargo test
//! --package cli` writes it anew.
#![forbid(unsafe_code)]

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::Spnego;

#[test]
fn the_manual_page_is_that_of_the_parser() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../doc/spnego.1");
    let page = page();
    if std::env::var("GSS_SPNEGO_ACCEPT_GENERATED").as_deref() == Ok("1") {
        std::fs::write(path, &page).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap();
    assert!(
        there == page,
        "doc/spnego.1 is not what the parser says: GSS_SPNEGO_ACCEPT_GENERATED=1 writes it anew"
    );
}

#[test]
fn the_parser_is_sound() {
    Spnego::command().debug_assert();
}

/// One page for the program and all of its subcommands.
fn page() -> String {
    let mut command = Spnego::command().disable_help_subcommand(true);
    command.build();
    let man = Man::new(command.clone());
    let mut page = rendered(|out| man.render_title(out));
    page += &rendered(|out| man.render_name_section(out));
    page += &rendered(|out| man.render_synopsis_section(out));
    page += &rendered(|out| man.render_description_section(out));
    page += &rendered(|out| man.render_options_section(out));
    page += ".SH COMMANDS\n";
    for subcommand in command.get_subcommands() {
        page += &section(subcommand);
    }
    page += &headed(
        &rendered(|out| man.render_extra_section(out)),
        ".SH \"EXIT STATUS\"\n",
    );
    page + REST
}

/// What the parser does not know.
const REST: &str = r#".SH ENVIRONMENT
.TP
\fBKRB5CCNAME\fR, \fBKRB5_KTNAME\fR, \fBKRB5_CONFIG\fR
The ticket cache, the keytab and the configuration of Kerberos, as for every program.
.TP
\fBGSS_MECH_CONFIG\fR
The lines that MIT krb5 loads mechanisms by, in the place of /etc/gss/mech and /etc/gss/mech.d.
.TP
\fBNTLM_USER_FILE\fR
Users and passwords of NTLM.
.TP
\fBGSS_SPNEGO_CONFIG\fR, \fBGSS_SPNEGO_MECHS\fR, \fBGSS_SPNEGO_TRACE\fR and others
As for every program that loads \fBgss\-spnego\fR(8).
.TP
\fBNO_COLOR\fR
No colours, whatever its value is.
.PP
The doctor shows which of these it goes by. No variable names a proxy: \fB\-\-proxy\fR does.
.SH FILES
.TP
\fI/etc/gss/mech.d/*.conf\fR, \fI/etc/gss/mech\fR
The lines that load mechanisms into programs of MIT krb5; those of Heimdal read the latter alone.
.TP
\fI/etc/gss/spnego.conf\fR
The policy, see \fBgss\-spnego\fR(8).
.TP
\fI/etc/krb5.conf\fR, \fI/etc/krb5.keytab\fR
Of Kerberos.
.TP
\fI/usr/share/doc/gss\-spnego/troubleshooting.md\fR
What goes wrong in practice, who says it, and what to do.
.SH EXAMPLES
Find out why a sign\-in to a web server fails:
.PP
  spnego doctor www.example.org
.PP
See what went over the wire:
.PP
  curl \-v \-\-negotiate \-u : https://www.example.org/ 2>&1 | spnego decode
.PP
Sign in, and have the legs as JSON:
.PP
  spnego get \-\-json https://www.example.org/
.PP
Try a keytab, with a server of one's own:
.PP
  KRB5_KTNAME=/tmp/keytab spnego serve \-\-listen 0.0.0.0:8080 &
  spnego get http://$(hostname \-f):8080/
.SH "SEE ALSO"
\fBgss\-spnego\fR(8), \fBkinit\fR(1), \fBcurl\fR(1)
"#;

/// What a subcommand takes and does, below a heading.
fn section(subcommand: &Command) -> String {
    // What all of them have is said once.
    let mut own = subcommand.clone();
    for shared in ["json", "help"] {
        own = own.mut_arg(shared, |option| option.hide(true));
    }
    let man = Man::new(own);
    let mut section = format!(".SS {}\n", subcommand.get_name());
    section += &headed(&rendered(|out| man.render_synopsis_section(out)), "");
    section += &headed(
        &rendered(|out| man.render_description_section(out)),
        ".PP\n",
    );
    section += &headed(&rendered(|out| man.render_options_section(out)), "");
    section += &headed(&rendered(|out| man.render_extra_section(out)), ".PP\n");
    section
}

/// A rendered section under another heading than its own.
fn headed(section: &str, heading: &str) -> String {
    let body: Vec<_> = section
        .lines()
        .filter(|line| {
            !line.starts_with(".SH ") && !line.starts_with(".ie ") && !line.starts_with(".el ")
        })
        .collect();
    match body.is_empty() {
        true => String::new(),
        false => format!("{heading}{}\n", body.join("\n")),
    }
}

fn rendered(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    render(&mut out).expect("a Vec takes all");
    String::from_utf8(out).expect("roff of UTF-8")
}
