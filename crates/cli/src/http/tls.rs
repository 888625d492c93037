//! TLS for both sides: whom a client trusts, who a server is.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme, StreamOwned,
};
use spnego::error::plain;

use super::stream::Stream;
use crate::wrong::{Code, Wrong};

/// Whom a client trusts.
#[derive(Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// The certificates of this machine.
    System,
    /// Those in a file, and no others.
    File(&'a Path),
    /// Everybody.
    Anybody,
}

/// Make a client's stream one of TLS, the handshake done.
pub(crate) fn connect(stream: Stream, host: &str, trust: Trust<'_>) -> Result<Stream, Wrong> {
    let local = |reason: String| Wrong::new(Code::Local, reason);
    let Stream::Plain(timed) = stream else {
        return Err(local("TLS inside of TLS is not supported".to_owned()));
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| local(error.to_string()))?;
    let configuration = match trust {
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        Trust::System => builder.with_root_certificates(of_system().map_err(local)?),
        Trust::File(file) => builder.with_root_certificates(of_file(file).map_err(local)?),
    }
    .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| local(format!("{host} is no name that a certificate can have")))?;
    let connection = ClientConnection::new(Arc::new(configuration), name)
        .map_err(|error| local(error.to_string()))?;
    let mut tls = StreamOwned::new(connection, timed);
    while tls.conn.is_handshaking() {
        tls.conn
            .complete_io(&mut tls.sock)
            .map_err(|error| not_agreed(&error))?;
    }
    Ok(Stream::Client(Box::new(tls)))
}

/// Why the handshake came to nothing.
fn not_agreed(error: &io::Error) -> Wrong {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match of_tls {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            let reason = "what the server answers is no TLS, which it does not speak on this port";
            Wrong::new(Code::TlsNotSpoken, reason).with_remedy("use http, or another port")
        }
        Some(Error::InvalidCertificate(problem)) => {
            let reason = format!("TLS: the server's certificate is not trusted: {problem}");
            let remedy = "name the certificate of its authority with --cacert";
            Wrong::new(Code::Certificate, reason).with_remedy(remedy)
        }
        Some(problem) => Wrong::new(Code::Tls, format!("TLS: {problem}")),
        None => {
            let wrong = Wrong::of_socket(error);
            if wrong.code != Code::ConnectionClosed {
                return wrong;
            }
            let reason = format!(
                "TLS: the connection was closed in the handshake ({})",
                plain(error)
            );
            Wrong::new(Code::ConnectionClosed, reason)
                .with_remedy("where the server speaks no TLS on this port, use http")
        }
    }
}

/// Who a server is.
pub(crate) struct Identity {
    configuration: Arc<ServerConfig>,
    /// Its certificate, in DER.
    pub(crate) certificate: Vec<u8>,
}

impl Identity {
    /// From PEM files: the certificate, with those above it, and its key.
    pub(crate) fn read(certificates: &Path, key: &Path) -> Result<Self, String> {
        let chain = pem(certificates)?;
        let first = chain.first().map(|first| first.to_vec());
        let certificate =
            first.ok_or_else(|| format!("{}: no certificate in it", certificates.display()))?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| format!("{}: {}", key.display(), plain(&error)))?;
        let configuration = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| plain(&error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| format!("{}: {}", certificates.display(), plain(&error)))?;
        Ok(Self {
            configuration: Arc::new(configuration),
            certificate,
        })
    }

    /// Make a server's stream one of TLS, the handshake done.
    pub(crate) fn accept(&self, stream: Stream) -> Result<Stream, String> {
        let Stream::Plain(timed) = stream else {
            return Err("TLS inside of TLS is not supported".to_owned());
        };
        let connection = ServerConnection::new(Arc::clone(&self.configuration))
            .map_err(|error| plain(&error))?;
        let mut tls = StreamOwned::new(connection, timed);
        while tls.conn.is_handshaking() {
            tls.conn
                .complete_io(&mut tls.sock)
                .map_err(|error| format!("TLS: {}", plain(&error)))?;
        }
        Ok(Stream::Server(Box::new(tls)))
    }
}

fn of_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(
            "this machine has no certificates of authorities (install ca-certificates); \
                    name a file with --cacert"
                .to_owned(),
        );
    }
    Ok(roots)
}

fn of_file(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in pem(file)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{}: {}", file.display(), plain(&error)))?;
    }
    if roots.is_empty() {
        return Err(format!("{}: no certificate in it", file.display()));
    }
    Ok(roots)
}

fn pem(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {}", file.display(), plain(&error)))
}

/// Takes any certificate, as long as its owner has the key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
