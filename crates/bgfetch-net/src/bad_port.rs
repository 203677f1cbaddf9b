//! Fetch's [port blocking](https://fetch.spec.whatwg.org/#port-blocking).

/// Whether `port` is a [bad port](https://fetch.spec.whatwg.org/#bad-port), to which no HTTP request
/// may go.
///
/// A URL without a port has its scheme's default port, which is never bad.
#[must_use]
pub const fn is_bad_port(port: u16) -> bool {
    matches!(
        port,
        0 | 1
            | 7
            | 9
            | 11
            | 13
            | 15
            | 17
            | 19
            | 20..=23
            | 25
            | 37
            | 42
            | 43
            | 53
            | 69
            | 77
            | 79
            | 87
            | 95
            | 101..=104
            | 109..=111
            | 113
            | 115
            | 117
            | 119
            | 123
            | 135
            | 137
            | 139
            | 143
            | 161
            | 179
            | 389
            | 427
            | 465
            | 512..=515
            | 526
            | 530..=532
            | 540
            | 548
            | 554
            | 556
            | 563
            | 587
            | 601
            | 636
            | 989
            | 990
            | 993
            | 995
            | 1719
            | 1720
            | 1723
            | 2049
            | 3659
            | 4045
            | 4190
            | 5060
            | 5061
            | 6000
            | 6566
            | 6665..=6669
            | 6679
            | 6697
            | 10080
    )
}

#[cfg(test)]
mod tests {
    use super::is_bad_port;

    #[test]
    fn the_list_has_as_many_ports_as_the_standards_table() {
        assert_eq!((0..=u16::MAX).filter(|&port| is_bad_port(port)).count(), 83);
    }

    #[test]
    fn web_ports_are_not_bad_and_mail_ports_are() {
        for port in [80, 443, 8000, 8080, 8443, 16384, u16::MAX] {
            assert!(!is_bad_port(port), "{port}");
        }
        for port in [0, 25, 110, 143, 6667, 6669, 10080] {
            assert!(is_bad_port(port), "{port}");
        }
    }
}
