//! Texts for records: with all personal data masked.

use std::sync::OnceLock;

use tidegate_plan::{Guard, GuardAction, GuardScope, LookFor};

use crate::{Direction, Guards, Vault, find::Pii};

/// Masks every kind of personal data, and keys. Returns how many places.
pub fn redact(text: &mut String) -> u32 {
    static ALL: OnceLock<Guards> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let kinds = Pii::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
        let guard = Guard {
            name: "redact".into(),
            scope: GuardScope::Both,
            look_for: LookFor::Pii { kinds },
            action: GuardAction::Mask,
        };
        Guards::compile(&[guard]).unwrap_or_default()
    });
    match all.scan(&[0], Direction::Request, text, &mut Vault::default()) {
        crate::Verdict::Masked(places) => places,
        _ => 0,
    }
}
