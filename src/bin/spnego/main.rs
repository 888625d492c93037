//! `spnego`: why a sign-in by Negotiate works or does not. Each subcommand is a file.
#![forbid(unsafe_code)]

mod decode;
mod doctor;
mod get;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Look into SPNEGO, and find out why a sign-in fails
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
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

/// How a subcommand prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs: one JSON value, or one a line where there are several.
    Json,
}

fn main() -> ExitCode {
    let spnego = Spnego::parse();
    let form = if spnego.json { Form::Json } else { Form::Text };
    match spnego.command {
        Command::Decode(decode) => decode.run(form),
        Command::Doctor(doctor) => doctor.run(form),
        Command::Get(get) => get.run(form),
        Command::Serve(serve) => serve.run(form),
    }
}
