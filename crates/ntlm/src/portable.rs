//! Contexts as octets, to be taken up by another process: established ones and half-done ones.
//! The form is ours, has a version, and is as secret as the keys in it.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;

use super::acceptor::Challenged;
use super::accounts::UserName;
use super::initiator::Offered;
use super::message::LONGEST;
use super::outstanding::OUTSTANDING;
use super::rc4::Rc4;
use super::response::copied;
use super::session::{MessageError, Session};
use super::target::TargetFit;
use super::{Established, Ntlm, Stage};
use spnego::role::Role;
use spnego::secret::Secret;

impl Ntlm {
    /// GSS_Export_sec_context, at any stage but failure. The context is gone then, so that no two
    /// of it can use one key stream. A half-done context has no secret in it.
    ///
    /// # Errors
    /// The context has failed.
    pub fn export(self) -> Result<Secret<Vec<u8>>, MessageError> {
        let mut out = Writer::new();
        match &self.stage {
            Stage::Failed => return Err(MessageError::NoContext),
            Stage::Offered(offered) => {
                out.octets(&[kind::OFFERED, offered.confidential.into()]);
                out.octets(&offered.flags.to_le_bytes());
                out.octets(&offered.negotiate);
            }
            Stage::Challenged(challenged) => {
                out.octets(&[kind::CHALLENGED]);
                out.octets(&challenged.flags.to_le_bytes());
                out.octets(&challenged.challenge);
                out.octets(&challenged.timestamp.to_le_bytes());
                out.sized(&challenged.transcript);
            }
            Stage::Established(done) => {
                let role = match done.session.role {
                    Role::Initiator => kind::INITIATOR,
                    Role::Acceptor => kind::ACCEPTOR,
                };
                out.octets(&[role]);
                done.write(&mut out).ok_or(MessageError::NoContext)?;
            }
        }
        match &self.target {
            Some(target) => {
                out.octets(&[1]);
                out.sized(target.as_bytes());
            }
            None => out.octets(&[0]),
        }
        Ok(out.0)
    }

    /// GSS_Import_sec_context. `None` when the octets are not of an exported context of this
    /// version. Who made them is for the caller to be sure of.
    pub fn import(octets: &[u8]) -> Option<Self> {
        let mut input = Reader(octets.strip_prefix(&FRONT)?);
        let stage = match input.array()? {
            [kind::OFFERED] => Stage::Offered(Offered {
                confidential: input.array()? == &[1],
                flags: u32::from_le_bytes(*input.array()?),
                negotiate: *input.array()?,
            }),
            [kind::CHALLENGED] => {
                let flags = u32::from_le_bytes(*input.array()?);
                let challenge = *input.array()?;
                Stage::Challenged(Challenged {
                    flags,
                    challenge,
                    timestamp: u64::from_le_bytes(*input.array()?),
                    transcript: input.sized()?.to_vec(),
                    _outstanding: OUTSTANDING.remember(challenge, None),
                })
            }
            [kind::INITIATOR] => {
                Stage::Established(Established::read(Role::Initiator, &mut input)?)
            }
            [kind::ACCEPTOR] => Stage::Established(Established::read(Role::Acceptor, &mut input)?),
            _ => return None,
        };
        let target = match input.array()? {
            [0] => None,
            [1] => Some(input.text()?),
            _ => return None,
        };
        input.0.is_empty().then_some(Self { stage, target })
    }
}

impl Established {
    fn write(&self, out: &mut Writer) -> Option<()> {
        let session = &self.session;
        out.octets(&session.flags.to_le_bytes());
        out.octets(session.key.expose());
        let only_signs = session.peer_only_signs().load(Ordering::Relaxed);
        out.octets(&[self.mic, self.bound, only_signs].map(u8::from));
        out.octets(&[match self.fit {
            TargetFit::Own => 0,
            TargetFit::Other => 1,
            TargetFit::Empty => 2,
            TargetFit::Absent => 3,
        }]);
        for (sequence, cipher) in session.progress()? {
            out.octets(&sequence.to_le_bytes());
            out.octets(cipher.expose());
        }
        out.sized(self.initiator.domain.as_bytes());
        out.sized(self.initiator.user.as_bytes());
        Some(())
    }

    fn read(role: Role, input: &mut Reader<'_>) -> Option<Box<Self>> {
        let flags = u32::from_le_bytes(*input.array()?);
        let mut session = Session::new(flags, role, copied(input.array()?));
        let [mic, bound, only_signs] = input.array()?.map(|octet: u8| octet == 1);
        session
            .peer_only_signs()
            .store(only_signs, Ordering::Relaxed);
        let fit = match input.array()? {
            [0] => TargetFit::Own,
            [1] => TargetFit::Other,
            [2] => TargetFit::Empty,
            [3] => TargetFit::Absent,
            _ => return None,
        };
        let mut direction = || {
            let sequence = u32::from_le_bytes(*input.array()?);
            Some((sequence, input.array::<{ Rc4::OCTETS }>()?))
        };
        let progress = [direction()?, direction()?];
        session.resume(progress)?;
        let domain = input.text()?;
        let user = input.text()?;
        Some(Box::new(Self {
            session,
            initiator: UserName { domain, user },
            mic,
            bound,
            fit,
        }))
    }
}

struct Writer(Secret<Vec<u8>>);

impl Writer {
    /// With room for an established context and long names, so that a key is seldom copied by
    /// growing.
    fn new() -> Self {
        let mut out = Vec::with_capacity(2048);
        out.extend_from_slice(&FRONT);
        Self(Secret::new(out))
    }

    fn octets(&mut self, octets: &[u8]) {
        self.0.expose_mut().extend_from_slice(octets);
    }

    fn sized(&mut self, octets: &[u8]) {
        // No message and no name is longer than two messages together.
        let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        self.octets(&length.to_le_bytes());
        self.octets(octets);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(*self.array()?)).ok()?;
        if length > LONGEST.saturating_mul(2) {
            return None;
        }
        let (octets, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(octets)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.sized()?.to_vec()).ok()
    }
}

/// Whose they are, and the version of the form.
const FRONT: [u8; 5] = *b"NTLM\x02";

mod kind {
    pub(super) const OFFERED: u8 = 1;
    pub(super) const CHALLENGED: u8 = 2;
    pub(super) const INITIATOR: u8 = 3;
    pub(super) const ACCEPTOR: u8 = 4;
}
