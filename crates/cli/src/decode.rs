//! `spnego decode`: every field of a token, and what is wrong with it.
#![forbid(unsafe_code)]

mod dissect;
mod show;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;

use crate::print::{self, Form, Verdict};
use dissect::{input, legs};
use show::Manner;
use spnego::error::plain;

/// Show every field of a token, and what is wrong with it
///
/// Takes base64 or hexadecimal, whole header fields (Authorization, WWW-Authenticate and those of
/// proxies, with Negotiate, Nego2, NTLM or Kerberos), a log of `curl -v`, or the token itself:
/// SPNEGO in all its forms, and the NEGOEX, NTLM, Kerberos and IAKERB in it or by themselves.
/// Fragments of a token are put together. Each line has the offset of a field in its token, its
/// length, its name and its value; what is wrong with it stands below, with the section of the
/// specification that says so.
///
/// A token holds no password. But names of users, machines and domains can be read in it, and from
/// the responses of NTLM and the tickets of Kerberos a password can be guessed offline: treat a
/// token like a password's hash. Those octets are shown with --octets only.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 when nothing is wrong with what was decoded, 1 when something is, 2 when there is \
nothing to decode.

Examples:
  spnego decode YIIFfQYGKwYBBQUCoIIFcTCCBW2g...
  spnego decode 'WWW-Authenticate: Negotiate oYG2MIGzoAMKAQA='
  curl -v --negotiate -u : URL 2>&1 | spnego decode
  spnego decode --json --file token.bin")]
pub(crate) struct Decode {
    /// What to decode; without it, standard input
    token: Vec<String>,
    /// Decode what is in this file, text or binary
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    file: Option<PathBuf>,
    /// Show octets in full, also those from which passwords can be guessed
    #[arg(long)]
    octets: bool,
}

impl Decode {
    pub(crate) fn run(self, form: Form) -> Verdict {
        let octets = self.octets;
        let found = self.input().and_then(|input| input::find(&input));
        let legs = match found {
            Ok(found) => legs::assemble(found),
            Err(sentence) => return print::usage(sentence),
        };
        let manner = Manner {
            legs: legs.len(),
            octets,
        };
        let examined = legs::examine(&legs);
        let wrong = match form {
            Form::Text => show::text(examined, manner),
            Form::Json => show::json(examined, manner),
        };
        match wrong {
            0 => Verdict::Well,
            _ => Verdict::Wrong,
        }
    }

    fn input(self) -> Result<Vec<u8>, String> {
        if let Some(path) = self.file {
            let name = print::harmless(&path.to_string_lossy());
            let file = File::open(&path).map_err(|error| format!("{name}: {}", plain(&error)))?;
            return read(file, &name);
        }
        if !self.token.is_empty() {
            return Ok(self.token.join(" ").into_bytes());
        }
        if io::stdin().is_terminal() {
            return Err(
                "there is nothing to decode: give a token, --file, or pipe into it".to_owned(),
            );
        }
        read(io::stdin().lock(), "standard input")
    }
}

fn read(from: impl Read, name: &str) -> Result<Vec<u8>, String> {
    let mut input = Vec::new();
    from.take(LONGEST + 1)
        .read_to_end(&mut input)
        .map_err(|error| format!("{name}: {}", plain(&error)))?;
    match u64::try_from(input.len()) {
        Ok(length) if length <= LONGEST => Ok(input),
        _ => Err(format!("{name} has more than {LONGEST} octets")),
    }
}

/// The most octets read. A log of a hundred requests with large tickets fits.
const LONGEST: u64 = 0x40_0000;
