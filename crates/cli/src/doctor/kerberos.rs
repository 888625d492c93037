//! Kerberos on this machine: the name that a ticket would be for, the tickets, the keys, the clock.
#![forbid(unsafe_code)]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use spnego::advice::Trouble;
use spnego::role::Role;

use super::child::{self, Answer, End};
use super::files::{self, Cache, Key};
use super::ticket::etype;
use super::{About, Case, Level, Report};

/// What was found, for the attempts.
#[derive(Default)]
pub(crate) struct Kerberos {
    /// Whether the target's host is this machine.
    pub(crate) host_is_here: bool,
    /// The principal of the target, as libkrb5 makes it.
    pub(crate) principal: Option<String>,
    /// The keys of the default keytab.
    pub(crate) keys: Vec<Key>,
    /// Whether there is a ticket that is still good.
    pub(crate) has_ticket: bool,
}

pub(crate) fn examine(case: &Case<'_>, report: &mut Report) -> Kerberos {
    let mut found = Kerberos::default();
    let mut question = vec!["kerberos"];
    if let Some(target) = &case.target {
        question.extend([target.service.as_str(), target.host.as_str()]);
        found.host_is_here = names(&target.host, report);
    }
    let end = child::ask(&question, &[]);
    let End::Answer(facts) = &end else {
        report.unanswered(About::Names, "libkrb5 as it reads its configuration", &end);
        return found;
    };
    if let Some(error) = facts.error() {
        let remedy = Trouble::KerberosConfiguration.to_string();
        report.add(Level::Fault, About::Names, error, Some(remedy));
        return found;
    }
    found.principal = facts.text("principal").map(ToOwned::to_owned);
    principal(case, facts, report);
    found.has_ticket = tickets(case, facts, report);
    found.keys = keys(case, &found, facts, report);
    clocks(case, facts, report);
    found
}

/// The name of the target's host, forward and back; whether it is this machine.
fn names(host: &str, report: &mut Report) -> bool {
    let end = child::ask(&["names", host], &[]);
    let End::Answer(answer) = &end else {
        report.unanswered(About::Names, &format!("looking {host} up"), &end);
        return false;
    };
    if let Some(error) = answer.error() {
        let remedy = "check the name, and DNS or /etc/hosts".to_owned();
        let sentence = format!("{host} cannot be resolved: {error}");
        report.add(Level::Fault, About::Names, sentence, Some(remedy));
        return false;
    }
    if answer.is("is_address") == Some(true) {
        let sentence = format!("{host} is an address: Kerberos does not know services by it");
        let remedy = Trouble::AddressTarget.to_string();
        report.add(Level::Warning, About::Names, sentence, Some(remedy));
    }
    let addresses = answer.parts("addresses");
    for address in &addresses {
        let shown = address.text("address").unwrap_or_default();
        match (address.text("name"), address.text("error")) {
            (Some(name), _) if name.eq_ignore_ascii_case(host) || name == shown => {
                report.well(
                    About::Names,
                    format!("{host} is {shown}, and {shown} is {name}"),
                );
            }
            (Some(name), _) => {
                let sentence = format!(
                    "{host} is {shown}, but {shown} is {name}: with rdns = true in krb5.conf, \
                     tickets are for {name}"
                );
                report.add(Level::Note, About::Names, sentence, None);
            }
            (None, error) => {
                let error = error.unwrap_or_default();
                let sentence = format!("{host} is {shown}, which has no name: {error}");
                report.add(Level::Note, About::Names, sentence, None);
            }
        }
    }
    addresses
        .iter()
        .any(|address| address.is("local") == Some(true))
}

fn principal(case: &Case<'_>, facts: &Answer, report: &mut Report) {
    match facts.text("default_realm") {
        Some(realm) => report.well(About::Names, format!("the default realm is {realm}")),
        None => {
            let sentence = "krb5.conf has no default realm";
            let remedy = Trouble::UnknownRealm.to_string();
            report.add(Level::Warning, About::Names, sentence, Some(remedy));
        }
    }
    let (Some(target), Some(principal)) = (&case.target, facts.text("principal")) else {
        return;
    };
    let sentence = format!("a ticket for {} would be for {principal}", target.name());
    let canonical = principal.split(['/', '@']).nth(1).unwrap_or_default();
    if canonical.eq_ignore_ascii_case(&target.host) {
        report.well(About::Names, sentence);
    } else {
        let remedy = "call the server by that name, or set dns_canonicalize_hostname = false in \
                      krb5.conf, if the service is registered under the name as it is typed"
            .to_owned();
        report.add(Level::Note, About::Names, sentence, Some(remedy));
    }
}

/// The ticket cache; whether there is a ticket to sign in with.
fn tickets(case: &Case<'_>, facts: &Answer, report: &mut Report) -> bool {
    let cache = facts.text("cache").unwrap_or_default();
    // Somebody who signs in to nothing needs no ticket.
    let lacking = match case.target {
        Some(_) => Level::Fault,
        None => Level::Warning,
    };
    let mut good = false;
    let end = child::ask(&["credential", "mit", "krb5", "initiator"], &[]);
    match &end {
        End::Answer(answer) if answer.error().is_some() => {
            let error = answer.error().unwrap_or_default();
            let remedy = answer.text("what_to_do").map(ToOwned::to_owned);
            let sentence = format!("no ticket to sign in with: {error}");
            report.add(lacking, About::Tickets, sentence, remedy);
        }
        End::Answer(answer) => {
            let name = answer.text("name").unwrap_or("somebody");
            let seconds = answer.number("lifetime").unwrap_or_default();
            if seconds == 0 {
                let remedy = Trouble::TicketExpired(Role::Initiator).to_string();
                let sentence = format!("the tickets in {cache} have expired");
                report.add(lacking, About::Tickets, sentence, Some(remedy));
            } else {
                good = true;
                let sentence = format!(
                    "tickets of {name} in {cache}, for another {}",
                    span(seconds)
                );
                report.well(About::Tickets, sentence);
            }
        }
        _ => report.unanswered(
            About::Tickets,
            "libgssapi_krb5 as it looks for a ticket",
            &end,
        ),
    }
    if let Some(file) = path_of(cache) {
        cache_file(&file, report);
    }
    good
}

/// A cache that is a file: who may read it, and what it says of itself.
fn cache_file(file: &Path, report: &mut Report) {
    let Ok(metadata) = file.metadata() else {
        return;
    };
    let shown = file.display();
    if metadata.mode() & 0o077 != 0 {
        let sentence = format!(
            "the ticket cache {shown} is open to others than its owner (mode {:o})",
            metadata.mode() & 0o7777
        );
        let remedy = format!("run chmod 600 {shown}: who reads it signs in as you");
        report.add(Level::Warning, About::Tickets, sentence, Some(remedy));
    }
    let octets = match files::contents(file) {
        Ok(octets) => octets,
        Err(error) => {
            let sentence = format!("the ticket cache {shown} cannot be read: {error}");
            let remedy = Trouble::CacheUnreadable(file.to_owned()).to_string();
            report.add(Level::Warning, About::Tickets, sentence, Some(remedy));
            return;
        }
    };
    let Some(cache) = Cache::decode(&octets) else {
        let sentence = format!("{shown} is no ticket cache, or a damaged one");
        let remedy = "run kdestroy, then kinit".to_owned();
        report.add(Level::Warning, About::Tickets, sentence, Some(remedy));
        return;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    for kept in &cache.tickets {
        let encrypted = kept.ticket.as_ref().map(|ticket| {
            let kvno = ticket.kvno.map(|kvno| format!(", version {kvno}"));
            format!(" ({}{})", etype(ticket.etype), kvno.unwrap_or_default())
        });
        let encrypted = encrypted.unwrap_or_default();
        let service = &kept.service;
        if kept.ends > now {
            let left = span(kept.ends - now);
            let sentence = format!("{service}{encrypted}, for another {left}");
            report.well(About::Tickets, sentence);
            if service.starts_with("krbtgt/") && !kept.forwardable {
                let sentence = format!(
                    "{service} cannot be forwarded: a program that delegates has nothing to delegate"
                );
                let remedy = Trouble::NotForwardable.to_string();
                report.add(Level::Note, About::Tickets, sentence, Some(remedy));
            }
        } else {
            let sentence = format!("{service}{encrypted} expired {} ago", span(now - kept.ends));
            let remedy = Trouble::TicketExpired(Role::Initiator).to_string();
            report.add(Level::Warning, About::Tickets, sentence, Some(remedy));
        }
    }
    if let Some(seconds) = cache.offset.filter(|offset| offset.unsigned_abs() > 60) {
        let sentence = format!(
            "when these tickets were got, the KDC's clock was {seconds} s ahead of this one"
        );
        let remedy = Trouble::ClockSkew.to_string();
        report.add(Level::Warning, About::Clock, sentence, Some(remedy));
    }
}

/// The default keytab.
fn keys(case: &Case<'_>, found: &Kerberos, facts: &Answer, report: &mut Report) -> Vec<Key> {
    let keytab = facts.text("keytab").unwrap_or_default();
    let lacking = match (&case.target, found.host_is_here) {
        (Some(_), true) => Level::Warning,
        // The keys of the service are elsewhere.
        _ => Level::Note,
    };
    let Some(file) = path_of(keytab) else {
        report.add(
            Level::Note,
            About::Keys,
            format!("the keytab {keytab} is no file"),
            None,
        );
        return Vec::new();
    };
    let shown = file.display();
    let octets = match files::contents(&file) {
        Ok(octets) => octets,
        Err(error) => {
            let trouble = if file.exists() {
                Trouble::KeytabUnreadable(file.clone())
            } else {
                Trouble::KeytabMissing(file.clone())
            };
            let sentence = format!("no keys to accept sign-ins with: {shown}: {error}");
            report.add(lacking, About::Keys, sentence, Some(trouble.to_string()));
            return Vec::new();
        }
    };
    let keys = files::keytab(&octets).unwrap_or_default();
    if keys.is_empty() {
        let sentence = format!("there is no key in {shown}");
        report.add(
            lacking,
            About::Keys,
            sentence,
            Some(Trouble::Keytab.to_string()),
        );
    }
    if file
        .metadata()
        .is_ok_and(|metadata| metadata.mode() & 0o007 != 0)
    {
        let sentence = format!("everybody may use the keytab {shown}");
        let remedy = format!("take the rights of others away (chmod o= {shown})");
        report.add(Level::Warning, About::Keys, sentence, Some(remedy));
    }
    for key in keys.iter().take(KEYS_SHOWN) {
        let sentence = format!(
            "{shown}: {} version {}, {}",
            key.principal,
            key.kvno,
            etype(key.etype)
        );
        report.well(About::Keys, sentence);
    }
    if keys.len() > KEYS_SHOWN {
        let sentence = format!("{shown}: {} keys more", keys.len() - KEYS_SHOWN);
        report.well(About::Keys, sentence);
    }
    let has = |principal: &String| keys.iter().any(|key| key.principal == *principal);
    if let Some(principal) = found.principal.as_ref().filter(|principal| !has(principal)) {
        let sentence = format!("{shown} has no key of {principal}");
        let remedy = Trouble::NoKey(Role::Acceptor).to_string();
        report.add(lacking, About::Keys, sentence, Some(remedy));
    }
    keys
}

/// This machine's clock against those of the KDCs.
fn clocks(case: &Case<'_>, facts: &Answer, report: &mut Report) {
    let Some(realm) = facts.text("realm") else {
        return;
    };
    let configured = facts.texts("kdcs");
    let kdcs = match &case.options.kdc {
        Some(kdc) => vec![kdc.as_str()],
        None => configured,
    };
    if kdcs.is_empty() {
        let sentence = format!("krb5.conf names no KDC of {realm}: the clock is not compared");
        let remedy = "name one with --kdc".to_owned();
        report.add(Level::Note, About::Clock, sentence, Some(remedy));
    }
    for kdc in kdcs.into_iter().take(KDCS_ASKED) {
        if kdc.starts_with("https:") {
            let sentence = format!("{kdc} is behind HTTPS: the clock is not compared with it");
            report.add(Level::Note, About::Clock, sentence, None);
            continue;
        }
        let end = child::ask(&["clock", kdc, realm], &[]);
        let End::Answer(answer) = &end else {
            report.unanswered(About::Clock, &format!("asking {kdc} for the time"), &end);
            continue;
        };
        match (answer.signed("offset"), answer.error()) {
            (Some(offset), _) => clock_of(kdc, offset, report),
            (None, error) => {
                let error = error.unwrap_or_default();
                let sentence = format!("the KDC {kdc} of {realm} does not tell the time: {error}");
                let remedy = Trouble::KdcUnreachable.to_string();
                report.add(Level::Warning, About::Clock, sentence, Some(remedy));
            }
        }
    }
}

fn clock_of(kdc: &str, offset: i64, report: &mut Report) {
    let size = offset.unsigned_abs();
    let seconds = format!("{}.{}", size / 1000, size % 1000 / 100);
    let way = if offset < 0 { "behind" } else { "ahead of" };
    let sentence = format!("the clock of the KDC {kdc} is {seconds} s {way} this machine's");
    let remedy = Trouble::ClockSkew.to_string();
    match size {
        0..SKEW_DOUBTFUL => report.well(About::Clock, sentence),
        SKEW_DOUBTFUL..SKEW_MAX => {
            report.add(Level::Warning, About::Clock, sentence, Some(remedy));
        }
        _ => report.add(Level::Fault, About::Clock, sentence, Some(remedy)),
    }
}

/// A time for people: the two greatest units of it.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The file of a cache or a keytab; `None` when it is of another type.
fn path_of(name: &str) -> Option<PathBuf> {
    match name.split_once(':') {
        Some(("FILE" | "WRFILE", path)) => Some(path.into()),
        Some(_) => None,
        None => (!name.is_empty()).then(|| name.into()),
    }
}

/// A keytab of a large server has hundreds, which nobody reads.
const KEYS_SHOWN: usize = 32;
/// The others have the same time, or the realm has greater worries.
const KDCS_ASKED: usize = 3;
/// Milliseconds. Kerberos takes five minutes by default (clockskew).
const SKEW_MAX: u64 = 300_000;
/// Milliseconds. NTP keeps clocks well within this.
const SKEW_DOUBTFUL: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_units_that_count() {
        for (seconds, wanted) in [
            (59, "59 s"),
            (61, "1 min 1 s"),
            (86_399, "23 h 59 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), wanted);
        }
    }
}
