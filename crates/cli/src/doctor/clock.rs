//! This machine's clock against a KDC's. The KDC is asked for a ticket for a user that does not
//! exist: its error tells the time (RFC 4120 section 5.9.1), and no account is touched.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spnego::error::plain;
use spnego::wire::{Malformed, Reader};

use super::ticket::{context, integer, sequence};

/// What a KDC's clock is ahead of ours, in milliseconds.
///
/// # Errors
/// Why it could not be learnt.
pub(crate) fn offset(kdc: &str, realm: &str) -> Result<i64, String> {
    let address = address(kdc)?;
    let before = now();
    let request = request(realm, before);
    let answer = by_udp(address, &request).or_else(|_| by_tcp(address, &request))?;
    let after = now();
    let theirs = time_of(&answer).ok_or("its answer does not tell the time")?;
    // The KDC read its clock some time between the two.
    Ok(theirs - (before + (after - before) / 2))
}

/// `host`, `host:port`, `[address]:port` as krb5.conf has them, or with a scheme before.
fn address(kdc: &str) -> Result<SocketAddr, String> {
    let place = kdc.rsplit('/').next().unwrap_or(kdc);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("{kdc}: no port"))?)
        }
        _ => (place, KERBEROS_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{host}: {}", plain(&error)))?;
    found.next().ok_or_else(|| format!("{host}: no address"))
}

fn by_udp(kdc: SocketAddr, request: &[u8]) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| plain(&error);
    let any: SocketAddr = match kdc {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).map_err(told)?;
    socket.connect(kdc).map_err(told)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    let mut answer = vec![0; ANSWER_MAX];
    for _ in 0..ATTEMPTS {
        socket.send(request).map_err(told)?;
        if let Ok(length) = socket.recv(&mut answer) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
    Err("it does not answer".to_owned())
}

/// The same with the length before it (RFC 4120 section 7.2.2).
fn by_tcp(kdc: SocketAddr, request: &[u8]) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| plain(&error);
    let mut socket = TcpStream::connect_timeout(&kdc, PATIENCE).map_err(told)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    socket.set_write_timeout(Some(PATIENCE)).map_err(told)?;
    let length = u32::try_from(request.len()).unwrap_or_default();
    let message = [&length.to_be_bytes()[..], request].concat();
    socket.write_all(&message).map_err(told)?;
    let mut length = [0; 4];
    socket.read_exact(&mut length).map_err(told)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let mut answer = vec![0; length.min(ANSWER_MAX)];
    socket.read_exact(&mut answer).map_err(told)?;
    Ok(answer)
}

/// An AS-REQ (RFC 4120 section 5.4.1).
fn request(realm: &str, now: i64) -> Vec<u8> {
    let number = |value: u8| der(0x02, &[value]);
    let string = |text: &str| der(0x1b, text.as_bytes());
    let name = |kind: u8, components: &[&str]| {
        let components: Vec<u8> = components.iter().flat_map(|part| string(part)).collect();
        let fields = [
            der(context(0), &number(kind)),
            der(context(1), &der(0x30, &components)),
        ];
        der(0x30, &fields.concat())
    };
    let etypes: Vec<u8> = [18, 17, 20, 19, 23].into_iter().flat_map(number).collect();
    let body = [
        der(context(0), &der(0x03, &[0, 0, 0, 0, 0])),
        der(context(1), &name(1, &[NOBODY])),
        der(context(2), &string(realm)),
        der(context(3), &name(2, &["krbtgt", realm])),
        der(context(5), &der(0x18, b"19700101000000Z")),
        der(context(7), &der(0x02, &nonce(now))),
        der(context(8), &der(0x30, &etypes)),
    ];
    let fields = [
        der(context(1), &number(5)),
        der(context(2), &number(10)),
        der(context(4), &der(0x30, &body.concat())),
    ];
    der(0x6a, &der(0x30, &fields.concat()))
}

/// A number that the last request had not: a KDC gives its last answer again, with the time of
/// that, when it believes that a request was repeated (MIT's does for two minutes).
fn nonce(now: i64) -> [u8; 4] {
    let [.., a, b, c, d] = now.to_be_bytes();
    // Positive, and in four octets.
    [a & 0x3f | 0x40, b, c, d]
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let short = u8::try_from(length).ok().filter(|length| *length < 0x80);
    let head = match short {
        Some(length) => vec![tag, length],
        None => {
            let octets = length.to_be_bytes();
            let octets: Vec<u8> = octets.into_iter().skip_while(|octet| *octet == 0).collect();
            let count = u8::try_from(octets.len()).unwrap_or_default();
            [&[tag, 0x80 | count][..], &octets].concat()
        }
    };
    [head, content.to_vec()].concat()
}

/// The time in a KRB-ERROR, in milliseconds since 1970.
fn time_of(answer: &[u8]) -> Option<i64> {
    let read = || -> Result<Option<i64>, Malformed> {
        let error = Reader::new(KRB_ERROR, answer).element(APPLICATION_30)?;
        let mut fields = sequence(error)?;
        let (mut seconds, mut micros) = (None, 0);
        while let Some(field) = fields.any()? {
            if field.tag == context(4) {
                seconds = Reader::new(KRB_ERROR, field.content)
                    .element(GENERALIZED_TIME)
                    .map(since_1970)?;
            } else if field.tag == context(5) {
                micros = integer(field.content)?.unwrap_or_default();
            }
        }
        let micros = i64::try_from(micros.min(999_999)).unwrap_or_default();
        Ok(seconds.map(|seconds| seconds * 1000 + micros / 1000))
    };
    read().ok().flatten()
}

/// A KerberosTime, `20261125070000Z` (RFC 4120 section 5.2.3), as seconds since 1970.
fn since_1970(time: &[u8]) -> Option<i64> {
    let digits = time
        .strip_suffix(b"Z")
        .filter(|digits| digits.len() == 14)?;
    let mut numbers = [0_i64; 6];
    let (year, rest) = digits.split_at_checked(4)?;
    let parts = std::iter::once(year).chain(rest.chunks(2));
    for (number, part) in numbers.iter_mut().zip(parts) {
        *number = std::str::from_utf8(part).ok()?.parse().ok()?;
    }
    let [year, month, day, hour, minute, second] = numbers;
    if !(1..=12).contains(&month) {
        return None;
    }
    // Days from 1970-01-01, with the year beginning in March so that the leap day is the last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

/// No realm has a user of this name.
const NOBODY: &str = "nobody-asks-for-the-time";
const KRB_ERROR: &str = "KRB-ERROR";
const APPLICATION_30: u8 = 0x7e;
const GENERALIZED_TIME: u8 = 0x18;
const KERBEROS_PORT: u16 = 88;
/// For each attempt; a KDC answers an error at once.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// An error has a few hundred octets.
const ANSWER_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_protocol_are_read() {
        assert_eq!(since_1970(b"19700101000000Z"), Some(0));
        assert_eq!(since_1970(b"20000229235959Z"), Some(951_868_799));
        assert_eq!(since_1970(b"20261125070000Z"), Some(1_795_590_000));
        for wrong in [
            &b""[..],
            b"20261125070000",
            b"20261325070000Z",
            b"2026112507000aZ",
        ] {
            assert_eq!(since_1970(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_time_is_found_in_an_error_and_in_nothing_else() {
        let fields = [
            der(context(0), &der(2, &[5])),
            der(context(4), &der(0x18, b"20261125070000Z")),
            der(context(5), &der(2, &[3, 0xe8])),
            der(context(6), &der(2, &[6])),
        ];
        let error = der(0x7e, &der(0x30, &fields.concat()));
        assert_eq!(time_of(&error), Some(1_795_590_000_001));
        for length in 0..error.len() {
            assert_eq!(time_of(&error[..length]), None);
        }
        assert_eq!(time_of(&der(0x6b, &der(0x30, &fields.concat()))), None);
    }

    #[test]
    fn no_two_requests_are_the_same() {
        assert_eq!(request("R", 5), request("R", 5));
        assert_ne!(request("R", 5), request("R", 6));
        assert_eq!(nonce(-1), [0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(nonce(0), [0x40, 0, 0, 0]);
    }

    #[test]
    fn places_of_krb5_conf_are_read() {
        for (kdc, wanted) in [
            ("127.0.0.1", "127.0.0.1:88"),
            ("127.0.0.1:750", "127.0.0.1:750"),
            ("tcp/127.0.0.1", "127.0.0.1:88"),
            ("[::1]:750", "[::1]:750"),
            ("[::1]", "[::1]:88"),
        ] {
            assert_eq!(
                address(kdc).map(|address| address.to_string()).as_deref(),
                Ok(wanted)
            );
        }
    }
}
