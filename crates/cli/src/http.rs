//! HTTP/1.1 over sockets for `get` and `serve`: messages in and out, each within limits of time and
//! size, so that no peer keeps the tool for ever or makes it grow.
#![forbid(unsafe_code)]

pub(crate) mod stream;
pub(crate) mod tls;

use std::io::{self, Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::Field;
use httparse::{EMPTY_HEADER, Status};
use spnego::error::plain;

use crate::wrong::{Code, Wrong};
use stream::Stream;

/// One connection, and what has been read of it beyond the last message.
pub(crate) struct Connection {
    stream: Stream,
    /// Octets that came after what was asked for.
    ahead: Vec<u8>,
}

/// Header fields as they came in.
pub(crate) struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

/// The head of a response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) fields: Fields,
    /// Whether it is HTTP/1.0, whose connections are not kept unless it says so.
    pub(crate) old: bool,
}

/// The head of a request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Fields,
    /// Whether it is HTTP/1.0, whose connections are not kept.
    pub(crate) old: bool,
}

/// How a body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The stream, for TLS inside a tunnel.
    ///
    /// # Errors
    /// When the peer spoke where it has to wait.
    pub(crate) fn into_stream(self) -> Result<Stream, Wrong> {
        if self.ahead.is_empty() {
            Ok(self.stream)
        } else {
            Err(no_http("the proxy sent something before TLS began"))
        }
    }

    /// Send a message, or a part of one. That the peer has closed the connection is seen when
    /// something of it is wanted: it may have said why before.
    pub(crate) fn send(&mut self, octets: &[u8]) -> Result<(), Wrong> {
        let sent = self.stream.write_all(octets);
        match sent.and_then(|()| self.stream.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) if CLOSED.contains(&error.kind()) => Ok(()),
            sent => sent.map_err(|error| Wrong::of_socket(&error)),
        }
    }

    /// The next response's head, interim ones too; `None` when the server has closed the
    /// connection.
    pub(crate) fn response(&mut self) -> Result<Option<Response>, Wrong> {
        self.head(RESPONSE, |octets| {
            let mut headers = [EMPTY_HEADER; FIELDS_MAX];
            let mut response = httparse::Response::new(&mut headers);
            response.parse(octets)?;
            Ok(Response {
                status: response.code.unwrap_or_default(),
                reason: response.reason.unwrap_or_default().to_owned(),
                old: response.version == Some(0),
                fields: Fields::of(response.headers),
            })
        })
    }

    /// The next request's head; `None` when the client has closed the connection.
    pub(crate) fn request(&mut self) -> Result<Option<Request>, Wrong> {
        self.head("request", |octets| {
            let mut headers = [EMPTY_HEADER; FIELDS_MAX];
            let mut request = httparse::Request::new(&mut headers);
            request.parse(octets)?;
            Ok(Request {
                method: request.method.unwrap_or_default().to_owned(),
                target: request.path.unwrap_or_default().to_owned(),
                old: request.version == Some(0),
                fields: Fields::of(request.headers),
            })
        })
    }

    /// Everything up to the empty line after a header section, parsed.
    fn head<T>(
        &mut self,
        what: &str,
        parse: impl Fn(&[u8]) -> Result<T, httparse::Error>,
    ) -> Result<Option<T>, Wrong> {
        let mut looked_at = 0_usize;
        loop {
            let end = end_of_head(&self.ahead, looked_at.saturating_sub(END.len()));
            if let Some(end) = end {
                let rest = self.ahead.split_off(end);
                let head = std::mem::replace(&mut self.ahead, rest);
                return parse(&head)
                    .map(Some)
                    .map_err(|error| malformed(&head, what, error));
            }
            looked_at = self.ahead.len();
            if looked_at > HEAD_MAX {
                return Err(no_http(format!(
                    "the header section of the {what} has more than {HEAD_MAX} octets"
                )));
            }
            if self.more()? == 0 {
                return match self.ahead.is_empty() {
                    true => Ok(None),
                    false => Err(cut_short(&self.ahead, what)),
                };
            }
        }
    }

    /// Read a body into `sink`; how many octets it had.
    ///
    /// # Errors
    /// When it is longer than `most`, is malformed or does not end in time.
    pub(crate) fn body(
        &mut self,
        body: Body,
        most: u64,
        sink: &mut dyn Write,
    ) -> Result<u64, Wrong> {
        let too_long = || no_http(format!("the body has more than {most} octets"));
        match body {
            Body::Length(length) if length > most => Err(too_long()),
            Body::Length(length) => self.pass(length, sink).map(|()| length),
            Body::UntilClose => {
                let mut total = 0;
                loop {
                    let part = std::mem::take(&mut self.ahead);
                    total += u64::try_from(part.len()).unwrap_or(u64::MAX);
                    if total > most {
                        return Err(too_long());
                    }
                    sink.write_all(&part).map_err(|error| unwritten(&error))?;
                    if self.more()? == 0 {
                        return Ok(total);
                    }
                }
            }
            Body::Chunked => {
                let mut total = 0_u64;
                loop {
                    let size = self.chunk_size()?;
                    total = total.saturating_add(size);
                    if total > most {
                        return Err(too_long());
                    }
                    if size == 0 {
                        return self.trailer().map(|()| total);
                    }
                    self.pass(size, sink)?;
                    if !self.line()?.is_empty() {
                        return Err(no_http("a chunk does not end where it says"));
                    }
                }
            }
        }
    }

    /// Exactly `length` octets.
    fn pass(&mut self, mut length: u64, sink: &mut dyn Write) -> Result<(), Wrong> {
        while length > 0 {
            if self.ahead.is_empty() && self.more()? == 0 {
                return Err(in_the_middle("body"));
            }
            let wanted = usize::try_from(length).unwrap_or(usize::MAX);
            let rest = self.ahead.split_off(wanted.min(self.ahead.len()));
            let part = std::mem::replace(&mut self.ahead, rest);
            sink.write_all(&part).map_err(|error| unwritten(&error))?;
            length -= u64::try_from(part.len()).unwrap_or(length);
        }
        Ok(())
    }

    fn chunk_size(&mut self) -> Result<u64, Wrong> {
        let line = [self.line()?, b"\r\n".to_vec()].concat();
        match httparse::parse_chunk_size(&line) {
            Ok(Status::Complete((_, size))) => Ok(size),
            _ => Err(no_http("the size of a chunk is malformed")),
        }
    }

    fn trailer(&mut self) -> Result<(), Wrong> {
        for _ in 0..FIELDS_MAX {
            if self.line()?.is_empty() {
                return Ok(());
            }
        }
        Err(no_http(format!(
            "the trailer has more than {FIELDS_MAX} fields"
        )))
    }

    /// One line of a chunked body, without its end.
    fn line(&mut self) -> Result<Vec<u8>, Wrong> {
        loop {
            if let Some(end) = self.ahead.iter().position(|octet| *octet == b'\n') {
                let rest = self.ahead.split_off(end + 1);
                let line = std::mem::replace(&mut self.ahead, rest);
                return Ok(line.trim_ascii_end().to_vec());
            }
            if self.ahead.len() > LINE_MAX {
                return Err(no_http("a line of a chunked body is too long"));
            }
            if self.more()? == 0 {
                return Err(in_the_middle("body"));
            }
        }
    }

    fn more(&mut self) -> Result<usize, Wrong> {
        let mut part = [0; 16 * 1024];
        let length = match self.stream.read(&mut part) {
            Ok(length) => length,
            // Rudely, or without close_notify: HTTP's own lengths tell whether anything is missing.
            Err(error) if CLOSED.contains(&error.kind()) => 0,
            Err(error) => return Err(Wrong::of_socket(&error)),
        };
        self.ahead.extend(part.iter().take(length));
        Ok(length)
    }
}

impl Fields {
    fn of(headers: &[httparse::Header<'_>]) -> Self {
        let owned = |header: &httparse::Header<'_>| {
            (header.name.as_bytes().to_vec(), header.value.to_vec())
        };
        Self(headers.iter().map(owned).collect())
    }

    /// For the library.
    pub(crate) fn lent(&self) -> Vec<Field<'_>> {
        self.0
            .iter()
            .map(|(name, value)| Field { name, value })
            .collect()
    }

    /// The values of a field.
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// Whether a field that lists words has this one.
    pub(crate) fn has_word(&self, name: &str, word: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|octet| *octet == b','))
            .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// What is said of the body's length, if anything.
    fn length(&self) -> Result<Option<Body>, Wrong> {
        let mut lengths = self.values("Content-Length");
        let length = lengths.next();
        match (self.values("Transfer-Encoding").next(), length) {
            (Some(coding), None) if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => {
                Ok(Some(Body::Chunked))
            }
            (Some(_), None) => Err(no_http("an unknown Transfer-Encoding")),
            (Some(_), Some(_)) => Err(no_http("Transfer-Encoding and Content-Length at once")),
            (None, Some(length)) => std::str::from_utf8(length)
                .ok()
                .filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()))
                .and_then(|text| text.parse().ok())
                .filter(|_| lengths.next().is_none())
                .map(|length| Some(Body::Length(length)))
                .ok_or_else(|| no_http("the Content-Length is malformed")),
            (None, None) => Ok(None),
        }
    }
}

impl Response {
    /// How its body ends.
    pub(crate) fn body(&self, method: &str) -> Result<Body, Wrong> {
        let none = method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304);
        match (none, self.fields.length()?) {
            (true, _) => Ok(Body::Length(0)),
            (false, Some(body)) => Ok(body),
            (false, None) => Ok(Body::UntilClose),
        }
    }
}

impl Request {
    /// How its body ends.
    pub(crate) fn body(&self) -> Result<Body, Wrong> {
        Ok(self.fields.length()?.unwrap_or(Body::Length(0)))
    }
}

/// A token of a header field.
pub(crate) fn decode(token: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(token).ok()
}

/// Where the octets after the first header section begin.
fn end_of_head(octets: &[u8], from: usize) -> Option<usize> {
    let tail = octets.get(from..)?;
    let ends = |end: &[u8]| {
        let at = tail.windows(end.len()).position(|window| window == end)?;
        Some(from + at + end.len())
    };
    [ends(END), ends(BARE_END)].into_iter().flatten().min()
}

/// What is not HTTP, or more of it than anybody sends.
fn no_http(reason: impl Into<String>) -> Wrong {
    Wrong::new(Code::NotHttp, reason)
}

/// A head that does not parse.
fn malformed(head: &[u8], what: &str, error: httparse::Error) -> Wrong {
    if what == RESPONSE && head.starts_with(ALERT) {
        return speaks_tls();
    }
    no_http(format!("the {what} is malformed: {error}"))
}

/// A head that does not end.
fn cut_short(head: &[u8], what: &str) -> Wrong {
    if what == RESPONSE && head.starts_with(ALERT) {
        return speaks_tls();
    }
    in_the_middle(what)
}

fn in_the_middle(what: &str) -> Wrong {
    let reason = format!("the connection was closed in the middle of the {what}");
    Wrong::new(Code::ConnectionClosed, reason)
}

fn speaks_tls() -> Wrong {
    let reason = "the server answers by an alert of TLS, which it speaks on this port";
    Wrong::new(Code::TlsWanted, reason).with_remedy("use https")
}

fn unwritten(error: &io::Error) -> Wrong {
    let reason = format!("the body cannot be written: {}", plain(error));
    Wrong::new(Code::Local, reason)
}

/// Other ends of a connection than the usual one.
const CLOSED: [io::ErrorKind; 2] = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
const RESPONSE: &str = "response";
/// The beginning of an alert of TLS (RFC 8446 section 5.1).
const ALERT: &[u8] = &[21, 3];
const END: &[u8] = b"\r\n\r\n";
const BARE_END: &[u8] = b"\n\n";
/// A token of Kerberos with a large PAC has 48,000 octets or so, 64,000 in base64; what else is in
/// a header section has a few thousand.
const HEAD_MAX: usize = 128 * 1024;
/// More than any program sends; the library that judges the fields has a limit of this order too.
const FIELDS_MAX: usize = 128;
/// The size of a chunk with extensions, which nobody uses, or a trailer's field.
const LINE_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_first_empty_line_wherever_it_was_cut() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest\n\n";
        let end = 24;
        assert_eq!(end_of_head(head, 0), Some(end));
        for cut in 0..end {
            assert_eq!(end_of_head(&head[..cut], 0), None);
            let seen = end_of_head(head, cut.saturating_sub(END.len()));
            assert_eq!(seen, Some(end), "{cut}");
        }
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        let fields = |lines: &[(&str, &str)]| {
            let owned = lines
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            Fields(owned.collect()).length()
        };
        assert_eq!(fields(&[]), Ok(None));
        assert_eq!(
            fields(&[("content-length", "7")]),
            Ok(Some(Body::Length(7)))
        );
        assert_eq!(
            fields(&[("Transfer-Encoding", "Chunked")]),
            Ok(Some(Body::Chunked))
        );
        for wrong in [
            &[("Content-Length", "7"), ("Content-Length", "8")][..],
            &[("Content-Length", "-7")],
            &[("Content-Length", "+7")],
            &[("Content-Length", "99999999999999999999")],
            &[("Content-Length", "7"), ("Transfer-Encoding", "chunked")],
            &[("Transfer-Encoding", "gzip, chunked")],
        ] {
            assert!(fields(wrong).is_err(), "{wrong:?}");
        }
    }
}
