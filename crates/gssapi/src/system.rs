//! The system's GSS-API library, as a program in Rust asks it: security contexts of its SPNEGO, or
//! of one of its mechanisms alone, for HTTP and for whoever wants to know what works.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::alone::FirstToken;
use crate::environment;
use crate::session::{self, AppCred, Holder, Refused, Terms};
use crate::{Mechglue, call};
use spnego::advice::Trouble;
use spnego::context::{Context, Contexts, Established, Flags, Refusal};
use spnego::error::{Error, Major, major};
use spnego::negotiate::{MicState, Reply};
use spnego::oid::{self, Oid, inquiry};
use spnego::policy::NO_RULE;
use spnego::role::Role;
use spnego::secret::Secret;

/// Whose GSS-API library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// MIT krb5's.
    Mit,
    /// Heimdal's.
    Heimdal,
}

impl Library {
    /// The name by which programs load it.
    pub fn soname(self) -> &'static str {
        match self {
            Self::Mit => "libgssapi_krb5.so.2",
            Self::Heimdal => "libgssapi.so.3",
        }
    }

    /// Have it in this process, for good.
    ///
    /// # Errors
    /// When it is not on this machine.
    pub fn load(self) -> Result<(), Error> {
        self.glue().map(drop)
    }

    /// Find a credential of one mechanism for one side, as a program does that names no principal.
    ///
    /// # Errors
    /// Why there is none.
    pub fn credential(self, mech: &Oid, role: Role) -> Result<Credential, No> {
        let cred = session::acquire(self.glue()?, mech, role, None, None)?;
        let facts = match call::inquire_cred(&cred, true, false) {
            Ok(facts) => facts,
            // MIT's library tells nothing else of it.
            Err(error) if error.major() & major::ROUTINE_ERRORS == major::CREDENTIALS_EXPIRED => {
                return Ok(Credential {
                    name: None,
                    lifetime: 0,
                });
            }
            Err(error) => return Err(error.into()),
        };
        let name = match &facts.name {
            Some(name) => Some(call::display_name(cred.glue(), name)?.0.text()),
            None => None,
        };
        Ok(Credential {
            name,
            lifetime: facts.lifetime,
        })
    }

    /// Whether this project's SPNEGO is the one that makes credentials from passwords, which takes
    /// neither a ticket nor a KDC where the library is MIT's. `None` when it could not be asked.
    pub fn is_ours(self) -> Option<bool> {
        Some(session::ours(self.glue().ok()?)?.is_ok())
    }

    /// Whether an acceptor with the default credential hands a first token of a mechanism to it, as any
    /// program's does; whether that makes something of the token is not asked.
    ///
    /// # Errors
    /// The library's no.
    pub fn accepts_alone(self, token: &[u8]) -> Result<(), No> {
        let terms = Terms {
            mech: oid::SPNEGO,
            cred: Holder::App(AppCred::DEFAULT),
            target: None,
            flags: 0,
            bindings: None,
        };
        let mut session = session::Session::new(self.glue()?, Arc::new(terms));
        session.step(Some(token))?;
        Ok(())
    }

    fn glue(self) -> Result<&'static Mechglue, Error> {
        match self {
            Self::Mit => session::library(),
            Self::Heimdal => session::library_of_heimdal(),
        }
    }
}

/// What a credential tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whose it is; `None` when it does not say.
    pub name: Option<String>,
    /// How many seconds it is good for; `u32::MAX`: for ever; 0: it has expired.
    pub lifetime: u32,
}

/// The library's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct No {
    /// The major status; 0 when it did not come to a call.
    pub major: Major,
    /// Why, in the words of the library or of the mechanism.
    pub reason: String,
    /// What to do about it, where that is known.
    pub trouble: Option<Trouble>,
    /// What the peer gets in spite of it.
    pub token: Option<Vec<u8>>,
}

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        Self {
            major: refused.error.major,
            reason: refused.error.reason,
            trouble: refused.trouble,
            token: refused.error.token,
        }
    }
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        Self {
            major: error.major(),
            reason: error.sentences().join("; "),
            trouble: None,
            token: None,
        }
    }
}

/// Who signs in with a password.
pub struct User {
    /// The name, as the mechanisms read it (`user@REALM`, `DOMAIN\user`).
    pub name: String,
    /// The password.
    pub password: Secret<Vec<u8>>,
}

/// Security contexts that are all begun, or all accepted, in one way.
#[derive(Clone)]
pub struct Sessions {
    glue: &'static Mechglue,
    terms: Arc<Terms>,
}

impl Sessions {
    /// Contexts of `mech` to a service, `HTTP@host` for one.
    ///
    /// `flags` are those of RFC 2744 section 5.19, `bindings` the application data of the channel
    /// bindings. Without a user, the default credential is used.
    ///
    /// # Errors
    /// When the library is not there, or has no credential of this user.
    pub fn to(
        library: Library,
        service: &str,
        mech: Oid,
        flags: Flags,
        bindings: Option<Vec<u8>>,
        user: Option<User>,
    ) -> Result<Self, No> {
        let glue = library.glue()?;
        let target = call::import_name(glue, service.as_bytes(), Some(&oid::HOSTBASED_SERVICE))?;
        let cred = match user {
            None => Holder::App(AppCred::DEFAULT),
            Some(user) => {
                let name = call::import_name(glue, user.name.as_bytes(), Some(&oid::USER_NAME))?;
                let password = Some(user.password.expose().as_slice());
                let made = session::acquire(glue, &mech, Role::Initiator, Some(&name), password);
                Holder::Own(made?)
            }
        };
        let terms = Terms {
            mech,
            cred,
            target: Some(target),
            flags: flags.0,
            bindings,
        };
        Ok(Self::new(glue, terms))
    }

    /// Contexts that wait to be begun by a peer, with the default credential.
    ///
    /// # Errors
    /// When the library is not there.
    pub fn accepting(library: Library, bindings: Option<Vec<u8>>) -> Result<Self, No> {
        let terms = Terms {
            mech: oid::SPNEGO,
            cred: Holder::App(AppCred::DEFAULT),
            target: None,
            flags: 0,
            bindings,
        };
        Ok(Self::new(library.glue()?, terms))
    }

    /// Contexts of this library on these terms.
    pub fn new(glue: &'static Mechglue, terms: Terms) -> Self {
        if terms.target.is_none() {
            environment::install();
        }
        Self {
            glue,
            terms: Arc::new(terms),
        }
    }

    /// A context that has seen no token.
    pub fn session(&self) -> Session {
        Session(
            session::Session::new(self.glue, Arc::clone(&self.terms)),
            FirstToken::Awaited,
        )
    }
}

impl Contexts for Sessions {
    type Context = Session;

    fn start(&mut self) -> Result<Session, Refusal> {
        Ok(self.session())
    }
}

/// One security context of the library. Of an acceptor that a mechanism alone has begun, nothing of
/// ours may stand in it, so the policy has its say here.
pub struct Session(session::Session, FirstToken);

impl Session {
    /// One leg, as [`Context::step`], with what to do about a failure.
    ///
    /// # Errors
    /// The library's no. The context is of no use afterwards.
    pub fn leg(&mut self, token: Option<&[u8]>) -> Result<Reply, No> {
        if self.0.accepts() {
            self.1.judge(token.unwrap_or_default(), &self.0)?;
        }
        let (output, complete) = self.0.step(token)?;
        if complete {
            self.1.approve(&self.0)?;
        }
        let token = (!output.is_empty()).then(|| output.as_ref().to_vec());
        Ok(Reply { token, complete })
    }

    /// Whether this project's SPNEGO stands behind the context. `None` when there is no context that
    /// can be asked: a library that is not ours is not asked before the context is established.
    pub fn is_ours(&self) -> Option<bool> {
        Some(self.0.ask(&inquiry::STATE)?.is_ok())
    }

    /// What this project's SPNEGO tells of the context; `None` when it is another SPNEGO's, or cannot
    /// be asked, as an acceptor's before it is established.
    pub fn told(&self) -> Option<Told> {
        let ask = |question| self.0.ask(question)?.ok();
        let mech = ask(&inquiry::MECH)?;
        let mic = ask(&inquiry::MIC)?;
        let mic = mic
            .first()
            .and_then(|octets| octets.as_slice().try_into().ok());
        let mic = usize::try_from(u32::from_ne_bytes(mic?)).ok()?;
        let dropped = ask(&inquiry::DROPPED)?;
        let dropped = dropped.chunks(2).filter_map(|pair| match pair {
            [mech, reason] => Some((Oid::new(mech)?, text(reason))),
            _ => None,
        });
        Some(Told {
            mech: mech.first().and_then(|mech| Oid::new(mech)),
            mic: *MIC_STATES.get(mic)?,
            dropped: dropped.collect(),
            rule: ask(&inquiry::RULE)?
                .first()
                .map(|rule| text(rule))
                .filter(|rule| rule != NO_RULE),
        })
    }
}

/// What this project's SPNEGO tells of a context (the questions of `gss_spnego.h`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The mechanism that was chosen, or whose token went with the offer.
    pub mech: Option<Oid>,
    /// How far the protection of the list of mechanisms is.
    pub mic: MicState,
    /// The mechanisms that could not be used, and why.
    pub dropped: Vec<(Oid, String)>,
    /// The rule of the configuration that is in force, if any.
    pub rule: Option<String>,
}

impl Context for Session {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Reply, Refusal> {
        self.leg(token).map_err(|no| Refusal {
            reason: no.reason,
            token: no.token,
        })
    }

    fn established(&self) -> Result<Established, Refusal> {
        let (peer, facts) = self
            .0
            .facts()
            .map_err(|error| Refusal::new(error.sentences().join("; ")))?;
        let mut mech = facts.mech.unwrap_or(oid::SPNEGO);
        if mech == oid::SPNEGO {
            // MIT's library does not know our own NTLM.
            mech = self.told().and_then(|told| told.mech).unwrap_or(mech);
        }
        Ok(Established {
            peer,
            mech,
            flags: Flags(facts.flags),
            lifetime: facts.lifetime,
        })
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// By their numbers in `gss_spnego.h`.
const MIC_STATES: [MicState; 6] = [
    MicState::NotNeeded,
    MicState::Required,
    MicState::Sent,
    MicState::Verified,
    MicState::Impossible,
    MicState::Failed,
];
