//! The table of doc/conformance.md, made of what stands above the tests, and its rules.
//! SPNEGO_ACCEPT_CONFORMANCE=1 writes it anew; with SPNEGO_SPECIFICATIONS=DIRECTORY the ignored test
//! holds it against the specifications themselves, whose text may not be copied here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

/// A specification, and the files of its tests in the order of its text.
struct Specification {
    name: &'static str,
    /// What its tests' names begin with.
    prefix: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// The words at which the sections begin that the tests are for, and at which they end.
    from: &'static str,
    to: &'static str,
}

const SPECIFICATIONS: [Specification; 2] = [
    Specification {
        name: "RFC 4178",
        prefix: "rfc4178_",
        files: &[
            ("rfc4178_3.rs", include_str!("rfc4178_3.rs")),
            ("rfc4178_4.rs", include_str!("rfc4178_4.rs")),
            ("rfc4178_5.rs", include_str!("rfc4178_5.rs")),
            ("rfc4178_6.rs", include_str!("rfc4178_6.rs")),
        ],
        from: "to be interpreted as described in",
        to: "are not included in the MIC computation",
    },
    Specification {
        name: "MS-SPNG",
        prefix: "ms_spng_",
        files: &[
            ("ms_spng_2.rs", include_str!("ms_spng_2.rs")),
            ("ms_spng_3_1.rs", include_str!("ms_spng_3_1.rs")),
            ("ms_spng_3_2.rs", include_str!("ms_spng_3_2.rs")),
        ],
        from: "2.1 Transport SPNEGO is transported",
        to: "negHints.hintName field, the value of which is the string",
    },
];

/// One sentence: its row in the table.
#[derive(Debug)]
struct Row {
    section: String,
    number: usize,
    strength: String,
    /// Some words of it.
    words: String,
    done: String,
    file: &'static str,
    test: String,
}

impl Specification {
    /// The rows, in the order of the files.
    fn rows(&self) -> Vec<Row> {
        let files = self.files.iter();
        files
            .flat_map(|(file, source)| rows_of(file, source))
            .collect()
    }
}

/// Each test of a file, as a row.
fn rows_of(file: &'static str, source: &str) -> Vec<Row> {
    let blocks: Vec<&str> = source.split("#[test]\n").collect();
    let pairs = blocks.windows(2);
    pairs
        .map(|pair| {
            let test = pair[1].trim_start().strip_prefix("fn ").unwrap();
            let test = test.split('(').next().unwrap().to_owned();
            let above = pair[0].lines().rev();
            let mut above: Vec<&str> = above
                .map_while(|line| line.strip_prefix("///"))
                .map(str::trim)
                .collect();
            above.reverse();
            row(file, test, &above)
        })
        .collect()
}

fn row(file: &'static str, test: String, above: &[&str]) -> Row {
    let [head, "", done @ ..] = above else {
        panic!("{test}: a sentence, an empty line, and what is done: {above:?}");
    };
    let (sentence, rest) = head.split_once(' ').unwrap();
    let (section, number) = sentence.rsplit_once('-').unwrap();
    let (strength, words) = rest.split_once(" \"").unwrap();
    Row {
        section: section.to_owned(),
        number: number.parse().unwrap(),
        strength: strength.to_owned(),
        words: words.strip_suffix('"').unwrap().to_owned(),
        done: done.join(" "),
        file,
        test,
    }
}

/// "4.2.1" and 2 are the words `4_2_1_2_` of a name.
fn in_a_name(section: &str, number: usize) -> String {
    format!("{}_{number}_", section.to_lowercase().replace('.', "_"))
}

#[test]
fn each_sentence_has_a_test_of_its_own_named_after_it() {
    for specification in SPECIFICATIONS {
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        for row in specification.rows() {
            let name = specification.prefix.to_owned() + &in_a_name(&row.section, row.number);
            let what = row.test.strip_prefix(&name);
            assert!(
                what.is_some_and(|what| !what.is_empty()),
                "{} must begin with {name}",
                row.test
            );
            assert!(!row.done.is_empty(), "{}: what is done?", row.test);
            assert_eq!(row.strength, strength_of(&row.words), "{}", row.test);
            let before = counted.entry(row.section.clone()).or_default();
            assert_eq!(
                row.number,
                *before + 1,
                "{} {}: numbers without gaps, in order",
                specification.name,
                row.section
            );
            *before = row.number;
        }
        assert!(counted.len() > 10, "{counted:?}");
    }
}

/// The words of RFC 2119 in a quotation, each once, or "-".
fn strength_of(quotation: &str) -> String {
    let words = words_of(quotation);
    let mut found: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !KEY_WORDS.contains(&&**word) {
            continue;
        }
        let negated = words
            .get(at + 1)
            .filter(|next| next.to_uppercase() == "NOT");
        let strength = negated.map_or(word.clone(), |not| format!("{word} {not}"));
        if !found.contains(&strength) {
            found.push(strength);
        }
    }
    match found.is_empty() {
        true => "-".to_owned(),
        false => found.join(", "),
    }
}

#[test]
fn the_documented_table_is_made_of_the_tests() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/doc/conformance.md");
    let made = document();
    if std::env::var_os("SPNEGO_ACCEPT_CONFORMANCE").is_some() {
        fs::write(path, &made).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    let lines = kept.lines().zip(made.lines());
    let differs = lines.into_iter().find(|(kept, made)| kept != made);
    assert!(
        kept == made,
        "doc/conformance.md is not what the tests make; accept it with \
         SPNEGO_ACCEPT_CONFORMANCE=1 cargo test --test conformance\n{differs:?}"
    );
}

fn document() -> String {
    let counts = SPECIFICATIONS.map(|specification| specification.rows().len());
    let mut text = format!(
        "# What the specifications ask for\n\n\
        Made by `tests/conformance`: {} sentences of RFC 4178, sections 3 to 7 and the appendices,\n\
        and {} of MS-SPNG, sections 2, 3 and 4, each with a test of its own. A sentence is known by\n\
        its section, its number there and a few of its words; numbers count the sentences that ask\n\
        an implementation for something, with a word of RFC 2119 or without (-). Definitions, and\n\
        what is said of the program that calls or of other implementations, are not among them.\n",
        counts[0], counts[1]
    );
    text += DEVIATIONS;
    for specification in SPECIFICATIONS {
        let rows = specification.rows();
        let deviating = rows.iter().filter(|row| row.done.contains("Deviates"));
        let sentences: Vec<_> = deviating
            .map(|row| format!("{}-{}", row.section, row.number))
            .collect();
        let _ = writeln!(text, "* {}: {}", specification.name, sentences.join(", "));
    }
    for specification in SPECIFICATIONS {
        let _ = writeln!(text, "\n## {}\n", specification.name);
        text +=
            "| Sentence | Strength | Its words | What is done | Test |\n|---|---|---|---|---|\n";
        for row in specification.rows() {
            let Row {
                section,
                number,
                strength,
                words,
                done,
                file,
                test,
            } = row;
            let _ = writeln!(
                text,
                "| {section}-{number} | {strength} | {words} | {done} | `{file}`: `{test}` |"
            );
        }
    }
    text
}

/// In front of the sentences that are not followed to the letter.
const DEVIATIONS: &str = "\n## Deviations\n\n\
    Where something else is done than a sentence says, its row says what, and why:\n\n";

/// Each quoted word is in the text, in the order of the rows; and each word of RFC 2119 in the text is
/// in a quotation.
#[test]
#[ignore = "needs the specifications: SPNEGO_SPECIFICATIONS=DIRECTORY with rfc4178* and ms-spng*"]
fn no_sentence_of_the_specifications_is_forgotten() {
    let directory = std::env::var("SPNEGO_SPECIFICATIONS").unwrap();
    for specification in SPECIFICATIONS {
        let wanted = specification.name.to_lowercase().replace(' ', "");
        let mut files = fs::read_dir(&directory).unwrap().map(Result::unwrap);
        let file = files.find(|file| {
            let name = file.file_name().to_string_lossy().to_lowercase();
            name.starts_with(&wanted)
        });
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let text = words_of(&text);
        let mut at = find(&text, specification.from, 0).unwrap();
        let end = find(&text, specification.to, at).unwrap();
        let mut quoted = vec![false; text.len()];
        for row in specification.rows() {
            for words in row.words.split(" ... ") {
                let Some(found) = find(&text, words, at) else {
                    panic!("{}: not after the sentence before: {words}", row.test);
                };
                let length = words_of(words).len();
                quoted[found..found + length].fill(true);
                at = found + length;
            }
        }
        let start = find(&text, specification.from, 0).unwrap();
        let forgotten: Vec<String> = (start..end)
            .filter(|at| KEY_WORDS.contains(&&*text[*at]) && !quoted[*at])
            // Of ASN.1, not of RFC 2119.
            .filter(|at| !ASN1_TYPES.contains(&&*text[at - 1]))
            .map(|at| text[at.saturating_sub(12)..at + 5].join(" "))
            .collect();
        assert!(forgotten.is_empty(), "{}", forgotten.join("\n"));
    }
}

const KEY_WORDS: [&str; 9] = [
    "shall",
    "should",
    "MUST",
    "REQUIRED",
    "SHALL",
    "SHOULD",
    "RECOMMENDED",
    "MAY",
    "OPTIONAL",
];
const ASN1_TYPES: [&str; 6] = [
    "GeneralString",
    "STRING",
    "MechTypeList",
    "ContextFlags",
    "NegHints",
    "NegState",
];

/// The words of a text, without marks, references to pages, or the ways of writing a hyphen.
fn words_of(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("RFC 4178 ") && !line.contains("[Page "));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split(|sign: char| !sign.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

/// Where these words are, from a place on.
fn find(text: &[String], words: &str, from: usize) -> Option<usize> {
    let words = words_of(words);
    let found = text[from..]
        .windows(words.len())
        .position(|window| window == words)?;
    Some(from + found)
}
