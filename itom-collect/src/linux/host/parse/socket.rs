//! `/proc/net/{netstat,snmp,snmp6,sockstat,sockstat6}`: protocol counters and sockets in use.

use super::super::scan::{Garbled, each, lines, number, signed, words};

/// `/proc/net/netstat` and `/proc/net/snmp`: pairs of lines, names then values. Calls `found` with protocol, name, value.
///
/// # Errors
/// [`Garbled`] when a pair does not match; the pairs around it are still reported.
pub(crate) fn parse_netstat(bytes: &[u8], mut found: impl FnMut(&[u8], &[u8], f64)) -> Result<(), Garbled> {
    let mut result = Ok(());
    let mut lines = lines(bytes);
    while let Some(names) = lines.next() {
        let Some(values) = lines.next() else { return Err(Garbled) };
        let (mut names, mut values) = (words(names), words(values));
        let protocol = names.next().and_then(|word| word.strip_suffix(b":"));
        if protocol.is_none() || values.next().and_then(|word| word.strip_suffix(b":")) != protocol {
            result = Err(Garbled);
            continue;
        }
        let protocol = protocol.unwrap_or_default();
        for name in names {
            match values.next().and_then(signed) {
                Some(value) => found(protocol, name, value),
                None => {
                    result = Err(Garbled);
                    break;
                }
            }
        }
    }
    result
}

/// `/proc/net/snmp6`: protocol (`Ip6`), name (`InOctets`), value.
pub(crate) fn parse_snmp6(bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8], f64), Garbled>> {
    each(bytes, |line| {
        let mut words = words(line);
        let full = words.next()?;
        let value = signed(words.next()?)?;
        let six = full.iter().position(|byte| *byte == b'6')?;
        let (protocol, name) = full.split_at(six + 1);
        Some((protocol, name, value))
    })
}

/// node_exporter's default choice of protocol counters.
pub(crate) fn is_wanted_netstat(protocol: &[u8], name: &[u8]) -> bool {
    if matches!(name, b"InErrors" | b"InErrs") {
        return true;
    }
    match protocol {
        b"Ip" => name == b"Forwarding",
        b"Ip6" | b"IpExt" => matches!(name, b"InOctets" | b"OutOctets"),
        b"Icmp" | b"Icmp6" => matches!(name, b"InMsgs" | b"OutMsgs"),
        b"TcpExt" => {
            name.starts_with(b"Listen")
                || name.starts_with(b"Syncookies")
                || matches!(name, b"TCPSynRetrans" | b"TCPTimeouts" | b"TCPOFOQueue" | b"TCPRcvQDrop")
        }
        b"Tcp" => matches!(
            name,
            b"ActiveOpens"
                | b"InSegs"
                | b"OutSegs"
                | b"OutRsts"
                | b"PassiveOpens"
                | b"RetransSegs"
                | b"CurrEstab"
        ),
        b"Udp" | b"Udp6" => {
            matches!(name, b"InDatagrams" | b"OutDatagrams" | b"NoPorts" | b"RcvbufErrors" | b"SndbufErrors")
        }
        _ => false,
    }
}

/// `/proc/net/sockstat` and `sockstat6`: calls `found` with protocol, name, value.
///
/// # Errors
/// [`Garbled`] when a line is not a protocol and pairs; the lines around it are still reported.
pub(crate) fn parse_sockstat(bytes: &[u8], mut found: impl FnMut(&[u8], &[u8], u64)) -> Result<(), Garbled> {
    let mut result = Ok(());
    for line in lines(bytes) {
        let mut words = words(line);
        let Some(protocol) = words.next().and_then(|word| word.strip_suffix(b":")) else {
            result = Err(Garbled);
            continue;
        };
        while let Some(name) = words.next() {
            match words.next().and_then(number) {
                Some(value) => found(protocol, name, value),
                None => {
                    result = Err(Garbled);
                    break;
                }
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[u8]) -> (Vec<(String, f64)>, Result<(), Garbled>) {
        let mut all = Vec::new();
        let result = parse_netstat(text, |protocol, name, value| {
            all.push((format!("{}_{}", protocol.escape_ascii(), name.escape_ascii()), value));
        });
        (all, result)
    }

    #[test]
    fn netstat_pairs_names_with_values() {
        let (all, result) =
            pairs(b"Ip: Forwarding DefaultTTL\nIp: 2 64\nTcp: MaxConn CurrEstab\nTcp: -1 5\n");
        assert_eq!(result, Ok(()));
        let expected =
            [("Ip_Forwarding", 2.0), ("Ip_DefaultTTL", 64.0), ("Tcp_MaxConn", -1.0), ("Tcp_CurrEstab", 5.0)];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value)));
        let (all, result) = pairs(b"Ip: A B\nIp: 1\nTcp: C\nUdp: 2\nUdp: D\nUdp: 3\n");
        assert_eq!((all.len(), result), (2, Err(Garbled)));
    }

    #[test]
    fn protocol_counters_are_chosen_as_node_exporter_does() {
        let wanted = |protocol: &str, name: &str| is_wanted_netstat(protocol.as_bytes(), name.as_bytes());
        assert!(
            wanted("UdpLite6", "InErrors") && wanted("TcpExt", "ListenDrops") && wanted("Ip", "Forwarding")
        );
        assert!(wanted("Tcp", "CurrEstab") && wanted("Udp6", "NoPorts") && wanted("IpExt", "InOctets"));
        assert!(!wanted("Ip", "InReceives") && !wanted("TcpExt", "TW") && !wanted("UdpLite", "NoPorts"));
    }

    #[test]
    fn snmp6_splits_after_the_six() {
        let all: Vec<_> = parse_snmp6(b"Ip6InOctets  128\nUdpLite6InErrors 1\nodd\n").collect();
        assert_eq!(all[0], Ok((&b"Ip6"[..], &b"InOctets"[..], 128.0)));
        assert_eq!(all[1], Ok((&b"UdpLite6"[..], &b"InErrors"[..], 1.0)));
        assert_eq!(all[2], Err(Garbled));
    }

    #[test]
    fn sockstat_is_read() {
        let mut all = Vec::new();
        let result = parse_sockstat(b"sockets: used 22\nTCP: inuse 4 mem\n", |protocol, name, value| {
            all.push((protocol.to_vec(), name.to_vec(), value));
        });
        assert_eq!(result, Err(Garbled));
        assert_eq!(
            all,
            [(b"sockets".to_vec(), b"used".to_vec(), 22), (b"TCP".to_vec(), b"inuse".to_vec(), 4)]
        );
    }
}
