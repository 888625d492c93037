use super::*;

/// What is found in a text, or why nothing is.
fn found(input: &[u8]) -> Result<Vec<Found>, String> {
    find(input, "the input")?.collect()
}

fn octets(text: &str) -> Vec<Vec<u8>> {
    let found = found(text.as_bytes()).unwrap();
    found.into_iter().map(|found| found.octets).collect()
}

/// A NegTokenInit that offers NTLM, with its NEGOTIATE_MESSAGE, self-made.
const INIT: &str =
    "YEAGBisGAQUFAqA2MDSgDjAMBgorBgEEAYI3AgIKoiIEIE5UTE1TU1AAAQAAADeCCOAAAAAAIAAAAAAAAAAgAAAA";

#[test]
fn hexadecimal_is_read_however_it_is_written() {
    for text in [
        "a1053003800102",
        "A1 05 30 03 80 01 02",
        "0xa1, 0x05, 0x30, 0x03, 0x80, 0x01, 0x02",
        "a1:05:30:03:80:01:02",
        "\\xa1\\x05\\x30\\x03\\x80\\x01\\x02",
        "0xa1053003800102\n",
        "a1 05 30\n03 80 01 02\n",
    ] {
        assert_eq!(octets(text), [[0xa1, 5, 0x30, 3, 0x80, 1, 2]], "{text}");
    }
}

#[test]
fn base64_may_be_wrapped_and_lack_its_padding() {
    let token = [0xa1, 5, 0x30, 3, 0x80, 1, 2];
    assert_eq!(octets("oQUwA4ABAg=="), [token]);
    assert_eq!(octets("oQUw\nA4AB\nAg=="), [token]);
    let found = found(b"oQUwA4ABAg").unwrap();
    assert_eq!(found[0].octets, token);
    let problem = found[0].problem.as_ref().unwrap();
    assert_eq!(problem.section, "RFC 4648 section 3.2");
    assert_eq!(problem.level, Level::Doubtful);
}

#[test]
fn each_line_is_a_token_where_each_is_whole() {
    assert_eq!(octets("oQMwAQA=\noQMwAQA=\n").len(), 2);
    assert_eq!(octets("a103300100\na103300100").len(), 2);
    assert_eq!(octets(&format!("{INIT}\n{INIT}\n")).len(), 2);
}

#[test]
fn binary_is_taken_as_it_is() {
    assert_eq!(found(b"\x60\x82\x00").unwrap()[0].octets, b"\x60\x82\x00");
    assert_eq!(found(b"a\0b").unwrap()[0].octets, b"a\0b");
}

#[test]
fn the_fields_of_a_log_are_found_in_order() {
    let log = "* Server auth using Negotiate with user ''\n\
               > GET / HTTP/1.1\n> Authorization: Negotiate oQMwAQA=\n> \n\
               < HTTP/1.1 401 Unauthorized\n< WWW-Authenticate: Negotiate\n\
               < WWW-Authenticate: Basic realm=\"x, y\", NTLM\n\
               < Proxy-Authenticate: Nego2 oQMwAQA=\n";
    let found = found(log.as_bytes()).unwrap();
    let seen: Vec<_> = found
        .iter()
        .map(|found| {
            let (header, scheme) = (found.header.unwrap(), found.scheme.unwrap());
            let line = found.line.unwrap();
            (found.way, header, scheme, found.octets.len(), line)
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Way::ToServer, "Authorization", "Negotiate", 5, 3),
            (Way::ToClient, "WWW-Authenticate", "Negotiate", 0, 6),
            (Way::ToClient, "WWW-Authenticate", "NTLM", 0, 7),
            (Way::ToClient, "Proxy-Authenticate", "Nego2", 5, 8),
        ]
    );
}

#[test]
fn broken_base64_is_read_up_to_where_it_breaks() {
    let found = found(b"WWW-Authenticate: Negotiate oQMwAQA!xyz").unwrap();
    let problem = found[0].problem.as_ref().unwrap();
    assert!(problem.text.contains("character 8"), "{problem:?}");
    assert_eq!(problem.level, Level::Wrong);
    assert_eq!(found[0].octets, [0xa1, 3, 0x30, 1, 0]);
}

#[test]
fn ends_of_lines_may_be_written_out_behind_a_token() {
    for end in [
        "\\r\\n",
        "[\\r][\\n]",
        "\\\\r\\\\n",
        "\\x0d\\x0a",
        "\\u000d\\u000a",
        "\\015\\012",
        "%0D%0A",
        "&#13;&#10;",
        "&#xD;&#xA;",
        "<CR><LF>",
        "^M",
        "\u{240d}\u{240a}",
        "\r\n",
        "\"",
        "'}",
        "]",
    ] {
        for before in ["Authorization: ", ""] {
            let text = format!("{before}Negotiate {INIT}{end}");
            let found = found(text.as_bytes()).unwrap();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].octets.len(), 66, "{text}");
            assert_eq!(found[0].problem, None, "{text}");
        }
    }
}

#[test]
fn what_is_no_token_is_refused() {
    for text in [
        "",
        " \n",
        "hello, world",
        "abc!",
        "no token here",
        "notoken",
        "Negotiate Header was invalid: Negotiate TOKEN",
        "WWW-Authenticate: Negotiate header missing",
        "Authorization: Negotiate TOKEN\nProxy-Authenticate: NTLM authentication",
        "use Negotiate authentication, or NTLM authenticationLevelAndMore",
        "2026 11 29 03 05 12 GET /index.html",
    ] {
        assert!(found(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn what_is_cut_anywhere_between_two_reads_is_found() {
    /// Gives a few octets at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(out.len()).min(self.0.len());
            let (now, later) = self.0.split_at(count);
            out[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    let filler = "x y ".repeat(9_000);
    let log = format!("{filler}\nAuthorization: Negotiate {INIT}\n{filler}Negotiate {INIT} end");
    for size in [1, 7, 4096, 100_000] {
        let found: Vec<_> = find(Slow(log.as_bytes(), size), "the input")
            .unwrap()
            .map(|found| (found.as_ref().unwrap().octets.len(), found.unwrap().line))
            .collect();
        assert_eq!(found, [(66, Some(2)), (66, Some(3))], "{size}");
    }
}

/// A run of digits without end is no token, and what stands behind it is found all the same.
#[test]
fn a_run_without_end_hides_nothing_behind_it() {
    for run in [
        "A",
        "YEAGBisGAQUF",
        "6040",
        "oQcwBaADCgEB",
        "60:",
        "Authorization: ",
    ] {
        let log = format!(
            "{}\n> Authorization: Negotiate {INIT}\n",
            run.repeat(1_500_000 / run.len())
        );
        let found = found(log.as_bytes()).unwrap();
        assert_eq!(found.len(), 1, "{run}");
        assert_eq!(found[0].octets.len(), 66, "{run}");
    }
}

#[test]
fn a_message_that_a_logger_writes_twice_is_one() {
    let log = format!(
        "headers - http-outgoing-0 >> Authorization: Negotiate {INIT}\n\
         wire - http-outgoing-0 >> \"Authorization: Negotiate {INIT}[\\r][\\n]\"\n"
    );
    assert_eq!(octets(&log).len(), 1);
    // The same token sent twice is two.
    let log = format!("> Authorization: Negotiate {INIT}\n").repeat(2);
    assert_eq!(octets(&log).len(), 2);
}

#[test]
fn what_chromium_leaves_out_is_said() {
    let log =
        "{\"params\":{\"headers\":[\"Authorization: Negotiate [1712 bytes were stripped]\"]}}";
    let found = found(log.as_bytes()).unwrap();
    assert_eq!(found[0].octets, b"");
    let problem = found[0].problem.as_ref().unwrap();
    assert_eq!(problem.level, Level::Note);
    assert!(
        problem.text.contains("1712 bytes were stripped"),
        "{problem:?}"
    );
}
