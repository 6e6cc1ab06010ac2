//! Keeping secrets out of command lines.
//!
//! Command lines are visible to every user of a machine, and still they must not travel into an inventory. What is
//! withheld becomes `***`. When in doubt it is withheld: a lost argument costs little.

/// What of a command line is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Arguments {
    /// All arguments, with what looks like a secret replaced by `***`.
    #[default]
    Redacted,
    /// The program only; every argument is replaced by `***`.
    Withheld,
}

const MASK: &str = "***";

/// Words that make a name the name of a secret, compared with letters only (`api-key`, `API_KEY`, `apiKey`).
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pword",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "authkey",
    "sharedkey",
    "accountkey",
    "encryptionkey",
    "signingkey",
    "masterkey",
    "sessionkey",
    "storagekey",
    "credential",
    "credentials",
    "bearer",
    "authorization",
    "pgpass",
    "sessionid",
    "cookie",
    "community",
    "connectionstring",
    "licensekey",
    "saskey",
    "sig",
    "signature",
    "psk",
];
/// Whole names only: as a part of a longer word they mean something else (`compass`, `bypass`).
const SECRET_NAMES: &[&str] = &[
    "pass",
    "pwd",
    "pw",
    "auth",
    "key",
    "requirepass",
    "masterauth",
    "userpass",
    "rootpass",
    "dbpass",
    "mysqlpwd",
    "rediscliauth",
];

/// Short options that take a secret, for programs where the same letter means something harmless elsewhere.
const SHORT: &[(&str, &[&str])] = &[
    ("mysql", &["-p"]),
    ("mariadb", &["-p"]),
    ("redis-cli", &["-a"]),
    ("sshpass", &["-p"]),
    ("curl", &["-u", "-U", "-H", "-b", "-E"]),
    ("mosquitto", &["-P"]),
    ("ldap", &["-w", "-y"]),
    ("mongo", &["-p"]),
    ("smbclient", &["-U"]),
    ("rpcclient", &["-U"]),
    ("mount", &["-o"]),
    ("zip", &["-P"]),
    ("7z", &["-p"]),
    ("unrar", &["-p"]),
    ("snmp", &["-c", "-A", "-X"]),
    ("ipmitool", &["-P"]),
    ("openssl", &["-k", "-K", "-pass", "-passin", "-passout"]),
    ("docker", &["-p"]),
    ("podman", &["-p"]),
    ("helm", &["-p"]),
    ("az", &["-p"]),
    ("xfreerdp", &["/p"]),
    ("cqlsh", &["-p"]),
    ("sqlcmd", &["-P"]),
    ("bcp", &["-P"]),
    ("isql", &["-P"]),
    ("influx", &["-t"]),
    ("ftp", &["-u", "-p"]),
    ("lftp", &["-u"]),
    ("http", &["-a"]),
    ("vault", &["-p"]),
];

/// Beginnings of tokens whose form is published by those who issue them.
const TOKEN_PREFIXES: &[&str] = &[
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "AIza",
    "ya29.",
    "eyJ",
    "hvs.",
    "npm_",
    "pypi-",
    "dckr_pat_",
    "SG.",
    "-----BEGIN",
];

/// The command line as one text, arguments separated by spaces, without what looks like a secret.
pub(crate) fn redact(argv: &[String], mode: Arguments) -> String {
    let Some(program) = argv.first() else { return String::new() };
    if mode == Arguments::Withheld {
        let program = program.split_whitespace().next().unwrap_or("");
        return if argv.len() > 1 { format!("{} {MASK}", embedded(program)) } else { embedded(program) };
    }
    let mut out = String::new();
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    redact_words(&words, &mut out);
    out
}

fn redact_words(words: &[&str], out: &mut String) {
    let tool = words.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program));
    let short: Vec<&str> = SHORT
        .iter()
        .filter(|(name, _)| tool.starts_with(name))
        .flat_map(|(_, options)| options.iter().copied())
        .collect();
    let mut mask_next = false;
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        if mask_next {
            out.push_str(MASK);
            mask_next = false;
            continue;
        }
        if index == 0 {
            out.push_str(&spaced(word));
            continue;
        }
        if let Some(option) = short.iter().find(|option| word.starts_with(**option)) {
            out.push_str(option);
            if word.len() == option.len() {
                mask_next = true;
            } else {
                out.push_str(MASK);
            }
            continue;
        }
        let name = word.trim_start_matches(['-', '/']);
        let dashed = name.len() < word.len();
        if dashed && !word.contains(['=', ':', ' ', '@']) && is_secret_name(name) {
            out.push_str(word);
            mask_next = true;
            continue;
        }
        // `name=value` as a whole argument: the value may hold any character, so all of the rest goes.
        let bare = name.strip_prefix('D').filter(|_| dashed).unwrap_or(name);
        if let Some((left, _)) = word.split_once('=')
            && let Some((key, _)) = bare.split_once('=').or_else(|| name.split_once('='))
            && !key.contains(char::is_whitespace)
            && (is_secret_name(key) || is_secret_name(name.split_once('=').map_or("", |(key, _)| key)))
        {
            out.push_str(left);
            out.push('=');
            out.push_str(MASK);
            continue;
        }
        out.push_str(&spaced(word));
    }
}

/// An argument that is itself a command line (`sh -c '…'`), or one that a program wrote over its arguments.
fn spaced(word: &str) -> String {
    if !word.contains(char::is_whitespace) {
        return embedded(word);
    }
    let parts: Vec<&str> = word.split_whitespace().collect();
    // Options follow the tool they belong to, wherever in the text it is: try each segment of a pipeline.
    let mut out = String::new();
    for (index, segment) in parts.split(|part| matches!(*part, "|" | "&&" | "||" | ";" | "&")).enumerate() {
        if index > 0 {
            out.push_str(" ; ");
        }
        let mut segment_out = String::new();
        let skip = segment.iter().take_while(|part| is_prefix_word(part)).count();
        for part in segment.iter().take(skip) {
            segment_out.push_str(&embedded(part));
            segment_out.push(' ');
        }
        if let Some(rest) = segment.get(skip..)
            && !rest.is_empty()
        {
            let quoted: Vec<String> = rest.iter().map(|part| embedded(part)).collect();
            let words: Vec<&str> = quoted.iter().map(String::as_str).collect();
            redact_flat(&words, &mut segment_out);
        }
        out.push_str(segment_out.trim_end());
    }
    // `password = x`, `Authorization: Bearer x`, JSON: what spans words.
    embedded(&out)
}

fn is_prefix_word(word: &str) -> bool {
    matches!(word, "sudo" | "env" | "exec" | "nohup" | "time" | "nice")
        || (word.contains('=') && !word.starts_with('-'))
}

/// [`redact_words`] without looking into words again.
fn redact_flat(words: &[&str], out: &mut String) {
    if words.iter().any(|word| word.contains(char::is_whitespace)) {
        out.push_str(MASK);
        return;
    }
    redact_words(words, out);
}

fn is_secret_name(name: &str) -> bool {
    let letters: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or(name).to_ascii_lowercase();
    SECRET_NAMES.contains(&letters.as_str())
        || SECRET_NAMES.contains(&last.as_str())
        || SECRET_WORDS.iter().any(|word| match *word {
            "sig" | "psk" => last == *word,
            _ => letters.contains(word),
        })
}

/// Secrets inside a text: `user:password@`, `name=value`, `name: value`, and tokens of a known form.
fn embedded(text: &str) -> String {
    let text = urls(text);
    let text = assignments(&text);
    tokens(&text)
}

fn urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'))
            .unwrap_or(tail.len());
        let (url, after) = tail.split_at(end);
        // A password may hold `/`, `?` and `@`: the last `@` before a space ends it, wherever it is.
        match url.rfind('@') {
            Some(sign) => {
                let user = url.get(..sign).and_then(|info| info.split_once(':')).map(|(user, _)| user);
                // Without a colon the whole may be a token.
                out.push_str(
                    user.filter(|user| user.len() <= 32 && !user.contains(['/', '?'])).unwrap_or(""),
                );
                out.push_str(if user.is_some() { ":***" } else { MASK });
                rest = url.get(sign..).unwrap_or("");
                out.push_str(rest);
                rest = after;
            }
            None => {
                out.push_str(url);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn assignments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        rest = tail;
        let name_end = head.len() - 1;
        let name = head.get(..name_end).unwrap_or("").trim_end().trim_end_matches(['"', '\'']);
        let start =
            name.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))).map_or(0, |index| {
                index + name.get(index..).and_then(|s| s.chars().next()).map_or(1, char::len_utf8)
            });
        if !is_secret_name(name.get(start..).unwrap_or("")) || rest.starts_with("//") {
            continue;
        }
        let spaces = rest.len() - rest.trim_start().len();
        out.push_str(rest.get(..spaces).unwrap_or(""));
        rest = rest.get(spaces..).unwrap_or("");
        if rest.is_empty() {
            continue;
        }
        out.push_str(MASK);
        // `Authorization: Bearer x` has a scheme before the secret.
        for scheme in ["Bearer ", "Basic ", "Token ", "bearer ", "basic ", "token ", "Digest "] {
            rest = rest.strip_prefix(scheme).unwrap_or(rest);
        }
        rest = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = rest.get(1..).unwrap_or("");
                inner.find(quote).and_then(|end| inner.get(end + 1..)).unwrap_or("")
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | '"' | '\''))
                    .unwrap_or(rest.len());
                rest.get(end..).unwrap_or("")
            }
        };
    }
    out.push_str(rest);
    out
}

fn tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let is_token_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/' | '=');
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c| !is_token_char(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        // Tokens may follow a separator that is itself a token character (`x=AKIA…`, `/ghp_…`).
        let found = TOKEN_PREFIXES
            .iter()
            .filter_map(|prefix| {
                word.match_indices(prefix).map(|(at, _)| at).find(|at| {
                    let before = word.get(..*at).and_then(|head| head.chars().next_back());
                    before.is_none_or(|c| !c.is_ascii_alphanumeric()) && word.len() - at >= prefix.len() + 8
                })
            })
            .min();
        match found {
            Some(at) => {
                out.push_str(word.get(..at).unwrap_or(""));
                out.push_str(MASK);
            }
            None => out.push_str(word),
        }
        let step = after.chars().next().map_or(0, char::len_utf8);
        let (separator, tail) = after.split_at(step);
        out.push_str(separator);
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(argv: &[&str]) -> String {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        redact(&argv, Arguments::Redacted)
    }

    #[test]
    fn harmless_lines_stay() {
        for argv in [
            &["/usr/sbin/nginx", "-g", "daemon off;"][..],
            &["/usr/bin/prometheus", "--config.file=/etc/p.yml", "--web.listen-address=:9090"],
            &["java", "-Xmx1g", "-jar", "/opt/app.jar", "--server.port=8080"],
            &["ssh", "-p", "2222", "host"],
            &["redis-server *:6379"],
        ] {
            assert_eq!(line(argv), argv.join(" "));
        }
    }

    #[test]
    fn secrets_go() {
        assert_eq!(line(&["mysql", "-uroot", "-phunter2"]), "mysql -uroot -p***");
        assert_eq!(line(&["x", "--password", "-hunter2"]), "x --password ***");
        assert_eq!(line(&["java", "-Ddb.password=a b&c", "Main"]), "java -Ddb.password=*** Main");
        assert_eq!(line(&["x", "postgres://bob:p@s/s@db/shop"]), "x postgres://bob:***@db/shop");
        assert_eq!(line(&["curl", "-H", "Authorization: Bearer abc"]), "curl -H ***");
        assert_eq!(line(&["sh", "-c", "mysql -phunter2 | cat"]), "sh -c mysql -p*** ; cat");
        // The value of an assignment at the start may hold spaces: all of it goes.
        assert_eq!(line(&["sh", "-c", "PASSWORD=hunter2 mysql -phunter2 | cat"]), "sh -c PASSWORD=***");
        assert_eq!(line(&["x", "https://h/?a=1&token=abc&b=2"]), "x https://h/?a=1&token=***&b=2");
        let argv = ["x".to_owned(), "y".to_owned()];
        assert_eq!(redact(&argv, Arguments::Withheld), "x ***");
    }

    proptest! {
        #[test]
        fn planted_secrets_never_appear(
            // Unlike any word around it, and long enough not to occur by chance.
            secret in "Zq[A-Za-z0-9]{8,20}",
            special in "Zq[A-Za-z0-9]{4}[-+/@?#%^*(){}!]{1,3}[A-Za-z0-9]{4,8}",
            noise in proptest::collection::vec("[a-z0-9./=:-]{0,12}", 0..4),
            form in 0usize..24,
        ) {
            let whole = |template: &str| template.replace("{}", &special);
            let plain = |template: &str| template.replace("{}", &secret);
            let planted: (&str, Vec<String>, &str) = match form {
                0 => ("x", vec![whole("--password={}")], &special),
                1 => ("x", vec!["--password".into(), whole("{}")], &special),
                2 => ("x", vec![whole("--db-passwd={}")], &special),
                3 => ("mysqldump", vec![whole("-p{}")], &special),
                4 => ("/usr/bin/redis-cli", vec!["-a".into(), whole("{}")], &special),
                5 => ("x", vec![whole("PASSWORD={}")], &special),
                6 => ("x", vec![plain("postgresql://u:{}@h/db")], &secret),
                7 => ("x", vec![plain("https://{}@github.com/x.git")], &secret),
                8 => ("x", vec![plain("AKIA{}")], &secret),
                9 => ("curl", vec!["-u".into(), whole("bob:{}")], &special),
                10 => ("x", vec![plain("{\"api_key\": \"{}\", \"a\": 1}")], &secret),
                11 => ("sh", vec!["-c".into(), plain("mysql -p{} -e 1")], &secret),
                12 => ("x", vec![plain("host=db password={} user=x")], &secret),
                13 => ("x", vec!["--client-secret".into(), whole("{}")], &special),
                14 => ("x", vec![plain("Authorization: Bearer {}")], &secret),
                15 => ("java", vec![whole("-Djavax.net.ssl.keyStorePassword={}")], &special),
                16 => ("x", vec![plain("ghp_{}")], &secret),
                17 => ("sshpass", vec![whole("-p{}")], &special),
                18 => ("x", vec![plain("Server=a;Password={};Database=b")], &secret),
                19 => ("mosquitto_pub", vec!["-P".into(), whole("{}")], &special),
                20 => ("sh", vec!["-c".into(), plain("export API_TOKEN={} && run")], &secret),
                21 => ("snmpget", vec!["-c".into(), whole("{}")], &special),
                22 => ("x", vec![plain("https://h/p?sig={}&x=1")], &secret),
                _ => ("x", vec![plain("eyJ{}.{}")], &secret),
            };
            let (tool, secrets, needle) = planted;
            // Noise that ends in a secret option would swallow the option that follows it; that is a loss, not a leak.
            let mut argv = vec![tool.to_owned()];
            argv.extend(secrets);
            argv.extend(noise);
            let out = redact(&argv, Arguments::Redacted);
            prop_assert!(!out.contains(needle), "{out:?} shows {needle:?} of {argv:?}");
            let all = redact(&argv, Arguments::Withheld);
            prop_assert!(!all.contains(needle));
        }

        #[test]
        fn l10_any_arguments(argv in proptest::collection::vec("\\PC{0,40}", 0..6)) {
            let out = redact(&argv, Arguments::Redacted);
            let bound: usize = argv.iter().map(|word| 6 * word.len() + 8).sum();
            prop_assert!(out.len() <= bound + 8);
        }
    }
}
