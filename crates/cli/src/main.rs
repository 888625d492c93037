//! `spnego`: why a sign-in by Negotiate works or does not. Each subcommand is a file.
#![deny(unsafe_code)]

mod decode;
mod doctor;
mod get;
mod http;
mod leg;
#[allow(unsafe_code, reason = "calls the C library and libkrb5")]
mod library;
#[cfg(test)]
mod manual;
mod print;
mod probe;
mod serve;
mod wrong;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use print::{Form, Verdict};

/// Look into SPNEGO, and find out why a sign-in fails
///
/// Takes the tokens of a sign-in by Negotiate apart, examines this machine, and signs in by itself,
/// as a client and as a server, to show what happens on the way.
#[derive(Parser)]
#[command(name = "spnego", version, arg_required_else_help = true, after_help = EXIT_STATUS)]
struct Spnego {
    #[command(subcommand)]
    command: Command,
    /// Print JSON: one value, or one a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Decode(decode::Decode),
    Doctor(doctor::Doctor),
    Get(get::Get),
    Serve(serve::Serve),
    /// Print completions for a shell
    ///
    /// The installed ones are in the places where bash, zsh and fish look for them.
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    // A child of the doctor's. It is nobody's command, so that help and completions do not have it.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == probe::NAME)
    {
        let probe = probe::Probe::parse_from(std::env::args_os().skip(1));
        return probe.run().into();
    }
    let spnego = Spnego::parse();
    let form = if spnego.json { Form::Json } else { Form::Text };
    let verdict = match spnego.command {
        Command::Decode(decode) => decode.run(form),
        Command::Doctor(doctor) => doctor.run(form),
        Command::Get(get) => get.run(form),
        Command::Serve(serve) => serve.run(form),
        Command::Completions { shell } => completions(shell),
    };
    verdict.into()
}

fn completions(shell: Shell) -> Verdict {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Spnego::command(), "spnego", &mut script);
    print::done(std::io::stdout().write_all(&script));
    Verdict::Well
}

const EXIT_STATUS: &str = "\
Exit status: 0 when all is well, 1 when something is wrong, 2 when the command line is.

Colours are for terminals only; with NO_COLOR in the environment there are none.";
