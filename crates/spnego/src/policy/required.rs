//! What `require` asks of a mechanism's context, negotiated or alone, and in which words it is missed.
#![forbid(unsafe_code)]

use super::{InForce, Setting};
use crate::advice::{Trouble, advised};
use crate::role::Role;

impl InForce {
    /// What the program may not leave out, before a mechanism begins or goes on.
    ///
    /// # Errors
    /// What is missing, with who requires it.
    #[inline]
    pub fn required_of_program(&self, gives_bindings: impl FnOnce() -> bool) -> Result<(), String> {
        let required = self.terms().rules.require.channel_bindings;
        if !required || gives_bindings() {
            return Ok(());
        }
        Err(self.missing(
            "the program gives no channel bindings, which are required by",
            &Trouble::NoChannelBindings,
        ))
    }

    /// What may not be missing of what is established.
    ///
    /// # Errors
    /// What is, with who requires it.
    pub fn required_of_context(
        &self,
        role: Role,
        is_mutual: bool,
        is_bound: bool,
    ) -> Result<(), String> {
        let required = self.terms().rules.require;
        if required.mutual && !is_mutual {
            let what = "mutual authentication is required by";
            return Err(self.missing(what, &Trouble::Policy));
        }
        // An initiator's mechanism sends them; an acceptor's tells whether they came.
        if required.channel_bindings && role == Role::Acceptor && !is_bound {
            let what = "the initiator has not shown channel bindings, which are required by";
            return Err(self.missing(what, &Trouble::NoChannelBindings));
        }
        Ok(())
    }

    /// The words for something that `require` asks for: `what`, who says so, and what to do.
    #[cold]
    pub fn missing(&self, what: &str, trouble: &Trouble) -> String {
        let by = self.terms().said_by(Setting::Require);
        advised(format!("{what} {by}"), Some(trouble))
    }
}
