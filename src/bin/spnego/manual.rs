//! doc/spnego.1 is what the parser says of itself. `GSS_SPNEGO_ACCEPT_GENERATED=1 cargo test
//! --features tool --bin spnego` writes it anew.
#![forbid(unsafe_code)]

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::Spnego;

#[test]
fn the_manual_page_is_that_of_the_parser() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/doc/spnego.1");
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
        ".SH NOTES\n",
    );
    page += ".SH \"SEE ALSO\"\n\\fBgss\\-spnego\\fR(8), \\fBkinit\\fR(1), \\fBcurl\\fR(1)\n";
    page
}

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
