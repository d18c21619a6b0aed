//! What each finder finds and what it leaves alone.

use super::*;

/// What is found of one kind, without what lies within another place.
fn found(kind: Pii, text: &str) -> Vec<&str> {
    let (mut all, mut over) = (Vec::new(), 0);
    Finder::Pii(PiiFinder::new(vec![kind])).find(text, |range, _| {
        if range.start >= over {
            over = range.end;
            all.push(&text[range]);
        }
    });
    all
}

#[track_caller]
fn finds(kind: Pii, cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        assert_eq!(found(kind, text), [*wanted], "{text:?}");
        // Neither the ends of the text nor words around it matter.
        let within = format!("so: {text}, and on");
        assert_eq!(found(kind, &within), [*wanted], "{within:?}");
    }
}

#[track_caller]
fn leaves(kind: Pii, cases: &[&str]) {
    for text in cases {
        assert_eq!(found(kind, text), [""; 0], "{text:?}");
    }
}

#[test]
fn cards_are_found_by_network_length_and_check() {
    finds(
        Pii::Card,
        &[
            ("4111111111111111", "4111111111111111"),
            ("4111 1111 1111 1111", "4111 1111 1111 1111"),
            ("4111-1111-1111-1111", "4111-1111-1111-1111"),
            ("card 5555555555554444", "5555555555554444"),
            ("2223003122003222", "2223003122003222"),
            ("3782 822463 10005", "3782 822463 10005"),
            ("378282246310005", "378282246310005"),
            ("30569309025904", "30569309025904"),
            ("6011111111111117", "6011111111111117"),
            ("3530111333300000", "3530111333300000"),
            ("4222222222222", "4222222222222"),
            ("4111 1111 1111 1111 12/27", "4111 1111 1111 1111"),
            ("(4111111111111111)", "4111111111111111"),
        ],
    );
}

#[test]
fn other_long_numbers_are_no_cards() {
    leaves(
        Pii::Card,
        &[
            "4111111111111112",                     // the check
            "41111111111111111111111",              // too long
            "1234567812345670",                     // nobody's network, though the check holds
            "0.4111111111111111",                   // a fraction
            "x4111111111111111",                    // a part of a word
            "4111111111111111_id",                  // the same
            "41 11 11 11 11 11 11 11",              // groups that no card has
            "550e8400-e29b-41d4-a716-446655440000", // a UUID
            "1700000000000",                        // a time
        ],
    );
}

#[test]
fn accounts_are_found_by_country_length_and_check() {
    finds(
        Pii::Iban,
        &[
            ("DE89370400440532013000", "DE89370400440532013000"),
            ("DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
            ("GB29 NWBK 6016 1331 9268 19", "GB29 NWBK 6016 1331 9268 19"),
            ("FR1420041010050500013M02606", "FR1420041010050500013M02606"),
            ("NO93 8601 1117 947", "NO93 8601 1117 947"),
            ("de89370400440532013000", "de89370400440532013000"),
        ],
    );
    leaves(
        Pii::Iban,
        &[
            "DE88370400440532013000",
            "DE8937040044053201300",
            "XX89370400440532013000",
            "ADE89370400440532013000",
            "DE89370400440532013000X",
            "DE89 37",
        ],
    );
}

#[test]
fn addresses_of_people_are_found() {
    finds(
        Pii::Email,
        &[
            ("ada@example.com", "ada@example.com"),
            ("mail ada.lovelace+notes@mail.example.co.uk.", "ada.lovelace+notes@mail.example.co.uk"),
            ("<ada@example.com>", "ada@example.com"),
            ("mailto:ada@example.com?subject=x", "ada@example.com"),
            ("'ada@example.com'", "ada@example.com"),
            ("müller@straße.de", "müller@straße.de"),
            ("ada_1@xn--bcher-kva.example", "ada_1@xn--bcher-kva.example"),
        ],
    );
    leaves(
        Pii::Email,
        &[
            "ada@example",
            "@example.com",
            "ada @ example.com",
            "ada@-example.com",
            "ada@example..com",
            "ada.@example.com",
            "user@10.0.0.1",
            "@property",
            "a@b",
        ],
    );
}

#[test]
fn telephone_numbers_are_found_where_they_can_hardly_be_anything_else() {
    finds(
        Pii::Phone,
        &[
            ("+49 171 1234567", "+49 171 1234567"),
            ("+49 (0)171 123-4567", "+49 (0)171 123-4567"),
            ("+14155550123", "+14155550123"),
            ("+1 (415) 555-0123", "+1 (415) 555-0123"),
            ("(415) 555-0123", "(415) 555-0123"),
            ("(415)555-0123", "(415)555-0123"),
            ("415-555-0123", "415-555-0123"),
            ("415.555.0123", "415.555.0123"),
            ("1-415-555-0123", "1-415-555-0123"),
            ("030 12345678", "030 12345678"),
            ("0171/1234567", "0171/1234567"),
            ("01 23 45 67 89", "01 23 45 67 89"),
            ("020 7946 0958", "020 7946 0958"),
            ("0049 30 1234567", "0049 30 1234567"),
        ],
    );
    leaves(
        Pii::Phone,
        &[
            "2026-11-21",
            "01-02-2026",
            "12:30:45",
            "1234567890",
            "115-555-0123",
            "415-155-0123",
            "0.123456789",
            "+1234",
            "a+12345678901",
            "0123456789",
            "10.0.0.1",
            "1 + 12345",
            "v1.2.3",
        ],
    );
}

#[test]
fn addresses_of_machines_are_found_in_both_versions() {
    finds(
        Pii::Ip,
        &[
            ("192.0.2.7", "192.0.2.7"),
            ("http://192.0.2.7:8080/", "192.0.2.7"),
            ("192.0.2.7.", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
            ("fe80::1:", "fe80::1"),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ],
    );
    leaves(
        Pii::Ip,
        &[
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "01.2.3.4",
            "v1.2.3.4x",
            "12:30:45",
            "std::net",
            "a::b",
            "::",
            "00:1a:2b:3c:4d:5e",
            "0.0.0.0",
        ],
    );
}

#[test]
fn national_numbers_are_found_by_their_checks() {
    finds(
        Pii::Ssn,
        &[
            ("123-45-6789", "123-45-6789"),
            ("123 45 6789", "123 45 6789"),
            ("046 454 286", "046 454 286"),
            ("529.982.247-25", "529.982.247-25"),
            ("AB 12 34 56 C", "AB 12 34 56 C"),
            ("AB123456C", "AB123456C"),
            ("12345678Z", "12345678Z"),
            ("X1234567L", "X1234567L"),
            ("2 69 05 49 588 157 80", "2 69 05 49 588 157 80"),
            ("269054958815780", "269054958815780"),
        ],
    );
    leaves(
        Pii::Ssn,
        &[
            "000-45-6789",
            "666-45-6789",
            "923-45-6789",
            "123-00-6789",
            "123-45-0000",
            "123-45-67890",
            "1123-45-6789",
            "123456789",
            "046 454 287",
            "529.982.247-26",
            "QQ123456C",
            "12345678A",
            "269054958815781",
        ],
    );
}

#[test]
fn keys_are_found_by_how_they_begin() {
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAbC=\n-----END RSA PRIVATE KEY-----";
    let token =
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    finds(
        Pii::ApiKey,
        &[
            ("sk-proj-abcdEFGH1234ijklMNOP5678", "sk-proj-abcdEFGH1234ijklMNOP5678"),
            ("sk-ant-api03-abcdEFGH1234ijklMNOP", "sk-ant-api03-abcdEFGH1234ijklMNOP"),
            ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
            ("xoxb-123456789012-abcdefghijkl", "xoxb-123456789012-abcdefghijkl"),
            ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
            ("tg-abcdefghij0123456789klmn", "tg-abcdefghij0123456789klmn"),
            ("Bearer tg-abcdefghij0123456789klmn.", "tg-abcdefghij0123456789klmn"),
            (token, token),
            (pem, pem),
        ],
    );
    leaves(
        Pii::ApiKey,
        &[
            "sk-short1",
            "task-abcdefghij0123456789klmn",
            "sk-learn-is-a-library-of-python",
            "AKIAIOSFODNN7EXAMPLES",
            "AKIAiosfodnn7example",
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJhbGciOiJIUzI1NiJ9.eyJ",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "-----BEGIN ",
        ],
    );
}

#[test]
fn a_private_key_that_is_cut_is_found_to_its_end() {
    let cut = "-----BEGIN PRIVATE KEY-----\nMIIEow\nAbC=";
    assert_eq!(found(Pii::ApiKey, cut), [cut]);
}

fn words(words: &[&str], text: &str) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut all = Vec::new();
    Finder::Keywords(Keywords::new(&words).unwrap()).find(text, |range, _| all.push(text[range].to_owned()));
    all
}

#[test]
fn words_are_found_whole_and_in_any_case() {
    assert_eq!(words(&["falcon"], "Project FALCON, falcons, (Falcon)"), ["FALCON", "Falcon"]);
    assert_eq!(words(&["top secret"], "a Top Secret plan"), ["Top Secret"]);
    assert_eq!(words(&["straße", "ärger"], "STRASSE Straße ÄRGER ärgerlich"), ["Straße", "ÄRGER"]);
    assert_eq!(words(&["c++"], "C++11 and c++"), ["C++", "c++"]);
    assert!(words(&["cat"], "concatenate category bobcat").is_empty());
}

#[test]
fn a_word_within_another_that_is_not_whole_is_found() {
    assert_eq!(words(&["foo bar", "foo"], "foo barn"), ["foo"]);
}

#[test]
fn words_that_are_none_are_refused() {
    assert!(Keywords::new(&[]).is_err());
    assert!(Keywords::new(&["a".into(), "  ".into()]).is_err());
}

#[test]
fn patterns_are_bounded() {
    assert!(Finder::pattern(r"\bEMP-\d{6}\b").is_ok());
    assert!(Finder::pattern("(").is_err());
    assert!(Finder::pattern(r"(?:\pL{1000}){1000}").is_err(), "it unfolds to too much");
    let mut empty = 0;
    Finder::pattern("x*").unwrap().find("aaa", |_, _| empty += 1);
    assert_eq!(empty, 0, "nothing is no match");
}

#[test]
fn no_text_makes_a_finder_fail() {
    // Bits of everything that is looked for, at every place and cut.
    let bits = "+1 (4ä5 000-12/34.5:6::7@x.de@ 0sk-eyJ.-----BEGIN -----END AB12DE89 X1234567 é_";
    let all = PiiFinder::new(Pii::ALL.to_vec());
    let characters: Vec<char> = bits.chars().collect();
    for turn in 0..characters.len() {
        for length in 0..characters.len() {
            let text: String =
                characters.iter().cycle().skip(turn * 7).step_by(turn % 3 + 1).take(length).collect();
            all.find(&text, |range, _| {
                assert!(text.is_char_boundary(range.start) && !text[range].is_empty())
            });
        }
    }
}
