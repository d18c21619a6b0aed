//! Who may come by address.

use std::net::IpAddr;

use crate::CidrSet;

/// Two sets of blocks: `deny` is asked first, then `allow`.
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    allow: CidrSet,
    deny: CidrSet,
}

impl AccessList {
    /// An empty `allow` lets in everybody whom `deny` does not name.
    pub fn new(allow: CidrSet, deny: CidrSet) -> Self {
        Self { allow, deny }
    }

    /// Whether a client at `ip` is let in.
    #[inline]
    pub fn admits(&self, ip: IpAddr) -> bool {
        !self.deny.contains(ip) && (self.allow.is_empty() || self.allow.contains(ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(allow: &[&str], deny: &[&str]) -> AccessList {
        AccessList::new(CidrSet::parse(allow).unwrap(), CidrSet::parse(deny).unwrap())
    }

    fn admits(list: &AccessList, ip: &str) -> bool {
        list.admits(ip.parse().unwrap())
    }

    #[test]
    fn two_empty_lists_let_everybody_in() {
        assert!(admits(&list(&[], &[]), "192.0.2.1"));
        assert!(admits(&AccessList::default(), "2001:db8::1"));
    }

    #[test]
    fn deny_wins_over_allow() {
        let list = list(&["10.0.0.0/8"], &["10.1.0.0/16"]);
        assert!(admits(&list, "10.2.0.1"));
        assert!(!admits(&list, "10.1.0.1"));
        assert!(!admits(&list, "::ffff:10.1.0.1"), "however the address is written");
    }

    #[test]
    fn an_allow_list_keeps_out_everybody_else() {
        let list = list(&["10.0.0.0/8", "2001:db8::/32"], &[]);
        assert!(admits(&list, "2001:db8::1"));
        assert!(!admits(&list, "192.0.2.1"));
        assert!(!admits(&list, "2001:db9::1"));
    }

    #[test]
    fn a_deny_list_alone_lets_everybody_else_in() {
        let list = list(&[], &["0.0.0.0/0"]);
        assert!(!admits(&list, "192.0.2.1"));
        assert!(admits(&list, "2001:db8::1"));
    }
}
