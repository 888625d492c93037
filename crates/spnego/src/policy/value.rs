//! What the values of the configuration's keys mean.
#![forbid(unsafe_code)]

use toml::Spanned;
use toml::de::DeValue;

use super::{Downgrade, MechPolicy, NtlmProvider, Rules, TraceFormat, TraceTo, wrong};
use crate::role::Role;

/// Something wrong, and where, as an offset in the text.
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) why: String,
}

impl Wrong {
    pub(super) fn new(at: usize, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { at, why }
    }
}

pub(super) type Value<'t> = Spanned<DeValue<'t>>;

pub(super) fn text<'v>(value: &'v Value<'_>, wanted: &str) -> Result<&'v str, Wrong> {
    value
        .get_ref()
        .as_str()
        .ok_or_else(|| Wrong::new(value.span().start, format!("this is not {wanted}")))
}

/// One text, or an array of them that has some.
pub(super) fn each<T>(
    value: &Value<'_>,
    of: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Wrong> {
    let one = |value: &Value<'_>| {
        of(text(value, "a text")?).map_err(|why| Wrong::new(value.span().start, why))
    };
    match value.get_ref() {
        DeValue::Array(array) if array.iter().next().is_none() => {
            Err(Wrong::new(value.span().start, "this list is empty"))
        }
        DeValue::Array(array) => array.iter().map(one).collect(),
        _ => Ok(vec![one(value)?]),
    }
}

pub(super) fn mechs(value: &Value<'_>) -> Result<MechPolicy, Wrong> {
    let at = value.span().start;
    match value.get_ref() {
        // None at all.
        DeValue::Array(array) if array.iter().next().is_none() => Ok(MechPolicy::Only(Vec::new())),
        DeValue::Array(_) => {
            let words = each(value, |word| {
                MechPolicy::of_words([word].into_iter()).map(|_| word.to_owned())
            })?;
            MechPolicy::of_words(words.iter().map(String::as_str))
                .map_err(|why| Wrong::new(at, why))
        }
        _ => MechPolicy::parse(text(value, "a list of mechanisms")?)
            .map_err(|why| Wrong::new(at, why)),
    }
}

pub(super) fn yes_or_no(value: &Value<'_>) -> Result<bool, Wrong> {
    value
        .get_ref()
        .as_bool()
        .ok_or_else(|| Wrong::new(value.span().start, "this is not true or false"))
}

pub(super) fn octets(value: &Value<'_>) -> Result<usize, Wrong> {
    let at = value.span().start;
    let number = value.get_ref().as_integer();
    let number =
        number.and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
    let octets = number.ok_or_else(|| Wrong::new(at, "this is not a number of octets"))?;
    Rules::token_size(octets).map_err(|why| Wrong::new(at, why))
}

pub(super) fn one_of<T: Copy>(value: &Value<'_>, words: &[(&str, T)]) -> Result<T, Wrong> {
    let wanted = words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
    let wanted = wanted.join(" or ");
    let said = text(value, &wanted)?;
    let known = words.iter().find(|(word, _)| *word == said);
    known
        .map(|(_, meant)| *meant)
        .ok_or_else(|| Wrong::new(value.span().start, wrong(said, &wanted)))
}

pub(super) fn role(value: &Value<'_>) -> Result<Role, Wrong> {
    one_of(value, &ROLES)
}

pub(super) fn trace_format(value: &Value<'_>) -> Result<TraceFormat, Wrong> {
    one_of(value, &TRACE_FORMATS)
}

pub(super) fn trace_to(value: &Value<'_>) -> Result<TraceTo, Wrong> {
    trace_named(text(value, "stderr, syslog or an absolute path")?)
        .map_err(|why| Wrong::new(value.span().start, why))
}

pub(super) fn trace_named(value: &str) -> Result<TraceTo, String> {
    match value {
        "stderr" => Ok(TraceTo::Stderr),
        "syslog" => Ok(TraceTo::Syslog),
        path if path.starts_with('/') => Ok(TraceTo::File(path.into())),
        _ => Err(wrong(value, "stderr, syslog or an absolute path")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Requirement {
    Mutual,
    ChannelBindings,
    Mic,
    Target,
}

pub(super) fn requirement(word: &str) -> Result<Requirement, String> {
    match word {
        "mutual" => Ok(Requirement::Mutual),
        "channel_bindings" => Ok(Requirement::ChannelBindings),
        "mic" => Ok(Requirement::Mic),
        "target" => Ok(Requirement::Target),
        _ => Err(wrong(word, "mutual, channel_bindings, mic or target")),
    }
}

pub(super) const ROLES: [(&str, Role); 2] = [
    (Role::Initiator.name(), Role::Initiator),
    (Role::Acceptor.name(), Role::Acceptor),
];
pub(super) const NTLM_PROVIDERS: [(&str, NtlmProvider); 3] = [
    ("system", NtlmProvider::System),
    ("own", NtlmProvider::Own),
    ("off", NtlmProvider::Off),
];
pub(super) const DOWNGRADES: [(&str, Downgrade); 2] =
    [("allow", Downgrade::Allow), ("refuse", Downgrade::Refuse)];
pub(super) const TRACE_FORMATS: [(&str, TraceFormat); 2] =
    [("text", TraceFormat::Text), ("json", TraceFormat::Json)];
