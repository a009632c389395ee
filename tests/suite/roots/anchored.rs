//! An epoch is chosen for a chain, travels, becomes final; whoever wants a proof of it gets it all the way.
//! Afterwards an auditor finds the same in the journal.

use std::path::Path;

use engine::{
    command::ChainDeposit,
    ids::AssetId,
    roots::chain::{ChainHeader, Tip, Unpostable},
};
use gateway::{
    commands::{audit::Audit, verify::Verify},
    proofs::{
        Step, deposits,
        file::{Path as LeafPath, ProofFile, hex},
    },
};
use proto::{
    common::v1::Side,
    proof::v1::{
        Anchor, EpochStatus, GetAccountProofRequest, GetAccountProofResponse, GetFillProofRequest,
        GetWithdrawalProofRequest, ListEpochsRequest, RootSignature,
    },
    reference::v1::Instrument,
    trading::v1::SubmitOrderRequest,
};
use tests::venue::{Folder, Venue, limit, settings};

/// Something happens, and the epoch with it ends; the number of the newest.
async fn another_epoch(venue: &Venue, contract: &Instrument, id: u64) -> u64 {
    let mut changes = venue.running.book.watch();
    let client = venue.client("maker-1").await;
    let request = SubmitOrderRequest {
        account_id: venue.account("maker-1"),
        order: Some(limit(id, contract, Side::Buy, 1, 42_000)),
        ..SubmitOrderRequest::default()
    };
    let answer = client.trading().submit_order(request).await.expect("taken");
    let seq = answer.into_inner().journal_seq;
    loop {
        let newest = {
            let roots = venue.running.book.roots();
            roots.provable().map(|epoch| epoch.header.clone())
        };
        if let Some(header) = newest.filter(|header| header.seq > seq.unsigned_abs()) {
            return header.epoch;
        }
        changes.recv().await.expect("told");
    }
}

async fn proof(venue: &Venue, epoch: u64) -> Result<GetAccountProofResponse, tonic::Status> {
    let client = venue.client("maker-1").await;
    let request = GetAccountProofRequest {
        account_id: venue.account("maker-1"),
        epoch: i64::try_from(epoch).expect("small"),
        asset_id: 0,
        include_positions: true,
    };
    let answer = client.proof().get_account_proof(request).await;
    answer.map(tonic::Response::into_inner)
}

fn verify(folder: &Path, file: &ProofFile, root: &str) -> Result<String, String> {
    let path = folder.join("kept-proof.json");
    std::fs::write(&path, file.json()).expect("written");
    let verify = Verify {
        file: path,
        root: Some(root.to_owned()),
        ..Verify::default()
    };
    verify.words().map_err(|why| format!("{why:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chosen_epoch_is_proven_on_its_way_and_audited_afterwards() {
    let folder = Folder::new("anchored");
    let mut settings = settings(folder.path());
    settings.pipeline.epoch_ms = 100;
    let venue = Venue::start_with(settings.clone()).await;
    let contract = venue.forward().await;
    let book = venue.running.book.clone();
    let earlier = another_epoch(&venue, &contract, 1).await;
    let chosen = loop {
        // Just after a mark it is to be had in a moment: then the watcher is told.
        let mut changes = book.watch();
        match book.choose() {
            Some(epoch) => break epoch,
            None => drop(changes.recv().await),
        }
    };
    let number = chosen.header.epoch;
    assert!(number >= earlier);
    let sealed = book.sealed(number - 1);
    assert_eq!(sealed.first(), Some(&chosen));
    // The sandbox's play money never goes to a chain.
    let header = ChainHeader::of(&chosen.header, (1, [0; 32]), 0);
    assert!(
        matches!(header, Err(Unpostable::Sandbox { asset: 1, .. })),
        "{header:?}"
    );
    let flows = chosen.header.assets.iter();
    let out: Vec<_> = flows
        .map(|flow| (flow.withdrawals_root, flow.withdrawn))
        .collect();
    assert!(chosen.tops.fit(&chosen.state, &out));
    let when_new = proof(&venue, number).await.expect("the newest or kept");

    // It travels; meanwhile others come.
    let signature = RootSignature {
        signer: vec![7; 20],
        signature: vec![8; 65],
    };
    book.note(number, Step::Signed(vec![signature.clone()]));
    let anchor = |block_number| Anchor {
        chain_id: 5,
        block_number,
        ..Anchor::default()
    };
    book.note(number, Step::Submitted(anchor(0)));
    let passed_by = another_epoch(&venue, &contract, 2).await;
    assert!(passed_by > number);
    book.note(number, Step::Mined(anchor(10)));
    let told = proof(&venue, number).await.expect("kept");
    assert_eq!(told.header_preimage, when_new.header_preimage);
    assert_eq!(told.balances, when_new.balances);
    assert_eq!(told.positions, when_new.positions);
    let epoch = told.epoch.expect("told");
    assert_eq!(epoch.status(), EpochStatus::Mined);
    let anchored = epoch.anchor.expect("its transaction");
    assert_eq!((anchored.block_number, anchored.chain_id), (10, 5));
    assert_eq!(anchored.signatures, [signature]);
    book.note(number, Step::Reorganised);
    book.note(number, Step::Mined(anchor(11)));
    book.note(number, Step::Final(anchor(11)));
    let client = venue.client("maker-1").await;
    let list = || async {
        let request = ListEpochsRequest::default();
        let answer = client.proof().list_epochs(request).await;
        answer.expect("listed").into_inner()
    };
    let listed = list().await;
    assert_eq!(listed.newest_final_epoch, number as i64);
    let status = |wanted: u64| {
        let mut epochs = listed.epochs.iter();
        let epoch = epochs.find(|epoch| epoch.epoch == wanted as i64);
        epoch.map(|epoch| (epoch.status(), epoch.covered_by_epoch))
    };
    assert_eq!(status(number), Some((EpochStatus::Final, 0)));
    assert_eq!(status(passed_by), Some((EpochStatus::Sealed, 0)));
    assert_eq!(status(1), Some((EpochStatus::Covered, number as i64)));
    // Nobody chose the ones in between, so they are gone once newer ones are there.
    let newest = another_epoch(&venue, &contract, 3).await;
    if let Some(between) = (number + 1..newest).next() {
        let why = proof(&venue, between).await.expect_err("not kept");
        assert_eq!(why.code(), tonic::Code::NotFound, "{why}");
    }
    // Final, it stays until the next one is final; one that failed goes at once.
    let failed = book.choose().map(|epoch| epoch.header.epoch);
    if let Some(failed) = failed.filter(|failed| *failed > number) {
        another_epoch(&venue, &contract, 4).await;
        proof(&venue, failed).await.expect("kept");
        book.note(failed, Step::Failed);
        proof(&venue, failed).await.expect_err("let go");
    }
    assert_eq!(
        proof(&venue, number).await.expect("kept").balances,
        when_new.balances
    );
    // Fills and withdrawals of it are refused in words when there are none.
    let request = GetFillProofRequest {
        account_id: venue.account("maker-1"),
        trade_id: 999,
        epoch: number as i64,
    };
    client
        .proof()
        .get_fill_proof(request)
        .await
        .expect_err("no such fill");
    let request = GetWithdrawalProofRequest {
        account_id: venue.account("maker-1"),
        transfer_id: 999,
        epoch: number as i64,
    };
    client
        .proof()
        .get_withdrawal_proof(request)
        .await
        .expect_err("no such transfer");

    // The chain shows a deposit: it is credited once.
    let cursor = deposits::cursor(&venue.running.desk);
    assert_eq!(cursor.count, 0);
    let tip = Tip {
        owner: [0x77; 20],
        asset: 1,
        amount: 5_000,
        totals: vec![5_000, 0],
        ..Tip::default()
    };
    let deposit = ChainDeposit {
        id: 0,
        owner: tip.owner,
        asset: AssetId(1),
        amount: 5_000,
        totals: tip.totals.clone(),
        chain: tip.chained(0),
        block: 12,
    };
    let desk = &venue.running.desk;
    deposits::credit(desk, deposit.clone())
        .await
        .expect("credited");
    let why = deposits::credit(desk, deposit)
        .await
        .expect_err("once only");
    assert!(format!("{why:#}").contains("sequence"), "{why:#}");
    let cursor = deposits::cursor(desk);
    assert_eq!((cursor.count, cursor.block, &cursor.tip), (1, 12, &tip));
    drop(client);
    venue.running.stop().await;

    // The journal alone gives the same hashes, and a proof of the final epoch that holds.
    let audit = Audit {
        folder: folder.path().to_owned(),
        until: Some(number),
        account: u32::try_from(
            when_new.balances[0]
                .leaf
                .as_ref()
                .expect("a leaf")
                .account_id,
        )
        .ok(),
        ..Audit::default()
    };
    let file = audit.proof().expect("found in the journal");
    let hash = hex(&chosen.hash);
    let paths = when_new
        .balances
        .iter()
        .filter_map(|row| row.proof.as_ref());
    assert_eq!(file.balances, paths.map(LeafPath::from).collect::<Vec<_>>());
    assert_eq!(file.header, hex(&when_new.header_preimage));
    let words = verify(folder.path(), &file, &hash).expect("it holds");
    for part in ["PROVEN for account", "PROVEN for everybody", "NOT PROVEN"] {
        assert!(words.contains(part), "{words}");
    }
    let why = verify(folder.path(), &file, &"11".repeat(32)).expect_err("another epoch");
    assert!(why.contains("NOT PROVEN: the header hashes to"), "{why}");
    let mut forged = file.clone();
    forged.balances[0].path[3].replace_range(..2, "ff");
    forged.balances[0].path[4].replace_range(..2, "ff");
    let why = verify(folder.path(), &forged, &hash).expect_err("another path");
    assert!(why.contains("NOT PROVEN: balance in asset 1"), "{why}");
    let whole = Audit {
        until: None,
        account: None,
        ..audit.clone()
    };
    whole.run().expect("sound");
    let stranger = Audit {
        account: Some(4_000),
        ..audit
    };
    stranger.proof().expect_err("not open");

    // A start that executes the journal again has the chosen epoch at hand.
    settings.chosen_epochs = vec![number];
    let venue = Venue::start_with(settings).await;
    let again = {
        let roots = venue.running.book.roots();
        roots.provable_at(number).cloned()
    };
    assert_eq!(again, Some(chosen));
    assert_eq!(deposits::cursor(&venue.running.desk).count, 1);
    venue.running.stop().await;
}
