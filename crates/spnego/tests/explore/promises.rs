//! What must hold of the end of a negotiation, whatever an attacker did, and of one that nobody meddled
//! with.

use spnego::negotiate::MicState;
use spnego::oid::{NTLMSSP, Oid};
use spnego::policy::{Downgrade, Requirements, Rules};

use crate::model::{Fails, Plan, Side};
use crate::network::{Config, Outcome};
use crate::party::End;

impl Outcome {
    /// What is wrong with it, `honest` being how it goes without an attacker.
    pub(crate) fn violation(&self, config: &Config, honest: &Self) -> Option<String> {
        if let Some(wrong) = &self.wrong {
            return Some(wrong.clone());
        }
        let mech_of = |end: &End| match end {
            End::Established(plan) => Some(plan.mech),
            End::Open | End::Refused => None,
        };
        if let (Some(one), Some(other)) = (mech_of(&self.initiator), mech_of(&self.acceptor)) {
            if one != other {
                return Some(format!("the ends disagree: {one:?} and {other:?}"));
            }
        }
        let [sent, read] = &self.lists;
        let list_arrived = sent == read;
        if let End::Established(plan) = self.acceptor {
            let is_alone = mech_of(&self.initiator).is_none();
            let honest = mech_of(&honest.acceptor);
            if let Some(why) = config.acceptor_wrong(plan, honest, list_arrived, is_alone) {
                return Some(why);
            }
        }
        if let End::Established(plan) = self.initiator {
            let is_alone = mech_of(&self.acceptor).is_none();
            let honest = mech_of(&honest.initiator);
            if let Some(why) = config.initiator_wrong(plan, honest, list_arrived, is_alone) {
                return Some(why);
            }
        }
        None
    }
}

impl Outcome {
    /// What is wrong with how it went without an attacker: that both ends were established, by which
    /// mechanism, and with MICs or without, follows from the configuration where nothing fails later
    /// than at its beginning and no rule but `require` forbids anything.
    pub(crate) fn honest_violation(&self, config: &Config) -> Option<String> {
        let Expected { taken, mics } = config.expected()?;
        let wanted = End::Established(taken);
        let established = [self.initiator, self.acceptor].map(|end| match end {
            End::Established(plan) => plan.mech == taken.mech,
            End::Open | End::Refused => false,
        });
        if established != [true; 2] {
            return Some(format!(
                "an honest run does not end with {wanted:?} at both ends"
            ));
        }
        // An initiator is not told that the acceptor wanted what neither can give.
        let [of_initiator, of_acceptor] = self.mics;
        let is_untold = (of_initiator, mics) == (MicState::NotNeeded, MicState::Impossible);
        if of_acceptor != mics || (of_initiator != mics && !is_untold) {
            return Some(format!("an honest run does not end with MICs {mics:?}"));
        }
        self.is_unheard.then(|| "a token too many".to_owned())
    }
}

/// What an honest run comes to.
struct Expected {
    taken: Plan,
    mics: MicState,
}

impl Config {
    fn expected(&self) -> Option<Expected> {
        let [initiator, acceptor] = [&self.initiator, &self.acceptor];
        let is_free = |side: &Side| {
            let rules = Rules {
                optimistic_token: true,
                legacy_windows: false,
                max_output_token_size: 0,
                require: Requirements::default(),
                ..side.rules
            };
            let is_simple = |plan: &Plan| !matches!(plan.fails, Fails::At(_));
            rules == Rules::default() && side.plans.iter().all(is_simple)
        };
        if !is_free(initiator) || !is_free(acceptor) {
            return None;
        }
        let usable = |side: &Side| -> Vec<Plan> {
            let plans = side.plans.iter();
            plans.filter(|plan| !plan.is_unusable()).copied().collect()
        };
        let (offered, accepted) = (usable(initiator), usable(acceptor));
        let (first, second) = match acceptor.prefers {
            true => (&accepted, &offered),
            false => (&offered, &accepted),
        };
        let is_in = |list: &[Plan], mech: Oid| list.iter().any(|plan| plan.mech == mech);
        let taken = *first.iter().find(|plan| is_in(second, plan.mech))?;
        let is_first = |list: &[Plan]| list[0].mech == taken.mech;
        let is_contested = !is_first(&offered) || (acceptor.prefers && !is_first(&accepted));
        // An initiator asks for a MIC by sending its own, with the mechanism's last token if that is its.
        let required = [initiator, acceptor].map(|side| side.rules.require.mic);
        let is_asked_for = is_contested
            || taken.demands_mic
            || required[1]
            || (required[0] && taken.tokens % 2 == 1);
        let mics = match (is_asked_for, taken.integrity) {
            (false, _) => MicState::NotNeeded,
            (true, true) => MicState::Verified,
            (true, false) => MicState::Impossible,
        };
        // Whom nothing has to prove NTLM asks for no proof of it.
        let is_trusting = initiator.rules.legacy_windows && taken.mech == NTLMSSP;
        let is_refused = required.contains(&true) && mics != MicState::Verified;
        (!is_trusting && !is_refused).then_some(Expected { taken, mics })
    }

    /// What an acceptor that is established must not be.
    fn acceptor_wrong(
        &self,
        taken: Plan,
        honest: Option<Oid>,
        list_arrived: bool,
        is_alone: bool,
    ) -> Option<String> {
        let side = &self.acceptor;
        let mut before = side.order.iter().take_while(|mech| **mech != taken.mech);
        let gives_up_krb5 = before.clone().any(Oid::is_krb5);
        let gives_up = gives_up_krb5 || (side.prefers && before.next().is_some());
        let rules = &side.rules;
        let strict = rules.require.mic
            || (rules.downgrade == Downgrade::Refuse && gives_up)
            || (!rules.kerberos_fallback && gives_up_krb5);
        if strict && !list_arrived {
            return Some(format!(
                "the acceptor takes {:?} from an altered list against its rules",
                taken.mech
            ));
        }
        if !rules.kerberos_fallback && gives_up_krb5 && honest != Some(taken.mech) {
            return Some(format!(
                "the acceptor takes {:?} where an honest run gives {honest:?} against its rules",
                taken.mech
            ));
        }
        if !taken.integrity || list_arrived || honest == Some(taken.mech) {
            return None;
        }
        // An acceptor without an order believes the list about what comes first, and is deceived
        // alone: the initiator does not follow, unless it is told to follow anybody.
        let deceived = !side.prefers && (is_alone || self.trusts_anybody(taken));
        (!deceived).then(|| {
            format!(
                "the acceptor takes {:?} from an altered list where an honest run gives {honest:?}",
                taken.mech
            )
        })
    }

    /// What an initiator that is established must not be.
    fn initiator_wrong(
        &self,
        taken: Plan,
        honest: Option<Oid>,
        list_arrived: bool,
        is_alone: bool,
    ) -> Option<String> {
        let side = &self.initiator;
        let rules = &side.rules;
        let usable = side.plans.iter().filter(|plan| !plan.is_unusable());
        let mut before = usable.take_while(|plan| plan.mech != taken.mech);
        let gives_up_krb5 = before.clone().any(|plan| plan.mech.is_krb5());
        let is_first = before.next().is_none();
        if !rules.kerberos_fallback && gives_up_krb5 {
            return Some("the initiator takes another than Kerberos against its rules".to_owned());
        }
        let strict = rules.require.mic || (rules.downgrade == Downgrade::Refuse && !is_first);
        if strict && !list_arrived {
            return Some(format!(
                "the initiator takes {:?} though its list was altered, against its rules",
                taken.mech
            ));
        }
        if !taken.integrity || list_arrived || honest == Some(taken.mech) {
            return None;
        }
        // RFC 4178 section 7: at worst, it completes with its preferred mechanism, and then alone,
        // since the acceptor's MIC was taken away.
        let at_worst = is_first && is_alone;
        (!at_worst && !self.trusts_anybody(taken)).then(|| {
            format!(
                "the initiator takes {:?} with an altered list where an honest run gives {honest:?}",
                taken.mech
            )
        })
    }

    /// `legacy_windows` says that nothing has to protect an acceptor's choice of NTLM.
    fn trusts_anybody(&self, taken: Plan) -> bool {
        self.initiator.rules.legacy_windows && taken.mech == NTLMSSP
    }
}
