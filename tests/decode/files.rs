//! The files that people have: what programs, loggers and analysers make of a sign-in, and the same
//! tokens out of each. What the programs write is made after their own output.

use std::io::Write as _;
use std::thread;

use super::*;

/// Client to server, server to client, and where a file does not say.
const TO_SERVER: Option<&str> = Some("client-to-server");
const TO_CLIENT: Option<&str> = Some("server-to-client");
const NO_WAY: Option<&str> = None;

/// A token and the direction that is to be found with it.
type Sent = (Vec<u8>, Option<&'static str>);

/// What curl and our server said to each other by Kerberos, kept for the fuzz targets.
fn kerberos() -> [Vec<u8>; 2] {
    ["krb5-1", "krb5-2"].map(|name| {
        let path = format!(
            "{}/tests/fuzz/corpus/decode/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read(path).unwrap()
    })
}

fn sent() -> [Sent; 2] {
    let [request, reply] = kerberos();
    [(request, TO_SERVER), (reply, TO_CLIENT)]
}

fn field(way: Option<&str>) -> &'static str {
    match way == TO_SERVER {
        true => "Authorization",
        false => "WWW-Authenticate",
    }
}

/// One message of HTTP for each token.
fn http(sent: &[Sent]) -> Vec<String> {
    sent.iter()
        .map(|(token, way)| {
            let token = base64(token);
            match *way == TO_SERVER {
                true => format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Negotiate {token}\r\n\r\n"),
                false => format!(
                    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate {token}\r\nDate: x\r\n\r\n"
                ),
            }
        })
        .collect()
}

/// The tokens are found in this file, these and no others, and nothing is wrong.
#[track_caller]
fn finds(name: &str, file: &[u8], sent: &[Sent]) {
    let shown = Shown::of(&["--octets"], file);
    let legs = shown.json["legs"].as_array().unwrap();
    let found: Vec<_> = legs
        .iter()
        .map(|leg| (leg["length"].as_u64().unwrap(), leg["direction"].as_str()))
        .collect();
    let wanted: Vec<_> = sent
        .iter()
        .map(|(token, way)| (u64::try_from(token.len()).unwrap(), *way))
        .collect();
    assert_eq!(found, wanted, "{name}: {}", String::from_utf8_lossy(file));
    assert_eq!(shown.wrong(), [""; 0], "{name}");
    for (leg, (token, _)) in legs.iter().zip(sent) {
        if !token.is_empty() {
            assert_eq!(leg["token"]["length"], token.len(), "{name}");
        }
    }
}

#[test]
fn json_of_browsers_and_analysers_has_its_tokens() {
    let sent = sent();
    let header = |(token, way): &Sent| {
        format!(
            r#"{{"name":"{}","value":"Negotiate {}"}}"#,
            field(*way),
            base64(token)
        )
    };
    let entries: Vec<_> = sent
        .iter()
        .map(|sent| {
            format!(
                r#"{{"request":{{"headers":[{}]}},"response":{{"content":{{"text":"{}"}}}}}}"#,
                header(sent),
                "QUJD".repeat(20_000)
            )
        })
        .collect();
    let har = format!(r#"{{"log":{{"entries":[{}]}}}}"#, entries.join(","));
    finds("HAR", har.as_bytes(), &sent);
    let value: Value = serde_json::from_str(&har).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    finds("HAR over lines", pretty.as_bytes(), &sent);
    let escaped = har
        .replace('/', "\\/")
        .replace('+', "\\u002B")
        .replace('=', "\\u003d");
    // The signs in base64 alone, not those of the keys.
    finds("HAR with escapes", escaped.as_bytes(), &sent);
    finds("HAR with gzip", &gzip(har.as_bytes()), &sent);

    let netlog: Vec<_> = sent
        .iter()
        .map(|(token, way)| {
            format!(
                "{{\"params\":{{\"headers\":[\"Host: h\",\"{}: Negotiate {}\"]}},\"type\":1}},\n",
                field(*way),
                base64(token)
            )
        })
        .collect();
    // Chromium ends its log when it can, and often cannot.
    let netlog = format!("{{\"constants\":{{}},\n\"events\": [\n{}", netlog.concat());
    finds("NetLog", netlog.as_bytes(), &sent);

    let packets: Vec<_> = sent
        .iter()
        .map(|(token, way)| {
            let key = match *way == TO_SERVER {
                true => "http.authorization",
                false => "http.www_authenticate",
            };
            let base64 = base64(token);
            let inner: Vec<_> = token[20..]
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect();
            format!(
                "  {{ \"_index\": \"packets\", \"_source\": {{ \"layers\": {{ \"http\": {{\n\
                 \"{key}\": \"Negotiate {base64}\",\n\
                 \"{key}_tree\": {{ \"gss-api\": {{ \"spnego.mechToken\": \"{}\" }} }},\n\
                 \"http.request.line\": \"{}: Negotiate {base64}\\r\\n\" }} }} }} }}",
                inner.join(":"),
                field(*way)
            )
        })
        .collect();
    let packets = format!("[\n{}\n]\n", packets.join(",\n"));
    finds("tshark -T json", packets.as_bytes(), &sent);
    let octets: Vec<_> = sent[0]
        .0
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let packet = format!(
        "[{{ \"_source\": {{ \"layers\": {{ \"smb2\": {{ \"smb2.security_blob\": \"{}\" }} }} }} }}]",
        octets.join(":")
    );
    finds(
        "tshark -T json of SMB",
        packet.as_bytes(),
        &[(sent[0].0.clone(), NO_WAY)],
    );
}

#[test]
fn pdml_has_each_token_once_and_whole() {
    let sent = sent();
    let packets: Vec<_> = sent
        .iter()
        .map(|(token, way)| {
            let key = match *way == TO_SERVER {
                true => "http.authorization",
                false => "http.www_authenticate",
            };
            let line = format!("{}: Negotiate {}", field(*way), base64(token));
            // Titles are cut.
            let title = match line.len() > 240 {
                true => format!("[truncated]{}", &line[..228]),
                false => format!("{line}\\r\\n"),
            };
            format!(
                "<packet>\n <proto name=\"http\" showname=\"Hypertext Transfer Protocol\">\n\
                 <field name=\"{key}\" showname=\"{title}\" size=\"1\" pos=\"1\" \
                 show=\"Negotiate {}\" value=\"{}\">\n\
                 <proto name=\"gss-api\"><field name=\"\" show=\"\" value=\"{}\"/></proto>\n\
                 </field>\n</proto>\n</packet>\n",
                base64(token),
                hex(line.as_bytes()),
                hex(token)
            )
        })
        .collect();
    let pdml = format!(
        "<?xml version=\"1.0\"?>\n<pdml version=\"0\">\n{}</pdml>\n",
        packets.concat()
    );
    finds("tshark -T pdml", pdml.as_bytes(), &sent);
}

#[test]
fn header_fields_are_found_however_a_program_writes_them() {
    let [request, reply] = sent();
    let (a, b) = (base64(&request.0), base64(&reply.0));
    let encoded = a
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let none = |sent: &Sent| (sent.0.clone(), NO_WAY);
    let nothing = (Vec::new(), TO_CLIENT);
    let both = [request.clone(), reply.clone()];
    for (file, wanted) in [
        // Java: URLConnection, HttpClient, a map.
        (
            format!(
                "MessageHeader@1b 5 pairs: {{GET / HTTP/1.1: null}}{{Authorization: Negotiate {a}}}{{Host: h}}"
            ),
            &both[..1],
        ),
        (
            format!(
                "http-outgoing-0 >> Authorization: Negotiate {a}\n\
                     http-outgoing-0 >> \"Authorization: Negotiate {a}[\\r][\\n]\"\n\
                     http-outgoing-0 << WWW-Authenticate: Negotiate {b}\n\
                     http-outgoing-0 << \"WWW-Authenticate: Negotiate {b}[\\r][\\n]\"\n"
            ),
            &both,
        ),
        (
            format!("{{WWW-Authenticate=[Negotiate {b}, NTLM], Date=[x]}}"),
            &[reply.clone(), nothing.clone()],
        ),
        // Python: http.client, requests, tuples; Go; Ruby; PHP.
        (
            format!(
                "send: b'GET / HTTP/1.1\\r\\nHost: h\\r\\nAuthorization: Negotiate {a}\\r\\n\\r\\n'\n\
                     reply: 'HTTP/1.1 401 Unauthorized\\r\\n'\nheader: WWW-Authenticate: Negotiate {b}\n"
            ),
            &both,
        ),
        (
            format!(
                "{{'Accept': '*/*', 'Authorization': 'Negotiate {a}'}} {{'WWW-Authenticate': 'Negotiate {b}'}}"
            ),
            &both,
        ),
        (
            format!(
                "[('Authorization', 'Negotiate {a}'), (b'WWW-Authenticate', b'Negotiate {b}')]"
            ),
            &both,
        ),
        (
            format!(
                "map[Authorization:[Negotiate {a}] Host:[h]] map[Www-Authenticate:[Negotiate {b}]]"
            ),
            &both,
        ),
        (
            format!("{{\"HTTP_AUTHORIZATION\"=>\"Negotiate {a}\"}}"),
            &both[..1],
        ),
        (
            format!("    [HTTP_AUTHORIZATION] => Negotiate {a}\n"),
            &both[..1],
        ),
        // .NET
        (
            format!("[Authorization, Negotiate {a}]\n[WWW-Authenticate, Negotiate {b}]\n"),
            &both,
        ),
        (
            format!("Headers: {{\n  WWW-Authenticate: Negotiate {b}\n  WWW-Authenticate: NTLM\n}}"),
            &[reply.clone(), nothing],
        ),
        // Lists and pairs: YAML, XML, JSON in JSON.
        (
            format!(
                "      Authorization:\n      - Negotiate {a}\n      WWW-Authenticate:\n      - Negotiate {b}\n"
            ),
            &both,
        ),
        (
            format!(
                "<header name=\"Authorization\" value=\"Negotiate {a}\"/>\
                     <name>WWW-Authenticate</name><value>Negotiate {b}</value>"
            ),
            &both,
        ),
        (
            format!("{{\"msg\":\"{{\\\"Authorization\\\":\\\"Negotiate {a}\\\"}}\"}}"),
            &both[..1],
        ),
        // Apache, nginx, IIS, Squid.
        (
            format!(
                "mod_dumpio:  dumpio_in (data-HEAP): Authorization: Negotiate {a}\\r\\n\n\
                     mod_dumpio: dumpio_out (data-HEAP): HTTP/1.1 401\\r\\nWWW-Authenticate: Negotiate {b}\\r\\nX: y\n"
            ),
            &both,
        ),
        (
            format!("+id|GET / HTTP/1.1|Host:h|Authorization:Negotiate {a}|Accept:*/*"),
            &both[..1],
        ),
        (
            format!("[debug] 1#1: *1 http header: \"Authorization: Negotiate {a}\"\n"),
            &both[..1],
        ),
        (
            format!(
                "<Data Name=\"Headers\">Authorization: Negotiate {a}&#xD;&#xA;Host: h</Data>\
                     <Data>WWW-Authenticate: Negotiate {b}&#xD;\n</Data>"
            ),
            &both,
        ),
        (
            format!("2026-11-29 GET / - Negotiate+{a} 200\n"),
            &[none(&request)],
        ),
        (
            format!("::1 - - \"GET / HTTP/1.1\" 200 \"curl\" \"Negotiate {a}\"\n"),
            &[none(&request)],
        ),
        (
            format!(
                "TCP_DENIED/407 [Proxy-Authorization:%20Negotiate%20{encoded}%0D%0AHost:%20h%0D%0A]"
            ),
            &both[..1],
        ),
        (
            format!(
                "negotiate_kerberos_auth: DEBUG: Got 'YR {a}' from squid (length: 1)\n\
                     negotiate_kerberos_auth: DEBUG: AF {b} user@R\n"
            ),
            &both,
        ),
        // In the middle of a line, and in prose.
        (
            format!("$ curl -H \"authorization: negotiate {a}\" https://h/"),
            &both[..1],
        ),
        (
            format!(
                "Negotiate Header was invalid: Negotiate TOKEN\nNegotiate Header was invalid: Negotiate {a}\n"
            ),
            &[none(&request)],
        ),
        (
            format!(
                "* [HTTP/2] [1] [authorization: Negotiate {a}]\n> authorization: Negotiate {a}\n"
            ),
            &both[..1],
        ),
    ] {
        finds("header fields", file.as_bytes(), wanted);
    }
}

#[test]
fn lines_of_sasl_have_their_tokens() {
    let [request, reply] = sent();
    let (a, b) = (base64(&request.0), base64(&reply.0));
    let none = |sent: &Sent| (sent.0.clone(), NO_WAY);
    for (file, wanted) in [
        (
            format!("* OK ready\r\nA1 AUTHENTICATE GSS-SPNEGO\r\n+\r\n{a}\r\n+ {b}\r\nA1 OK\r\n"),
            [none(&request), reply.clone()],
        ),
        (
            format!("250 AUTH GSSAPI\nAUTH GSS-SPNEGO {a}\n334 {b}\n235 done\n"),
            [request.clone(), reply.clone()],
        ),
        (
            format!("C: {a}\nS: {b}\n"),
            [request.clone(), reply.clone()],
        ),
        (
            format!("<auth mechanism='GSS-SPNEGO'>{a}</auth><challenge>{b}</challenge>"),
            [request.clone(), reply.clone()],
        ),
    ] {
        finds("SASL", file.as_bytes(), &wanted);
    }
}

#[test]
fn wrapped_and_folded_lines_are_joined() {
    let [request, _] = sent();
    let text = base64(&request.0);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    for between in ["\n ", "\r\n\t", "\n", "\n>  "] {
        let file = format!(
            "Authorization: Negotiate {}\nHost: h\n",
            lines.join(between)
        );
        finds("folded", file.as_bytes(), std::slice::from_ref(&request));
    }
    let none = [(request.0.clone(), NO_WAY)];
    finds("base64", (lines.join("\n") + "\n").as_bytes(), &none);
    let pem = format!(
        "-----BEGIN TOKEN-----\n{}\n-----END TOKEN-----\n",
        lines.join("\n")
    );
    finds("PEM", pem.as_bytes(), &none);
}

#[test]
fn text_need_not_be_utf_8() {
    let sent = sent();
    let http = http(&sent).concat();
    let wide = |octets: fn(u16) -> [u8; 2], mark: &str| {
        let text = mark.to_owned() + &http;
        text.encode_utf16().flat_map(octets).collect::<Vec<u8>>()
    };
    finds("UTF-16LE", &wide(u16::to_le_bytes, "\u{feff}"), &sent);
    finds(
        "UTF-16LE without a mark",
        &wide(u16::to_le_bytes, ""),
        &sent,
    );
    finds("UTF-16BE", &wide(u16::to_be_bytes, "\u{feff}"), &sent);
    let mixed = [
        &b"\xe9\xe8 page\n"[..],
        http.as_bytes(),
        b"\n\xff\xfe\0\x01\x89PNG\n",
    ];
    finds("Latin 1 and worse", &mixed.concat(), &sent);
    let page = [
        format!(
            "> Authorization: Negotiate {}\n< HTTP/1.1 200 OK\n",
            base64(&sent[0].0)
        )
        .as_bytes(),
        b"\x89PNG\xff\xfe\n",
    ]
    .concat();
    finds("a binary page", &page, &sent[..1]);
}

/// Rows of sixteen octets, as Wireshark writes them.
fn rows(octets: &[u8], indent: &str, from: usize) -> String {
    (from..)
        .step_by(16)
        .zip(octets.chunks(16))
        .map(|(offset, row)| {
            let digits: Vec<_> = row.iter().map(|octet| format!("{octet:02x}")).collect();
            let text: String = row
                .iter()
                .map(|octet| match octet {
                    b' '..=b'~' => char::from(*octet),
                    _ => '.',
                })
                .collect();
            format!("{indent}{offset:08X}  {:<49}  {text}\n", digits.join(" "))
        })
        .collect()
}

#[test]
fn a_stream_that_wireshark_follows_has_its_tokens() {
    let sent = sent();
    let http = http(&sent);
    let raw = format!(
        "\n===\nFollow: tcp,raw\nFilter: tcp.stream eq 0\n{}\n\t{}\n",
        hex(http[0].as_bytes()),
        hex(http[1].as_bytes())
    );
    finds("follow raw", raw.as_bytes(), &sent);
    let dump = rows(http[0].as_bytes(), "", 0) + &rows(http[1].as_bytes(), "    ", 0);
    finds("follow hex", dump.as_bytes(), &sent);
    let ascii = format!(
        "\n===\nFollow: tcp,ascii\n{}\n{}\n\t{}\n{}\n",
        9, http[0], 9, http[1]
    );
    finds("follow ascii", ascii.as_bytes(), &sent);
    let yaml: Vec<_> = http
        .iter()
        .map(|message| {
            let text = base64(message.as_bytes());
            let lines: Vec<_> = text
                .as_bytes()
                .chunks(72)
                .map(|line| format!("      {}\n", std::str::from_utf8(line).unwrap()))
                .collect();
            format!(
                "  - packet: 4\n    peer: 0\n    data: !!binary |\n{}",
                lines.concat()
            )
        })
        .collect();
    finds(
        "follow yaml",
        format!("packets:\n{}", yaml.concat()).as_bytes(),
        &sent,
    );
    let arrays: Vec<_> = http
        .iter()
        .map(|message| {
            let octets: Vec<_> = message
                .bytes()
                .map(|octet| format!("0x{octet:02x}"))
                .collect();
            let lines: Vec<_> = octets.chunks(8).map(|line| line.join(", ")).collect();
            format!(
                "char peer0_0[] = {{ /* Packet 4 */\n{} }};\n",
                lines.join(", \n")
            )
        })
        .collect();
    finds("follow C arrays", arrays.concat().as_bytes(), &sent);
    // The packets of another protocol around it.
    let packet = [&[0x45; 52][..], &sent[0].0, b"what follows"].concat();
    let none = [(sent[0].0.clone(), NO_WAY)];
    finds("tshark -x", rows(&packet, "", 0).as_bytes(), &none);
}

#[test]
fn dumps_of_the_usual_programs_are_read_back() {
    let [request, reply] = kerberos();
    let null_session = unhex(MS_NLMP_CHALLENGE);
    let http = http(&sent()).concat();
    for command in [
        "hexdump -C",
        "hexdump",
        "hexdump -v",
        "hexdump -x",
        "hexdump -b",
        "xxd",
        "xxd -g1",
        "xxd -c32",
        "xxd -p",
        "xxd -i",
        "xxd -u",
        "od",
        "od -v",
        "od -b",
        "od -x",
        "od -tx1",
        "od -Ax -tx1",
        "od -Ax -tx1z",
        "od -Ad -tx1",
        "od -An -tx1",
        "base64",
        "base64 -w0",
    ] {
        let words: Vec<_> = command.split(' ').collect();
        if !support::installed(&[words[0]]) {
            continue;
        }
        for token in [&request, &reply, &null_session] {
            let none = [(token.clone(), NO_WAY)];
            finds(command, &filtered(&words, token), &none);
        }
        finds(command, &filtered(&words, http.as_bytes()), &sent());
    }
}

/// What a program makes of its standard input.
fn filtered(command: &[&str], input: &[u8]) -> Vec<u8> {
    let mut process = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || stdin.write_all(&input));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.stdout
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    filtered(&["gzip", "-c"], octets)
}

#[test]
fn the_traces_of_curl_are_read_back() {
    let Some(realm) = Realm::with_plugin().filter(|_| support::installed(&["curl"])) else {
        return;
    };
    let variables = variables(realm);
    for options in [
        &["--trace", "-"][..],
        &["--trace-ascii", "-"],
        &["--trace-ascii", "-", "--trace-time"],
        &["--trace", "-", "--trace-time"],
    ] {
        let log = curl_with(options, &variables, &variables);
        let shown = decode(&log);
        assert_eq!(shown.wrong(), [""; 0], "{options:?}: {log}");
        assert_eq!(
            find(shown.field("AP-REQ"), "sname").unwrap()["value"],
            "HTTP/localhost"
        );
        assert_eq!(shown.field("negState")["meaning"], "accept-completed");
        assert_eq!(
            shown.json["legs"].as_array().unwrap().len(),
            2,
            "{options:?}: {log}"
        );
    }
}

/// A log of any size is read in memory of a fixed one: the limit is a quarter of the log, and holds for
/// the addresses of the program as a whole.
#[test]
fn a_log_of_any_size_is_read_in_bounded_memory() {
    const MEGABYTE: usize = 0x10_0000;
    let [request, _] = kerberos();
    let line = format!("> Authorization: Negotiate {}\n", base64(&request));
    let mut process = Command::new("sh")
        .args(["-c", "ulimit -v 65536; exec \"$0\" decode --json"])
        .arg(support::tool())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        let page = "a page of a few words, ".repeat(MEGABYTE / 23);
        let log =
            "2026-11-29 INFO GET /index.html?id=7 took 12 ms from 10.0.0.1\n".repeat(MEGABYTE / 62);
        let json = "{\"name\":\"Accept\",\"value\":\"text/html\"},".repeat(MEGABYTE / 38);
        let body = "QUJDREVGR0hJSktMTU5P".repeat(MEGABYTE / 20);
        let nothing = "\0".repeat(MEGABYTE);
        stdin.write_all(line.as_bytes())?;
        for (block, times) in [
            (&page, 64),
            (&log, 24),
            (&json, 24),
            (&body, 16),
            (&nothing, 128),
        ] {
            for _ in 0..times {
                stdin.write_all(block.as_bytes())?;
            }
        }
        stdin.write_all(b"\n")?;
        stdin.write_all(line.as_bytes())
    });
    let output = process.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    writer.join().unwrap().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let legs = json["legs"].as_array().unwrap();
    assert_eq!(legs.len(), 2, "{json}");
    assert_eq!(legs[1]["length"], request.len());
}

/// Each leg is shown when it is read, not when the input ends.
#[test]
fn tokens_are_shown_while_the_log_is_written() {
    let [request, reply] = sent();
    let mut process = Command::new(support::tool())
        .arg("decode")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    for (number, (token, way)) in [request, reply.clone(), reply.clone(), reply]
        .iter()
        .enumerate()
    {
        writeln!(stdin, "{}: Negotiate {}", field(*way), base64(token)).unwrap();
        // What is read at once is looked through at once.
        writeln!(stdin, "{}", "one word after the other\n".repeat(4_000)).unwrap();
        stdin.flush().unwrap();
        if number == 3 {
            let mut first = String::new();
            stdout.read_line(&mut first).unwrap();
            assert!(first.starts_with("leg 1, client to server"), "{first}");
        }
    }
    drop(stdin);
    process.wait().unwrap();
}
