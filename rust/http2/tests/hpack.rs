//! The examples of RFC 7541 appendix C, and what the encoder writes read again.

use proptest::prelude::*;
use tidegate_http2::{Decoder, Encoder};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> String {
    let (mut rest, mut out) = (block, Vec::new());
    decoder.begin();
    while decoder.next(&mut rest, &mut out).expect("a block").is_some() {}
    String::from_utf8(out).expect("text").replace("\r\n", "\n")
}

#[test]
fn the_literals_of_appendix_c2_are_read() {
    let mut decoder = Decoder::new(4096);
    for (hex, text) in [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header\n"),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path\n"),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret\n"),
        ("82", ":method: GET\n"),
        ("be", "custom-key: custom-header\n"),
    ] {
        assert_eq!(decoded(&mut decoder, &bytes(hex)), text);
    }
}

#[test]
fn the_requests_of_appendix_c3_and_c4_are_read() {
    let texts = [
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n",
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache\n",
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n",
    ];
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = Decoder::new(4096);
        for (block, text) in blocks.iter().zip(texts) {
            assert_eq!(decoded(&mut decoder, &bytes(block)), text);
        }
    }
}

#[test]
fn the_responses_of_appendix_c5_and_c6_are_read_with_a_small_table() {
    let texts = [
        ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n",
        ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n",
        ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n",
    ];
    for blocks in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    ] {
        let mut decoder = Decoder::new(4096);
        // The examples have a table of 256 bytes: they set it so first.
        assert_eq!(decoded(&mut decoder, &bytes("3fe1 01")), "");
        for (block, text) in blocks.iter().zip(texts) {
            assert_eq!(decoded(&mut decoder, &bytes(block)), text);
        }
        let (mut rest, mut out) = (&bytes("c1")[..], Vec::new());
        decoder.begin();
        assert!(decoder.next(&mut rest, &mut out).is_err(), "the fourth line was evicted");
    }
}

#[test]
fn what_is_no_block_is_refused() {
    for hex in [
        "80",
        "be",
        "ff",
        "40",
        "4001",
        "4001 61",
        "4001 6181",
        "4001 6182 ff",
        "82 20",
        "3fe2 1f",
        "00 81 00 00",
    ] {
        let block = bytes(hex);
        let (mut decoder, mut rest, mut out) = (Decoder::new(4096), &block[..], Vec::new());
        let outcome = loop {
            match decoder.next(&mut rest, &mut out) {
                Ok(Some(_)) => {}
                other => break other.map(|_| ()),
            }
        };
        assert!(outcome.is_err(), "{hex}");
    }
}

#[test]
fn what_repeats_becomes_one_byte_and_secrets_never_do() {
    let mut encoder = Encoder::default();
    let mut sizes = Vec::new();
    for line in ["server: tidegate\r\n", "authorization: Bearer x\r\n", "x-some-name: some value\r\n"] {
        let name_len = line.find(':').expect("a line");
        for _ in 0..3 {
            let mut out = Vec::new();
            encoder.begin(&mut out);
            encoder.line(line.as_bytes(), name_len, &mut out);
            sizes.push(out.len());
        }
    }
    assert!(sizes[2] == 1 && sizes[8] == 1, "{sizes:?}");
    assert!(sizes[3..6].iter().all(|size| *size > 8), "{sizes:?}");
    let mut out = Vec::new();
    encoder.line(b"authorization: Bearer x\r\n", 13, &mut out);
    assert_eq!(out[0] & 0xf0, 0x10, "it is marked as never to be indexed");
}

#[test]
fn a_smaller_table_of_the_peer_is_told_and_kept_to() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
    let mut send = |encoder: &mut Encoder, value: &str| {
        let line = format!("x-name: {value}\r\n");
        let mut out = Vec::new();
        encoder.begin(&mut out);
        encoder.line(line.as_bytes(), 6, &mut out);
        assert_eq!(decoded(&mut decoder, &out), line.replace("\r\n", "\n"));
        out
    };
    for _ in 0..3 {
        send(&mut encoder, "v");
    }
    encoder.resize(0);
    encoder.resize(100);
    assert!(send(&mut encoder, "v").starts_with(&[0x20, 0x3f, 69]));
    for _ in 0..3 {
        send(&mut encoder, &"long".repeat(30));
    }
    encoder.resize(0);
    for _ in 0..3 {
        assert!(send(&mut encoder, "v").len() > 3);
    }
}

proptest! {
    #[test]
    fn lines_come_back_as_they_were(
        rounds in prop::collection::vec(
            prop::collection::vec((0..40_u8, "[ -~]{0,60}"), 0..20), 1..20),
        resize in prop::option::of(0..5000_usize),
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
        for (round, lines) in rounds.iter().enumerate() {
            if let Some(most) = resize.filter(|_| round == 3) {
                encoder.resize(most);
            }
            let (mut block, mut text) = (Vec::new(), String::new());
            encoder.begin(&mut block);
            for (name, value) in lines {
                let name = format!("x-name-{name}");
                // Few values for most names, so that lines repeat.
                let value = if name.len() % 2 == 0 { &value[..value.len().min(1)] } else { value };
                let line = format!("{name}: {value}\r\n");
                encoder.line(line.as_bytes(), name.len(), &mut block);
                text.push_str(&line);
            }
            prop_assert_eq!(decoded(&mut decoder, &block), text.replace("\r\n", "\n"));
        }
    }
}
