//! The hostile inputs.

use super::ghost::GHOST;

/// A call and the code that it ends with; without a code it ends with the usage.
pub(super) struct Hostile {
    pub(super) words: Vec<Vec<u8>>,
    pub(super) code: &'static str,
}

impl Hostile {
    fn new(code: &'static str, words: &[&str]) -> Self {
        Self { code, words: words.iter().map(|word| word.as_bytes().to_vec()).collect() }
    }
    fn raw(code: &'static str, words: &[&[u8]]) -> Self {
        Self { code, words: words.iter().map(|word| word.to_vec()).collect() }
    }
    /// For a report: as text, not too long.
    pub(super) fn shown(&self) -> String {
        let words: Vec<_> = self
            .words
            .iter()
            .map(|word| String::from_utf8_lossy(word).chars().take(60).collect::<String>())
            .collect();
        format!("{words:?}")
    }
    /// Whether it reads standard input.
    pub(super) fn standard_input(&self) -> bool {
        self.words.iter().any(|word| word == b"-" || word == b"--json=-")
    }
}

/// Names that no client can have.
const BAD_NAMES: &[&str] = &[
    "; rm -rf /",
    "$(touch /tmp/pwned)",
    "`id`",
    "a|b",
    "a&b",
    "a&&b",
    "a>b",
    "a<b",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\u{b}b",
    "\u{1b}[2J",
    "\u{7f}",
    "a b",
    " a",
    "a ",
    "-a",
    "--help",
    "-h",
    "../a",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    ".",
    "..",
    ".hidden",
    "a.b",
    "a:b",
    "a;b",
    "a,b",
    "a'b",
    "a\"b",
    "a`b",
    "a$b",
    "a#b",
    "a%b",
    "%s%s%s%n",
    "%00",
    "{}",
    "{0}",
    "{name}",
    "${HOME}",
    "~root",
    "a*b",
    "a?b",
    "[a]",
    "a=b",
    "=",
    "==",
    "a@b",
    "a!b",
    "a^b",
    "a+b",
    "'; DROP TABLE clients; --",
    "' OR '1'='1",
    "\" OR 1=1 --",
    "a);--",
    "john-laptoр",
    "јohn",
    "jоhn-laptop",
    "ﬁle",
    "ａｂｃ",
    "a\u{200b}b",
    "\u{202e}nhoj",
    "a\u{300}",
    "İstanbul",
    "ıstanbul",
    "ß",
    "名前",
    "😀",
    "\u{feff}a",
    "\u{0}a",
    "a\u{85}b",
    "a\u{2028}b",
    "[Interface]",
    "x\n[Peer]\nPublicKey = a",
    "<script>alert(1)</script>",
    "\\u0061",
    "\\x61",
    "#a",
    "a\u{a0}b",
    "-",
    "--",
    "---",
    "-o",
];

/// Subnets that are none.
const BAD_SUBNETS: &[&str] = &[
    "10.9.0.0/-1",
    "10.9.0.0/33",
    "10.9.0.0/99999999999999999999",
    "10.9.0.0/0x18",
    "0x0a.9.0.0/24",
    "012.9.0.0/24",
    "10.9.0.0/24;reboot",
    "10.9.0.0/24\n",
    " 10.9.0.0/24",
    "10.9.0.256/24",
    "10.9.0.1/24",
    "10.9.0.0\\24",
    "10.9.0.0/24/24",
    "::/0",
    "::ffff:10.9.0.0/120",
    "１０.9.0.0/24",
    "10.9.0.0/²⁴",
    "%n/24",
    "any",
];

/// Words behind `core latest_clients` that are refused.
const BAD_WORDS: &[&[&str]] = &[
    &["count"],
    &["=1"],
    &["=", "="],
    &["count=1", "count=1"],
    &["Count=1"],
    &["COUNT=1"],
    &["count =1"],
    &["count= 1"],
    &["count=1;id"],
    &["count=$(id)"],
    &["count=0"],
    &["count=-0"],
    &["count=-1"],
    &["count=99999999999999999999999999"],
    &["count=1e3"],
    &["count=0x10"],
    &["count=NaN"],
    &["count=inf"],
    &["count=１"],
    &["count=1\n"],
    &["__proto__=1"],
    &["constructor=1"],
    &["count[]=1"],
    &["count.x=1"],
    &["cоunt=1"],
    &["--", "count=1"],
    &["-"],
    &["--count", "1"],
    &["--count=1"],
    &["-c", "1"],
    &["--lang"],
    &["--lang", "../../etc"],
    &["--lang", "en_US"],
    &["--lang="],
    &["--lang", "en", "--lang", "tr"],
    &["--compact=yes"],
    &["--compact=", "count=1"],
    &["--version=1"],
    &["--help=1"],
    &["-hh"],
    &["-h=1"],
    &["--HELP"],
    &["--json"],
    &["--json", ""],
    &["--json="],
    &["--json", "/etc/passwd"],
    &["--json", "@/etc/passwd"],
    &["--json", "{"],
    &["--json", "[]"],
    &["--json", "null"],
    &["--json", "\"\""],
    &["--json", "{}{}"],
    &["--json", "{\"count\":NaN}"],
    &["--json", "{\"count\":Infinity}"],
    &["--json", "{\"count\":1,}"],
    &["--json", "{/**/\"count\":1}"],
    &["--json", "{\"count\":{\"$gt\":0}}"],
    &["--json", "{\"count\":[1]}"],
    &["--json", "{\"count\":true}"],
    &["--json", "{\"count\":1e400}"],
    &["--json", "{\"count\":1.0000001}"],
    &["--json", "{\"count\":18446744073709551616}"],
    &["--json", "{\"count\":1,\"count\":1}"],
    &["--json", "{\"count\":1,\"c\\u006funt\":1}"],
    &["--json", "{\"__proto__\":{\"count\":1}}"],
    &["--json", "{\"\":1}"],
    &["--json", "{\"count\":\"\\ud800\"}"],
    &["--json", "{\"count\":\"\u{0}\"}"],
    &["--json", "{}", "--json", "{}"],
    &["count=1", "--json", "{\"count\":1}"],
    &["--json", "-x"],
    &["--json=--json"],
    &["--root"],
    &["--root="],
    &["--root", "/nowhere", "--root", "/nowhere"],
];

/// Parameters of `setup` and of the module of the DNS servers that are refused, with the code.
const BAD_VALUES: &[(&str, &[&str])] = &[
    ("INVALID_PARAMETER", &["core", "setup", "interface=wg0;id"]),
    ("INVALID_PARAMETER", &["core", "setup", "interface=../wg0"]),
    ("INVALID_PARAMETER", &["core", "setup", "interface=a234567890123456"]),
    ("INVALID_PARAMETER", &["core", "setup", "interface=wg main"]),
    ("INVALID_PARAMETER", &["core", "setup", "interface=all/x"]),
    ("INVALID_PARAMETER", &["core", "setup", "port=0"]),
    ("INVALID_PARAMETER", &["core", "setup", "port=51820;id"]),
    ("INVALID_PARAMETER", &["core", "setup", "backend=kernel,embedded"]),
    ("INVALID_PARAMETER", &["core", "setup", "backend=Kernel"]),
    ("INVALID_PARAMETER", &["core", "setup", "server_ip=0.0.0.0"]),
    ("INVALID_PARAMETER", &["core", "setup", "server_ip=224.0.0.1"]),
    ("INVALID_PARAMETER", &["core", "setup", "server_ip=localhost"]),
    ("INVALID_PARAMETER", &["core", "setup", "server_ip=2130706433"]),
    ("INVALID_PARAMETER", &["core", "setup", "endpoint=vpn.example.com\nPostUp = id"]),
    ("INVALID_PARAMETER", &["core", "setup", "endpoint=http://x.y"]),
    ("VALIDATION_ERROR", &["core", "setup", "subnet=10.8.0.0/24 -j ACCEPT"]),
    ("INVALID_PARAMETER", &["dns", "change_dns_servers", "primary=8.8.8.8;id"]),
    ("INVALID_PARAMETER", &["dns", "change_dns_servers", "primary=8.8.8.8\nPostUp = id"]),
    ("INVALID_PARAMETER", &["dns", "change_dns_servers", "primary=dns.google"]),
    ("INVALID_PARAMETER", &["dns", "test_dns_servers", "domain=$(id).com"]),
    ("INVALID_PARAMETER", &["dns", "test_dns_servers", "domain=a.com/../x"]),
    ("INVALID_PARAMETER", &["dns", "test_dns_servers", "servers=[[[[["]),
    ("INVALID_PARAMETER", &["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true;id"]),
    ("INVALID_PARAMETER", &["core", "export_client", "client_name=x", "use_ipv6=maybe"]),
    ("INVALID_PARAMETER", &["core", "list_clients", "search=\u{1b}]0;x\u{7}"]),
    ("INVALID_PARAMETER", &["core", "update_tweak_setting", "setting_name=a\nb", "value=1"]),
    ("MODULE_NOT_FOUND", &["core;id", "add_client"]),
    ("MODULE_NOT_FOUND", &["../core", "add_client"]),
    ("MODULE_NOT_FOUND", &["CORE", "add_client"]),
    ("MODULE_NOT_FOUND", &["соre", "add_client"]),
    ("MODULE_NOT_FOUND", &["", "add_client"]),
    ("MODULE_NOT_FOUND", &["core ", "add_client"]),
    ("MODULE_NOT_FOUND", &["\u{1b}[2J", "add_client"]),
    ("MODULE_NOT_FOUND", &["core=1", "add_client"]),
    ("ACTION_NOT_FOUND", &["core", ""]),
    ("ACTION_NOT_FOUND", &["core", "Add_client"]),
    ("ACTION_NOT_FOUND", &["core", "add-client"]),
    ("ACTION_NOT_FOUND", &["core", "add_client;id"]),
    ("ACTION_NOT_FOUND", &["core", "client_name=x"]),
    ("ACTION_NOT_FOUND", &["core", "get_dns_servers"]),
    ("ACTION_NOT_FOUND", &["core", "__init__"]),
    ("", &["completions", "bash;id"]),
    ("", &["completions", ""]),
    ("", &["help", "../core"]),
    ("", &["help", "core", "$(id)"]),
    ("", &["service", "up", "../../x"]),
    ("", &["service", "down", "a;id"]),
    ("", &[""]),
    ("", &["--root"]),
];

/// What is refused for its form or its values, whatever the state of the server.
pub(super) fn refused() -> Vec<Hostile> {
    let mut table = Vec::new();
    for name in BAD_NAMES.iter().filter(|name| !name.contains('\0')) {
        table.push(Hostile::new(
            "INVALID_CLIENT_NAME",
            &["core", "add_client", &format!("client_name={name}")],
        ));
        let object = serde_json::json!({ "client_name": name }).to_string();
        table.push(Hostile::new("INVALID_CLIENT_NAME", &["core", "add_client", "--json", &object]));
    }
    for subnet in BAD_SUBNETS {
        for action in ["validate_subnet_change", "change_subnet"] {
            table.push(Hostile::new("VALIDATION_ERROR", &["core", action, &format!("new_subnet={subnet}")]));
        }
    }
    for words in BAD_WORDS.iter().filter(|words| !words.iter().any(|word| word.contains('\0'))) {
        let all: Vec<&str> = ["core", "latest_clients"].iter().chain(*words).copied().collect();
        table.push(Hostile::new("INVALID_PARAMETER", &all));
    }
    table.extend(BAD_VALUES.iter().chain(GHOST).map(|(code, words)| Hostile::new(code, words)));
    table.extend(long());
    table.extend(not_text());
    table
}

/// Very long and very deep ones.
fn long() -> Vec<Hostile> {
    let object = |text: &str| format!("{{\"count\":{text}}}");
    let deep = [
        object(&("[".repeat(50_000) + &"]".repeat(50_000))),
        object(&("{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000))),
        format!("{{{}}}", vec!["\"count\":1"; 5000].join(",")),
        format!("{{{}}}", (0..5000).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(",")),
        "[".repeat(100_000),
        object(&"9".repeat(100_000)),
        object(&format!("\"{}\"", "a".repeat(100_000))),
    ];
    let mut table: Vec<Hostile> = deep
        .iter()
        .map(|text| Hostile::new("INVALID_PARAMETER", &["core", "latest_clients", "--json", text]))
        .collect();
    let name = format!("client_name={}", "a".repeat(100_000));
    table.push(Hostile::new("INVALID_CLIENT_NAME", &["core", "add_client", &name]));
    table.push(Hostile::new(
        "INVALID_CLIENT_NAME",
        &["core", "add_client", &format!("client_name={}", "ş".repeat(50))],
    ));
    table.push(Hostile::new(
        "INVALID_PARAMETER",
        &["core", "add_client", &format!("{}=x", "k".repeat(100_000))],
    ));
    table.push(Hostile::new("MODULE_NOT_FOUND", &[&"m".repeat(100_000), "x"]));
    table.push(Hostile::new("ACTION_NOT_FOUND", &["core", &"a".repeat(100_000)]));
    table.push(Hostile::new(
        "INVALID_PARAMETER",
        &["core", "list_clients", &format!("search={}", "x".repeat(256))],
    ));
    let many: Vec<String> = (0..2000).map(|n| format!("k{n}=1")).collect();
    let words: Vec<&str> =
        ["core", "add_client"].into_iter().chain(many.iter().map(String::as_str)).collect();
    table.push(Hostile::new("INVALID_PARAMETER", &words));
    table
}

/// Words that are not UTF-8, in every place.
fn not_text() -> Vec<Hostile> {
    vec![
        Hostile::raw("INVALID_PARAMETER", &[b"core", b"add_client", b"client_name=\xff"]),
        Hostile::raw("INVALID_PARAMETER", &[b"core", b"add_client", b"client_name=a\xc3\x28"]),
        Hostile::raw("INVALID_PARAMETER", &[b"core", b"add_client", b"client_name=\xed\xa0\x80"]),
        Hostile::raw("INVALID_PARAMETER", &[b"core", b"add_client", b"\xff\xfe=x"]),
        Hostile::raw("INVALID_PARAMETER", &[b"core", b"add_client", b"--\xff"]),
        Hostile::raw(
            "INVALID_PARAMETER",
            &[b"core", b"add_client", b"--json", b"{\"client_name\":\"\xff\"}"],
        ),
        Hostile::raw("INVALID_PARAMETER", &[b"core", b"add_client", b"--lang", b"\xff"]),
        Hostile::raw("MODULE_NOT_FOUND", &[b"\xff", b"add_client"]),
        Hostile::raw("ACTION_NOT_FOUND", &[b"core", b"\xff"]),
        Hostile::raw("", &[b"help", b"\xff"]),
        Hostile::raw("", &[b"completions", b"\xff"]),
    ]
}

/// Names of clients to look up that are no names: nobody has them, and that is all.
pub(super) fn harmless() -> Vec<Hostile> {
    let names = BAD_NAMES.iter().filter(|name| !name.contains('\0'));
    let table = names.map(|name| {
        Hostile::new("NOT_INITIALIZED", &["core", "export_client", &format!("client_name={name}")])
    });
    let long = format!("client_name={}", "a".repeat(100_000));
    table.chain([Hostile::new("NOT_INITIALIZED", &["core", "remove_client", &long])]).collect()
}
