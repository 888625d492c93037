//! `spnego`: why a sign-in by Negotiate works or does not. Each subcommand is a file.
#![forbid(unsafe_code)]

mod decode;
mod doctor;
mod get;
mod http;
mod leg;
mod print;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use print::Form;

/// Look into SPNEGO, and find out why a sign-in fails
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Spnego {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Decode(decode::Decode),
    Doctor(doctor::Doctor),
    Get(get::Get),
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    let spnego = Spnego::parse();
    let form = if spnego.json { Form::Json } else { Form::Text };
    let verdict = match spnego.command {
        Command::Decode(decode) => decode.run(form),
        Command::Doctor(doctor) => doctor.run(form),
        Command::Get(get) => get.run(form),
        Command::Serve(serve) => serve.run(form),
    };
    verdict.into()
}

const EXIT_CODES: &str = "\
Exit status: 0 when all is well, 1 when something is wrong, 2 when the command line is.";
