//! A socket, with TLS or without, whose every operation ends by a set time.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, ServerConnection, StreamOwned};

/// What a connection is made of.
pub(crate) enum Stream {
    Plain(Timed),
    Client(Box<StreamOwned<ClientConnection, Timed>>),
    Server(Box<StreamOwned<ServerConnection, Timed>>),
}

/// A socket with a time at which whatever is going on has to have ended.
pub(crate) struct Timed {
    socket: TcpStream,
    until: Instant,
}

impl Stream {
    /// A connected socket, for `time` from now on.
    pub(crate) fn new(socket: TcpStream, time: Duration) -> Self {
        // Tokens go out at once; where that cannot be had, they go out a little later.
        let _ = socket.set_nodelay(true);
        Self::Plain(Timed {
            socket,
            until: Instant::now() + time,
        })
    }

    /// Allow another `time` from now on.
    pub(crate) fn allow(&mut self, time: Duration) {
        let timed = match self {
            Self::Plain(timed) => timed,
            Self::Client(tls) => &mut tls.sock,
            Self::Server(tls) => &mut tls.sock,
        };
        timed.until = Instant::now() + time;
    }

    /// The certificate of the server at the other end, in DER.
    pub(crate) fn peer_certificate(&self) -> Option<Vec<u8>> {
        let Self::Client(tls) = self else {
            return None;
        };
        let certificate = tls.conn.peer_certificates()?.first()?;
        Some(certificate.to_vec())
    }

    /// The version of TLS; `None` without TLS.
    pub(crate) fn tls(&self) -> Option<String> {
        let version = match self {
            Self::Plain(_) => return None,
            Self::Client(tls) => tls.conn.protocol_version(),
            Self::Server(tls) => tls.conn.protocol_version(),
        };
        let version = version?.as_str()?.to_owned();
        Some(version.replace("TLSv1_", "TLS 1."))
    }
}

impl Read for Stream {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(octets),
            Self::Client(tls) => tls.read(octets),
            Self::Server(tls) => tls.read(octets),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.write(octets),
            Self::Client(tls) => tls.write(octets),
            Self::Server(tls) => tls.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.flush(),
            Self::Client(tls) => tls.flush(),
            Self::Server(tls) => tls.flush(),
        }
    }
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Timed {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(octets)
    }
}

impl Write for Timed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
