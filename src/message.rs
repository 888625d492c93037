//! Messages and questions on a context of our own NTLM. A row of `table` comes here when the
//! context is none that can be lent to the glue: not established, or not the glue's.
#![forbid(unsafe_code)]

use super::context::{Context, INDEFINITE, NO_CONTEXT};
use super::inner::Inner;
use args::{Entry, In, Iov, Octets, OidIn, Out, OutOctets, OutSet, Status, octets_of};
use gssapi::{Mechglue, call};
use ntlm::{MessageError, Ntlm, Part, context_flag};
use spnego::error::{Cause, Error, MechError, major};
use spnego::oid::{self, Oid};
use spnego::secret::Secret;
use std::ffi::c_int;

pub(super) fn gss_get_mic(
    _: &'static Mechglue,
    context: In<'_, Context>,
    qop: u32,
    message: Octets<'_>,
    mut mic: OutOctets<'_>,
) -> Status {
    let ntlm = ours(&context)?;
    default_protection(qop)?;
    mic.put(ntlm.mic(message.bytes()).map_err(failed)?.to_vec());
    Ok(major::COMPLETE)
}

pub(super) fn gss_verify_mic(
    _: &'static Mechglue,
    context: In<'_, Context>,
    message: Octets<'_>,
    mic: Octets<'_>,
    _: Out<'_, u32>,
) -> Status {
    let ntlm = ours(&context)?;
    ntlm.verify_mic(message.bytes(), mic.bytes())
        .map_err(failed)?;
    Ok(major::COMPLETE)
}

pub(super) fn gss_wrap(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: c_int,
    qop: u32,
    message: Octets<'_>,
    mut conf_state: Out<'_, c_int>,
    mut output: OutOctets<'_>,
) -> Status {
    let ntlm = ours(&context)?;
    default_protection(qop)?;
    output.put(ntlm.wrap(message.bytes()).map_err(failed)?);
    conf_state.put(confidential(ntlm));
    Ok(major::COMPLETE)
}

pub(super) fn gss_unwrap(
    _: &'static Mechglue,
    context: In<'_, Context>,
    input: Octets<'_>,
    mut message: OutOctets<'_>,
    mut conf_state: Out<'_, c_int>,
    _: Out<'_, u32>,
) -> Status {
    let ntlm = ours(&context)?;
    message.put(ntlm.unwrap(input.bytes()).map_err(failed)?);
    conf_state.put(confidential(ntlm));
    Ok(major::COMPLETE)
}

pub(super) fn gss_wrap_size_limit(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: c_int,
    qop: u32,
    size: u32,
    mut limit: Out<'_, u32>,
) -> Status {
    ours(&context)?;
    default_protection(qop)?;
    limit.put(size.saturating_sub(u32::try_from(Ntlm::OVERHEAD).unwrap_or(u32::MAX)));
    Ok(major::COMPLETE)
}

pub(super) fn gss_wrap_iov(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: c_int,
    qop: u32,
    mut conf_state: Out<'_, c_int>,
    iov: Iov<'_>,
    count: c_int,
) -> Status {
    let ntlm = ours(&context)?;
    default_protection(qop)?;
    let Layout {
        header, message, ..
    } = Layout::of(iov, count)?;
    let header = header.ok_or(NO_HEADER)?;
    if !header.takes(Ntlm::OVERHEAD) {
        return Err(Error::CallerMisused("the IOV's header is too short"));
    }
    let signature = Parts::of(message)?
        .with(|parts| ntlm.wrap_parts(parts))
        .map_err(failed)?;
    header.put(&signature)?;
    conf_state.put(confidential(ntlm));
    Ok(major::COMPLETE)
}

/// As GSS_Wrap_iov arranges it, or a whole token in a stream: then the data is where it is in
/// there.
pub(super) fn gss_unwrap_iov(
    _: &'static Mechglue,
    context: In<'_, Context>,
    mut conf_state: Out<'_, c_int>,
    _: Out<'_, u32>,
    iov: Iov<'_>,
    count: c_int,
) -> Status {
    let ntlm = ours(&context)?;
    let Layout {
        header,
        stream,
        mut message,
        ..
    } = Layout::of(iov, count)?;
    match (header, stream) {
        (_, Some(stream)) => {
            let mut entries = message.iter_mut().enumerate();
            let (at, place) = entries
                .find(|(_, entry)| entry.kind() == DATA)
                .ok_or(NO_DATA)?;
            let data = std::mem::replace(place, stream);
            let parts = Parts::of(message)?;
            let opened =
                parts.open_stream(at, |signature, parts| ntlm.unwrap_parts(signature, parts));
            data.point_at(opened.map_err(failed)?);
        }
        (Some(header), None) => {
            let signature = header.copied();
            Parts::of(message)?
                .with(|parts| ntlm.unwrap_parts(&signature, parts))
                .map_err(failed)?;
        }
        (None, None) => return Err(NO_HEADER),
    }
    conf_state.put(confidential(ntlm));
    Ok(major::COMPLETE)
}

pub(super) fn gss_wrap_iov_length(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: c_int,
    qop: u32,
    mut conf_state: Out<'_, c_int>,
    iov: Iov<'_>,
    count: c_int,
) -> Status {
    let ntlm = ours(&context)?;
    default_protection(qop)?;
    let mut header = Layout::of(iov, count)?.header.ok_or(NO_HEADER)?;
    header.set_length(Ntlm::OVERHEAD);
    conf_state.put(confidential(ntlm));
    Ok(major::COMPLETE)
}

#[expect(clippy::too_many_arguments, reason = "the arguments of gss_wrap_aead")]
pub(super) fn gss_wrap_aead(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: c_int,
    qop: u32,
    associated: Octets<'_>,
    message: Octets<'_>,
    mut conf_state: Out<'_, c_int>,
    mut output: OutOctets<'_>,
) -> Status {
    let ntlm = ours(&context)?;
    default_protection(qop)?;
    let mut token = vec![0; Ntlm::OVERHEAD];
    token.extend_from_slice(message.bytes());
    if let Some((signature, data)) = token.split_at_mut_checked(Ntlm::OVERHEAD) {
        let mut parts = [Part::SignOnly(associated.bytes()), Part::Data(data)];
        signature.copy_from_slice(&ntlm.wrap_parts(&mut parts).map_err(failed)?);
    }
    output.put(token);
    conf_state.put(confidential(ntlm));
    Ok(major::COMPLETE)
}

pub(super) fn gss_unwrap_aead(
    _: &'static Mechglue,
    context: In<'_, Context>,
    input: Octets<'_>,
    associated: Octets<'_>,
    mut message: OutOctets<'_>,
    mut conf_state: Out<'_, c_int>,
    _: Out<'_, u32>,
) -> Status {
    let ntlm = ours(&context)?;
    let (signature, data) = input
        .bytes()
        .split_at_checked(Ntlm::OVERHEAD)
        .ok_or_else(|| failed(MessageError::Defective))?;
    let mut data = data.to_vec();
    let mut parts = [Part::SignOnly(associated.bytes()), Part::Data(&mut data)];
    ntlm.unwrap_parts(signature, &mut parts).map_err(failed)?;
    message.put(data);
    conf_state.put(confidential(ntlm));
    Ok(major::COMPLETE)
}

pub(super) fn gss_get_mic_iov(
    _: &'static Mechglue,
    context: In<'_, Context>,
    qop: u32,
    iov: Iov<'_>,
    count: c_int,
) -> Status {
    let ntlm = ours(&context)?;
    default_protection(qop)?;
    let Layout { mic, message, .. } = Layout::of(iov, count)?;
    let mic = mic.ok_or(NO_MIC)?;
    if !mic.takes(Ntlm::OVERHEAD) {
        return Err(Error::CallerMisused(
            "the IOV's place for a MIC is too short",
        ));
    }
    // A message of which nothing is encrypted is signed by wrapping it.
    let signature = Parts::of(message)?
        .signed_only(|parts| ntlm.wrap_parts(parts))
        .map_err(failed)?;
    mic.put(&signature)?;
    Ok(major::COMPLETE)
}

pub(super) fn gss_verify_mic_iov(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: Out<'_, u32>,
    iov: Iov<'_>,
    count: c_int,
) -> Status {
    let ntlm = ours(&context)?;
    let Layout { mic, message, .. } = Layout::of(iov, count)?;
    let mic = mic.ok_or(NO_MIC)?.copied();
    Parts::of(message)?
        .signed_only(|parts| ntlm.unwrap_parts(&mic, parts))
        .map_err(failed)?;
    Ok(major::COMPLETE)
}

pub(super) fn gss_get_mic_iov_length(
    _: &'static Mechglue,
    context: In<'_, Context>,
    qop: u32,
    iov: Iov<'_>,
    count: c_int,
) -> Status {
    ours(&context)?;
    default_protection(qop)?;
    let mut mic = Layout::of(iov, count)?.mic.ok_or(NO_MIC)?;
    mic.set_length(Ntlm::OVERHEAD);
    Ok(major::COMPLETE)
}

pub(super) fn gss_pseudo_random(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: c_int,
    input: Octets<'_>,
    length: isize,
    mut output: OutOctets<'_>,
) -> Status {
    let ntlm = ours(&context)?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MOST_PSEUDO_RANDOM)
        .ok_or(Error::CallerMisused(
            "the length of a pseudo-random value is negative, or over a mebioctet",
        ))?;
    let mut value = ntlm.pseudo_random(input.bytes(), length).map_err(failed)?;
    output.put(std::mem::take(value.expose_mut()));
    Ok(major::COMPLETE)
}

/// NTLM's contexts do not expire.
pub(super) fn gss_context_time(
    _: &'static Mechglue,
    context: In<'_, Context>,
    mut time_rec: Out<'_, u32>,
) -> Status {
    ours(&context)?;
    time_rec.put(INDEFINITE);
    Ok(major::COMPLETE)
}

/// NTLM has no tokens for an established context.
pub(super) fn gss_process_context_token(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: Octets<'_>,
) -> Status {
    ours(&context)?;
    Err(failed(MessageError::Defective))
}

/// Nothing is left to be done when the application's last message is done.
pub(super) fn gss_complete_auth_token(
    _: &'static Mechglue,
    context: In<'_, Context>,
    _: Octets<'_>,
) -> Status {
    ours(&context)?;
    Ok(major::COMPLETE)
}

pub(super) fn gss_inquire_sec_context_by_oid(
    glue: &'static Mechglue,
    context: In<'_, Context>,
    object: OidIn<'_>,
    mut data: OutSet<'_>,
) -> Status {
    let ntlm = ours(&context)?;
    let answer = match object.value() {
        Some(SESSION_KEY) => ntlm.session_key().map(|key| key.to_vec()),
        Some(SASL_SSF) => Some(ntlm.sasl_ssf().to_be_bytes().to_vec()),
        _ => None,
    };
    let answer = Secret::new(answer.ok_or(Error::Unavailable(
        "our own NTLM does not know the object that is asked for",
    ))?);
    data.put(call::buffer_set(glue, &[answer.expose()])?);
    Ok(major::COMPLETE)
}

/// The context, when it is established and of our own NTLM.
fn ours<'a>(context: &'a In<'_, Context>) -> Result<&'a Ntlm, Error> {
    match context.given()?.ok_or(NO_CONTEXT)?.established()? {
        Inner::Ntlm(own) => Ok(own.ntlm()),
        Inner::Glue(_) => Err(NO_CONTEXT),
    }
}

/// NTLM has one quality of protection.
fn default_protection(qop: u32) -> Result<(), Error> {
    if qop == 0 {
        return Ok(());
    }
    Err(of_ntlm(
        BAD_QOP,
        "NTLM has no quality of protection but the default".to_owned(),
    ))
}

fn confidential(ntlm: &Ntlm) -> c_int {
    c_int::from(ntlm.context_flags() & context_flag::CONFIDENTIALITY != 0)
}

fn failed(error: MessageError) -> Error {
    of_ntlm(error.major(), error.to_string())
}

fn of_ntlm(status: u32, reason: String) -> Error {
    Error::Mech {
        error: MechError {
            mech: oid::NTLMSSP,
            major: status,
            cause: Cause::Refused,
            reason,
            token: None,
        },
        considered: Vec::new(),
    }
}

/// An IOV array by what its entries are for. NTLM has neither padding nor trailer.
#[derive(Default)]
struct Layout<'a> {
    header: Option<Entry<'a>>,
    stream: Option<Entry<'a>>,
    mic: Option<Entry<'a>>,
    /// Data, and what is only signed, in their order.
    message: Vec<Entry<'a>>,
}

impl<'a> Layout<'a> {
    fn of(iov: Iov<'a>, count: c_int) -> Result<Self, Error> {
        let mut layout = Self::default();
        for mut entry in iov.entries(count)? {
            let place = match entry.kind() {
                HEADER => &mut layout.header,
                STREAM => &mut layout.stream,
                MIC_TOKEN => &mut layout.mic,
                DATA | SIGN_ONLY => {
                    layout.message.push(entry);
                    continue;
                }
                PADDING | TRAILER => {
                    entry.set_length(0);
                    continue;
                }
                _ => continue,
            };
            if place.replace(entry).is_some() {
                return Err(Error::CallerMisused("an IOV has two entries of one kind"));
            }
        }
        Ok(layout)
    }
}

/// The octets of a message in pieces, and for each whether it is only signed.
struct Parts<'a>(Vec<(bool, &'a mut [u8])>);

impl<'a> Parts<'a> {
    fn of(message: Vec<Entry<'a>>) -> Result<Self, Error> {
        let only_signed: Vec<bool> = message
            .iter()
            .map(|entry| entry.kind() == SIGN_ONLY)
            .collect();
        let octets = octets_of(message)?;
        Ok(Self(only_signed.into_iter().zip(octets).collect()))
    }

    fn parts(&mut self) -> Vec<Part<'_>> {
        let parts = self.0.iter_mut();
        parts
            .map(|(only_signed, octets)| match only_signed {
                true => Part::SignOnly(octets),
                false => Part::Data(octets),
            })
            .collect()
    }

    /// Open the message whose piece at `at` is a stream, with the signature in front of its data;
    /// what remains of the stream is the data.
    fn open_stream(
        mut self,
        at: usize,
        open: impl FnOnce(&[u8], &mut [Part<'_>]) -> Result<(), MessageError>,
    ) -> Result<&'a mut [u8], MessageError> {
        let (_, stream) = self.0.get_mut(at).ok_or(MessageError::Defective)?;
        let (signature, data) = std::mem::take(stream)
            .split_at_mut_checked(Ntlm::OVERHEAD)
            .ok_or(MessageError::Defective)?;
        *stream = data;
        open(signature, &mut self.parts())?;
        let (_, data) = self.0.swap_remove(at);
        Ok(data)
    }

    fn with<R>(&mut self, run: impl FnOnce(&mut [Part<'_>]) -> R) -> R {
        run(&mut self.parts())
    }

    fn signed_only<R>(&mut self, run: impl FnOnce(&mut [Part<'_>]) -> R) -> R {
        for (only_signed, _) in &mut self.0 {
            *only_signed = true;
        }
        self.with(run)
    }
}

const NO_HEADER: Error = Error::CallerMisused("the IOV has no header");
const NO_DATA: Error = Error::CallerMisused("the IOV has no data");
const NO_MIC: Error = Error::CallerMisused("the IOV has no place for a MIC");

/// GSS_S_BAD_QOP of RFC 2744.
const BAD_QOP: u32 = 14 << 16;

/// More than this is no caller's need but a length that went wrong.
const MOST_PSEUDO_RANDOM: usize = 1 << 20;

/// GSS_IOV_BUFFER_TYPE_* of gssapi_ext.h.
const DATA: u32 = 1;
const HEADER: u32 = 2;
const TRAILER: u32 = 7;
const PADDING: u32 = 9;
const STREAM: u32 = 10;
const SIGN_ONLY: u32 = 11;
const MIC_TOKEN: u32 = 12;

/// GSS_C_INQ_SSPI_SESSION_KEY, 1.2.840.113554.1.2.2.5.5.
const SESSION_KEY: Oid = Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 5, 5]);

/// GSS_C_SEC_CONTEXT_SASL_SSF, 1.2.840.113554.1.2.2.5.15.
const SASL_SSF: Oid = Oid::known([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 5, 15]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_are_those_of_gssapi_ext_h() {
        assert_eq!(SESSION_KEY.to_string(), "1.2.840.113554.1.2.2.5.5");
        assert_eq!(SASL_SSF.to_string(), "1.2.840.113554.1.2.2.5.15");
    }
}
