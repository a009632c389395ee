//! A running exchange seals epochs; a user fetches a proof, and checks it without the exchange.

use std::{path::Path, process::Command};

use gateway::proofs::file::{Path as LeafPath, ProofFile, hex};
use proto::{
    account::v1::SetL2OwnerRequest,
    common::v1::Side,
    proof::v1::{
        EpochStatus, GetAccountProofRequest, GetEpochRequest, GetFillProofRequest,
        ListEpochsRequest, WatchEpochsRequest,
    },
    trading::v1::{ListFillsRequest, SubmitOrderRequest},
};
use tests::venue::{Folder, Venue, limit, settings};

/// The epoch that ends after this journal position.
pub(crate) async fn sealed_after(venue: &Venue, seq: i64) -> i64 {
    let client = venue.client("taker-1").await;
    let request = WatchEpochsRequest { after_epoch: 0 };
    let stream = client.proof().watch_epochs(request).await;
    let mut stream = stream.expect("watched").into_inner();
    loop {
        let told = stream.message().await.expect("told").expect("goes on");
        let Some(epoch) = told.epoch else { continue };
        assert_eq!(epoch.status(), EpochStatus::Sealed);
        if epoch.last_journal_seq >= seq {
            return epoch.epoch;
        }
    }
}

pub(crate) fn python(file: &Path, root: Option<&str>) -> Option<(bool, String)> {
    let python = super::python()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/proof_verifier.py");
    let mut verifier = Command::new(python);
    verifier.arg("-B").arg(script).arg(file);
    if let Some(root) = root {
        verifier.args(["--root", root]);
    }
    let output = verifier.output().expect("python runs");
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Some((output.status.success(), text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_keeps_a_proof_that_holds_without_the_exchange() {
    let folder = Folder::new("roots");
    let mut settings = settings(folder.path());
    settings.pipeline.epoch_ms = 200;
    let venue = Venue::start_with(settings.clone()).await;
    let (maker, taker) = (venue.account("maker-1"), venue.account("taker-1"));
    let contract = venue.forward().await;
    // A trade, so that there is a position and a fill.
    let price = 42_500;
    for (actor, account, side) in [
        ("maker-1", maker, Side::Sell),
        ("taker-1", taker, Side::Buy),
    ] {
        let client = venue.client(actor).await;
        let request = SubmitOrderRequest {
            account_id: account,
            order: Some(limit(1, &contract, side, 3, price)),
            ..SubmitOrderRequest::default()
        };
        client.trading().submit_order(request).await.expect("taken");
    }
    let client = venue.client("taker-1").await;
    let fills = client
        .trading()
        .list_fills(ListFillsRequest {
            account_id: taker,
            ..ListFillsRequest::default()
        })
        .await
        .expect("listed")
        .into_inner()
        .fills;
    let fill = fills.first().and_then(|report| report.fill.as_ref());
    let trade_id = fill.expect("it traded").trade_id;
    let owner = SetL2OwnerRequest {
        account_id: taker,
        l2_owner: vec![0x11; 20],
        note: String::new(),
        request_id: 7,
    };
    let named = client.account().set_l2_owner(owner).await;
    let named = named.expect("named").into_inner();
    assert_eq!(named.nonce, 1);
    sealed_after(&venue, named.journal_seq).await;

    // Between two marks nothing moves; if a mark passes in between, everything is asked again.
    let (proof, fill) = loop {
        let request = GetAccountProofRequest {
            account_id: taker,
            epoch: 0,
            asset_id: 0,
            include_positions: true,
        };
        let proof = client.proof().get_account_proof(request).await;
        let proof = proof.expect("proven").into_inner();
        let request = GetFillProofRequest {
            account_id: taker,
            trade_id,
            epoch: 0,
        };
        let fill = client.proof().get_fill_proof(request).await;
        let fill = fill.expect("proven").into_inner();
        if fill.header_preimage == proof.header_preimage {
            break (proof, fill);
        }
    };
    let account = u32::try_from(taker).expect("small");
    let mut file = ProofFile::with(&proof.header_preimage, &proof.state_preimage, account);
    for balance in &proof.balances {
        let path = balance.proof.as_ref().expect("a path");
        file.balances.push(LeafPath::from(path));
        let leaf = balance.leaf.as_ref().expect("a leaf");
        assert_eq!((&leaf.owner[..], leaf.nonce), (&[0x11; 20][..], 1));
    }
    for position in &proof.positions {
        let over = position.contract_proof.as_ref().expect("a path");
        file.positions.push(LeafPath {
            contract: Some(Box::new(LeafPath::from(over))),
            ..LeafPath::from(position.proof.as_ref().expect("a path"))
        });
    }
    file.fills
        .push(LeafPath::from(fill.proof.as_ref().expect("a path")));
    let epoch = proof.epoch.as_ref().expect("an epoch");
    let hash = <[u8; 32]>::try_from(&epoch.header_hash[..]).expect("32 bytes");
    let shown = file.check(Some(hash)).expect("it holds");
    assert_eq!(shown.positions.len(), 1);
    assert_eq!(
        (shown.positions[0].0.long, shown.positions[0].0.short),
        (3, 0)
    );
    assert!(shown.fills.iter().any(|fill| fill.trade == trade_id as u64));
    assert_eq!(shown.header.assets.len(), shown.balances.len());
    assert!(
        shown
            .header
            .assets
            .iter()
            .all(|flow| flow.uncovered() == Some(0))
    );
    assert!(shown.header.assets.iter().any(|flow| flow.sandbox > 0));

    // Somebody else's account is nobody's business.
    let request = GetAccountProofRequest {
        account_id: maker,
        ..GetAccountProofRequest::default()
    };
    client
        .proof()
        .get_account_proof(request)
        .await
        .expect_err("refused");

    // The stranger agrees, and notices every change.
    let path = folder.path().join("proof.json");
    std::fs::write(&path, file.json()).expect("written");
    let text = std::fs::read_to_string(&path).expect("read");
    assert_eq!(ProofFile::parse(&text).as_ref(), Ok(&file));
    if let Some((good, said)) = python(&path, Some(&hex(&hash))) {
        assert!(good, "{said}");
        assert!(said.contains(&hex(&hash)), "{said}");
        let (good, said) = python(&path, Some(&hex(&[1; 32]))).expect("there is one");
        assert!(!good && said.contains("not to the root given"), "{said}");
    }
    let mut richer = file.clone();
    let leaf = &mut richer.balances[0].leaf;
    leaf.replace_range(95..96, if &leaf[95..96] == "f" { "e" } else { "f" });
    let why = richer.check(Some(hash)).expect_err("another leaf");
    assert!(why.contains("another root"), "{why}");

    // After a restart the epochs are the same, and a replay finds the same hashes.
    let listed = |client: gateway::client::Client| async move {
        let request = ListEpochsRequest::default();
        let answer = client.proof().list_epochs(request).await;
        answer.expect("listed").into_inner().epochs
    };
    let before = listed(venue.client("taker-1").await).await;
    venue.running.stop().await;
    let venue = Venue::start_with(settings).await;
    let after = listed(venue.client("taker-1").await).await;
    for epoch in &before {
        let again = after.iter().find(|again| again.epoch == epoch.epoch);
        assert_eq!(again, Some(epoch));
    }
    let request = GetEpochRequest { epoch: epoch.epoch };
    let kept = venue
        .client("maker-1")
        .await
        .proof()
        .get_epoch(request)
        .await;
    assert_eq!(
        kept.expect("kept").into_inner().header_preimage,
        proof.header_preimage
    );
    venue.running.stop().await;
    let audit = gateway::commands::audit::Audit {
        folder: folder.path().to_owned(),
        until: None,
        account: None,
        ..gateway::commands::audit::Audit::default()
    };
    let epochs = audit.epochs().expect("sound");
    for epoch in &before {
        let place = usize::try_from(epoch.epoch - 1).expect("small");
        assert_eq!(epochs[place].hash.to_vec(), epoch.header_hash);
    }
}
