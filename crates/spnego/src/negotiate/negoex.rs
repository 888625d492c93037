//! NEGOEX as a protocol: a mechanism of SPNEGO that negotiates mechanisms of its own, which it names
//! by GUIDs, exchanges their metadata, and protects all of it by checksums (MS-NEGOEX section 3.1).
//! No C, no clock, no I/O: what is done with a mechanism comes as the trait [`Schemes`].
#![forbid(unsafe_code)]

use std::mem;

use crate::error::{Cause, Major, MechError, major};
use crate::negotiate::Step;
use crate::oid::{self, Oid};
use crate::role::Role;
use crate::secret::Secret;
use crate::trace;
use crate::wire::negoex::{self, Body, Guid, Invalid, Message, RANDOM};

/// What is done with mechanisms and their keys in one call; made anew for each token, as
/// [`crate::negotiate::Mechs`] is.
pub trait Schemes {
    /// A mechanism's security context.
    type Context;

    /// GSS_Query_meta_data: what the other side's mechanism is to have, if anything.
    ///
    /// # Errors
    /// Why the mechanism cannot be used.
    fn query_meta_data(
        &mut self,
        mech: &Oid,
        context: &mut Option<Self::Context>,
    ) -> Result<Vec<u8>, MechError>;

    /// GSS_Exchange_meta_data: what the other side's mechanism has sent.
    ///
    /// # Errors
    /// Why the mechanism cannot be used.
    fn exchange_meta_data(
        &mut self,
        mech: &Oid,
        context: &mut Option<Self::Context>,
        data: &[u8],
    ) -> Result<(), MechError>;

    /// GSS_Init_sec_context or GSS_Accept_sec_context. There may be a context before the first token,
    /// made for metadata.
    ///
    /// # Errors
    /// Why it failed, with the token that the peer is to have in spite of it.
    fn step(
        &mut self,
        mech: &Oid,
        context: &mut Option<Self::Context>,
        token: Option<&[u8]>,
    ) -> Result<Step<Vec<u8>>, MechError>;

    /// The keys that a context has by now (GSS_C_INQ_NEGOEX_KEY, GSS_C_INQ_NEGOEX_VERIFY_KEY).
    ///
    /// # Errors
    /// When what it gives is no key.
    fn keys(&mut self, mech: &Oid, context: &mut Self::Context) -> Result<Keys, MechError>;

    /// Whether an established context can protect messages, and so the mechListMIC.
    fn integrity(&self, context: &Self::Context) -> bool;

    /// Make a checksum of RFC 3961, of the mandatory type for the key, over octets.
    ///
    /// # Errors
    /// What the Kerberos library says.
    fn checksum(&mut self, key: &Key, usage: u32, octets: &[u8]) -> Result<Checksum, MechError>;

    /// Whether a checksum is the one over two pieces of octets one behind the other, and keyed.
    ///
    /// # Errors
    /// What the Kerberos library says.
    fn verify(
        &mut self,
        key: &Key,
        usage: u32,
        octets: [&[u8]; 2],
        kind: i32,
        checksum: &[u8],
    ) -> Result<bool, MechError>;

    /// Fill these with octets that nobody can predict.
    ///
    /// # Errors
    /// When there are none.
    fn random(&mut self, octets: &mut [u8]) -> Result<(), MechError>;

    /// Whether the first mechanism's first token goes with the offer.
    fn is_optimistic(&self) -> bool;
}

/// A key of RFC 3961.
#[derive(Debug)]
pub struct Key {
    /// Its encryption type.
    pub kind: i32,
    /// Its octets.
    pub octets: Secret<Vec<u8>>,
}

/// The keys of a context, each as soon as there is one.
#[derive(Debug, Default)]
pub struct Keys {
    /// For this side's checksums.
    pub own: Option<Key>,
    /// For those of the peer.
    pub peer: Option<Key>,
}

/// A checksum of RFC 3961.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Its type.
    pub kind: i32,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// One side of a conversation.
#[derive(Debug)]
pub struct Negoex<C> {
    role: Role,
    /// What may still be taken, best first. Once a mechanism is taken it is alone.
    entries: Vec<Entry<C>>,
    conversation: Guid,
    /// The number of the next message, of either side.
    sequence: u32,
    /// All messages so far, of both sides.
    transcript: Vec<u8>,
    turn: Turn,
    /// This side named more than one scheme, so that there is a choice to be protected.
    had_choice: bool,
    /// Neither side has a key, and the mechListMIC protects what there is.
    is_keyless: bool,
    /// The mechanism that was taken has failed, and the peer has been told in its words.
    failed: Option<MechError>,
}

/// Which token of this side comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    First,
    Second,
    Later,
}

/// One mechanism.
#[derive(Debug)]
struct Entry<C> {
    mech: Oid,
    scheme: Guid,
    context: Option<C>,
    /// Its metadata for the peer.
    meta_data: Vec<u8>,
    keys: Keys,
    /// It has made a token.
    is_begun: bool,
    is_established: bool,
    has_sent_checksum: bool,
    has_verified_checksum: bool,
}

impl<C> Negoex<C> {
    /// A side that can use these mechanisms, best first, each with its scheme.
    pub fn new(role: Role, mechs: impl IntoIterator<Item = (Oid, Guid)>) -> Self {
        let entry = |(mech, scheme)| Entry {
            mech,
            scheme,
            context: None,
            meta_data: Vec::new(),
            keys: Keys::default(),
            is_begun: false,
            is_established: false,
            has_sent_checksum: false,
            has_verified_checksum: false,
        };
        Self {
            role,
            entries: mechs.into_iter().map(entry).collect(),
            conversation: Guid::default(),
            sequence: 0,
            transcript: Vec::new(),
            turn: Turn::First,
            had_choice: false,
            is_keyless: false,
            failed: None,
        }
    }

    /// The mechanism that is taken, or would be, and its context.
    pub fn current(&self) -> Option<(&Oid, Option<&C>)> {
        let first = self.entries.first()?;
        Some((&first.mech, first.context.as_ref()))
    }

    /// Its context alone, to be changed.
    pub fn context_mut(&mut self) -> Option<&mut C> {
        self.entries.first_mut()?.context.as_mut()
    }

    /// Give the context up that has been established.
    pub fn into_context(self) -> Option<(Oid, C)> {
        let first = self.entries.into_iter().next()?;
        first.context.map(|context| (first.mech, context))
    }

    /// Whether nothing but a mechListMIC protects the choice.
    pub fn demands_mic(&self) -> bool {
        self.is_keyless
    }

    /// Take the peer's token, if there is one yet, and make this side's next.
    ///
    /// # Errors
    /// What is wrong with the token, or the failure of the mechanism that was taken; the
    /// conversation is over then.
    pub fn step<S: Schemes<Context = C>>(
        &mut self,
        token: Option<&[u8]>,
        schemes: &mut S,
    ) -> Result<Step<Vec<u8>>, MechError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let token = token.unwrap_or_default();
        let may_be_silent = self.role == Role::Initiator && self.turn == Turn::First;
        if token.is_empty() != may_be_silent {
            return Err(defective("a token is empty, or not expected".to_owned()));
        }
        let messages = self.receive(token)?;
        self.hear_alerts(&messages, schemes)?;
        match (self.role, self.turn) {
            (Role::Initiator, Turn::First) => {
                schemes.random(&mut self.conversation.0)?;
                self.query_meta_data(schemes);
                self.had_choice = self.entries.len() > 1;
            }
            (Role::Initiator, Turn::Second) => {
                self.judge_optimistic(&messages);
                self.exchange_meta_data(&messages, schemes);
                self.follow(nego(&messages, Role::Acceptor)?);
            }
            (Role::Acceptor, Turn::First) => {
                self.restrict(nego(&messages, Role::Initiator)?);
                self.exchange_meta_data(&messages, schemes);
                self.query_meta_data(schemes);
            }
            (_, Turn::Later) | (Role::Acceptor, Turn::Second) => {}
        }
        if self.entries.is_empty() {
            return Err(no_common_scheme());
        }
        let made = match self.role {
            Role::Initiator => self.initiate(&messages, schemes)?,
            Role::Acceptor => self.accept(&messages, schemes)?,
        };
        if self.role == Role::Initiator && self.turn == Turn::Second {
            self.entries.truncate(1);
        }
        let lacks_key = match &self.failed {
            None => self.verify(&messages, token, schemes)?,
            Some(_) => false,
        };
        self.extend_transcript(token)?;
        let output = self.speak(made, lacks_key, schemes)?;
        self.turn = match self.turn {
            Turn::First => Turn::Second,
            Turn::Second | Turn::Later => Turn::Later,
        };
        let first = self.first()?;
        if first.is_established && (first.has_verified_checksum || self.is_keyless) {
            return Ok(Step::Done((!output.is_empty()).then_some(output)));
        }
        Ok(Step::Continue(output))
    }

    /// The messages of a token, when they go on where the conversation stands.
    fn receive<'t>(&mut self, token: &'t [u8]) -> Result<Vec<Message<'t>>, MechError> {
        let messages = negoex::decode(token).map_err(|invalid| invalid_token(&invalid))?;
        for message in &messages {
            if message.sequence != self.sequence {
                return Err(defective(format!(
                    "NegoEx message out of sequence: {} where {} must be",
                    message.sequence, self.sequence
                )));
            }
            if message.sequence == 0 {
                self.conversation = message.conversation;
            } else if message.conversation != self.conversation {
                return Err(defective("Invalid NegoEx conversation ID".to_owned()));
            }
            self.count()?;
            trace!(NegoexReceived {
                sequence: message.sequence,
                kind: message.body.name(),
                schemes: &message.body.schemes(),
            });
        }
        Ok(messages)
    }

    fn count(&mut self) -> Result<(), MechError> {
        let next = self.sequence.checked_add(1);
        self.sequence = next.ok_or_else(|| defective("too many NegoEx messages".to_owned()))?;
        Ok(())
    }

    fn extend_transcript(&mut self, token: &[u8]) -> Result<(), MechError> {
        if self.transcript.len().saturating_add(token.len()) > LONGEST_TRANSCRIPT {
            return Err(defective(format!(
                "a NegoEx conversation of more than {LONGEST_TRANSCRIPT} octets"
            )));
        }
        self.transcript.extend_from_slice(token);
        Ok(())
    }

    /// A peer that had no key to verify a checksum with is sent it again, by what keys there are
    /// then (section 3.1.5.7).
    fn hear_alerts<S: Schemes<Context = C>>(
        &mut self,
        messages: &[Message<'_>],
        schemes: &mut S,
    ) -> Result<(), MechError> {
        for message in messages {
            let Body::Alert {
                scheme,
                verify_no_key: true,
            } = message.body
            else {
                continue;
            };
            if let Some(entry) = self.entries.iter_mut().find(|entry| entry.scheme == scheme) {
                entry.has_sent_checksum = false;
                entry.keys = Keys::default();
                if entry.is_established {
                    entry.find_keys(schemes)?;
                }
            }
        }
        Ok(())
    }

    /// Drop the mechanisms that have nothing to do with this peer: those that fail to say so.
    fn query_meta_data<S: Schemes<Context = C>>(&mut self, schemes: &mut S) {
        self.entries.retain_mut(|entry| {
            match schemes.query_meta_data(&entry.mech, &mut entry.context) {
                Ok(data) => {
                    entry.meta_data = data;
                    true
                }
                Err(error) => entry.is_dropped(&error),
            }
        });
    }

    fn exchange_meta_data<S: Schemes<Context = C>>(
        &mut self,
        messages: &[Message<'_>],
        schemes: &mut S,
    ) {
        for message in messages {
            let Body::MetaData { from, scheme, data } = message.body else {
                continue;
            };
            let found = self.entries.iter().position(|entry| entry.scheme == scheme);
            let (Some(at), true) = (found, from == self.role.peer()) else {
                continue;
            };
            let Some(entry) = self.entries.get_mut(at) else {
                continue;
            };
            let outcome = schemes.exchange_meta_data(&entry.mech, &mut entry.context, data);
            if let Err(error) = outcome {
                entry.is_dropped(&error);
                self.entries.remove(at);
            }
        }
    }

    /// An acceptor that has used the optimistic token answers it, or has verified by it; one that has
    /// not leaves the initiator to begin anew.
    fn judge_optimistic(&mut self, messages: &[Message<'_>]) {
        let Some(first) = self.entries.first_mut().filter(|first| first.is_begun) else {
            return;
        };
        let is_used = messages.iter().any(|message| match message.body {
            Body::Exchange { from, .. } => from == Role::Acceptor,
            Body::Verify { .. } => true,
            _ => false,
        });
        if is_used {
            self.entries.truncate(1);
        } else {
            first.restart();
        }
    }

    /// Keep what the acceptor has too, in the acceptor's order.
    fn follow(&mut self, theirs: negoex::Schemes<'_>) {
        let mut left = mem::take(&mut self.entries);
        for scheme in theirs.iter() {
            if let Some(at) = left.iter().position(|entry| entry.scheme == scheme) {
                self.entries.push(left.remove(at));
            }
        }
    }

    /// Keep what the initiator has too, in this side's own order.
    fn restrict(&mut self, theirs: negoex::Schemes<'_>) {
        self.entries
            .retain(|entry| theirs.iter().any(|scheme| scheme == entry.scheme));
    }

    /// Run the initiator's mechanism, or the next that works where nobody has committed to one.
    fn initiate<S: Schemes<Context = C>>(
        &mut self,
        messages: &[Message<'_>],
        schemes: &mut S,
    ) -> Result<Option<Vec<u8>>, MechError> {
        if self.turn == Turn::First && !schemes.is_optimistic() {
            return Ok(None);
        }
        let first = self.first()?;
        // The first challenge may be one for a mechanism that its metadata has ruled out.
        let mut token = exchange(messages, Role::Acceptor)
            .filter(|(scheme, _)| *scheme == first.scheme)
            .map(|(_, token)| token);
        if first.is_established {
            return Ok(None);
        }
        let mut failure = None;
        while let Some(first) = self.entries.first_mut() {
            match first.run(token.take(), schemes) {
                Ok(made) => return Ok(made),
                Err(error) => {
                    first.is_dropped(&error);
                    failure.get_or_insert(error);
                    self.entries.remove(0);
                }
            }
        }
        Err(failure.unwrap_or_else(no_common_scheme))
    }

    /// Run the acceptor's mechanism: the initiator's choice, or for an optimistic token the best.
    fn accept<S: Schemes<Context = C>>(
        &mut self,
        messages: &[Message<'_>],
        schemes: &mut S,
    ) -> Result<Option<Vec<u8>>, MechError> {
        let is_first = self.turn == Turn::First;
        let Some((scheme, token)) = exchange(messages, Role::Initiator) else {
            if is_first || self.first()?.is_established {
                return Ok(None);
            }
            return Err(defective(
                "Missing NegoEx authentication protocol request message".to_owned(),
            ));
        };
        if is_first && self.first()?.scheme != scheme {
            return Ok(None);
        }
        let found = self.entries.iter().position(|entry| entry.scheme == scheme);
        let taken = self.entries.remove(found.ok_or_else(no_common_scheme)?);
        if is_first {
            self.entries.insert(0, taken);
        } else {
            self.entries = vec![taken];
        }
        let first = self.first_mut()?;
        if first.is_established {
            return Ok(None);
        }
        match first.run(Some(token), schemes) {
            // Nothing depends on an optimistic token: the initiator begins anew.
            Err(_) if is_first => {
                first.restart();
                Ok(None)
            }
            Err(error) if error.token.is_some() => {
                let token = error.token.clone();
                self.failed = Some(error);
                Ok(token)
            }
            made => made,
        }
    }

    /// Verify the peer's checksum, if it is there and of the mechanism taken: over all before the
    /// message that it is in. Whether there was no key for that.
    fn verify<S: Schemes<Context = C>>(
        &mut self,
        messages: &[Message<'_>],
        token: &[u8],
        schemes: &mut S,
    ) -> Result<bool, MechError> {
        let usage = usage(self.role.peer());
        let Some(first) = self.entries.first_mut() else {
            return Ok(false);
        };
        let found = messages.iter().find_map(|message| match message.body {
            Body::Verify {
                scheme,
                kind,
                checksum,
            } => Some((message.offset, scheme, kind, checksum)),
            _ => None,
        });
        let Some((offset, _, kind, checksum)) =
            found.filter(|(_, scheme, ..)| *scheme == first.scheme)
        else {
            return Ok(false);
        };
        let Some(key) = &first.keys.peer else {
            return Ok(true);
        };
        let before = token.get(..offset).unwrap_or_default();
        let octets = [self.transcript.as_slice(), before];
        if !schemes.verify(key, usage, octets, kind, checksum)? {
            return Err(MechError {
                major: BAD_SIG,
                ..defective("Invalid NegoEx checksum".to_owned())
            });
        }
        first.has_verified_checksum = true;
        Ok(false)
    }

    /// This side's messages: they are the end of the transcript, and its next token.
    fn speak<S: Schemes<Context = C>>(
        &mut self,
        made: Option<Vec<u8>>,
        lacks_key: bool,
        schemes: &mut S,
    ) -> Result<Vec<u8>, MechError> {
        let begin = self.transcript.len();
        let first = self.first()?;
        let (scheme, is_established) = (first.scheme, first.is_established);
        if made.is_none() && first.has_sent_checksum {
            return Ok(Vec::new());
        }
        if self.turn == Turn::First {
            self.offer(schemes)?;
        }
        let from = self.role;
        if let Some(token) = &made {
            let token = token.as_slice();
            self.say(&Body::Exchange {
                from,
                scheme,
                token,
            })?;
        }
        if lacks_key {
            self.say(&Body::Alert {
                scheme,
                verify_no_key: true,
            })?;
        }
        let first = self.entries.first_mut().ok_or_else(no_common_scheme)?;
        if self.failed.is_none() && !first.has_sent_checksum {
            match first.keys.own.take() {
                Some(key) => {
                    let made = schemes.checksum(&key, usage(from), &self.transcript);
                    first.keys.own = Some(key);
                    let Checksum { kind, octets } = made?;
                    first.has_sent_checksum = true;
                    let checksum = octets.as_slice();
                    self.say(&Body::Verify {
                        scheme,
                        kind,
                        checksum,
                    })?;
                }
                None if is_established => self.go_without_key(schemes)?,
                None => {}
            }
        }
        Ok(self.transcript.split_at(begin).1.to_vec())
    }

    /// The nego message and the metadata.
    fn offer<S: Schemes<Context = C>>(&mut self, schemes: &mut S) -> Result<(), MechError> {
        let mut random = [0; RANDOM];
        schemes.random(&mut random)?;
        let from = self.role;
        let octets: Vec<u8> = self
            .entries
            .iter()
            .flat_map(|entry| entry.scheme.0)
            .collect();
        let nego = Body::Nego {
            from,
            schemes: negoex::Schemes::new(&octets),
        };
        self.say_with(&nego, &random)?;
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(at) else {
                break;
            };
            let (scheme, data) = (entry.scheme, mem::take(&mut entry.meta_data));
            if !data.is_empty() {
                let data = data.as_slice();
                self.say(&Body::MetaData { from, scheme, data })?;
            }
        }
        Ok(())
    }

    fn say(&mut self, body: &Body<'_>) -> Result<(), MechError> {
        self.say_with(body, &[0; RANDOM])
    }

    fn say_with(&mut self, body: &Body<'_>, random: &[u8; RANDOM]) -> Result<(), MechError> {
        let sequence = self.sequence;
        body.encode(&mut self.transcript, self.conversation, sequence, random)
            .map_err(|invalid| invalid_token(&invalid))?;
        self.count()?;
        trace!(NegoexSent {
            sequence,
            kind: body.name(),
            schemes: &body.schemes(),
        });
        Ok(())
    }

    /// An established mechanism without a key: the mechListMIC protects which mechanism of SPNEGO was
    /// taken, and that is enough for an initiator that named no other scheme.
    fn go_without_key<S: Schemes<Context = C>>(&mut self, schemes: &S) -> Result<(), MechError> {
        let signs = self
            .first()?
            .context
            .as_ref()
            .is_some_and(|context| schemes.integrity(context));
        if self.had_choice || !signs {
            return Err(MechError {
                major: major::UNAVAILABLE,
                ..defective("No NegoEx verify key".to_owned())
            });
        }
        self.is_keyless = true;
        Ok(())
    }

    fn first(&self) -> Result<&Entry<C>, MechError> {
        self.entries.first().ok_or_else(no_common_scheme)
    }

    fn first_mut(&mut self) -> Result<&mut Entry<C>, MechError> {
        self.entries.first_mut().ok_or_else(no_common_scheme)
    }
}

impl<C> Entry<C> {
    /// Run the mechanism's next step, and find its keys.
    fn run<S: Schemes<Context = C>>(
        &mut self,
        token: Option<&[u8]>,
        schemes: &mut S,
    ) -> Result<Option<Vec<u8>>, MechError> {
        // Only the first token is made of nothing.
        if self.is_begun && token.is_none() {
            return Err(defective("a NegoEx challenge is missing".to_owned()));
        }
        let step = schemes.step(&self.mech, &mut self.context, token)?;
        self.is_begun = true;
        let token = match step {
            Step::Continue(token) => Some(token),
            Step::Done(token) => {
                self.is_established = true;
                token
            }
        };
        self.find_keys(schemes)?;
        Ok(token.filter(|token| !token.is_empty()))
    }

    fn find_keys<S: Schemes<Context = C>>(&mut self, schemes: &mut S) -> Result<(), MechError> {
        if let Some(context) = &mut self.context {
            let found = schemes.keys(&self.mech, context)?;
            self.keys.own = found.own.or(self.keys.own.take());
            self.keys.peer = found.peer.or(self.keys.peer.take());
        }
        Ok(())
    }

    /// Forget what an optimistic token has begun.
    fn restart(&mut self) {
        self.context = None;
        self.keys = Keys::default();
        self.is_begun = false;
        self.is_established = false;
        self.has_sent_checksum = false;
    }

    /// Trace why it is left out. False, for whoever keeps the others.
    fn is_dropped(&self, error: &MechError) -> bool {
        trace!(Dropped {
            mech: &self.mech,
            reason: &error.reason,
        });
        false
    }
}

/// The schemes of a side's nego message, which has to be there.
fn nego<'t>(messages: &[Message<'t>], of: Role) -> Result<negoex::Schemes<'t>, MechError> {
    let found = messages.iter().find_map(|message| match message.body {
        Body::Nego { from, schemes } if from == of => Some(schemes),
        _ => None,
    });
    found.ok_or_else(|| defective("Missing NegoEx negotiate message".to_owned()))
}

/// The first context token of a side, and its scheme.
fn exchange<'t>(messages: &[Message<'t>], of: Role) -> Option<(Guid, &'t [u8])> {
    messages.iter().find_map(|message| match message.body {
        Body::Exchange {
            from,
            scheme,
            token,
        } if from == of => Some((scheme, token)),
        _ => None,
    })
}

/// The key usage of a side's checksums. The specification has the two the other way round; this is
/// what Windows, MIT krb5 and Heimdal do.
fn usage(of: Role) -> u32 {
    match of {
        Role::Initiator => 25,
        Role::Acceptor => 23,
    }
}

fn invalid_token(invalid: &Invalid) -> MechError {
    let unsupported = matches!(
        invalid,
        Invalid::Version(_) | Invalid::CriticalExtension(_) | Invalid::ChecksumScheme(_)
    );
    failure(
        if unsupported {
            major::UNAVAILABLE
        } else {
            major::DEFECTIVE_TOKEN
        },
        Cause::Refused,
        invalid.to_string(),
    )
}

fn defective(reason: String) -> MechError {
    failure(major::DEFECTIVE_TOKEN, Cause::Refused, reason)
}

/// Nothing is left that both sides can use: another mechanism of SPNEGO may be taken.
fn no_common_scheme() -> MechError {
    failure(
        major::FAILURE,
        Cause::Unusable,
        "No mutually supported NegoEx authentication schemes".to_owned(),
    )
}

fn failure(major: Major, cause: Cause, reason: String) -> MechError {
    MechError {
        mech: oid::NEGOEX,
        major,
        cause,
        reason,
        token: None,
    }
}

/// GSS_S_BAD_SIG of RFC 2744 section 3.9.1.
const BAD_SIG: Major = 6 << 16;

/// The most octets of a conversation that are kept for its checksums: some hundred of the largest
/// tokens that Windows takes (48,000 octets), in either direction.
const LONGEST_TRANSCRIPT: usize = 8 << 20;

#[cfg(test)]
mod tests;
