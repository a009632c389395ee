//! Keys stay secret and roles apart; a signer promises once.

use std::{path::Path, sync::Arc};

use engine::{journal::Disk, roots::chain::ChainHeader};
use gateway::anchor::{
    key_file::{self, KeyError, Passphrase, Role, Work},
    root_signer::{Refusal, RootSigner},
    signer::{LocalKey, Signer, recover},
};
use revm::primitives::{B256, keccak256};
use tests::{
    anchor::{TestWitness, key},
    sim::disk::{Harm, Manners, SimDisk, Trap},
    venue::Folder,
};

const WORK: Work = Work {
    memory_kib: 64,
    passes: 1,
};

fn words(text: &str) -> Passphrase {
    Passphrase::new(text.into())
}

#[test]
fn a_key_file_opens_only_with_its_passphrase_for_its_role_and_unchanged() {
    let folder = Folder::new("anchor-keys");
    let path = folder.path().join("gas.key");
    let gas = LocalKey::generate().expect("random");
    key_file::save(&gas, Role::Gas, &path, &words("correct horse"), WORK).expect("saved");
    let load = |role, phrase| key_file::load(&path, role, &words(phrase));
    assert_eq!(
        load(Role::Gas, "correct horse").expect("opens").address(),
        gas.address()
    );
    assert!(matches!(
        load(Role::Gas, "correct house"),
        Err(KeyError::Sealed { .. })
    ));
    assert!(matches!(
        load(Role::Signer, "correct horse"),
        Err(KeyError::Content { .. })
    ));
    assert!(
        matches!(
            key_file::save(&gas, Role::Gas, &path, &words("x"), WORK),
            Err(KeyError::File { .. })
        ),
        "a key file is never overwritten"
    );
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&path)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner only");
    // Another role or address written over it breaks the seal.
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, text.replace("\"gas\"", "\"signer\"")).expect("written");
    assert!(matches!(
        load(Role::Signer, "correct horse"),
        Err(KeyError::Sealed { .. })
    ));
    std::fs::write(
        &path,
        text.replace("\"memory_kib\": 64", "\"memory_kib\": 999999999"),
    )
    .expect("written");
    assert!(
        matches!(
            load(Role::Gas, "correct horse"),
            Err(KeyError::Content { .. })
        ),
        "no endless work"
    );
}

#[test]
fn nothing_secret_is_shown() {
    let folder = Folder::new("anchor-secrets");
    let path = folder.path().join("gas.key");
    let secret = [0x5a; 32];
    let gas = LocalKey::from_bytes(&secret).expect("a key");
    let phrase = words("a long passphrase");
    key_file::save(&gas, Role::Gas, &path, &phrase, WORK).expect("saved");
    let wrong = key_file::load(&path, Role::Gas, &words("wrong")).expect_err("sealed");
    let file = std::fs::read_to_string(&path).expect("readable");
    for shown in [format!("{gas:?} {phrase:?} {wrong:?} {wrong}"), file] {
        let shown = shown.to_lowercase();
        assert!(
            !shown.contains("5a5a") && !shown.contains("90, 90") && !shown.contains("wlpa"),
            "{shown}"
        );
        assert!(
            !shown.contains("passphrase\"") && !shown.contains("a long"),
            "{shown}"
        );
    }
}

#[test]
fn signatures_are_those_of_the_standard() {
    // The well-known first development account, and a digest signed by another implementation (RFC 6979).
    let secret = B256::from_slice(&revm::primitives::hex!(
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    ));
    let key = LocalKey::from_bytes(&secret.0).expect("a key");
    assert_eq!(
        key.address().to_string(),
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    );
    let digest = keccak256("hashpit");
    let signature = key.sign_digest(&digest).expect("signs");
    assert_eq!(recover(&digest, &signature), Some(key.address()));
    assert_eq!(
        key.sign_digest(&digest).expect("signs"),
        signature,
        "the same every time"
    );
    let mut high = signature;
    // n - s is as good a signature to mathematics, and refused here and by the contract.
    let order = revm::primitives::U256::from_be_bytes(revm::primitives::hex!(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
    ));
    high.s = (order - revm::primitives::U256::from_be_bytes(signature.s)).to_be_bytes();
    high.odd = !signature.odd;
    assert_eq!(recover(&digest, &high), None);
}

fn header(seq: u64) -> ChainHeader {
    ChainHeader {
        seq,
        ..ChainHeader::default()
    }
}

#[test]
fn a_signer_signs_one_header_of_a_number_for_ever() {
    let simulated = SimDisk::new(7, Manners::GOOD, Default::default());
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    let open = || {
        let witness = Box::new(TestWitness::default());
        RootSigner::open(
            Box::new(key(2)),
            witness,
            &disk,
            Path::new("anchor/one.log"),
        )
        .expect("opens")
    };
    let sign = |signer: &mut RootSigner, number, seq| {
        let header = header(seq);
        let hash = B256::from(header.hash());
        signer.sign(number, &header, hash, &keccak256(hash))
    };
    let mut signer = open();
    let first = sign(&mut signer, 1, 10).expect("signs");
    assert!(matches!(
        sign(&mut signer, 1, 11),
        Err(Refusal::SignedAnother { number: 1, .. })
    ));
    drop(signer);
    simulated.crash(true);
    let mut signer = open();
    assert!(matches!(
        sign(&mut signer, 1, 11),
        Err(Refusal::SignedAnother { number: 1, .. })
    ));
    assert_eq!(sign(&mut signer, 1, 10).expect("the same again"), first);
    sign(&mut signer, 2, 11).expect("another number");
    // A promise that cannot be written down is no signature.
    simulated.set(Trap {
        verb: None,
        left: 2,
        harm: Harm::Eio,
    });
    assert!(matches!(sign(&mut signer, 3, 12), Err(Refusal::Log { .. })));
    assert!(
        matches!(sign(&mut signer, 4, 13), Err(Refusal::Log { .. })),
        "and none after it"
    );
}
