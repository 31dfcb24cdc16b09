//! The file that says whom the host asks for names: `resolv.conf(5)`.

use std::net::IpAddr;

/// Where the C library and our own resolver read it.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The C library takes so many (`MAXNS`).
pub(crate) const MAXNS: usize = 3;

/// The addresses of its `nameserver` lines, in order. The zone of a link-local address is left out.
pub(crate) fn name_servers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    lines.filter_map(|rest| rest.split_whitespace().next()?.split('%').next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_are_those_of_the_lines_that_name_one() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\n nameserver 192.0.2.1\nnameserver\t2001:db8::1 # x\n\
                    nameserver fe80::1%eth0\nnameserver\nnameserver name.example.org\nnameserver 192.0.2.4\n";
        let expected: Vec<IpAddr> =
            ["192.0.2.1", "2001:db8::1", "fe80::1", "192.0.2.4"].map(|text| text.parse().unwrap()).into();
        assert_eq!(name_servers(text), expected);
        assert_eq!(name_servers(""), [] as [IpAddr; 0]);
    }
}
