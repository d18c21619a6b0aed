//! Until when certificates are valid, for whoever should be woken before that.

use std::collections::BTreeMap;

use super::render::Page;

/// Certificates that are told of, those that expire first before all others.
const CERTIFICATES_MOST: usize = 1000;

/// One certificate of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The listener's name.
    pub listener: String,
    /// The certificate's file.
    pub name: String,
    /// Seconds since 1970.
    pub not_after: i64,
}

/// Appends a sample for each, in the Prometheus text format.
pub fn render(expiries: &[Expiry], out: &mut Vec<u8>) {
    if expiries.is_empty() {
        return;
    }
    let mut sorted: Vec<_> = expiries.iter().collect();
    sorted.sort_by_key(|expiry| expiry.not_after);
    let mut shown = BTreeMap::new();
    for expiry in sorted.into_iter().take(CERTIFICATES_MOST) {
        // The same file twice: the first to expire is the one that matters.
        shown.entry((&expiry.listener, &expiry.name)).or_insert(expiry.not_after);
    }
    let mut page = Page::new(out);
    let metric = "tidegate_certificate_expiry_seconds";
    page.head(metric, "Until when a certificate is valid, since 1970.", "gauge");
    for ((listener, name), not_after) in shown {
        let labels = [("listener", listener.as_str()), ("name", name.as_str())];
        page.sample(metric, &labels, u64::try_from(not_after).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiry(name: &str, not_after: i64) -> Expiry {
        Expiry { listener: ":443".into(), name: name.into(), not_after }
    }

    #[test]
    fn of_a_file_that_is_named_twice_the_earlier_end_is_told() {
        let mut out = Vec::new();
        render(&[expiry("site.pem", 20), expiry("site.pem", 10), expiry("other.pem", -5)], &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("{listener=\":443\",name=\"site.pem\"} 10\n"), "{text}");
        assert!(text.contains("{listener=\":443\",name=\"other.pem\"} 0\n"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn there_is_a_bound_and_those_that_expire_first_are_within() {
        let all: Vec<_> = (0..2000).rev().map(|end| expiry(&format!("{end}.pem"), end)).collect();
        let mut out = Vec::new();
        render(&all, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), CERTIFICATES_MOST + 2);
        assert!(text.contains("name=\"999.pem\"") && !text.contains("name=\"1000.pem\""));
    }
}
