//! Guards of answers that come in pieces: what passes is the same however they are cut.

use std::sync::{Arc, LazyLock};

use tidegate_guard::{Direction, Guards, HELD_MOST, StreamScan, Vault, Verdict, Written};
use tidegate_plan::{Guard, GuardAction, GuardScope, LookFor};

static GUARDS: LazyLock<Arc<Guards>> = LazyLock::new(|| {
    let guard = |name: &str, look_for, action| Guard {
        name: name.to_owned(),
        scope: GuardScope::Both,
        look_for,
        action,
    };
    let kinds = ["card", "iban", "email", "phone", "ip", "ssn", "api_key"].map(str::to_owned).to_vec();
    let words = vec!["project tide".to_owned(), "ebbe".to_owned()];
    let list = [
        guard("pii", LookFor::Pii { kinds }, GuardAction::Restore),
        guard("words", LookFor::Keywords { words }, GuardAction::Mask),
        guard("pattern", LookFor::Regex { pattern: "[0-9]{3}-[a-z]{1,5}".to_owned() }, GuardAction::Mask),
    ];
    Arc::new(Guards::compile(&list).expect("these guards are well-formed"))
});

/// Checks what must hold for any text.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.len() < HELD_MOST / 2 {
        let whole = scanned(&text, usize::MAX);
        for step in [1, 4] {
            assert_eq!(scanned(&text, step), whole, "in steps of {step} characters");
        }
    }
    restored(&text);
}

/// What passes of an answer.
fn scanned(text: &str, step: usize) -> Option<String> {
    let mut scan = StreamScan::new(&GUARDS, &[0, 1, 2]).expect("they look at answers");
    let mut out = String::new();
    for piece in pieces(text, step) {
        scan.push(&piece, &mut out).ok()?;
    }
    scan.finish(&mut out).ok()?;
    Some(out)
}

/// What was masked comes back.
fn restored(text: &str) {
    let (mut masked, mut vault) = (text.to_owned(), Vault::default());
    let verdict = GUARDS.scan(&[0], Direction::Request, &mut masked, &mut vault);
    assert!(!matches!(verdict, Verdict::Blocked(_)), "no guard blocks");
    let mut whole = masked.clone();
    vault.restore(&mut whole, Written::Plain);
    assert_eq!(whole, text);
    for step in [1, 5] {
        let mut restorer = vault.restorer(Written::Plain);
        let mut out = String::new();
        for piece in pieces(&masked, step) {
            restorer.push(&piece, &mut out);
        }
        restorer.finish(&mut out);
        assert_eq!(out, text, "in steps of {step} characters");
    }
}

fn pieces(text: &str, step: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(step.min(letters.len()).max(1)).map(|piece| piece.iter().collect()).collect()
}
