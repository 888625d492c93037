//! Which mechanisms may be negotiated, and how a list of them is written.
#![forbid(unsafe_code)]

use super::wrong;
use crate::oid::{self, Oid};

/// Which mechanisms may be negotiated, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MechPolicy {
    /// All but these, in nobody's particular order; not those that are for whoever names them.
    AllBut(Vec<Oid>),
    /// These, best first.
    Only(Vec<Oid>),
    /// None, because what was configured cannot be read: the reason, as a sentence.
    Nothing(String),
}

impl MechPolicy {
    /// Those of `available` that are allowed, best first.
    pub(super) fn order(&self, mut available: Vec<Oid>) -> Vec<Oid> {
        match self {
            Self::Nothing(_) => Vec::new(),
            Self::AllBut(_) => {
                available.retain(|mech| self.allow(mech));
                available
            }
            Self::Only(order) => order
                .iter()
                .flat_map(|wanted| available.iter().filter(|mech| mech.same_mech(wanted)))
                .copied()
                .collect(),
        }
    }

    /// Whether the order of [`Terms::order`] is the administrator's preference.
    pub fn prefers(&self) -> bool {
        matches!(self, Self::Only(_))
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }

    pub(super) fn allow(&self, mech: &Oid) -> bool {
        let same = |other: &Oid| other.same_mech(mech);
        match self {
            Self::Nothing(_) => false,
            Self::AllBut(removed) => !ON_REQUEST.contains(mech) && !removed.iter().any(same),
            Self::Only(order) => order.iter().any(same),
        }
    }

    /// Whether `mech` is taken away, which it is not by standing in no list.
    pub(super) fn forbids(&self, mech: &Oid) -> bool {
        match self {
            Self::AllBut(removed) => removed.iter().any(|other| other.same_mech(mech)),
            Self::Nothing(_) | Self::Only(_) => !self.allow(mech),
        }
    }

    /// Whether `mech` is wanted by name, not only because it is there.
    pub(super) fn names(&self, mech: &Oid) -> bool {
        matches!(self, Self::Only(order) if order.contains(mech))
    }

    /// What both allow, in the order of this one.
    pub(super) fn narrowed_by(self, other: &Self) -> Self {
        match (self, other) {
            (nothing @ Self::Nothing(_), _) => nothing,
            (_, nothing @ Self::Nothing(_)) => nothing.clone(),
            (Self::Only(mut order), other) => {
                order.retain(|mech| !other.forbids(mech));
                Self::Only(order)
            }
            (mine @ Self::AllBut(_), Self::Only(order)) => {
                let both = order.iter().filter(|mech| !mine.forbids(mech));
                Self::Only(both.copied().collect())
            }
            (Self::AllBut(mut removed), Self::AllBut(more)) => {
                removed.extend_from_slice(more);
                Self::AllBut(removed)
            }
        }
    }

    /// Read a list of names and dotted identifiers; `!` in front removes one.
    pub(super) fn of_words<'w>(words: impl Iterator<Item = &'w str>) -> Result<Self, String> {
        let mut order: Vec<Oid> = Vec::new();
        let mut removed: Vec<Oid> = Vec::new();
        for word in words {
            let (list, name) = match word.strip_prefix('!') {
                Some(name) => (&mut removed, name),
                None => (&mut order, word),
            };
            let mech = mech_named(name)?;
            if !list.iter().any(|known| known.same_mech(&mech)) {
                list.push(mech);
            }
        }
        if order.is_empty() && !removed.is_empty() {
            return Ok(Self::AllBut(removed));
        }
        order.retain(|mech| !removed.iter().any(|removed| removed.same_mech(mech)));
        Ok(Self::Only(order))
    }

    /// The same of one text with commas or blanks between.
    pub(super) fn parse(list: &str) -> Result<Self, String> {
        if words(list).next().is_none() {
            return Err("the list of mechanisms is empty".to_owned());
        }
        Self::of_words(words(list))
    }
}

impl Default for MechPolicy {
    fn default() -> Self {
        Self::AllBut(Vec::new())
    }
}

/// Read a list of names and dotted identifiers, with commas or blanks between: in its order.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn mechs_named(list: &str) -> Result<Vec<Oid>, String> {
    words(list).map(mech_named).collect()
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

fn mech_named(name: &str) -> Result<Oid, String> {
    let known = NAMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    let mech = match known {
        Some((_, mech)) => *mech,
        None => name.parse().map_err(|_| {
            wrong(
                name,
                "krb5, iakerb, ntlmssp, negoex or a dotted object identifier",
            )
        })?,
    };
    if mech == oid::SPNEGO {
        return Err("SPNEGO does not negotiate itself".to_owned());
    }
    Ok(mech)
}

const NAMES: [(&str, Oid); 6] = [
    ("krb5", oid::KRB5),
    ("iakerb", oid::IAKERB),
    ("ntlmssp", oid::NTLMSSP),
    ("ntlm", oid::NTLMSSP),
    ("negoex", oid::NEGOEX),
    ("spnego", oid::SPNEGO),
];
/// What is negotiated only where it is named.
const ON_REQUEST: [Oid; 2] = [oid::IAKERB, oid::NEGOEX];
