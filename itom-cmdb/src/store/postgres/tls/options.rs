//! `sslmode` and `sslrootcert` in a connection string: the driver knows the first in part and the second not at all.

use super::{Mode, Roots, Wanted};

/// Takes what a connection string says about TLS out of it. Errors name what is wrong without quoting the string.
pub(in crate::store::postgres) fn split(url: &str) -> Result<(String, Wanted), String> {
    let mut wanted = Wanted { mode: Mode::Prefer, roots: None };
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let rest = if is_url { of_url(url, &mut wanted)? } else { of_pairs(url, &mut wanted)? };
    Ok((rest, wanted))
}

/// Whether it was one of ours.
fn take(key: &str, value: &str, wanted: &mut Wanted) -> Result<bool, String> {
    match key {
        "sslmode" => {
            wanted.mode = match value {
                "disable" => Mode::Disable,
                "prefer" => Mode::Prefer,
                "require" => Mode::Require,
                "verify-ca" => Mode::VerifyCa,
                "verify-full" => Mode::VerifyFull,
                _ => {
                    return Err("sslmode wants disable, prefer, require, verify-ca or verify-full".into());
                }
            };
        }
        "sslrootcert" => {
            wanted.roots = Some(match value {
                "" => return Err("sslrootcert wants the path of a PEM file, or `system`".into()),
                "system" => Roots::System,
                path => Roots::File(path.into()),
            });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn of_url(url: &str, wanted: &mut Wanted) -> Result<String, String> {
    // What stands before the host may contain a question mark.
    let host = url.find('@').unwrap_or(0);
    let Some(query) = url.get(host..).and_then(|rest| rest.find('?')).map(|at| host + at) else {
        return Ok(url.to_owned());
    };
    let (address, parameters) = (&url[..query], &url[query + 1..]);
    let mut left = Vec::new();
    for parameter in parameters.split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !take(&decoded(key)?, &decoded(value)?, wanted)? {
            left.push(parameter);
        }
    }
    Ok(if left.is_empty() { address.to_owned() } else { format!("{address}?{}", left.join("&")) })
}

/// Percent signs resolved.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err("a parameter has a percent sign without two digits behind it".into()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "a parameter is no UTF-8 once its percent signs are resolved".into())
}

fn of_pairs(text: &str, wanted: &mut Wanted) -> Result<String, String> {
    let mut left = String::with_capacity(text.len());
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, value, length) = pair(rest).ok_or("it wants key=value pairs")?;
        if !take(key, &value, wanted)? {
            left.push_str(&rest[..length]);
            left.push(' ');
        }
        rest = rest[length..].trim_start();
    }
    Ok(left)
}

/// The first `key = value`, and how long it is. A value may stand in single quotes; a backslash takes the next character
/// as it is.
fn pair(text: &str) -> Option<(&str, String, usize)> {
    let equals = text.find('=')?;
    let key = text[..equals].trim_end();
    let after = &text[equals + 1..];
    let start = equals + 1 + (after.len() - after.trim_start().len());
    let quoted = text[start..].starts_with('\'');
    let mut value = String::new();
    let mut characters = text[start..].char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?.1),
            '\'' if quoted => return Some((key, value, start + at + 1)),
            _ if !quoted && character.is_whitespace() => return Some((key, value, start + at)),
            _ => value.push(character),
        }
    }
    (!quoted).then_some((key, value, text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(mode: Mode, path: &str) -> Wanted {
        Wanted { mode, roots: Some(Roots::File(path.into())) }
    }

    #[test]
    fn what_is_said_about_tls_is_taken_out_and_the_rest_stays() {
        for (url, rest, wanted) in [
            ("host=db user=u", "host=db user=u ", Wanted { mode: Mode::Prefer, roots: None }),
            (
                "host=db sslmode = verify-full  password='a b\\'=c' sslrootcert='/etc/my ca.pem'",
                "host=db password='a b\\'=c' ",
                file(Mode::VerifyFull, "/etc/my ca.pem"),
            ),
            (
                "postgres://u:p%40?@db:5432/itom?sslmode=verify-ca&application_name=x&sslrootcert=%2Fetc%2Fca.pem",
                "postgres://u:p%40?@db:5432/itom?application_name=x",
                file(Mode::VerifyCa, "/etc/ca.pem"),
            ),
            (
                // The driver reads names so, too.
                "postgres://db?ssl%6dode=require",
                "postgres://db",
                Wanted { mode: Mode::Require, roots: None },
            ),
            (
                "postgresql://db?sslmode=disable",
                "postgresql://db",
                Wanted { mode: Mode::Disable, roots: None },
            ),
            (
                "sslmode=require sslrootcert=system",
                "",
                Wanted { mode: Mode::Require, roots: Some(Roots::System) },
            ),
        ] {
            assert_eq!(split(url), Ok((rest.to_owned(), wanted)), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_quoting_it() {
        for url in [
            "host=db sslmode=hunter2",
            "hunter2",
            "password='hunter2",
            "postgres://u:hunter2@db?sslmode=hunter2",
            "postgres://db?sslrootcert=%zzhunter2",
            "host=db sslrootcert=''",
        ] {
            let error = split(url).unwrap_err();
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }

    proptest! {
        #[test]
        fn l10_any_text_as_a_connection_string(text in "\\PC{0,60}", url in any::<bool>()) {
            let text = if url { format!("postgres://{text}") } else { text };
            if let Ok((rest, _)) = split(&text) {
                // What is left has nothing to say about TLS.
                let again = split(&rest);
                prop_assert_eq!(again.map(|(_, wanted)| wanted), Ok(Wanted { mode: Mode::Prefer, roots: None }));
            }
        }

        /// What the driver reads of the rest is what it reads of the whole without our parts.
        #[test]
        fn l10_values_read_back(
            values in prop::collection::vec("[a-z '\\\\]{0,8}", 1..4),
            at in 0..4_usize,
        ) {
            let names = ["user", "dbname", "password"];
            let quoted = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
            let mut pairs: Vec<String> =
                names.iter().zip(&values).map(|(name, value)| format!("{name}={}", quoted(value))).collect();
            let plain: tokio_postgres::Config = pairs.join(" ").parse().unwrap();
            pairs.insert(at.min(pairs.len()), "sslrootcert='a b' sslmode=require".into());
            let (rest, wanted) = split(&pairs.join(" ")).unwrap();
            prop_assert_eq!(wanted, file(Mode::Require, "a b"));
            prop_assert_eq!(rest.parse::<tokio_postgres::Config>().unwrap(), plain);
        }
    }
}
