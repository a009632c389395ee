//! Keys and tokens: golden bytes, and each way to be refused.

use std::{env, os::unix::fs::PermissionsExt, process};

use super::*;

const SUBMIT: &str = "/hashpit.trading.v1.TradingService/SubmitOrder";
const GET: &str = "/hashpit.trading.v1.TradingService/GetOrder";
const NOW: i64 = 1_767_225_600;
const KEY_ID: &str = "hk-03a107bff3ce10be1d70";
/// Made by another implementation from the seed 00 01 .. 1f.
const GOLDEN: &str = concat!(
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImhrLTAzYTEwN2JmZjNjZTEwYmUxZDcwIn0",
    ".eyJhdWQiOiJoYXNocGl0IiwiaWF0IjoxNzY3MjI1NjAwLCJleHAiOjE3NjcyMjU2MzAsIm1ldGhvZCI6Ii9oYXNo",
    "cGl0LnRyYWRpbmcudjEuVHJhZGluZ1NlcnZpY2UvU3VibWl0T3JkZXIifQ",
    ".hWe7pBTipS_Qr2UX15lFPh5ozSypkAX5xdTwvIAAMMVv1sfPXAi2KeZR6sP8_ijsI9yuHWCAWfGZcosZi0sHDg",
);

fn key() -> PrivateKey {
    PrivateKey::from_seed(std::array::from_fn(|i| i as u8))
}

fn verify_at(token: &str, method: &str, now: i64) -> Result<String, TokenError> {
    verify(token, method, now, |id| {
        (id == KEY_ID).then(|| key().public_key())
    })
}

/// A token with any header and claims, properly signed by the test key.
fn signed(header: serde_json::Value, claims: serde_json::Value) -> String {
    key().sign(&header, &claims)
}

fn good_header() -> serde_json::Value {
    serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": KEY_ID})
}

fn claims(aud: &str, iat: i64, exp: i64, method: &str) -> serde_json::Value {
    serde_json::json!({"aud": aud, "iat": iat, "exp": exp, "method": method})
}

#[test]
fn golden_token() {
    assert_eq!(key().key_id(), KEY_ID);
    assert_eq!(key().mint(SUBMIT, NOW, 30), GOLDEN);
    assert_eq!(verify_at(GOLDEN, SUBMIT, NOW), Ok(KEY_ID.into()));
}

#[test]
fn field_order_and_missing_typ_do_not_matter() {
    let header = serde_json::json!({"kid": KEY_ID, "alg": "EdDSA"});
    let token = signed(header, claims(AUDIENCE, NOW, NOW + 60, SUBMIT));
    assert_eq!(verify_at(&token, SUBMIT, NOW), Ok(KEY_ID.into()));
}

#[test]
fn the_method_is_bound_exactly() {
    let read = key().mint(GET, NOW, 60);
    assert_eq!(verify_at(&read, GET, NOW), Ok(KEY_ID.into()));
    for method in [
        SUBMIT,
        "",
        "/",
        &GET[1..],
        &GET.to_lowercase(),
        &format!("{GET}/"),
    ] {
        assert_eq!(
            verify_at(&read, method, NOW),
            Err(TokenError::WrongMethod),
            "{method}"
        );
    }
}

#[test]
fn times_at_both_ends() {
    let token = key().mint(SUBMIT, NOW, 30);
    assert_eq!(
        verify_at(&token, SUBMIT, NOW - 6),
        Err(TokenError::NotYetValid)
    );
    assert!(verify_at(&token, SUBMIT, NOW - 5).is_ok());
    assert!(verify_at(&token, SUBMIT, NOW + 34).is_ok());
    assert_eq!(
        verify_at(&token, SUBMIT, NOW + 35),
        Err(TokenError::Expired)
    );
}

#[test]
fn life_is_one_to_sixty_seconds() {
    for (iat, exp, answer) in [
        (NOW, NOW + 60, Ok(KEY_ID.into())),
        (NOW, NOW + 1, Ok(KEY_ID.into())),
        (NOW, NOW + 61, Err(TokenError::LifeTooLong)),
        (NOW, NOW, Err(TokenError::LifeTooLong)),
        (NOW, NOW - 1, Err(TokenError::LifeTooLong)),
        (i64::MIN, i64::MAX, Err(TokenError::LifeTooLong)),
        (i64::MAX - 1, i64::MAX, Err(TokenError::NotYetValid)),
        (i64::MIN, i64::MIN + 1, Err(TokenError::Expired)),
    ] {
        let token = signed(good_header(), claims(AUDIENCE, iat, exp, SUBMIT));
        assert_eq!(verify_at(&token, SUBMIT, NOW), answer, "{iat}..{exp}");
    }
    // Minting stays inside the rule whatever it is asked for.
    for life in [i64::MIN, 0, 1, 60, 61, i64::MAX] {
        assert!(
            verify_at(&key().mint(SUBMIT, NOW, life), SUBMIT, NOW).is_ok(),
            "{life}"
        );
    }
}

#[test]
fn wrong_audience() {
    let token = signed(good_header(), claims("elsewhere", NOW, NOW + 60, SUBMIT));
    assert_eq!(
        verify_at(&token, SUBMIT, NOW),
        Err(TokenError::WrongAudience)
    );
}

#[test]
fn wrong_algorithm() {
    for alg in ["none", "HS256", "eddsa", "Ed25519", ""] {
        let header = serde_json::json!({"alg": alg, "typ": "JWT", "kid": KEY_ID});
        let token = signed(header, claims(AUDIENCE, NOW, NOW + 60, SUBMIT));
        assert_eq!(
            verify_at(&token, SUBMIT, NOW),
            Err(TokenError::WrongAlgorithm),
            "{alg}"
        );
    }
}

#[test]
fn unknown_key() {
    assert_eq!(
        verify(GOLDEN, SUBMIT, NOW, |_| None),
        Err(TokenError::UnknownKey)
    );
    // A registry that answers with somebody else's key is not believed either.
    let other = PrivateKey::from_seed([9; 32]);
    let answer = verify(GOLDEN, SUBMIT, NOW, |_| Some(other.public_key()));
    assert_eq!(answer, Err(TokenError::UnknownKey));
}

#[test]
fn another_keys_signature() {
    let forger = PrivateKey::from_seed([9; 32]);
    let token = forger.sign(&good_header(), &claims(AUDIENCE, NOW, NOW + 60, SUBMIT));
    assert_eq!(
        verify_at(&token, SUBMIT, NOW),
        Err(TokenError::BadSignature)
    );
}

#[test]
fn malformed() {
    let reason = |token: &str| match verify_at(token, SUBMIT, NOW) {
        Err(TokenError::Malformed(reason)) => reason,
        other => panic!("{token}: {other:?}"),
    };
    let part: Vec<&str> = GOLDEN.split('.').collect();
    for token in [
        "",
        part[0],
        &part[..2].join("."),
        &format!("{GOLDEN}."),
        "a.b.c.d",
    ] {
        assert_eq!(reason(token), "not three parts");
    }
    for token in [
        &format!("{GOLDEN}=="),
        &GOLDEN[..GOLDEN.len() - 1],
        "a.b.",
        "..",
    ] {
        assert_eq!(reason(token), "signature is not base64url of 64 bytes");
    }
    assert_eq!(
        reason(&format!(".{}.{}", part[1], part[2])),
        "unreadable header"
    );
    assert_eq!(
        reason(&format!("{}..{}", part[0], part[2])),
        "unreadable claims"
    );
    assert_eq!(
        reason(&"a".repeat(TOKEN_BYTES_MAX + 1)),
        "longer than 1024 bytes"
    );

    let good = claims(AUDIENCE, NOW, NOW + 60, SUBMIT);
    let crit = serde_json::json!({"alg": "EdDSA", "kid": KEY_ID, "crit": ["exp"]});
    assert_eq!(reason(&signed(crit, good.clone())), "unreadable header");
    let typ = serde_json::json!({"alg": "EdDSA", "typ": "JWE", "kid": KEY_ID});
    assert_eq!(reason(&signed(typ, good.clone())), "typ is not JWT");
    for (field, value) in [
        ("nbf", NOW.into()),
        ("iat", 1.5.into()),
        ("aud", vec!["a"].into()),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(
            reason(&signed(good_header(), bad)),
            "unreadable claims",
            "{field}"
        );
    }
    for field in ["aud", "iat", "exp", "method"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(field);
        assert_eq!(
            reason(&signed(good_header(), bad)),
            "unreadable claims",
            "{field}"
        );
    }
}

#[test]
fn no_character_can_be_changed() {
    for at in 0..GOLDEN.len() {
        for by in [b'A', b'.'] {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            if std::mem::replace(&mut bytes[at], by) == by {
                continue;
            }
            let token = String::from_utf8(bytes).unwrap();
            assert!(
                verify_at(&token, SUBMIT, NOW).is_err(),
                "byte {at} as {}",
                by as char
            );
        }
    }
}

#[test]
fn parts_of_two_tokens_do_not_mix() {
    let (read, later) = (key().mint(GET, NOW, 60), key().mint(SUBMIT, NOW + 1, 60));
    for other in [read, later] {
        let (ours, theirs): (Vec<_>, Vec<_>) =
            (GOLDEN.split('.').collect(), other.split('.').collect());
        for mixed in [[ours[0], theirs[1], ours[2]], [ours[0], ours[1], theirs[2]]] {
            let answer = verify_at(&mixed.join("."), SUBMIT, NOW);
            assert_eq!(answer, Err(TokenError::BadSignature));
        }
    }
}

#[test]
fn messages_are_stable() {
    for (error, message) in [
        (
            TokenError::Malformed("not three parts"),
            "malformed token: not three parts",
        ),
        (TokenError::UnknownKey, "unknown key"),
        (TokenError::BadSignature, "bad signature"),
        (
            TokenError::WrongAudience,
            "wrong audience: the token is not for hashpit",
        ),
    ] {
        assert_eq!(error.to_string(), message);
    }
    let numbers = format!("{} {}", TokenError::LifeTooLong, TokenError::NotYetValid);
    assert!(numbers.contains(&LIFE_SECONDS_MAX.to_string()));
    assert!(numbers.contains(&CLOCK_SKEW_SECONDS.to_string()));
}

/// A folder of the test's own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("hashpit-keys-{}-{test}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn key_file_round_trip() {
    let folder = Folder::new("round-trip");
    let path = folder.0.join("maker.json");
    let made = PrivateKey::generate().unwrap();
    made.save(&path, "demo maker").unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(file["key_id"], made.key_id());
    assert_eq!(file["note"], "demo maker");

    let read = PrivateKey::load(&path).unwrap();
    assert_eq!(read.public_key(), made.public_key());
    assert_eq!(read.mint(GET, NOW, 60), made.mint(GET, NOW, 60));
    assert_ne!(made.key_id(), PrivateKey::generate().unwrap().key_id());

    let refusal = key().save(&path, "").unwrap_err();
    assert!(matches!(refusal, KeyError::Exists { .. }), "{refusal}");
    assert_eq!(PrivateKey::load(&path).unwrap().key_id(), made.key_id());
}

#[test]
fn missing_file_is_named() {
    let path = Folder::new("missing").0.join("no.json");
    let message = PrivateKey::load(&path).unwrap_err().to_string();
    assert_eq!(message, format!("no key file at {}", path.display()));
}

#[test]
fn bad_key_files_never_show_the_secret() {
    let folder = Folder::new("bad");
    let secret = URL_SAFE_NO_PAD.encode(key().signing.as_bytes());
    for (name, text, reason) in [
        ("bare", format!("\"{secret}\""), "not a JSON key file"),
        (
            "number",
            format!("{{\"{secret}\": 1}}"),
            "not a JSON key file",
        ),
        (
            "short",
            format!(
                "{{\"key_id\":\"{KEY_ID}\",\"private_key\":\"{}\"}}",
                &secret[..40]
            ),
            "private_key is not base64url of 32 bytes",
        ),
        (
            "stranger",
            format!("{{\"key_id\":\"hk-00\",\"private_key\":\"{secret}\"}}"),
            "key_id does not belong to private_key",
        ),
    ] {
        let path = folder.0.join(name);
        fs::write(&path, text).unwrap();
        let error = PrivateKey::load(&path).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(!format!("{error:?} {error}").contains(&secret[..40]));
    }
    assert_eq!(
        format!("{:?}", key()),
        format!("PrivateKey {{ key_id: \"{KEY_ID}\", .. }}")
    );
}
