//! One scenario in all four pairings of the system's SPNEGO and ours, which must print the same.

use std::fmt::Write as _;

use super::{Environment, Harness, MechConfig, Output, Realm, Side, plugin, scratch_file, skip};

/// Which SPNEGO runs at which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pairing {
    pub(crate) initiator: Side,
    pub(crate) acceptor: Side,
}

impl Pairing {
    /// The system's at both ends: what the others are held against.
    pub(crate) const REFERENCE: Self = Self {
        initiator: Side::BuiltIn,
        acceptor: Side::BuiltIn,
    };

    /// Those with the plugin at one end or both; none (loudly) where there is no plugin.
    pub(crate) fn others() -> Vec<Self> {
        use Side::{BuiltIn, Ours};
        if plugin().is_none() {
            skip("the pairings with the plugin");
            return Vec::new();
        }
        [(Ours, BuiltIn), (BuiltIn, Ours), (Ours, Ours)]
            .map(|(initiator, acceptor)| Self {
                initiator,
                acceptor,
            })
            .to_vec()
    }
}

/// A scenario of `tests/c/pair.c`.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    options: Vec<String>,
    ntlm: bool,
    scripts: String,
    environment: Environment,
}

impl Pair {
    /// A scenario in `realm`: Kerberos through SPNEGO with mutual authentication and every
    /// protection, from default credentials.
    pub(crate) fn new(realm: &Realm) -> Self {
        Self {
            options: vec!["flags=mutual,replay,seq,conf,integ".into()],
            ntlm: false,
            scripts: String::new(),
            environment: realm.environment(),
        }
    }

    /// Options of the harness with blanks between them; later ones win.
    pub(crate) fn options(mut self, options: &str) -> Self {
        let options = options.split_ascii_whitespace().map(ToOwned::to_owned);
        self.options.extend(options);
        self
    }

    /// An option of the harness; later ones win.
    pub(crate) fn with(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// NTLM is installed at both ends.
    pub(crate) fn with_ntlm(mut self) -> Self {
        self.ntlm = true;
        self
    }

    /// The scripted mechanisms with these letters are installed at both ends.
    pub(crate) fn with_scripts(mut self, letters: &str) -> Self {
        self.scripts.push_str(letters);
        self
    }

    /// A variable for both ends.
    pub(crate) fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Run it in one pairing.
    pub(crate) fn run(&self, pairing: Pairing) -> Output {
        Harness::named("pair").run(&self.arguments(pairing), &self.environment)
    }

    /// Run it in one pairing under valgrind.
    pub(crate) fn run_checked(&self, pairing: Pairing) -> Output {
        Harness::named("pair").run_checked(&self.arguments(pairing), &self.environment)
    }

    /// Run it in every pairing: each must print what the system's pair prints, but for the rows of
    /// `tests/c/differences.txt`, and that must have `lines` in it, in their order, those that
    /// begin with `i: ` in the initiator's part and those with `a: ` in the acceptor's.
    /// What is not so, for [`Scenarios`] to collect.
    fn same_in_all(&self, scenario: &str, lines: &[&str]) -> String {
        let reference = self.run(Pairing::REFERENCE);
        if reference.status != 0 {
            return format!("{scenario}: {:?}\n", reference);
        }
        let reference = reference.report;
        let mut complaints = missing(&reference, lines);
        complaints += &not_as_asked(&reference, Pairing::REFERENCE).unwrap_or_default();
        let rows = Difference::of(scenario);
        for pairing in Pairing::others() {
            let output = self.run(pairing);
            let complaint = if output.status == 0 {
                not_as_asked(&output.report, pairing)
                    .or_else(|| compare(&reference, &output.report, &rows).err())
            } else {
                let Output {
                    status,
                    report,
                    errors,
                } = output;
                Some(format!("status {status}\n{report}\n{errors}"))
            };
            if let Some(complaint) = complaint {
                let _ = writeln!(complaints, "{scenario}, {pairing:?}:\n{complaint}");
            }
        }
        complaints
    }

    fn arguments(&self, pairing: Pairing) -> Vec<String> {
        let config = |side| {
            let mut config = MechConfig::new(side).with_scripts(&self.scripts);
            if self.ntlm {
                config = config.with_ntlm();
            }
            config.write()
        };
        let mut arguments = vec!["both".to_owned()];
        arguments.extend(self.options.iter().cloned());
        arguments.push(format!("i.config={}", config(pairing.initiator).display()));
        arguments.push(format!("a.config={}", config(pairing.acceptor).display()));
        arguments
    }
}

/// Scenarios of one subject: all are run, and what is wrong with any is told at the end.
#[derive(Debug, Default)]
pub(crate) struct Scenarios {
    complaints: String,
}

impl Scenarios {
    /// Run a scenario in all pairings; see [`Pair::same_in_all`].
    pub(crate) fn run(&mut self, scenario: &str, pair: Pair, lines: &[&str]) {
        self.complaints += &pair.same_in_all(scenario, lines);
    }

    /// Panic with everything that was not as it must be.
    pub(crate) fn finish(self) {
        assert!(self.complaints.is_empty(), "{}", self.complaints);
    }
}

/// The lines that a report lacks, as a complaint with the report; empty if none.
fn missing(report: &str, lines: &[&str]) -> String {
    for (role, mark) in [("initiator", "i: "), ("acceptor", "a: ")] {
        let mut rest = part_of(report, role).lines().map(str::trim);
        for line in lines.iter().filter_map(|line| line.strip_prefix(mark)) {
            if !rest.any(|found| found == line) {
                return format!("the {role} does not say, in this order: {line}\n{report}\n");
            }
        }
    }
    String::new()
}

/// Run a harness of one process with the system's SPNEGO and with ours: the same must be printed.
/// The report with the system's.
pub(crate) fn assert_same(scenario: &str, run: impl Fn(&MechConfig) -> Output) -> String {
    let reference = run(&MechConfig::new(Side::BuiltIn)).ok();
    assert!(!reference.contains("plugin: loaded"));
    if plugin().is_none() {
        skip("the run with the plugin");
        return reference;
    }
    let ours = run(&MechConfig::new(Side::Ours)).ok();
    assert!(
        ours.contains("plugin: loaded"),
        "{scenario}: the plugin was not loaded\n{ours}"
    );
    if let Err(complaint) = compare(&reference, &ours, &Difference::of(scenario)) {
        panic!("{scenario}:\n{complaint}");
    }
    reference
}

/// A wished-for difference: in the place of some lines of the system's SPNEGO, ours prints others.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    built_in: Vec<String>,
    ours: Vec<String>,
}

impl Difference {
    /// The rows for a scenario in `tests/c/differences.txt`.
    fn of(scenario: &str) -> Vec<Self> {
        include_str!("../c/differences.txt")
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .filter_map(|line| {
                let fields: Vec<_> = line.split(" | ").map(str::trim).collect();
                let [of, built_in, ours, reason] = fields[..] else {
                    panic!("differences.txt: four fields are needed in {line:?}");
                };
                assert!(!reason.is_empty(), "a difference needs its reason: {line}");
                let lines = |field: &str| match field {
                    "-" => Vec::new(),
                    _ => field.split(" / ").map(ToOwned::to_owned).collect(),
                };
                let applies = captures(of, scenario).is_some();
                applies.then(|| Self {
                    built_in: lines(built_in),
                    ours: lines(ours),
                })
            })
            .collect()
    }

    /// Whether this row makes `with` out of `without`. What a `*` stood for in the one, it stands
    /// for in the other.
    fn explains(&self, without: &[&str], with: &[&str]) -> bool {
        let mut parts = Vec::new();
        for (pattern, line) in self.built_in.iter().zip(without) {
            let Some(captured) = captures(pattern, line) else {
                return false;
            };
            parts.extend(captured);
        }
        let mut parts = parts.into_iter();
        self.ours.iter().zip(with).all(|(pattern, line)| {
            let mut pieces = pattern.split('*');
            let first = pieces.next().unwrap_or_default().to_owned();
            let text = pieces.fold(first, |text, piece| {
                text + parts.next().unwrap_or("*") + piece
            });
            text == *line
        })
    }
}

/// What each `*` of a pattern stands for in a text, if the text fits it.
fn captures<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let Some((head, tail)) = pattern.split_once('*') else {
        return (pattern == text).then(Vec::new);
    };
    let rest = text.strip_prefix(head)?;
    (0..=rest.len())
        .rev()
        .filter(|end| rest.is_char_boundary(*end))
        .find_map(|end| {
            let mut found = vec![&rest[..end]];
            found.extend(captures(tail, &rest[end..])?);
            Some(found)
        })
}

/// The lines of a report that two runs are compared by. Minor texts are each SPNEGO's own.
fn comparable(report: &str) -> Vec<&str> {
    report
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim_start().starts_with("minor:") && !line.starts_with("plugin:"))
        .collect()
}

fn compare(reference: &str, report: &str, rows: &[Difference]) -> Result<(), String> {
    let (expected, found) = (comparable(reference), comparable(report));
    let unwished: String = changes(&expected, &found)
        .iter()
        .filter(|(without, with)| !wished(without, with, rows))
        .map(|(without, with)| {
            let [without, with] = [without, with].map(|lines| lines.join(" / "));
            format!("  the system's: {without}\n          ours: {with}\n")
        })
        .collect();
    if unwished.is_empty() {
        return Ok(());
    }
    let (expected, found) = (expected.join("\n") + "\n", found.join("\n") + "\n");
    Err(unwished + &difference(&expected, &found))
}

/// The runs of lines in which two reports differ: those of the one, and those of the other in
/// their place.
fn changes<'a>(expected: &[&'a str], found: &[&'a str]) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    let (rows, columns) = (expected.len(), found.len());
    // How many lines the rests of the two have in common.
    let mut common = vec![vec![0_u32; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            common[row][column] = if expected[row] == found[column] {
                common[row + 1][column + 1] + 1
            } else {
                common[row + 1][column].max(common[row][column + 1])
            };
        }
    }
    let mut changes = Vec::new();
    let (mut row, mut column) = (0, 0);
    let mut change = (Vec::new(), Vec::new());
    while row < rows || column < columns {
        if row < rows && column < columns && expected[row] == found[column] {
            changes.push(std::mem::take(&mut change));
            row += 1;
            column += 1;
        } else if row < rows
            && (column == columns || common[row + 1][column] >= common[row][column + 1])
        {
            change.0.push(expected[row].trim());
            row += 1;
        } else {
            change.1.push(found[column].trim());
            column += 1;
        }
    }
    changes.push(change);
    changes.retain(|(without, with)| !without.is_empty() || !with.is_empty());
    changes
}

/// Whether rows, one after the other, make the lines of the one out of those of the other.
fn wished(without: &[&str], with: &[&str], rows: &[Difference]) -> bool {
    if without.is_empty() && with.is_empty() {
        return true;
    }
    rows.iter().any(|row| {
        let (from, to) = (row.built_in.len(), row.ours.len());
        let (Some(head), Some(rest)) = (without.get(..from), without.get(from..)) else {
            return false;
        };
        let (Some(our_head), Some(our_rest)) = (with.get(..to), with.get(to..)) else {
            return false;
        };
        row.explains(head, our_head) && wished(rest, our_rest, rows)
    })
}

/// How two texts differ, as diff(1) shows it.
pub(crate) fn difference(expected: &str, found: &str) -> String {
    let [before, after] = ["expected", "found"].map(scratch_file);
    std::fs::write(&before, expected).unwrap();
    std::fs::write(&after, found).unwrap();
    let output = std::process::Command::new("diff")
        .args(["-U", "4", "--label", "the system's", "--label", "this one"])
        .args([before, after])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The library passes over a plugin that it cannot load without a word, so look.
fn not_as_asked(report: &str, pairing: Pairing) -> Option<String> {
    let ends = [
        ("initiator", pairing.initiator),
        ("acceptor", pairing.acceptor),
    ];
    ends.into_iter().find_map(|(role, side)| {
        let wanted = match side {
            Side::BuiltIn => "plugin: not loaded",
            Side::Ours => "plugin: loaded",
        };
        let said = part_of(report, role).contains(wanted);
        (!said).then(|| format!("the {role} must say {wanted:?}\n{report}\n"))
    })
}

/// One end's part of a report.
pub(crate) fn part_of<'a>(report: &'a str, role: &str) -> &'a str {
    let head = format!("== {role}\n");
    let Some(start) = report.find(&head) else {
        return "";
    };
    let rest = &report[start + head.len()..];
    rest.find("\n== ").map_or(rest, |end| &rest[..end])
}
