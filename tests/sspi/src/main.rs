//! One end of a connection with the SPNEGO of the `sspi` crate over its NTLM, for
//! tests/ntlm_negotiate.rs.
//!
//!     sspi-peer initiator|acceptor computer=NAME user=USER domain=DOMAIN password=PASSWORD
//!
//! Frames come on descriptor 0 and go to descriptor 1, as in tests/c/channel.c; the report goes to
//! descriptor 2.

use std::error::Error;
use std::io::{Read, Write};

use sspi::builders::{AcquireCredentialsHandle, WithoutCredentialUse};
use sspi::ntlm::NtlmConfig;
use sspi::{
    AuthIdentity, BufferType, ClientRequestFlags, CredentialUse, Credentials, CredentialsBuffers,
    DataRepresentation, EncryptionFlags, Negotiate, NegotiateConfig, SecurityBuffer,
    SecurityBufferRef, SecurityStatus, ServerRequestFlags, Sspi, SspiImpl, Username,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const MESSAGE: &[u8] = b"a message of thirty-three octets.";
const TARGET: &str = "HTTP/localhost";
/// The sequence number of an end's second message: the mechListMIC had the first number.
const SECOND: u32 = 2;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let initiates = arguments.get(1).is_some_and(|role| role == "initiator");
    let option = |name: &str| {
        let given = arguments
            .iter()
            .filter_map(|argument| argument.split_once('='));
        let mut given = given.filter(|(key, _)| *key == name);
        given
            .next()
            .map_or(String::new(), |(_, value)| value.to_owned())
    };
    let identity = AuthIdentity {
        username: Username::new(&option("user"), Some(&option("domain")))?,
        password: option("password").into(),
    };
    let mut peer = Peer::new(initiates, &option("computer"), identity)?;
    match peer.negotiate() {
        Ok(()) => send(b'D', &[])?,
        Err(error) => {
            eprintln!("failed: {error}\nnot established");
            send(b'E', &[])?;
            std::process::exit(1);
        }
    }
    loop {
        match receive()? {
            (b'D', _) => break,
            (b'T', _) => {}
            _ => {
                eprintln!("not established");
                std::process::exit(1);
            }
        }
    }
    eprintln!("established");
    if initiates {
        peer.speak()?;
    }
    peer.listen()?;
    if !initiates {
        peer.speak()?;
    }
    Ok(())
}

struct Peer {
    initiates: bool,
    context: Negotiate,
    credentials: Option<CredentialsBuffers>,
}

impl Peer {
    fn new(initiates: bool, computer: &str, identity: AuthIdentity) -> Outcome<Self> {
        let ntlm = NtlmConfig {
            client_computer_name: Some(computer.to_owned()),
        };
        let only = Some("ntlm,!kerberos".to_owned());
        let config = NegotiateConfig::new(Box::new(ntlm), only, computer.to_owned());
        let mut context = if initiates {
            Negotiate::new_client(config)?
        } else {
            Negotiate::new_server(config, vec![identity.clone()])?
        };
        let usage = if initiates {
            CredentialUse::Outbound
        } else {
            CredentialUse::Inbound
        };
        let data = Credentials::AuthIdentity(identity);
        let acquired = AcquireCredentialsHandle::<'_, _, _, WithoutCredentialUse>::new()
            .with_auth_data(&data)
            .with_credential_use(usage)
            .execute(&mut context)?;
        Ok(Self {
            initiates,
            context,
            credentials: acquired.credentials_handle,
        })
    }

    /// Exchange tokens until this end is done.
    fn negotiate(&mut self) -> Outcome<()> {
        let mut token = Vec::new();
        if !self.initiates {
            token = token_of_peer()?;
        }
        loop {
            let (status, answer) = self.step(token)?;
            if !answer.is_empty() {
                send(b'T', &answer)?;
            }
            match status {
                SecurityStatus::Ok => return Ok(()),
                SecurityStatus::ContinueNeeded => token = token_of_peer()?,
                other => return Err(format!("{other:?}").into()),
            }
        }
    }

    fn step(&mut self, token: Vec<u8>) -> Outcome<(SecurityStatus, Vec<u8>)> {
        let mut input = [SecurityBuffer::new(token, BufferType::Token)];
        let mut output = [SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let status = if self.initiates {
            let mut call = self
                .context
                .initialize_security_context()
                .with_credentials_handle(&mut self.credentials)
                .with_context_requirements(
                    ClientRequestFlags::MUTUAL_AUTH
                        | ClientRequestFlags::INTEGRITY
                        | ClientRequestFlags::CONFIDENTIALITY,
                )
                .with_target_data_representation(DataRepresentation::Native)
                .with_target_name(TARGET)
                .with_input(&mut input)
                .with_output(&mut output);
            let mut steps = self.context.initialize_security_context_impl(&mut call)?;
            steps.resolve_to_result()?.status
        } else {
            let call = self
                .context
                .accept_security_context()
                .with_credentials_handle(&mut self.credentials)
                .with_context_requirements(ServerRequestFlags::empty())
                .with_target_data_representation(DataRepresentation::Native)
                .with_input(&mut input)
                .with_output(&mut output);
            let mut steps = self.context.accept_security_context_impl(call)?;
            steps.resolve_to_result()?.status
        };
        let [output] = output;
        Ok((status, output.buffer))
    }

    /// A sealed message and a signature, the first and the second of this end.
    fn speak(&mut self) -> Outcome<()> {
        let (mut signature, mut message) = ([0; 16], MESSAGE.to_vec());
        let mut parts = [
            SecurityBufferRef::token_buf(&mut signature),
            SecurityBufferRef::data_buf(&mut message),
        ];
        self.context
            .encrypt_message(EncryptionFlags::empty(), &mut parts)?;
        send(b'M', &[signature.as_slice(), &message].concat())?;

        let (mut signature, mut message) = ([0; 16], MESSAGE.to_vec());
        let mut parts = [
            SecurityBufferRef::token_buf(&mut signature),
            SecurityBufferRef::data_buf(&mut message),
        ];
        self.context.make_signature(0, &mut parts, SECOND)?;
        send(b'M', &signature)
    }

    /// The same of the other end.
    fn listen(&mut self) -> Outcome<()> {
        let (_, mut token) = receive()?;
        let (signature, message) = token.split_at_mut_checked(16).ok_or("too short")?;
        let mut parts = [
            SecurityBufferRef::token_buf(signature),
            SecurityBufferRef::data_buf(message),
        ];
        self.context.decrypt_message(&mut parts)?;
        let same = token.get(16..) == Some(MESSAGE);
        eprintln!("unwrap: {}", if same { "as sent" } else { "another" });

        let (_, mut signature) = receive()?;
        let mut message = MESSAGE.to_vec();
        let mut parts = [
            SecurityBufferRef::token_buf(&mut signature),
            SecurityBufferRef::data_buf(&mut message),
        ];
        self.context.verify_signature(&mut parts, SECOND)?;
        eprintln!("verify: as sent");
        Ok(())
    }
}

fn token_of_peer() -> Outcome<Vec<u8>> {
    match receive()? {
        (b'T', token) => Ok(token),
        (b'E', _) => Err("the peer has failed".into()),
        _ => Err("the peer is done; this end is not".into()),
    }
}

/// Kind, length in host order, octets.
fn send(kind: u8, octets: &[u8]) -> Outcome<()> {
    let length = u32::try_from(octets.len())?.to_ne_bytes();
    let frame = [&[kind], length.as_slice(), octets].concat();
    let mut output = std::io::stdout().lock();
    output.write_all(&frame)?;
    Ok(output.flush()?)
}

fn receive() -> Outcome<(u8, Vec<u8>)> {
    let mut input = std::io::stdin().lock();
    let (mut kind, mut length) = ([0], [0; 4]);
    input.read_exact(&mut kind)?;
    input.read_exact(&mut length)?;
    let mut octets = vec![0; usize::try_from(u32::from_ne_bytes(length))?];
    input.read_exact(&mut octets)?;
    Ok((kind[0], octets))
}
