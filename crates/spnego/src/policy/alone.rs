//! What the policy has to say of a mechanism that is used alone, without a negotiation: what is
//! allowed and required in one, as far as it does not rest on what only a negotiation has.
#![forbid(unsafe_code)]

use super::{Downgrade, InForce, NtlmProvider, Rule, Setting, for_context};
use crate::advice::{Trouble, advised};
use crate::error::Error;
use crate::oid::{self, Oid};
use crate::role::Role;

/// The policy for one mechanism alone.
pub struct Alone {
    in_force: InForce,
    role: Role,
    mech: Oid,
}

impl Alone {
    /// The policy in force now. `service` is asked for only when something depends on it.
    pub fn find(role: Role, mech: Oid, service: impl FnOnce() -> Option<String>) -> Self {
        let in_force = for_context(role, service);
        Self {
            in_force,
            role,
            mech,
        }
    }

    /// The side.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The rule that matched; `None`: the settings hold.
    pub fn rule(&self) -> Option<&Rule> {
        self.in_force.rule()
    }

    /// Whether the peer has to prove who it is.
    pub fn requires_mutual(&self) -> bool {
        self.in_force.terms().rules.require.mutual
    }

    /// Whether the mechanism may begin, or go on, for a program that gives channel bindings or not.
    ///
    /// # Errors
    /// `Forbidden`, with who says so.
    pub fn may_go_on(&self, gives_bindings: bool) -> Result<(), Error> {
        self.allowed().map_err(|why| self.forbidden(&why))?;
        if self.role == Role::Acceptor {
            return Ok(());
        }
        let required = self.in_force.required_of_program(|| gives_bindings);
        required.map_err(|why| self.forbidden(&why))
    }

    /// Whether what was established is what is required of it.
    ///
    /// # Errors
    /// `Forbidden`, with who says so.
    pub fn approve(&self, is_mutual: bool, is_bound: bool) -> Result<(), Error> {
        let required = self
            .in_force
            .required_of_context(self.role, is_mutual, is_bound);
        required.map_err(|why| self.forbidden(&why))
    }

    /// Whether the mechanism may be used alone; it is then that of the GSS-API library.
    fn allowed(&self) -> Result<(), String> {
        self.in_force.allows(&self.mech)?;
        let terms = self.in_force.terms();
        let no = |setting, why: &str| {
            let words = format!(
                "not allowed without SPNEGO, {why} {}",
                terms.said_by(setting)
            );
            Err(advised(words, Some(&Trouble::NotNegotiated)))
        };
        if self.mech == oid::NTLMSSP && terms.ntlm == NtlmProvider::Own {
            let why = "where it is the system's NTLM and not our own, by";
            return no(Setting::Ntlm, why);
        }
        if terms.rules.require.mic {
            let why = "which alone has the mechListMIC that is required by";
            return no(Setting::Require, why);
        }
        // A ticket is for the service whose key decrypts it.
        let is_kerberos = self.mech.is_krb5() || self.mech == oid::IAKERB;
        if terms.rules.require.target && self.role == Role::Acceptor && !is_kerberos {
            let why = "where the name that a client asks for is compared, which is required by";
            return no(Setting::Require, why);
        }
        let Some(preferred) = self.preferred() else {
            return Ok(());
        };
        if terms.rules.downgrade == Downgrade::Refuse {
            let why = format!("which protects the choice of it over {preferred:?}, by");
            return no(Setting::Downgrade, &why);
        }
        if self.role == Role::Acceptor && preferred.is_krb5() && !terms.rules.kerberos_fallback {
            let why = "in the place of Kerberos, by";
            return no(Setting::KerberosFallback, why);
        }
        Ok(())
    }

    /// The mechanism that this side prefers: one before it in the administrator's order, or Kerberos.
    fn preferred(&self) -> Option<Oid> {
        let ordered = self.in_force.order(vec![oid::KRB5, oid::NTLMSSP]);
        let prefers = self.in_force.terms().mechs.prefers();
        let mut before = ordered
            .into_iter()
            .take_while(|mech| !mech.same_mech(&self.mech));
        before.find(|mech| prefers || mech.is_krb5())
    }

    fn forbidden(&self, why: &str) -> Error {
        Error::Forbidden(format!("{:?}: {why}", self.mech))
    }
}
