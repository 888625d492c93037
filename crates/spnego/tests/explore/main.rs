//! Every order of events, up to a bound: an initiator, an acceptor and an attacker between them, over
//! mechanisms of one to three tokens that sign or do not, fail at each of their steps, or demand MICs,
//! under every rule that matters. What holds of each end stands in party.rs
//! and promises.rs; a violation is shown by its
//! shortest trace.
//!
//! `make explore` runs the large bound, optimized; unoptimized, the small one is smaller still.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod attacker;
mod choices;
mod memory;
mod model;
mod network;
mod party;
mod promises;
mod sizes;

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use attacker::{Menu, Sent};
use choices::Choices;
use model::{Fails, Plan, Side};
use network::{Config, Outcome};
use spnego::oid::{IAKERB, KRB5, NEGOEX, NTLMSSP, Oid};
use spnego::policy::{self, Downgrade, Rules};
use spnego::role::Role;
use spnego::wire::spnego::{MechList, NegTokenInit};

/// How far the exploration goes.
struct Bound {
    name: &'static str,
    /// The two mechanisms.
    mechs: &'static [[Oid; 2]],
    /// Tokens of both.
    tokens: &'static [[u8; 2]],
    /// Whether both sign.
    integrity: &'static [[bool; 2]],
    /// Where the first fails, at the initiator and at the acceptor.
    fails: &'static [[Fails; 2]],
    /// Whether the second demands MICs.
    demands: &'static [bool],
    /// The initiator's orders and the acceptor's: of the first and the second mechanism.
    orders: &'static [(&'static [usize], &'static [usize])],
    initiators: &'static [Setting],
    acceptors: &'static [Setting],
    hints: bool,
    menu: fn() -> Menu,
    /// How many messages the attacker touches.
    touched: usize,
}

/// One thing that is not as by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Default,
    NoFallback,
    Refuse,
    Mic,
    LegacyWindows,
    NoOptimisticToken,
    /// Messages leave in pieces.
    Pieces,
}

impl Setting {
    fn rules(self) -> Rules {
        let mut rules = Rules::default();
        match self {
            Self::Default => {}
            Self::NoFallback => rules.kerberos_fallback = false,
            Self::Refuse => rules.downgrade = Downgrade::Refuse,
            Self::Mic => rules.require.mic = true,
            Self::LegacyWindows => rules.legacy_windows = true,
            Self::NoOptimisticToken => rules.optimistic_token = false,
            Self::Pieces => rules.max_output_token_size = 20,
        }
        rules
    }
}

const NAMED: [Oid; 2] = [KRB5, NTLMSSP];
const NAMELESS: [Oid; 2] = [NEGOEX, IAKERB];
const WORKS: [Fails; 2] = [Fails::Never; 2];
const NO_KEY: [Fails; 2] = [Fails::Never, Fails::Unusable];
const INITIATORS: &[Setting] = &[
    Setting::Default,
    Setting::NoFallback,
    Setting::Refuse,
    Setting::Mic,
    Setting::LegacyWindows,
    Setting::NoOptimisticToken,
    Setting::Pieces,
];
const ACCEPTORS: &[Setting] = &[
    Setting::Default,
    Setting::NoFallback,
    Setting::Refuse,
    Setting::Mic,
    Setting::Pieces,
];
const ORDERS: &[(&[usize], &[usize])] = &[
    (&[0, 1], &[0, 1]),
    (&[0, 1], &[1, 0]),
    (&[0, 1], &[1]),
    (&[0, 1], &[0]),
    (&[1, 0], &[0, 1]),
    (&[1, 0], &[1, 0]),
    (&[1, 0], &[0]),
    (&[0], &[0, 1]),
    (&[0], &[1, 0]),
    (&[1], &[0, 1]),
    (&[1], &[1, 0]),
];

/// All configurations, one message altered in every way.
const WIDE: Bound = Bound {
    name: "one message, every alteration",
    mechs: &[NAMED],
    tokens: &[[1, 2], [2, 1], [2, 3], [3, 2], [3, 3]],
    integrity: &[[true, true], [true, false]],
    fails: &[WORKS, NO_KEY, [Fails::Never, Fails::At(0)]],
    demands: &[false, true],
    orders: ORDERS,
    initiators: &[Setting::Default, Setting::NoFallback],
    acceptors: &[Setting::Default, Setting::NoFallback],
    hints: false,
    menu: Menu::long,
    touched: 1,
};

/// What both can ask for and the other bounds leave out, messages in pieces among it.
const ASKED: Bound = Bound {
    name: "one message, every alteration, what can be asked for",
    tokens: &[[2, 3], [3, 2]],
    integrity: &[[true, true]],
    fails: &[WORKS],
    demands: &[false],
    initiators: &[Setting::Mic, Setting::NoOptimisticToken, Setting::Pieces],
    acceptors: &[Setting::Mic, Setting::Refuse, Setting::Pieces],
    ..WIDE
};

/// Fewer configurations, two messages altered in the ways that lead somewhere.
const DEEP: Bound = Bound {
    name: "two messages, the alterations that lead somewhere",
    mechs: &[NAMED],
    tokens: &[[2, 2], [2, 3]],
    integrity: &[[true, true], [true, false]],
    fails: &[WORKS, NO_KEY],
    demands: &[false],
    orders: ORDERS,
    initiators: &[Setting::Default, Setting::Mic, Setting::LegacyWindows],
    acceptors: ACCEPTORS,
    hints: false,
    menu: Menu::short,
    touched: 2,
};

const ALL_TOKENS: &[[u8; 2]] = &[
    [1, 1],
    [1, 2],
    [1, 3],
    [2, 1],
    [2, 2],
    [2, 3],
    [3, 1],
    [3, 2],
    [3, 3],
];
const ALL_FAILS: &[[Fails; 2]] = &[
    WORKS,
    NO_KEY,
    [Fails::Unusable, Fails::Never],
    [Fails::Unusable, Fails::Unusable],
    [Fails::At(0), Fails::Never],
    [Fails::At(1), Fails::Never],
    [Fails::At(2), Fails::Never],
    [Fails::Never, Fails::At(0)],
    [Fails::Never, Fails::At(1)],
    [Fails::Never, Fails::At(2)],
];

/// What `make explore` does beside.
const LARGE: [Bound; 5] = [
    Bound {
        tokens: ALL_TOKENS,
        integrity: &[[true, true], [true, false], [false, true], [false, false]],
        fails: ALL_FAILS,
        demands: &[false],
        initiators: INITIATORS,
        acceptors: ACCEPTORS,
        ..WIDE
    },
    Bound {
        name: "one message, every alteration, MICs demanded",
        tokens: ALL_TOKENS,
        fails: &[WORKS, NO_KEY],
        demands: &[true],
        initiators: INITIATORS,
        acceptors: ACCEPTORS,
        ..WIDE
    },
    Bound {
        name: "one message, every alteration, no names, hints",
        mechs: &[NAMELESS, NAMED],
        fails: &[WORKS, NO_KEY],
        tokens: &[[1, 2], [2, 3]],
        initiators: &[Setting::Default, Setting::Refuse, Setting::Mic],
        acceptors: ACCEPTORS,
        hints: true,
        ..WIDE
    },
    Bound {
        mechs: &[NAMED, NAMELESS],
        tokens: ALL_TOKENS,
        fails: &[WORKS, NO_KEY, [Fails::Never, Fails::At(0)]],
        demands: &[false, true],
        initiators: INITIATORS,
        ..DEEP
    },
    Bound {
        name: "three messages, the alterations that lead somewhere",
        fails: &[WORKS, NO_KEY],
        integrity: &[[true, true]],
        initiators: &[Setting::Default, Setting::LegacyWindows],
        touched: 3,
        ..DEEP
    },
];

/// Unoptimized, there is time for one message only.
fn small() -> Vec<Bound> {
    if cfg!(debug_assertions) {
        return vec![Bound { touched: 1, ..DEEP }];
    }
    vec![WIDE, ASKED, DEEP]
}

#[test]
fn no_order_of_events_up_to_a_small_bound_breaks_a_promise() {
    explore(small());
}

#[test]
#[ignore = "minutes; make explore"]
fn no_order_of_events_up_to_a_large_bound_breaks_a_promise() {
    explore(LARGE.into());
}

impl Bound {
    fn configs(&self) -> Vec<Config> {
        let mut configs = Vec::new();
        for mechs in self.mechs {
            for tokens in self.tokens {
                for integrity in self.integrity {
                    for fails in self.fails {
                        for demands in self.demands {
                            let plans = |side: usize| {
                                [0, 1].map(|which| Plan {
                                    mech: mechs[which],
                                    tokens: tokens[which],
                                    integrity: integrity[which],
                                    demands_mic: which == 1 && *demands,
                                    fails: match which {
                                        0 => fails[side],
                                        _ => Fails::Never,
                                    },
                                })
                            };
                            self.sides([plans(0), plans(1)], &mut configs);
                        }
                    }
                }
            }
        }
        configs
    }

    /// These mechanisms in every order, under every rule.
    fn sides(&self, plans: [[Plan; 2]; 2], configs: &mut Vec<Config>) {
        let [[first, _], _] = plans;
        let is_failing = plans.iter().any(|[first, _]| first.fails != Fails::Never);
        for (offered, accepted) in self.orders {
            // What a mechanism does that one side lacks is the same whatever it does.
            if is_failing && !offered.contains(&0) && !accepted.contains(&0) {
                continue;
            }
            for of_initiator in self.initiators {
                for of_acceptor in self.acceptors {
                    for prefers in [false, true] {
                        let chosen = |side: usize, order: &[usize]| -> Vec<Plan> {
                            order.iter().map(|which| plans[side][*which]).collect()
                        };
                        let initiator = chosen(0, offered);
                        let acceptor = chosen(1, accepted);
                        let mut config = Config {
                            initiator: Side::new(
                                Role::Initiator,
                                initiator,
                                of_initiator.rules(),
                                1,
                            ),
                            acceptor: Side::new(Role::Acceptor, acceptor, of_acceptor.rules(), 2),
                            hints: None,
                        };
                        config.acceptor.prefers = prefers;
                        configs.push(config.clone());
                        if self.hints {
                            for hints in [&[first.mech][..], &[plans[0][1].mech]] {
                                config.hints = Some(hint(hints));
                                configs.push(config.clone());
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A NegTokenInit2 with these mechanisms.
fn hint(mechs: &[Oid]) -> Vec<u8> {
    NegTokenInit {
        mech_types: MechList::encode(mechs),
        mech_token: None,
        mech_list_mic: None,
    }
    .encode_init2()
}

/// A trace that must not be.
struct Violation {
    config: Config,
    choices: Choices,
    /// Deliveries.
    length: usize,
}

/// What was seen.
#[derive(Default)]
struct Seen {
    configs: AtomicUsize,
    traces: AtomicUsize,
    states: AtomicUsize,
    /// By what is wrong: how many there are, and the shortest of them.
    violations: Mutex<BTreeMap<String, (usize, Violation)>>,
}

impl Seen {
    /// Count it, and keep it if no shorter one of its kind is known.
    fn violated(&self, why: String, found: Violation) {
        let mut violations = self.violations.lock().unwrap();
        match violations.entry(why) {
            Entry::Vacant(none) => {
                none.insert((1, found));
            }
            Entry::Occupied(mut known) => {
                let (count, shortest) = known.get_mut();
                *count += 1;
                if found.length < shortest.length {
                    *shortest = found;
                }
            }
        }
    }
}

/// No configuration and no trace of this machine's.
fn install() {
    policy::install(|name| (name == policy::CONFIG_VARIABLE).then(Default::default));
}

fn explore(bounds: Vec<Bound>) {
    install();
    std::panic::set_hook(Box::new(|_| {}));
    for bound in bounds {
        let (configs, menu) = (bound.configs(), (bound.menu)());
        for touched in 0..=bound.touched {
            let seen = explore_with(&configs, &menu, touched);
            println!(
                "{}, {touched} touched: {} configurations, {} traces, {} states",
                bound.name,
                seen.configs.into_inner(),
                seen.traces.into_inner(),
                seen.states.into_inner(),
            );
            let violations = seen.violations.into_inner().unwrap();
            let kinds = violations.len();
            let mut shortest = violations.into_iter().collect::<Vec<_>>();
            shortest.sort_by_key(|(_, (_, violation))| violation.length);
            if let Some((why, (count, violation))) = shortest.into_iter().next() {
                let _ = std::panic::take_hook();
                let trace = shown(violation, &menu);
                panic!("{kinds} kinds of violations; {count} times: {why}\n\n{trace}");
            }
        }
    }
    let _ = std::panic::take_hook();
}

/// All traces in which the attacker touches so many messages.
fn explore_with(configs: &[Config], menu: &Menu, touched: usize) -> Seen {
    let seen = Seen::default();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(config) = configs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    explore_one(config, menu, touched, &seen);
                }
            });
        }
    });
    seen
}

fn explore_one(config: &Config, menu: &Menu, touched: usize, seen: &Seen) {
    let honest = catch_unwind(AssertUnwindSafe(|| {
        let other = network::other_session(config);
        let honest = network::run(config, menu, &other, &mut Choices::honest(), None);
        honest.map(|honest| (other, honest))
    }));
    let (other, honest) = match honest {
        Ok(Some(both)) => both,
        Ok(None) => return,
        Err(panic) => {
            let found = Violation {
                config: config.clone(),
                choices: Choices::honest(),
                length: 0,
            };
            let why = format!("an honest run panics: {}", said(panic.as_ref()));
            seen.violated(why, found);
            return;
        }
    };
    let mut choices = Choices::with(touched);
    let (mut traces, mut states) = (0, 0);
    loop {
        let known = choices.common_with_last();
        let run = || network::run(config, menu, &other, &mut choices, None);
        let run = catch_unwind(AssertUnwindSafe(run));
        let why = match &run {
            Err(panic) => Some(format!("it panics: {}", said(panic.as_ref()))),
            Ok(Some(outcome)) if choices.is_spent() => {
                traces += 1;
                states += outcome.deliveries.saturating_sub(known);
                let why = outcome.violation(config, &honest);
                let of_honest = || outcome.honest_violation(config).filter(|_| touched == 0);
                why.or_else(of_honest)
            }
            Ok(_) => None,
        };
        if let Some(why) = why {
            let length = |outcome: &Outcome| outcome.deliveries;
            let found = Violation {
                config: config.clone(),
                choices: choices.clone(),
                length: run.ok().flatten().as_ref().map_or(usize::MAX, length),
            };
            seen.violated(why, found);
        }
        if !choices.next() {
            break;
        }
    }
    seen.configs.fetch_add(1, Ordering::Relaxed);
    seen.traces.fetch_add(traces, Ordering::Relaxed);
    seen.states.fetch_add(states, Ordering::Relaxed);
}

/// What a panic says.
fn said(panic: &dyn Any) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("something else than a text")
}

/// The trace, message by message.
fn shown(violation: Violation, menu: &Menu) -> String {
    let Violation {
        config,
        mut choices,
        ..
    } = violation;
    let other = catch_unwind(AssertUnwindSafe(|| network::other_session(&config)));
    let other: Vec<Sent> = other.unwrap_or_default();
    let mut log = String::new();
    choices.rewind();
    let run = || network::run(&config, menu, &other, &mut choices, Some(&mut log));
    let ended = catch_unwind(AssertUnwindSafe(run));
    let ends = ended.ok().flatten().map_or_else(String::new, |outcome| {
        format!("{:?}\n{:?}\n", outcome.initiator, outcome.acceptor)
    });
    format!("{}\n{log}\n{ends}", config.shown())
}
