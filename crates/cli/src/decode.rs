//! `spnego decode`: every field of a token, and what is wrong with it.
#![forbid(unsafe_code)]

mod dissect;
mod input;
mod legs;
mod show;

use std::fs::File;
use std::io::{self, Cursor, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;

use crate::print::{self, Form, Verdict};
use show::Manner;
use spnego::error::plain;

/// Show every field of a token, and what is wrong with it
///
/// Takes a token in base64 or hexadecimal, the token itself, and whatever file has tokens in it: logs
/// of curl (`-v`, `--trace`, `--trace-ascii`), HAR, Chromium's NetLog, tshark's JSON and PDML, streams
/// that Wireshark follows, dumps of hexdump, xxd and od, logs of Java, Python, .NET, Apache, nginx, IIS
/// and Squid, lines of SASL; also with gzip, in UTF-16, and with lines that are no text. Header fields
/// (Authorization, WWW-Authenticate and those of proxies, with Negotiate, Nego2, NTLM or Kerberos) are
/// found wherever they stand. What is read may be of any size: it is shown as it comes, and not kept.
///
/// Tokens of SPNEGO are taken apart in all their forms, and the NEGOEX, NTLM, Kerberos and IAKERB in
/// them or by themselves. Fragments of a token are put together. Each line has the offset of a field in
/// its token, its length, its name and its value; what is wrong with it stands below, with the section
/// of the specification that requires otherwise. Doubtful is what is allowed and weak, or likely not
/// meant; a note is good to know.
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
        let manner = Manner {
            octets: self.octets,
        };
        let wrong = self.input().and_then(|(input, name)| {
            let legs = legs::assemble(input::find(input, &name)?);
            match form {
                Form::Text => show::text(legs, manner),
                Form::Json => show::json(legs, manner),
            }
        });
        match wrong {
            Ok(0) => Verdict::Well,
            Ok(_) => Verdict::Wrong,
            Err(sentence) => print::usage(sentence),
        }
    }

    /// What is read, and what it is called.
    fn input(self) -> Result<(Box<dyn Read>, String), String> {
        if let Some(path) = self.file {
            let name = print::harmless(&path.to_string_lossy());
            let file = File::open(&path).map_err(|error| format!("{name}: {}", plain(&error)))?;
            return Ok((Box::new(file), name));
        }
        if !self.token.is_empty() {
            let given = self.token.join(" ").into_bytes();
            return Ok((Box::new(Cursor::new(given)), "what was given".to_owned()));
        }
        if io::stdin().is_terminal() {
            return Err(
                "there is nothing to decode: give a token, --file, or pipe into it".to_owned(),
            );
        }
        Ok((Box::new(io::stdin().lock()), "standard input".to_owned()))
    }
}
